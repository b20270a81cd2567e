//! What students get, and what they do not.

use std::fs;
use std::path::Path;

use crate::common::{clone, folder, graded, refused, staff};
use grade::archive;
use grade::submit::PRISTINE;
use grade::workspace::{self, Files};

/// In no file of ours.
const MARKER: &str = concat!("not for ", "students: 5eed");

const HANDOUT: [&str; 4] = ["handout", "--no-build", "--out", "out"];

/// Adds a line to a file, which is made if it is not there.
fn plant(files: &mut Files, path: &str) {
    let contents = files.entry(path.to_owned()).or_default();
    contents.extend_from_slice(format!("\n// {MARKER}\n").as_bytes());
}

/// Paths of the files that have the marker in them.
fn marked(files: &Files) -> Vec<&str> {
    let has_marker =
        |contents: &[u8]| contents.windows(MARKER.len()).any(|window| window == MARKER.as_bytes());
    files.iter().filter(|(_, text)| has_marker(text)).map(|(path, _)| path.as_str()).collect()
}

fn handed_out(staff: &Path) -> Files {
    workspace::read(&staff.join("out")).unwrap()
}

/// A marker in everything that is the staff's is in nothing that students get.
#[test]
fn nothing_of_the_staffs_is_handed_out() {
    let secret = [
        ".ci/run",
        "ARCHITECTURE.md",
        "README.md",
        "Makefile",
        "staff/bench/src/lib.rs",
        "grade.toml",
        "grade/tests/attacks/a.rs",
        "kvraft/src/clerk.rs",
        "kvraft/src/rsm/server.rs",
        "kvraft/tests/service.rs",
        "raft/src/new_file.rs",
        "raft/src/raft.rs",
        "raft/tests/cluster.rs",
        "staff/mutants/wrong/R01-double-vote.patch",
        "tests/hidden/raft_3A.rs",
        "tests/lab/tester/mod.rs",
        "somebody's notes",
    ];
    let staff = clone("nothing-of-the-staffs", |files| {
        for path in secret {
            plant(files, path);
        }
        plant(files, "labrpc/src/lib.rs");
        plant(files, "staff/handout/raft/src/lib.rs");
    });
    let history = staff.join(".git/objects");
    fs::create_dir_all(&history).unwrap();
    fs::remove_dir_all(staff.join(".git")).unwrap();

    graded(&staff, &HANDOUT);
    let out = handed_out(&staff);
    // The search itself finds what it should.
    assert_eq!(marked(&out), ["labrpc/src/lib.rs", "raft/src/lib.rs"]);
    let packed = archive::unpack(&out[PRISTINE]).unwrap();
    assert_eq!(marked(&packed), ["labrpc/src/lib.rs", "raft/src/lib.rs"]);
    assert!(packed.iter().all(|(path, contents)| out[path] == *contents));
    assert_eq!(packed.len() + 1, out.len());
    assert!(!out.keys().any(|path| path.contains(".git/")));
}

/// Somebody copies a piece of the solution to where it is handed out.
#[test]
fn a_piece_of_the_solution_is_found() {
    let staff = clone("a-piece", |files| {
        let solution = String::from_utf8(files["raft/src/election.rs"].clone()).unwrap();
        let from = solution.find("fn on_request_vote").unwrap();
        let piece: Vec<u8> =
            solution[from..].lines().take(20).flat_map(|l| l.bytes().chain([b'\n'])).collect();
        files.get_mut("labrpc/src/end.rs").unwrap().extend_from_slice(&piece);
    });
    let said = refused(&staff, &HANDOUT);
    assert!(said.contains("students would see:\n  labrpc/src/end.rs:"), "{said}");
    assert!(said.contains(" is raft/src/election.rs:"), "{said}");
    assert!(!staff.join("out").exists());
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let used = folder("in-use");
    fs::write(used.join("thesis.tex"), "two years of work").unwrap();
    let said = refused(staff(), &["handout", "--no-build", "--out", used.to_str().unwrap()]);
    assert!(said.contains("is in use"), "{said}");
    assert!(used.join("thesis.tex").exists());
}

#[test]
fn a_students_tree_is_not_the_staffs() {
    let staff = clone("twice", |_| {});
    graded(&staff, &HANDOUT);
    let said = refused(&staff.join("out"), &HANDOUT);
    assert!(said.contains("is not the staff's workspace"), "{said}");
}
