//! A patch file: a header that says what it is, and a unified diff against the workspace.
//!
//! ```text
//! number: R01
//! name:   double-vote
//! what:   A server votes more than once in a term: whether it has voted is not looked at.
//! paper:  5.2
//! part:   3A
//! type:   safety
//! go:     sometimes
//! step:   vote
//! by:     any
//!
//! --- a/raft/src/election.rs
//! +++ b/raft/src/election.rs
//! @@ -110,7 +110,6 @@
//! ```
//!
//! Numbers begin with R for a wrong Raft, K for a wrong service, and C for a right one of either
//! kind. `part` says which: the tests of that part's lab are run. `go` is how often the original's
//! tests fail it. `step` is what is done wrong, `by` who does it, in words of [`timeline::rules::Act`] and
//! [`timeline::model::Role`]: an explanation must point there. A right one has none of `type`, `go`,
//! `step`, `by`. A patch without a diff stands for the
//! reference as it is; with `design: b1`, for that design, which is what the diff is against
//! (see `design.rs`).

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use diffy::patch_set::{FileOperation, ParseOptions, PatchSet};

/// A Raft, or a service, that differs from the reference.
#[derive(Debug, Clone)]
pub(crate) struct Mutant {
    /// `R01` or `K01`, wrong, or `C01`, right.
    pub(crate) number: String,
    /// A few words, with dashes.
    pub(crate) name: String,
    /// What is different, in a sentence or two.
    pub(crate) what: String,
    /// Sections and figures of the paper.
    pub(crate) paper: String,
    /// The part of the lab in which it becomes wrong.
    pub(crate) part: String,
    pub(crate) lab: Lab,
    /// The design that it changes; the reference, if none is named.
    pub(crate) design: Option<String>,
    /// What kind of mistake it is; empty for a right one.
    pub(crate) kind: String,
    /// How often the original's tests fail it: always, sometimes, rarely, never.
    pub(crate) go: String,
    /// What is done wrong: `vote`, `commit`, ...; or one of several, with bars between.
    pub(crate) step: String,
    /// In which role: `leader`, ..., `client`, or `any` of a server.
    pub(crate) by: String,
    /// The whole file.
    pub(crate) text: String,
}

/// Whose tests a patch is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lab {
    /// Lab 3.
    Raft,
    /// Lab 4.
    Service,
}

impl Lab {
    /// What the paths of its graded tests begin with, and nobody else's contain.
    pub(crate) fn tests(self) -> &'static str {
        match self {
            Lab::Raft => "raft_3",
            Lab::Service => "kvraft_4",
        }
    }

    /// What the paths of those tests begin with that are tried when no graded one fails: torture, and
    /// scripted histories.
    pub(crate) fn torture(self) -> &'static [&'static str] {
        match self {
            Lab::Raft => &["torture::raft", "torture_directed::"],
            Lab::Service => &["torture::kv"],
        }
    }
}

/// Why a patch cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PatchError {
    #[error("the diff is not understood: {0}")]
    Unreadable(String),
    #[error("there is no design {0}")]
    NoSuchDesign(String),
    #[error("{0} is not among the sources")]
    NoSuchFile(String),
    #[error(
        "hunk {hunk} of {file} does not apply: the lines {lines} it expects are not there any more"
    )]
    DoesNotApply { file: String, hunk: usize, lines: String },
    #[error("the diff creates, deletes or renames a file; it may only change some")]
    NotAChange,
}

impl Mutant {
    /// All patches of `wrong/` and `right/`, by number.
    pub(crate) fn read_all(home: &Path) -> Result<Vec<Mutant>, String> {
        let mut all = Vec::new();
        for folder in ["wrong", "right"] {
            let folder = home.join(folder);
            let entries =
                fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
            let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            paths.retain(|path| path.extension().is_some_and(|extension| extension == "patch"));
            paths.sort();
            for path in paths {
                let text =
                    fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
                let mutant =
                    Mutant::parse(text).map_err(|what| format!("{}: {what}", path.display()))?;
                if path.file_stem().is_none_or(|stem| *stem != *mutant.id()) {
                    return Err(format!("{} should be {}.patch", path.display(), mutant.id()));
                }
                all.push(mutant);
            }
        }
        Ok(all)
    }

    fn parse(text: String) -> Result<Mutant, String> {
        let header: BTreeMap<&str, &str> = text
            .lines()
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim(), value.trim()))
            .collect();
        let field = |name: &str| {
            let value = header.get(name).filter(|value| !value.is_empty());
            value.map(|value| (*value).to_owned()).ok_or(format!("no line `{name}:` in its header"))
        };
        let number = field("number")?;
        let [kind, go, step, by] = match number.as_bytes() {
            [b'R' | b'K', ..] => [field("type")?, field("go")?, field("step")?, field("by")?],
            [b'C', ..] => Default::default(),
            _ => return Err(format!("{number} is no number: R or K of a wrong one, C of a right")),
        };
        let part = field("part")?;
        let lab = match (number.as_bytes(), part.as_bytes()) {
            ([b'R' | b'C', ..], [b'3', ..]) => Lab::Raft,
            ([b'K' | b'C', ..], [b'4', ..]) => Lab::Service,
            _ => {
                return Err(format!(
                    "{number} is not of part {part}: R is of 3A to 3D, K of 4A, 4B"
                ));
            }
        };
        let [name, what, paper] = ["name", "what", "paper"].map(field);
        let (name, what, paper) = (name?, what?, paper?);
        let design = field("design").ok();
        Ok(Mutant { number, name, what, paper, part, lab, design, kind, go, step, by, text })
    }

    /// A wrong one that nobody has given a number: `M` and one that follows from what it is.
    pub(crate) fn without_a_number(what: &str, lab: Lab, text: String) -> Mutant {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        let nothing = String::new;
        Mutant {
            number: "M".to_owned(),
            name: format!("{:016x}", hasher.finish()),
            what: what.to_owned(),
            paper: nothing(),
            part: nothing(),
            lab,
            design: None,
            kind: nothing(),
            go: nothing(),
            step: nothing(),
            by: nothing(),
            text,
        }
    }

    /// `R01-double-vote`.
    pub(crate) fn id(&self) -> String {
        format!("{}-{}", self.number, self.name)
    }

    /// Must the tests fail it?
    pub(crate) fn is_wrong(&self) -> bool {
        !self.number.starts_with('C')
    }

    /// The files that it changes, with their new contents. `read` gives the old ones.
    pub(crate) fn apply<'a>(
        &self,
        read: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<BTreeMap<String, String>, PatchError> {
        let mut changed = BTreeMap::new();
        let Some(start) = self.text.find("\n--- ") else { return Ok(changed) };
        for file in PatchSet::parse(&self.text[start + 1..], ParseOptions::unidiff()) {
            let file = file.map_err(|e| PatchError::Unreadable(e.to_string()))?;
            let operation = file.operation().strip_prefix(1);
            let FileOperation::Modify { modified: name, .. } = operation else {
                return Err(PatchError::NotAChange);
            };
            let Some(diff) = file.patch().as_text() else { return Err(PatchError::NotAChange) };
            let name = name.into_owned();
            let old = read(&name).ok_or_else(|| PatchError::NoSuchFile(name.clone()))?;
            let new = diffy::apply(old, diff).map_err(|_| does_not_apply(&name, old, diff))?;
            changed.insert(name, new);
        }
        Ok(changed)
    }
}

/// Which of the hunks is the first that cannot be applied?
fn does_not_apply(file: &str, old: &str, patch: &diffy::Patch<'_, str>) -> PatchError {
    let old: Vec<&str> = old.lines().collect();
    for (hunk, number) in patch.hunks().iter().zip(1..) {
        let expected: Vec<&str> = hunk
            .lines()
            .iter()
            .filter_map(|line| match line {
                diffy::Line::Context(text) | diffy::Line::Delete(text) => {
                    Some(text.trim_end_matches('\n'))
                }
                diffy::Line::Insert(_) => None,
            })
            .collect();
        if !old.windows(expected.len().max(1)).any(|lines| lines == expected) {
            let range = hunk.old_range();
            let lines = format!("{} to {}", range.start(), range.end() - 1);
            return PatchError::DoesNotApply { file: file.to_owned(), hunk: number, lines };
        }
    }
    PatchError::Unreadable(format!("the hunks of {file} are out of order"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "\
number: R99
name:   two-becomes-three
what:   The second line is another one.
paper:  5.1
part:   3A
type:   safety
go:     never
step:   vote
by:     any

--- a/raft/src/a.rs
+++ b/raft/src/a.rs
@@ -1,3 +1,3 @@
 one
-two
+three
 four
";

    fn mutant(text: &str) -> Mutant {
        Mutant::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn a_header_and_a_diff() {
        let mutant = mutant(PATCH);
        assert_eq!((mutant.id(), mutant.is_wrong()), ("R99-two-becomes-three".into(), true));
        let changed = mutant.apply(|_| Some("zero\none\ntwo\nfour\n")).unwrap();
        assert_eq!(changed["raft/src/a.rs"], "zero\none\nthree\nfour\n");
    }

    #[test]
    fn a_patch_without_a_diff_changes_nothing() {
        let header = PATCH.split("\n---").next().unwrap();
        assert!(mutant(header).apply(|_| None).unwrap().is_empty());
    }

    #[test]
    fn the_part_says_whose_tests_it_gets() {
        let right = "number: C99\nname: n\nwhat: w\npaper: 8\npart: 4B\n";
        assert_eq!((mutant(PATCH).lab, mutant(right).lab), (Lab::Raft, Lab::Service));
        assert!(!mutant(right).is_wrong());
        let error = Mutant::parse(PATCH.replace("R99", "K99")).unwrap_err();
        assert_eq!(error, "K99 is not of part 3A: R is of 3A to 3D, K of 4A, 4B");
    }

    /// The catalogue has twenty unusual solutions that are right, and some of them come in two kinds.
    #[test]
    fn every_unusual_but_right_solution_of_the_catalogue_is_here() {
        let all = Mutant::read_all(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        for n in 1..=20 {
            let number = format!("C{n:02}");
            let has = |mutant: &Mutant| mutant.number.trim_end_matches(['a', 'b', 'c']) == number;
            assert!(all.iter().any(has), "{number}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Mutant::parse(PATCH.replace("go:", "went:")).unwrap_err();
        assert_eq!(error, "no line `go:` in its header");
        let error = mutant(PATCH).apply(|_| None).unwrap_err();
        assert_eq!(error.to_string(), "raft/src/a.rs is not among the sources");
        let error = mutant(PATCH).apply(|_| Some("one\nfive\nfour\n")).unwrap_err();
        assert!(error.to_string().starts_with("hunk 1 of raft/src/a.rs does not apply"), "{error}");
    }
}
