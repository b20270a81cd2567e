//! The workspace's files: read once, hashed, and copied with a patch applied.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use crate::mutant::{Mutant, PatchError};

/// Every file that the build may need, by its path in the workspace.
pub(crate) struct Sources {
    files: BTreeMap<String, String>,
    hash: u64,
}

/// Not copied: results of builds, and what no build reads.
const SKIPPED: [&str; 7] = ["target", ".git", ".ci", "book", "browser", "wrong", "right"];

/// Kinds of files that a build reads.
const KINDS: [&str; 8] = ["rs", "toml", "lock", "md", "txt", "html", "css", "js"];

impl Sources {
    pub(crate) fn read(root: &Path) -> Result<Sources, String> {
        let mut files = BTreeMap::new();
        collect(root, "", &mut files)?;
        if !files.contains_key("raft/src/lib.rs") {
            return Err(format!("{} is not the workspace", root.display()));
        }
        let mut hasher = DefaultHasher::new();
        for file in files.iter().filter(|(path, _)| decides(path)) {
            file.hash(&mut hasher);
        }
        Ok(Sources { files, hash: hasher.finish() })
    }

    /// Equal keys, equal results.
    pub(crate) fn key(&self, mutant: &Mutant) -> String {
        let mut hasher = DefaultHasher::new();
        // The header may be reworded.
        let diff = mutant.text.split_once("\n--- ").map(|(_, diff)| diff);
        (self.hash, diff).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// The files that the patch changes, with their new contents.
    pub(crate) fn patched(&self, mutant: &Mutant) -> Result<BTreeMap<String, String>, PatchError> {
        mutant.apply(|path| self.files.get(path).map(String::as_str))
    }

    /// Makes `copy` the workspace with the patch applied. Files that are as they should be keep
    /// their times, so that only what changed is built again.
    pub(crate) fn copy_patched(&self, mutant: &Mutant, copy: &Path) -> Result<(), String> {
        let patched = self.patched(mutant).map_err(|problem| problem.to_string())?;
        let mut present = BTreeMap::new();
        if copy.exists() {
            collect(copy, "", &mut present)?;
        }
        for stale in present.keys().filter(|path| !self.files.contains_key(*path)) {
            let path = copy.join(stale);
            fs::remove_file(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        }
        for (path, text) in &self.files {
            let text = patched.get(path).unwrap_or(text);
            if present.get(path) != Some(text) {
                let path = copy.join(path);
                let folder = path.parent().expect("a file is in a folder");
                fs::create_dir_all(folder)
                    .and_then(|()| fs::write(&path, text))
                    .map_err(|e| format!("{}: {e}", path.display()))?;
            }
        }
        Ok(())
    }
}

/// Does this file have a part in what the graded tests do?
fn decides(path: &str) -> bool {
    let aside = ["/examples/", "/benches/", "/mutants/"].iter().any(|folder| path.contains(folder));
    let tests_of_others = path.contains("/tests/") && !path.starts_with("tests/");
    let kind = Path::new(path).extension().is_some_and(|kind| kind != "md" && kind != "txt");
    kind && !aside && !tests_of_others
}

fn collect(root: &Path, under: &str, files: &mut BTreeMap<String, String>) -> Result<(), String> {
    let folder = root.join(under);
    let entries = fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if under.is_empty() { name.clone() } else { format!("{under}/{name}") };
        let kind = Path::new(&name).extension().and_then(|kind| kind.to_str()).unwrap_or("");
        if entry.path().is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                collect(root, &path, files)?;
            }
        } else if KINDS.contains(&kind)
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            files.insert(path, text);
        }
    }
    Ok(())
}
