//! The workspace's files: read once, hashed, and copied with a patch applied.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use grade::workspace::{self, Files};

use crate::design;
use crate::mutant::{Lab, Mutant, PatchError};

/// Every text file of the workspace, by its path in it: with the reference, and with each design that
/// takes its place.
pub(crate) struct Sources {
    files: Files,
    designs: BTreeMap<String, Files>,
}

/// Not copied: results of builds, and what no build reads.
const SKIPPED: [&str; 7] = ["target", ".git", ".ci", "browser", "wrong", "right", "others"];

/// What no graded test depends on: their results stay good when these change.
const ASIDE: [&str; 10] = [
    "staff/bench/",
    "book/",
    "grade/",
    "staff/handout/",
    "staff/mutants/",
    "harness/tester/src/search/",
    "tests/filters",
    "tests/lab/child",
    "tests/lab/search",
    "tests/lab/tester",
];

/// The same, but for what torture came to.
const TORTURE: [&str; 2] = ["harness/tester/src/torture/", "tests/lab/torture"];

/// What those of Lab 3 do not depend on.
const LAB_4: [&str; 4] =
    ["kvraft/", "harness/linearize/", "harness/tester/src/kv", "tests/lab/kvraft_"];

impl Sources {
    pub(crate) fn read(root: &Path) -> Result<Sources, String> {
        let mut files = workspace::read(root).map_err(|e| format!("{e:#}"))?;
        files.retain(|path, contents| !is_skipped(path) && str::from_utf8(contents).is_ok());
        if !files.contains_key("raft/src/lib.rs") {
            return Err(format!("{} is not the workspace", root.display()));
        }
        let parts =
            files.keys().filter_map(|path| path.strip_prefix(design::HOME)?.split_once('/'));
        let names: BTreeSet<String> = parts.map(|(name, _)| name.to_owned()).collect();
        let designs = names.into_iter().map(|name| {
            let replaced = design::replaced(&files, &name)?;
            Ok((name, replaced))
        });
        let designs = designs.collect::<Result<_, String>>()?;
        Ok(Sources { files, designs })
    }

    /// The files that the patch is to be applied to.
    fn files_of(&self, mutant: &Mutant) -> Result<&Files, PatchError> {
        match mutant.design.as_deref() {
            None => Ok(&self.files),
            Some(name) => {
                self.designs.get(name).ok_or_else(|| PatchError::NoSuchDesign(name.to_owned()))
            }
        }
    }

    /// Equal keys, equal results: of graded tests, or of these and `torture`.
    pub(crate) fn key(&self, mutant: &Mutant, torture: bool) -> String {
        self.key_of(mutant, |path| {
            decides(path, mutant.lab) || (torture && is_in(path, &TORTURE) && is_built(path))
        })
    }

    /// Equal keys, equal recordings of runs that fail: how they are explained and drawn has no part in it.
    pub(crate) fn recording_key(&self, mutant: &Mutant) -> String {
        self.key_of(mutant, |path| {
            decides(path, mutant.lab)
                && (path == "harness/timeline/src/model.rs"
                    || !path.starts_with("harness/timeline/"))
        })
    }

    fn key_of(&self, mutant: &Mutant, counts: impl Fn(&str) -> bool) -> String {
        let mut hasher = DefaultHasher::new();
        let files = self.files_of(mutant).unwrap_or(&self.files);
        for (path, contents) in files.iter().filter(|(path, _)| counts(path)) {
            (path, text_of(contents).unwrap_or_default()).hash(&mut hasher);
        }
        // The header may be reworded.
        let diff = mutant.text.split_once("\n--- ").map(|(_, diff)| diff);
        diff.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }

    /// The files that the patch changes, with their new contents.
    pub(crate) fn patched(&self, mutant: &Mutant) -> Result<BTreeMap<String, String>, PatchError> {
        let files = self.files_of(mutant)?;
        mutant.apply(|path| text_of(files.get(path)?))
    }

    /// A file that the patch may change, as it is.
    pub(crate) fn text(&self, mutant: &Mutant, path: &str) -> Option<&str> {
        text_of(self.files_of(mutant).ok()?.get(path)?)
    }

    /// Makes `copy` the workspace with the patch applied.
    pub(crate) fn copy_patched(&self, mutant: &Mutant, copy: &Path) -> Result<(), String> {
        let problem = |problem: PatchError| problem.to_string();
        let patched = self.patched(mutant).map_err(problem)?;
        write(self.files_of(mutant).map_err(problem)?, &patched, copy)
    }

    /// Makes `copy` the workspace with these files, of another package `raft` above all.
    pub(crate) fn copy_with_raft(&self, package: Files, copy: &Path) -> Result<(), String> {
        let mut files = self.files.clone();
        files.retain(|path, _| !path.starts_with("raft/"));
        files.extend(package);
        workspace::write(&files, copy).map_err(|e| format!("{e:#}"))
    }

    /// Makes `copy` the workspace that the patch is of, with these files in place of its own.
    pub(crate) fn copy_with(
        &self,
        mutant: &Mutant,
        changed: &BTreeMap<String, String>,
        copy: &Path,
    ) -> Result<(), String> {
        let files = self.files_of(mutant).map_err(|problem| problem.to_string())?;
        write(files, changed, copy)
    }
}

/// Makes `copy` be `files`, but for those that are `changed`.
fn write(files: &Files, changed: &BTreeMap<String, String>, copy: &Path) -> Result<(), String> {
    let mut files = files.clone();
    files.retain(|path, _| !path.starts_with(design::HOME));
    files.extend(changed.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes())));
    workspace::write(&files, copy).map_err(|e| format!("{e:#}"))
}

fn text_of(contents: &[u8]) -> Option<&str> {
    str::from_utf8(contents).ok()
}

/// Is it in a folder that is not copied?
fn is_skipped(path: &str) -> bool {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    folders.split('/').any(|name| SKIPPED.contains(&name))
}

fn is_in(path: &str, places: &[&str]) -> bool {
    places.iter().any(|start| path.starts_with(start))
}

/// Does this file have a part in what the graded tests of this lab do?
fn decides(path: &str, lab: Lab) -> bool {
    let elsewhere =
        is_in(path, &ASIDE) || is_in(path, &TORTURE) || (lab == Lab::Raft && is_in(path, &LAB_4));
    is_built(path) && !elsewhere
}

/// Is it part of a build of the graded tests? What describes it is not.
fn is_built(path: &str) -> bool {
    let not_built = path.contains("/examples/") || path.contains("/benches/");
    let tests_of_others = path.contains("/tests/") && !path.starts_with("tests/");
    let kind = Path::new(path).extension().is_some_and(|kind| kind != "md" && kind != "txt");
    kind && !not_built && !tests_of_others
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever changes the reference learns at once which patches have to follow.
    #[test]
    fn every_patch_is_one_of_what_there_is() -> Result<(), String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let sources = Sources::read(&root)?;
        let mutants = Mutant::read_all(&root.join("staff/mutants"))?;
        assert!(mutants.len() > 200, "{} patches", mutants.len());
        let problems: Vec<String> = mutants
            .iter()
            .filter_map(|mutant| Some((mutant.id(), sources.patched(mutant).err()?)))
            .map(|(id, problem)| format!("{id}: {problem}"))
            .collect();
        assert_eq!(problems, Vec::<String>::new());
        Ok(())
    }

    #[test]
    fn lab_3_does_not_depend_on_the_service() {
        let both = |path| (decides(path, Lab::Raft), decides(path, Lab::Service));
        assert_eq!(both("raft/src/lib.rs"), (true, true));
        assert_eq!(both("harness/tester/src/checker.rs"), (true, true));
        assert_eq!(both("kvraft/src/clerk.rs"), (false, true));
        assert_eq!(both("tests/lab/kvraft_4A.rs"), (false, true));
        assert_eq!(both("raft/tests/unit.rs"), (false, false));
        assert_eq!(both("tests/lab/tester_kv.rs"), (false, false));
        assert!(!is_built("harness/tester/src/torture/events.md"));
        assert_eq!(both("staff/mutants/src/main.rs"), (false, false));
        assert_eq!(both("harness/tester/src/torture/storm/mod.rs"), (false, false));
        assert_eq!(both("harness/tester/src/search/walk.rs"), (false, false));
        assert_eq!(both("book/scenarios/src/main.rs"), (false, false));
        assert_eq!(both("README.md"), (false, false));
    }
}
