//! What students get, and a grader elsewhere: which of the workspace's files, and how they are changed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::submission::has_extension;
use crate::workspace::{self, Files};

/// Files, and folders with all that is in them, that are handed out. What is not named here stays:
/// a new file of the staff's is not handed out because somebody forgot about it.
const HANDED_OUT: [&str; 31] = [
    ".config/",
    ".gitignore",
    ".vscode/",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "book/",
    "clippy.toml",
    "grade/Cargo.toml",
    "grade/clippy.toml",
    "grade/src/",
    "kvraft/Cargo.toml",
    "labgob/",
    "labrpc/",
    "labrt/",
    "harness/linearize/",
    "raft/Cargo.toml",
    "raftapi/",
    "rustfmt.toml",
    "tests/Cargo.toml",
    "harness/record/",
    "harness/system/",
    "harness/tester/",
    "tests/filters.rs",
    "tests/lab/main.rs",
    "tests/lab/",
    "harness/timeline/Cargo.toml",
    "harness/timeline/page/",
    "harness/timeline/src/",
];

/// What else a grader needs that is not the staff's own workspace: hidden tests, and what passing is
/// worth.
const OF_GRADING: [&str; 2] = [HIDDEN, "grade.toml"];

/// The sources of hidden tests.
pub(super) const HIDDEN: &str = "tests/hidden/";

/// Exceptions: pages for staff; the tester's own tests, and the scenarios that the book's figures are drawn from, need a
/// Raft that works.
const KEPT_BACK: [&str; 10] = [
    "book/en/src/staff/",
    "book/scenarios/",
    "book/zh/src/staff/",
    "tests/lab/child.rs",
    "tests/lab/recorder.rs",
    "tests/lab/search.rs",
    "tests/lab/tester/",
    "tests/lab/tester_filters.rs",
    "tests/lab/tester_kv.rs",
    "tests/lab/tester_search.rs",
];

/// The files in here take the place of those with the same path in the workspace: the skeleton, and
/// the README and Makefile for students.
const OVERLAY: &str = "staff/handout/";

/// Who a tree is for. In neither is a solution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// They do not see the hidden tests.
    Student,
    /// A grader elsewhere, such as Gradescope.
    Grader,
}

/// Lines between a comment with the first and a comment with the second are left out of every tree.
const STAFFS: [&str; 2] = ["staff: from here", "staff: to here"];

/// And between these, of the students'.
const HIDDEN_LINES: [&str; 2] = ["hidden: from here", "hidden: to here"];

/// All files of the staff's workspace, but those that git does not know, if it is a repository.
///
/// # Errors
///
/// If a file cannot be read.
pub(super) fn read(root: &Path) -> Result<Files> {
    let mut files = workspace::read(root)?;
    if let Some(known) = known_to_git(root)? {
        files.retain(|path, _| known.contains(path));
    }
    Ok(files)
}

fn known_to_git(root: &Path) -> Result<Option<BTreeSet<String>>> {
    if !root.join(".git").exists() {
        return Ok(None);
    }
    let mut git = Command::new("git");
    let output = git.args(["ls-files", "-z"]).current_dir(root).output();
    let output = output.context("git cannot be run, and this is a git repository")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(Some(names.split_terminator('\0').map(str::to_owned).collect()))
}

/// The tree for a reader, made of the staff's.
///
/// # Errors
///
/// If lines that are to be left out begin and do not end.
pub(super) fn hand_out(staff: &Files, reader: Reader) -> Result<Files> {
    let mut tree = Files::new();
    for (path, contents) in staff.iter().filter(|(path, _)| is_handed_out(path, reader)) {
        let mut contents = without(STAFFS, path, contents)?;
        if reader == Reader::Student {
            contents = without(HIDDEN_LINES, path, &contents)?;
        }
        tree.insert(path.clone(), without_staff(path, contents));
    }
    for (path, contents) in skeleton(staff) {
        tree.insert(path, contents);
    }
    let folders: BTreeSet<&str> =
        tree.keys().filter_map(|path| path.strip_suffix("/Cargo.toml")).collect();
    let manifest = tree.get("Cargo.toml").context("there is no Cargo.toml")?;
    let manifest = with_members(&String::from_utf8_lossy(manifest), &folders)?;
    tree.insert("Cargo.toml".to_owned(), manifest.into_bytes());
    Ok(tree)
}

/// What the overlay holds, by the paths that it takes.
pub(super) fn skeleton(staff: &Files) -> impl Iterator<Item = (String, Vec<u8>)> {
    let overlaid = |path: &String| path.strip_prefix(OVERLAY).map(str::to_owned);
    staff.iter().filter_map(move |(path, contents)| Some((overlaid(path)?, contents.clone())))
}

/// Is it the source of a hidden test?
pub(super) fn is_hidden(path: &str) -> bool {
    path.starts_with(HIDDEN)
}

/// Is the file with this path handed out as it is, but for lines that are left out?
fn is_handed_out(path: &str, reader: Reader) -> bool {
    let named = |entry: &str| path == entry || (entry.ends_with('/') && path.starts_with(entry));
    let any = |entries: &[&str]| entries.iter().any(|entry| named(entry));
    (any(&HANDED_OUT) && !any(&KEPT_BACK)) || (reader == Reader::Grader && any(&OF_GRADING))
}

/// What is not between a comment that says `begin` and one that says `end`; nor are these two.
fn without([begin, end]: [&str; 2], path: &str, contents: &[u8]) -> Result<Vec<u8>> {
    let Ok(text) = str::from_utf8(contents) else { return Ok(contents.to_vec()) };
    let mut kept = String::new();
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        let comment = line
            .trim()
            .trim_start_matches(['/', '#', ' ', '<', '!', '-'])
            .trim_end_matches(['-', '>', ' ']);
        if comment == begin || comment == end {
            if inside == (comment == begin) {
                bail!("{path}: `{comment}` without its other half");
            }
            inside = !inside;
        } else if !inside {
            kept.push_str(line);
        }
    }
    if inside {
        bail!("{path}: `{begin}` without its other half");
    }
    Ok(kept.into_bytes())
}

/// A page of the book without what leads to the staff's pages and to wrong servers; and what a crate is for
/// without the solution.
fn without_staff(path: &str, contents: Vec<u8>) -> Vec<u8> {
    let is_page = path.starts_with("book/") && has_extension(path, "md");
    if !is_page && !path.ends_with("Cargo.toml") {
        return contents;
    }
    let text = String::from_utf8_lossy(&contents);
    if !is_page {
        return text
            .replace(": the reference solution, and what a student replaces", "")
            .into_bytes();
    }
    let is_staffs = |line: &&str| line.contains("](staff/") || line.contains("< staff/mutants");
    // The last column of this page's tables names wrong servers.
    let has_numbers = path.ends_with("debugging/symptoms.md");
    let narrow = |line: &str| match line.trim_end().trim_end_matches('|').rsplit_once('|') {
        Some((rest, _)) if has_numbers && line.starts_with('|') => format!("{rest}|\n"),
        _ => line.to_owned(),
    };
    let kept = text.split_inclusive('\n').filter(|line| !is_staffs(line));
    let kept = kept.map(narrow).collect::<String>();
    // What a page quotes from the skeleton is in the student's own sources.
    kept.replace(",from=staff/handout/", ",from=").into_bytes()
}

/// The workspace's manifest with those of its members that are there.
fn with_members(manifest: &str, folders: &BTreeSet<&str>) -> Result<String> {
    const MEMBERS: &str = "\nmembers = [";
    let (before, rest) = manifest.split_once(MEMBERS).context("Cargo.toml lists no members")?;
    let (members, after) = rest.split_once(']').context("the list of members does not end")?;
    let members: Vec<&str> = members
        .split(',')
        .map(str::trim)
        .filter(|name| folders.contains(name.trim_matches('"')))
        .collect();
    Ok(format!("{before}{MEMBERS}{}]{after}", members.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> (String, Vec<u8>) {
        (path.to_owned(), text.as_bytes().to_vec())
    }

    // In one line: this file, too, goes through it.
    const LAB: &str = "a\n// staff: from here\nb\n  // staff: to here\nc\n// hidden: from here\nd\n// hidden: to here\n";

    fn staff() -> Files {
        Files::from([
            file("Cargo.toml", "[workspace]\nmembers = [\"raft\", \"bench\"]\n"),
            file("raft/Cargo.toml", ""),
            file("staff/bench/Cargo.toml", ""),
            file("raft/src/lib.rs", "solution"),
            file("raft/src/raft.rs", "solution"),
            file("staff/handout/raft/src/lib.rs", "skeleton"),
            file("tests/lab/main.rs", LAB),
            file("tests/hidden/raft_3B.rs", "hidden"),
            file("staff/mutants/wrong/R01.patch", "solution"),
            file("grade.toml", "seeds = 3"),
        ])
    }

    fn paths(tree: &Files) -> Vec<&str> {
        tree.keys().map(String::as_str).collect()
    }

    #[test]
    fn the_skeleton_takes_the_solutions_place() {
        let tree = hand_out(&staff(), Reader::Student).unwrap();
        assert_eq!(
            paths(&tree),
            ["Cargo.toml", "raft/Cargo.toml", "raft/src/lib.rs", "tests/lab/main.rs"]
        );
        assert_eq!(tree["raft/src/lib.rs"], b"skeleton");
        assert_eq!(tree["Cargo.toml"], b"[workspace]\nmembers = [\"raft\"]\n");
    }

    #[test]
    fn a_grader_has_the_hidden_tests_and_no_solution() {
        let tree = hand_out(&staff(), Reader::Grader).unwrap();
        let students = hand_out(&staff(), Reader::Student).unwrap();
        let more = paths(&tree).into_iter().filter(|path| !students.contains_key(*path));
        assert_eq!(more.collect::<Vec<_>>(), ["grade.toml", "tests/hidden/raft_3B.rs"]);
        assert_eq!(tree["raft/src/lib.rs"], b"skeleton");
    }

    #[test]
    fn lines_for_others_are_left_out() {
        let lab = |reader| hand_out(&staff(), reader).unwrap()["tests/lab/main.rs"].clone();
        assert_eq!(lab(Reader::Student), b"a\nc\n");
        assert_eq!(lab(Reader::Grader), b"a\nc\n// hidden: from here\nd\n// hidden: to here\n");
        for half in ["// staff: from here\n", "x\n# staff: to here\n"] {
            assert!(without(STAFFS, "x", half.as_bytes()).is_err());
        }
    }
}
