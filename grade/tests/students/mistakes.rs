//! Three mistakes in one submission cost what each of them costs alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{folder, graded, staff};
use grade::grade::Grade;
use grade::workspace::{self, Files, is_source_of};

/// Patches of `staff/mutants/wrong`, and the one graded test that fails for each: ones that do not depend on
/// luck. (A vote that is not saved, R80, fails `persist_1` on half the seeds, and now and then `figure_8`.)
const MISTAKES: [(&str, &str); 3] = [
    // What is started during a call is left out of the next, until a refusal: slow under load.
    ("R56-next-from-own-log", "raft_3B::basic_agree"),
    // Entries that take the place of as many others are not saved.
    ("R202-overwrite-not-saved", "raft_3C::persist_3"),
    // The log is saved without the snapshot that it begins at: which takes a crash between the two.
    ("R203-two-saves", "raft_3D::snapshot_all_crash"),
];

/// So that each run of this test grades on the same seeds.
const SECRET: &str = "three mistakes";

/// The reference with these patches.
fn submission(place: &Path, patches: &[&str]) {
    let raft = workspace::read(staff()).unwrap().into_iter();
    let raft: Files = raft.filter(|(path, _)| is_source_of("raft", path)).collect();
    workspace::write(&raft, place).unwrap();
    for patch in patches {
        let patch = staff().join(format!("staff/mutants/wrong/{patch}.patch"));
        let mut git = Command::new("git");
        git.arg("apply").arg(patch).current_dir(place);
        // Below the target folder, it would take it for a part of the workspace's repository.
        git.env("GIT_CEILING_DIRECTORIES", place.parent().unwrap());
        let output = git.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(patches.is_empty() || workspace::read(place).unwrap() != raft);
}

#[test]
#[ignore = "builds and grades four submissions: some minutes"]
fn three_mistakes_cost_what_each_costs_alone() {
    let place = folder("mistakes");
    let mut expected: BTreeMap<&str, Vec<&str>> =
        MISTAKES.iter().map(|(patch, test)| (*patch, vec![*test])).collect();
    for (patch, _) in &MISTAKES {
        submission(&place.join(patch), &[patch]);
    }
    submission(&place.join("all"), &MISTAKES.map(|(patch, _)| patch));
    expected.insert("all", MISTAKES.map(|(_, test)| test).to_vec());

    // Time enough, whatever else the machine has to do.
    let policy = place.join("policy.toml");
    fs::write(&policy, "[limits]\nwall_seconds = 1200\ncpu_seconds = 600\n").unwrap();
    let path = |name: &str| place.join(name).display().to_string();
    let build = Path::new(env!("CARGO_TARGET_TMPDIR")).join("build").display().to_string();
    let (out, policy) = (path("out"), path("policy.toml"));
    let options = ["run", "--profile", "dev", "--build", &build, "--out", &out, "--secret", SECRET];
    let options = [&options[..], &["--policy", &policy, "--tests", "raft_3"]].concat();
    let submissions: Vec<String> = expected.keys().map(|name| path(name)).collect();
    let submissions = submissions.iter().map(String::as_str);
    graded(staff(), &options.into_iter().chain(submissions).collect::<Vec<_>>());

    for (name, expected) in expected {
        let file = place.join("out").join(name).join("grade.json");
        let grade: Grade = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
        let (lost, kept): (Vec<_>, Vec<_>) = grade.tests.iter().partition(|test| !test.is_clean());
        let lost: Vec<&str> = lost.iter().map(|test| &*test.terms.about.test).collect();
        assert_eq!((lost, kept.len()), (expected.clone(), 28 - expected.len()), "{name}");
        let points: f64 = kept.iter().map(|test| test.terms.points).sum();
        assert!((grade.score() - points).abs() < 1e-9, "{name}: {} of {points}", grade.score());
    }
}
