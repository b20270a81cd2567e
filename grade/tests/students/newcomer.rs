//! A newcomer's path: get the tree, write one part after the other, watch the tests turn green in
//! order, hand in, be graded.
//!
//! "Writes" means: copies the reference's files, in which what belongs to later parts is shut: its
//! entrance is a `todo!`, as in the skeleton.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::common::{clone, folder, graded, staff};
use grade::cargo::Build;
use grade::workspace::{self, Files, is_source_of};
use grade::{archive, smoke, suite::crate_and_part};
use labrecord::{Record, Verdict};

const PARTS: [&str; 6] = ["3A", "3B", "3C", "3D", "4A", "4B"];

/// Where each part begins in the reference: what goes before the first line of a function's body.
const ENTRANCES: [(&str, &str, &str); 6] = [
    ("3B", "raft/src/replication.rs", "pub(crate) fn start("),
    ("3C", "raft/src/persist.rs", "fn decode("),
    ("3D", "raft/src/snapshot.rs", "pub(crate) fn take_snapshot("),
    ("4A", "kvraft/src/clerk.rs", "fn execute("),
    ("4B", "kvraft/src/rsm/compaction.rs", "pub(super) fn new("),
    ("4B", "kvraft/src/rsm/server.rs", "fn decode_snapshot<"),
];

/// The reference's files of the crates that a newcomer has begun when `part` is done.
fn solved(reference: &Files, part: &str) -> Files {
    let labs: &[&str] = if part < "4" { &["raft"] } else { &["raft", "kvraft"] };
    let theirs = |path: &str| labs.iter().any(|lab| is_source_of(lab, path));
    let mut files: Files = reference
        .iter()
        .filter(|(path, _)| theirs(path))
        .map(|(path, contents)| (path.clone(), contents.clone()))
        .collect();
    for (of, path, function) in ENTRANCES {
        if of > part
            && let Some(contents) = files.get_mut(path)
        {
            let text = String::from_utf8(contents.clone()).unwrap();
            let at = text.find(function).unwrap_or_else(|| panic!("{path}: no {function}"));
            let body = at + text[at..].find(" {\n").unwrap() + " {\n".len();
            let shut = format!("todo!(\"Part {of}: write this\");\n");
            *contents = [&text[..body], &shut, &text[body..]].concat().into_bytes();
        }
    }
    files
}

/// Builds the tree and runs each test once.
fn tested(tree: &Path) -> Vec<Record> {
    let target = std::path::absolute(Path::new(env!("CARGO_TARGET_TMPDIR")).join("..")).unwrap();
    let build = Build { root: tree.to_owned(), profile: "dev".to_owned(), frozen: false };
    let mut command = build.command();
    command.env("CARGO_TARGET_DIR", target);
    let path = build.run(command).unwrap();
    let binary = grade::suite::TestBinary::new(path, tree.join("tests"));
    let records = tree.parent().unwrap().join("records.jsonl");
    smoke::run(&binary, &binary.graded().unwrap(), &records, Duration::from_mins(10)).unwrap()
}

/// After each part, its tests and those before it pass; the next part's fail, and say that this is
/// what is missing.
#[test]
#[ignore = "builds the labs seven times: some minutes"]
fn the_newcomers_path() {
    let place = folder("newcomer");
    let clone = clone("newcomer/clone", |_| {});
    graded(&clone, &["handout", "--no-build", "--out", "out"]);
    let tree = clone.join("out");
    let reference = workspace::read(staff()).unwrap();
    let skeleton = workspace::read(&tree).unwrap();

    for (done, part) in PARTS.iter().enumerate() {
        let now = workspace::overlay(&skeleton, &solved(&reference, part));
        workspace::write(&now, &tree).unwrap();
        let records = tested(&tree);
        let mut missing = 0;
        for record in &records {
            let (_, of) = crate_and_part(&record.test).unwrap();
            if PARTS[..=done].contains(&of) {
                assert_eq!(record.verdict, Verdict::Pass, "{part} is done, but {record:#?}");
            } else if PARTS.get(done + 1) == Some(&of) && record.verdict != Verdict::Pass {
                let title = &record.report.as_ref().unwrap().title;
                assert_eq!(*title, format!("part {of} is not written yet"), "{record:#?}");
                missing += 1;
            }
        }
        assert_eq!(missing == 0, *part == "4B", "after {part}, {missing} tests ask for the next");
    }

    let said = graded(&tree, &["submit"]);
    assert!(said.contains("raft 3A     3 of  3 pass"), "{said}");
    let packed = archive::unpack(&fs::read(tree.join("submission.tar.gz")).unwrap()).unwrap();
    assert_eq!(packed, solved(&reference, "4B"));

    // What is graded, and what comes of it, is beside the workspace.
    fs::copy(tree.join("submission.tar.gz"), place.join("submission.tar.gz")).unwrap();
    fs::write(place.join("two-seeds.toml"), "seeds = 2\n").unwrap();
    let run =
        ["run", "../submission.tar.gz", "--out", "../graded", "--policy", "../two-seeds.toml"];
    let said = graded(&clone, &[&run[..], &["--profile", "dev"]].concat());
    assert!(said.starts_with("submission "), "{said}");
    let (score, points) = said.split_once(" of ").unwrap();
    let full = points.split_whitespace().next().unwrap();
    assert_eq!(score.split_whitespace().last().unwrap(), full, "{said}");
}
