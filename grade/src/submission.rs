//! What a student hands in: the Rust files of `raft/src` and `kvraft/src`, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::archive;
use crate::workspace::{Files, LAB_CRATES, is_source_of};

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
    /// Reads a folder: a workspace, or one that holds `raft/src` and perhaps `kvraft/src`. Or such a
    /// one as `.tar.gz`, which is what `grade submit` writes.
    ///
    /// # Errors
    ///
    /// If it cannot be read, has no `raft/src/lib.rs`, or is larger than [`MAX_BYTES`].
    pub fn read(path: &Path) -> Result<Submission> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("submission");
        let name = name.strip_suffix(".tar.gz").unwrap_or(name).to_owned();
        let mut submission = Submission { name, files: Files::new(), ignored: BTreeMap::new() };
        if path.is_file() {
            submission.unpack(path)?;
        } else {
            for lab in LAB_CRATES {
                let source = format!("{lab}/src");
                if fs::symlink_metadata(path.join(&source)).is_ok() {
                    submission.collect(path, &source)?;
                }
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

    fn unpack(&mut self, archive: &Path) -> Result<()> {
        if fs::metadata(archive)?.len() > MAX_BYTES as u64 {
            bail!("the archive is larger than {MAX_BYTES} bytes");
        }
        for (path, contents) in archive::unpack(&fs::read(archive)?)? {
            if !LAB_CRATES.iter().any(|lab| is_source_of(lab, &path)) {
                self.ignored.insert(path, "not in raft/src or kvraft/src".to_owned());
            } else if !is_plain(&path) || !has_extension(&path, "rs") {
                self.ignored.insert(path, "not a Rust source".to_owned());
            } else {
                self.files.insert(path, contents);
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_archive_only_the_sources_are_taken() {
        let file = |path: &str| (path.to_owned(), b"// theirs".to_vec());
        let files = Files::from([
            file("raft/src/lib.rs"),
            file("raft/src/data.bin"),
            file("raft/build.rs"),
            file("tests/tests/lab.rs"),
        ]);
        let path = std::env::temp_dir().join(format!("grade-{}.tar.gz", std::process::id()));
        fs::write(&path, archive::pack(&files).unwrap()).unwrap();
        let read = Submission::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(read.files, Files::from([file("raft/src/lib.rs")]));
        let ignored: Vec<&str> = read.ignored.keys().map(String::as_str).collect();
        assert_eq!(ignored, ["raft/build.rs", "raft/src/data.bin", "tests/tests/lab.rs"]);
        assert_eq!(read.name, format!("grade-{}", std::process::id()));
    }
}
