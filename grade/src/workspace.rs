//! The workspace's files: found, read into memory, and written elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::{fs, io};

use anyhow::{Context as _, Result, bail};

/// Files by their path below some folder, with `/` between names.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The crates that students write: of each, they write `src`.
pub const LAB_CRATES: [&str; 2] = ["raft", "kvraft"];

/// Not part of the sources, at the top of a workspace.
const SKIPPED: [&str; 2] = ["target", ".git"];

/// The workspace that `start` is in: the folder with the tests in `tests/lab/main.rs`.
///
/// # Errors
///
/// If `start` is in no such folder.
pub fn find(start: &Path) -> Result<PathBuf> {
    let start = resolved(start)?;
    let root = start.ancestors().find(|folder| folder.join("tests/lab/main.rs").is_file());
    match root {
        Some(root) => Ok(root.to_owned()),
        None => bail!("{} is not inside a raftlab workspace", start.display()),
    }
}

/// Where a path leads, as an absolute path without `..` and links. It need not exist, or not yet.
///
/// # Errors
///
/// If the current folder is not known, or a folder on the way cannot be looked into.
pub fn resolved(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let mut resolved = there.canonicalize()?;
    for part in path.strip_prefix(there).unwrap_or(&path).components() {
        match part {
            Component::ParentDir => drop(resolved.pop()),
            part => resolved.push(part),
        }
    }
    Ok(resolved)
}

/// Reads every file of a workspace but built ones.
///
/// # Errors
///
/// If a file cannot be read.
pub fn read(root: &Path) -> Result<Files> {
    let mut files = Files::new();
    collect(root, "", &mut files)?;
    Ok(files)
}

/// Makes the files of `folder` be these and no others, but for built ones. Files that are as they
/// should be keep their times, so that only what has changed is built again.
///
/// # Errors
///
/// If a file cannot be read, written or removed.
pub fn write(files: &Files, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut present = Files::new();
    collect(folder, "", &mut present)?;
    for stale in present.keys().filter(|path| !files.contains_key(*path)) {
        let path = folder.join(stale);
        fs::remove_file(&path).with_context(|| path.display().to_string())?;
    }
    for (path, contents) in files {
        if present.get(path) != Some(contents) {
            let path = folder.join(path);
            let parent = path.parent().unwrap_or(folder);
            fs::create_dir_all(parent)
                .and_then(|()| fs::write(&path, contents))
                .with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// A workspace whose `src` folders of [`LAB_CRATES`] are those of a submission, where it has one.
#[must_use]
pub fn overlay(pristine: &Files, submission: &Files) -> Files {
    let theirs: BTreeSet<&str> = LAB_CRATES
        .into_iter()
        .filter(|name| submission.keys().any(|path| is_source_of(name, path)))
        .collect();
    let ours =
        pristine.iter().filter(|(path, _)| !theirs.iter().any(|name| is_source_of(name, path)));
    ours.chain(submission).map(|(path, contents)| (path.clone(), contents.clone())).collect()
}

/// Is this `NAME/src/..`?
#[must_use]
pub fn is_source_of(name: &str, path: &str) -> bool {
    path.strip_prefix(name).is_some_and(|rest| rest.starts_with("/src/"))
}

fn collect(root: &Path, under: &str, files: &mut Files) -> Result<()> {
    let folder = root.join(under);
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            bail!("{}: a name that is not UTF-8", entry.path().display())
        };
        let path = if under.is_empty() { name.clone() } else { format!("{under}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !(under.is_empty() && SKIPPED.contains(&name.as_str())) {
                collect(root, &path, files)?;
            }
        } else if kind.is_file() {
            let contents =
                fs::read(entry.path()).with_context(|| entry.path().display().to_string())?;
            files.insert(path, contents);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_resolved_whether_it_exists_or_not() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap();
        let root = here.parent().unwrap();
        for (path, leads_to) in [
            ("src/..", here.as_path()),
            ("../graded", &root.join("graded")),
            ("src/../../new/folder/../other", &root.join("new/other")),
            ("/../../none", Path::new("/none")),
        ] {
            assert_eq!(resolved(&here.join(path)).unwrap(), leads_to, "{path}");
        }
    }

    #[test]
    fn a_workspace_is_found_from_within() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.parent().unwrap().canonicalize().unwrap();
        assert_eq!(find(&here.join("src/../tests")).unwrap(), root);
        let error = find(&root.join("..")).unwrap_err().to_string();
        assert!(error.ends_with(" is not inside a raftlab workspace"), "{error}");
    }
}
