//! What a student hands in: the Rust files of `raft/src` and `kvraft/src`, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::workspace::{Files, LAB_CRATES};

/// A submission, read into memory.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The name of its folder or archive, without what says its kind.
    pub name: String,
    /// `raft/src/lib.rs` and so on.
    pub files: Files,
    /// What else was handed in and is not looked at: path, and why.
    pub ignored: BTreeMap<String, String>,
}

/// Bytes of all its files together.
pub const MAX_BYTES: usize = 1 << 20;

impl Submission {
    /// Reads a folder: a workspace, or one that holds `raft/src` and perhaps `kvraft/src`.
    ///
    /// # Errors
    ///
    /// If it cannot be read, has no `raft/src/lib.rs`, or is larger than [`MAX_BYTES`].
    pub fn read(folder: &Path) -> Result<Submission> {
        let name = folder.file_name().and_then(|name| name.to_str());
        let name = name.map_or_else(|| "submission".to_owned(), str::to_owned);
        let mut submission = Submission { name, files: Files::new(), ignored: BTreeMap::new() };
        for lab in LAB_CRATES {
            let source = format!("{lab}/src");
            if fs::symlink_metadata(folder.join(&source)).is_ok() {
                submission.collect(folder, &source)?;
            }
        }
        submission.check()?;
        Ok(submission)
    }

    /// Has this crate been handed in?
    #[must_use]
    pub fn has(&self, lab: &str) -> bool {
        self.files.contains_key(&format!("{lab}/src/lib.rs"))
    }

    fn check(&self) -> Result<()> {
        if !self.has("raft") {
            bail!("there is no raft/src/lib.rs in it");
        }
        let bytes: usize = self.files.values().map(Vec::len).sum();
        if bytes > MAX_BYTES {
            bail!("its sources have {bytes} bytes; {MAX_BYTES} are the limit");
        }
        Ok(())
    }

    fn collect(&mut self, root: &Path, under: &str) -> Result<()> {
        let folder = root.join(under);
        // A link could lead to the grader's own files.
        if fs::symlink_metadata(&folder)?.is_symlink() {
            self.ignored.insert(under.to_owned(), "a symbolic link".to_owned());
            return Ok(());
        }
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let path = format!("{under}/{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.collect(root, &path)?;
            } else if !kind.is_file() {
                self.ignored.insert(path, "not a regular file".to_owned());
            } else if !is_plain(&path) || !has_extension(&path, "rs") {
                self.ignored.insert(path, "not a Rust source".to_owned());
            } else if entry.metadata()?.len() > MAX_BYTES as u64 {
                bail!("{path} is larger than {MAX_BYTES} bytes");
            } else {
                self.files.insert(path, fs::read(entry.path())?);
            }
        }
        Ok(())
    }
}

/// Letters, digits and a few signs: names that mean the same everywhere.
fn is_plain(path: &str) -> bool {
    path.chars().all(|c| c.is_ascii_alphanumeric() || "/_-.".contains(c)) && !path.contains("..")
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}
