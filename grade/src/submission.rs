//! What a student hands in: the Rust files of `raft/src` and `kvraft/src`, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::archive;
use crate::workspace::{self, Files, LAB_CRATES};

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

/// How the names of archives end.
const ARCHIVES: [&str; 2] = [".tar.gz", ".tgz"];

/// Bytes of all its files together.
pub const MAX_BYTES: usize = 1 << 20;

impl Submission {
    /// What the submission at a path is called: the name of its folder or archive, without what says
    /// its kind.
    ///
    /// # Errors
    ///
    /// If the path ends in no name.
    pub fn name_of(path: &Path) -> Result<String> {
        let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let name = absolute.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{} has no name", path.display()))?;
        let stem = ARCHIVES.iter().find_map(|kind| name.strip_suffix(kind));
        Ok(stem.unwrap_or(name).to_owned())
    }

    /// Reads a folder, such as a whole workspace, or an archive that `grade submit` packed.
    ///
    /// # Errors
    ///
    /// If it cannot be read, has no `raft/src/lib.rs`, or is larger than [`MAX_BYTES`].
    pub fn read(path: &Path) -> Result<Submission> {
        let name = Submission::name_of(path)?;
        let mut submission = Submission { name, files: Files::new(), ignored: BTreeMap::new() };
        if path.is_file() {
            let packed = fs::read(path).with_context(|| path.display().to_string())?;
            for (path, contents) in archive::unpack(&packed)? {
                submission.take(path, contents);
            }
        } else {
            for lab in LAB_CRATES {
                let source = format!("{lab}/src");
                // A link could lead to the grader's own files, whichever part of the path it is.
                if is_link(&path.join(lab)) {
                    submission.ignored.insert((*lab).to_owned(), "a symbolic link".to_owned());
                } else if fs::symlink_metadata(path.join(&source)).is_ok() {
                    submission.collect(path, &source)?;
                }
            }
        }
        submission.check()?;
        Ok(submission)
    }

    /// Takes a file over, if it is one that a student writes.
    fn take(&mut self, path: String, contents: Vec<u8>) {
        let is_theirs = LAB_CRATES.iter().any(|lab| workspace::is_source_of(lab, &path));
        if is_theirs && is_plain(&path) && has_extension(&path, "rs") {
            self.files.insert(path, contents);
        } else {
            self.ignored.insert(path, "not a Rust source of the labs".to_owned());
        }
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
        if is_link(&folder) {
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
            } else if entry.metadata()?.len() > MAX_BYTES as u64 {
                bail!("{path} is larger than {MAX_BYTES} bytes");
            } else {
                self.take(path, fs::read(entry.path())?);
            }
        }
        Ok(())
    }
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// Letters, digits and a few signs: names that mean the same everywhere.
fn is_plain(path: &str) -> bool {
    path.chars().all(|c| c.is_ascii_alphanumeric() || "/_-.".contains(c)) && !path.contains("..")
}

pub(crate) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("grade-test-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let files = [
            ("raft/src/lib.rs", "mod log;"),
            ("raft/src/log.rs", ""),
            ("raft/src/notes.txt", ""),
            ("raft/build.rs", ""),
            ("tests/lab/main.rs", ""),
        ];
        let files: Files =
            files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).into();
        workspace::write(&files, &folder).unwrap();
        folder
    }

    fn paths(submission: &Submission) -> Vec<&str> {
        submission.files.keys().map(String::as_str).collect()
    }

    #[test]
    fn only_rust_sources_are_taken() {
        let folder = folder("plain");
        let submission = Submission::read(&folder).unwrap();
        assert_eq!(paths(&submission), ["raft/src/lib.rs", "raft/src/log.rs"]);
        assert_eq!(submission.ignored.keys().collect::<Vec<_>>(), ["raft/src/notes.txt"]);
        assert!(submission.has("raft") && !submission.has("kvraft"));

        let packed = archive::pack(&workspace::read(&folder).unwrap()).unwrap();
        let file = folder.join("ada.tar.gz");
        fs::write(&file, packed).unwrap();
        let unpacked = Submission::read(&file).unwrap();
        assert_eq!((unpacked.name.as_str(), unpacked.files), ("ada", submission.files));
        assert!(unpacked.ignored.contains_key("tests/lab/main.rs"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn links_are_not_followed() {
        let folder = folder("links");
        symlink("/etc/passwd", folder.join("raft/src/passwd.rs")).unwrap();
        symlink("/etc", folder.join("raft/src/etc")).unwrap();
        let staff = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        symlink(staff.join("kvraft"), folder.join("kvraft")).unwrap();
        let submission = Submission::read(&folder).unwrap();
        assert_eq!(paths(&submission), ["raft/src/lib.rs", "raft/src/log.rs"]);
        assert_eq!(submission.ignored["raft/src/passwd.rs"], "not a regular file");
        assert_eq!(submission.ignored["raft/src/etc"], "not a regular file");
        assert_eq!(submission.ignored["kvraft"], "a symbolic link");

        fs::remove_dir_all(folder.join("raft")).unwrap();
        symlink(staff.join("raft"), folder.join("raft")).unwrap();
        let error = Submission::read(&folder).unwrap_err().to_string();
        assert_eq!(error, "there is no raft/src/lib.rs in it");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_too_large_or_missing_is_refused() {
        let folder = folder("large");
        fs::write(folder.join("raft/src/big.rs"), vec![b' '; MAX_BYTES]).unwrap();
        let error = Submission::read(&folder).unwrap_err().to_string();
        assert_eq!(error, "its sources have 1048584 bytes; 1048576 are the limit");
        fs::remove_file(folder.join("raft/src/lib.rs")).unwrap();
        let error = Submission::read(&folder).unwrap_err().to_string();
        assert_eq!(error, "there is no raft/src/lib.rs in it");
        fs::remove_dir_all(folder).unwrap();
    }
}
