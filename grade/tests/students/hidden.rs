//! Tests that students do not see: from the staff's workspace to what is graded elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{clone, graded};
use grade::handout::{self, Reader};
use grade::submit::PRISTINE;
use grade::workspace::{self, Files, is_source_of};
use serde_json::Value;

const SOURCE: &str = r#"//! Hidden tests of part 3B.

use labsystem::lab;

/// A command is agreed upon, and nobody knows that this is asked.
#[test]
fn known_to_nobody() {
    lab("3B", "an agreement known to nobody", 10).run(|cluster| {
        cluster.expect_one_leader();
    });
}
"#;

const MODULE: &str = r#"
// hidden: from here
#[expect(non_snake_case, reason = "as above")]
#[path = "../hidden/raft_3B.rs"]
mod raft_3B_hidden;
// hidden: to here
"#;

const POLICY: &str = "seeds = 2\n[tests.'raft_3B_hidden::known_to_nobody']\npoints = 40\n";

/// The staff's workspace with a hidden test, as the README says how.
fn staff_with_a_hidden_test(name: &str) -> PathBuf {
    clone(name, |files| {
        files.insert("tests/hidden/raft_3B.rs".to_owned(), SOURCE.into());
        files.insert("grade.toml".to_owned(), POLICY.into());
        files.get_mut("tests/lab/main.rs").unwrap().extend_from_slice(MODULE.as_bytes());
    })
}

/// What of a tree tells of the hidden test: its name, title, source, or module.
fn telling(files: &Files) -> Vec<&str> {
    let tells = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        text.contains("known_to_nobody") || text.contains("mod raft_3B_hidden;")
    };
    files.iter().filter(|(_, text)| tells(text)).map(|(path, _)| path.as_str()).collect()
}

#[test]
fn a_hidden_test_is_for_graders_and_not_for_students() {
    let staff = staff_with_a_hidden_test("hidden");
    graded(&staff, &["handout", "--no-build", "--out", "out"]);
    let students = workspace::read(&staff.join("out")).unwrap();
    assert_eq!(telling(&students), [""; 0]);

    let tree = staff.join("grader");
    let grader = handout::write(&handout::staff(&staff).unwrap(), Reader::Grader, &tree).unwrap();
    let own = ["grade.toml", "tests/hidden/raft_3B.rs", "tests/lab/main.rs"];
    assert_eq!(telling(&grader), own);
    // All else is what students have; so the solution is not in it.
    let other = grader.iter().filter(|(path, text)| students.get(*path) != Some(*text));
    let other = other.map(|(path, _)| path.as_str()).filter(|path| *path != PRISTINE);
    assert_eq!(other.collect::<Vec<_>>(), own);
}

/// What Gradescope is given of it: its points, and that nobody is to see it.
#[test]
#[ignore = "builds the labs: some minutes"]
fn a_hidden_test_is_graded_and_marked() {
    let staff = staff_with_a_hidden_test("hidden-graded");
    let tree = staff.join("target/grader");
    handout::write(&handout::staff(&staff).unwrap(), Reader::Grader, &tree).unwrap();
    let raft = workspace::read(&staff).unwrap().into_iter();
    let raft: Files = raft.filter(|(path, _)| is_source_of("raft", path)).collect();
    workspace::write(&raft, &staff.join("target/ada")).unwrap();

    let build = Path::new(env!("CARGO_TARGET_TMPDIR")).join("build").display().to_string();
    let run = ["run", "target/ada", "--root", "target/grader", "--out", "target/graded"];
    let options = ["--profile", "dev", "--build", &build, "--gradescope", "target/results.json"];
    graded(&staff, &[&run[..], &options, &["--tests", "3B_hidden,3B::basic_agree"]].concat());
    let results = fs::read_to_string(staff.join("target/results.json")).unwrap();
    let results: Value = serde_json::from_str(&results).unwrap();
    let tests = results["tests"].as_array().unwrap();
    let seen: Vec<_> =
        tests.iter().map(|test| (test["visibility"].as_str(), test["score"].as_f64())).collect();
    assert_eq!(seen, [(Some("visible"), Some(3.0)), (Some("hidden"), Some(40.0))], "{results:#}");
    let summary = fs::read_to_string(staff.join("target/graded/ada/summary.md")).unwrap();
    assert!(!summary.contains("nobody"), "{summary}");
}
