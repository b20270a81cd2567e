//! The workspace's files: read once, hashed, and copied with a patch applied.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use grade::workspace::{self, Files};

use crate::mutant::{Lab, Mutant, PatchError};

/// Every text file of the workspace, by its path in it.
pub(crate) struct Sources {
    files: Files,
}

/// Not copied: results of builds, and what no build reads.
const SKIPPED: [&str; 7] = ["target", ".git", ".ci", "browser", "wrong", "right", "others"];

/// What no graded test depends on: their results stay good when these change.
const ASIDE: [&str; 9] = [
    "bench/",
    "book/",
    "grade/",
    "handout/",
    "tests/mutants/",
    "tests/tester/src/torture/",
    "tests/tests/lab/child",
    "tests/tests/lab/tester",
    "tests/tests/lab/torture",
];

/// What those of Lab 3 do not depend on.
const LAB_4: [&str; 4] =
    ["kvraft/", "linearize/", "tests/tester/src/kv", "tests/tests/lab/kvraft_"];

impl Sources {
    pub(crate) fn read(root: &Path) -> Result<Sources, String> {
        let mut files = workspace::read(root).map_err(|e| format!("{e:#}"))?;
        files.retain(|path, contents| !is_skipped(path) && str::from_utf8(contents).is_ok());
        if !files.contains_key("raft/src/lib.rs") {
            return Err(format!("{} is not the workspace", root.display()));
        }
        Ok(Sources { files })
    }

    /// Equal keys, equal results.
    pub(crate) fn key(&self, mutant: &Mutant) -> String {
        self.key_of(mutant, |path| decides(path, mutant.lab))
    }

    /// Equal keys, equal recordings of runs that fail: how they are explained and drawn has no part in it.
    pub(crate) fn recording_key(&self, mutant: &Mutant) -> String {
        self.key_of(mutant, |path| {
            decides(path, mutant.lab)
                && (path == "timeline/src/model.rs" || !path.starts_with("timeline/"))
        })
    }

    fn key_of(&self, mutant: &Mutant, counts: impl Fn(&str) -> bool) -> String {
        let mut hasher = DefaultHasher::new();
        for path in self.files.keys().filter(|path| counts(path)) {
            (path, self.text(path).unwrap_or_default()).hash(&mut hasher);
        }
        // The header may be reworded.
        let diff = mutant.text.split_once("\n--- ").map(|(_, diff)| diff);
        diff.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// The files that the patch changes, with their new contents.
    pub(crate) fn patched(&self, mutant: &Mutant) -> Result<BTreeMap<String, String>, PatchError> {
        mutant.apply(|path| self.text(path))
    }

    fn text(&self, path: &str) -> Option<&str> {
        str::from_utf8(self.files.get(path)?).ok()
    }

    /// Makes `copy` the workspace with the patch applied.
    pub(crate) fn copy_patched(&self, mutant: &Mutant, copy: &Path) -> Result<(), String> {
        let patched = self.patched(mutant).map_err(|problem| problem.to_string())?;
        let mut files = self.files.clone();
        files.extend(patched.into_iter().map(|(path, text)| (path, text.into_bytes())));
        workspace::write(&files, copy).map_err(|e| format!("{e:#}"))
    }

    /// Makes `copy` the workspace with these files, of another package `raft` above all.
    pub(crate) fn copy_with_raft(&self, package: Files, copy: &Path) -> Result<(), String> {
        let mut files = self.files.clone();
        files.retain(|path, _| !path.starts_with("raft/"));
        files.extend(package);
        workspace::write(&files, copy).map_err(|e| format!("{e:#}"))
    }
}

/// Is it in a folder that is not copied?
fn is_skipped(path: &str) -> bool {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    folders.split('/').any(|name| SKIPPED.contains(&name))
}

/// Does this file have a part in what the graded tests of this lab do?
fn decides(path: &str, lab: Lab) -> bool {
    let is_in = |places: &[&str]| places.iter().any(|start| path.starts_with(start));
    if is_in(&ASIDE) || (lab == Lab::Raft && is_in(&LAB_4)) {
        return false;
    }
    let not_built = path.contains("/examples/") || path.contains("/benches/");
    let tests_of_others = path.contains("/tests/") && !path.starts_with("tests/");
    let kind = Path::new(path).extension().is_some_and(|kind| kind != "md" && kind != "txt");
    kind && !not_built && !tests_of_others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lab_3_does_not_depend_on_the_service() {
        let both = |path| (decides(path, Lab::Raft), decides(path, Lab::Service));
        assert_eq!(both("raft/src/lib.rs"), (true, true));
        assert_eq!(both("tests/tester/src/checker.rs"), (true, true));
        assert_eq!(both("kvraft/src/clerk.rs"), (false, true));
        assert_eq!(both("tests/tests/lab/kvraft_4A.rs"), (false, true));
        assert_eq!(both("raft/tests/unit.rs"), (false, false));
        assert_eq!(both("tests/tests/lab/tester_kv.rs"), (false, false));
        assert_eq!(both("tests/mutants/src/main.rs"), (false, false));
        assert_eq!(both("tests/tester/src/torture/storm.rs"), (false, false));
        assert_eq!(both("book/scenarios/src/main.rs"), (false, false));
        assert_eq!(both("README.md"), (false, false));
    }
}
