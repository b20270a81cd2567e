//! `grade run`, from outside, on submissions that do not cheat.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{grade, grade_well, root, scratch, text};
use grade::grade::Grade;
use grade::workspace::{self, Files};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The reference's files of these crates, as a submission.
fn submission(place: &Path, crates: &[&str]) {
    let all = workspace::read(&root()).unwrap();
    let theirs = |path: &str| crates.iter().any(|lab| workspace::is_source_of(lab, path));
    let files: Files = all.into_iter().filter(|(path, _)| theirs(path)).collect();
    workspace::write(&files, place).unwrap();
}

/// Warm from run to run of these tests, and shared with those of the attacks.
fn build() -> String {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("build").display().to_string()
}

fn read(out: &Path, name: &str) -> Grade {
    serde_json::from_str(&fs::read_to_string(out.join(name).join("grade.json")).unwrap()).unwrap()
}

/// A right submission has all points, one without kvraft those of Raft; and nothing is done twice.
#[test]
fn a_class_of_three() {
    let folder = scratch("class");
    submission(&folder.join("ada"), &["raft", "kvraft"]);
    submission(&folder.join("bob"), &["raft"]);
    fs::create_dir_all(folder.join("carl")).unwrap();
    let path = |name: &str| folder.join(name).display().to_string();
    fs::write(path("policy.toml"), "seeds = 2\n[parts.3A]\npoints = 30\n").unwrap();
    let out = folder.join("out");
    let (out_path, build, policy) = (path("out"), build(), path("policy.toml"));
    let options = ["run", "--profile", "dev", "--out", &out_path, "--build", &build];
    let tests = ["--tests", "3A::initial_election,3B::basic_agree,kvraft_4A::basic"];
    let class = [path("ada"), path("bob"), path("carl")];
    let class: Vec<&str> = class.iter().map(String::as_str).collect();
    let run =
        |policy: &str| grade(&[&options[..], &tests, &["--policy", policy], &class[..]].concat());

    let first = run(&policy);
    let printed = text(&first.stdout);
    assert!(first.status.success(), "{printed}{}", text(&first.stderr));
    let (ada, bob, carl) = (read(&out, "ada"), read(&out, "bob"), read(&out, "carl"));
    assert!((ada.score() - ada.max_score()).abs() < 1e-9, "{printed}");
    let lost = ada.score() - bob.score();
    let of_kvraft = ada.tests.iter().filter(|test| test.terms.about.part == "4A");
    assert!((lost - of_kvraft.map(|test| test.terms.points).sum::<f64>()).abs() < 1e-9);
    assert_eq!(bob.tests[2].skipped.as_deref(), Some("kvraft/src was not handed in"));
    assert_eq!(carl.problem.unwrap().text(), "there is no raft/src/lib.rs in it");
    assert!(carl.complete && printed.lines().count() == 3, "{printed}");
    // Nobody had easier seeds than the others; and they are no seeds that are known beforehand.
    let seeds = |grade: &Grade| grade.tests[0].records.iter().map(|r| r.seed).collect::<Vec<_>>();
    assert_eq!(seeds(&ada), seeds(&bob));
    assert!(seeds(&ada).iter().all(|seed| seed.0 > u64::from(u32::MAX)));
    let csv = fs::read_to_string(out.join("grades.csv")).unwrap();
    assert_eq!(csv.lines().count(), 4, "{csv}");

    assert_eq!(text(&run(&policy).stdout), printed);
    assert_eq!(read(&out, "ada"), ada);

    fs::write(path("other.toml"), "seeds = 3").unwrap();
    let other = run(&path("other.toml"));
    let said = text(&other.stderr);
    assert!(!other.status.success() && said.contains("is of another grading"), "{said}");
}

#[test]
fn what_makes_no_sense_is_said() {
    let ada = scratch("no-sense").join("ada");
    submission(&ada, &["raft"]);
    let ada = ada.to_str().unwrap();
    for (arguments, said) in [
        (
            vec![ada, "--out", "graded"],
            "/graded is inside the workspace: use a folder outside, or below its target/",
        ),
        (
            vec![ada, "--out", "target/../none/../graded"],
            "/graded is inside the workspace: use a folder outside, or below its target/",
        ),
        (vec![ada, ada, "--out", "/tmp/x"], "/ada: there is a `ada` already"),
        (
            vec![ada, ".", "--out", "/tmp/x", "--junit", "/tmp/x.xml"],
            "a file for the results of one submission, and several submissions",
        ),
        (
            vec![ada, "--out", "/tmp/x", "--policy", "/none"],
            "/none: No such file or directory (os error 2)",
        ),
    ] {
        let output = grade(&[&["run"], &arguments[..]].concat());
        let printed = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{printed}");
        assert!(printed.starts_with("grade: ") && printed.trim_end().ends_with(said), "{printed}");
    }
}

/// `make lint` of the hand-out refuses what graders reject: it asks the same list.
#[test]
fn the_scan_can_be_run_before_anything_is_handed_in() {
    let place = scratch("scan-alone");
    submission(&place, &["raft"]);
    fs::create_dir_all(place.join("tests/lab")).unwrap();
    fs::write(place.join("tests/lab/main.rs"), "").unwrap();
    let scan = || grade(&["scan", "--root", place.to_str().unwrap()]);
    assert!(scan().status.success());
    fs::write(place.join("raft/src/more.rs"), "\nstatic SHARED: u8 = 0;\n").unwrap();
    let output = scan();
    assert_eq!(output.status.code(), Some(1));
    let said =
        "raft/src/more.rs:2: static (shared by all servers of a cluster): graders may reject it\n";
    assert_eq!(text(&output.stdout), said);
    let makefile = fs::read_to_string(root().join("staff/handout/Makefile")).unwrap();
    let lint = makefile.split("\n\n").find(|rule| rule.starts_with("lint:")).unwrap();
    assert!(lint.contains("$(GRADE) scan"), "{lint}");
}

/// What was graded before an interruption stays graded, and counts.
#[test]
fn an_interrupted_grading_goes_on_where_it_was() {
    let folder = scratch("interrupted");
    submission(&folder.join("ada"), &["raft"]);
    let path = |name: &str| folder.join(name).display().to_string();
    // Long enough to be met in the middle.
    let policy =
        "seeds = 2\n[limits]\nwall_seconds = 900\n[tests.'raft_3B::rpc_bytes']\nseeds = 300\n";
    fs::write(path("policy.toml"), policy).unwrap();
    let (out, build, ada, policy) = (path("out"), build(), path("ada"), path("policy.toml"));
    let results = path("results.json");
    let arguments = [
        "run",
        "--profile",
        "dev",
        "--out",
        &out,
        "--build",
        &build,
        "--jobs",
        "1",
        "--policy",
        &policy,
        "--tests",
        "3B::basic_agree,3B::rpc_bytes",
        "--gradescope",
        &results,
        &ada,
    ];
    let mut child = Command::new(env!("CARGO_BIN_EXE_grade"))
        .args(arguments)
        .current_dir(root())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let file: PathBuf = folder.join("out/ada/grade.json");
    let began = Instant::now();
    let graded = || {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let grade: Option<Grade> = serde_json::from_str(&text).ok();
        grade.is_some_and(|grade| grade.tests[0].graded)
    };
    while !graded() {
        assert!(began.elapsed() < Duration::from_mins(20) && child.try_wait().unwrap().is_none());
        thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    assert!(!child.wait().unwrap().success(), "it is not complete");

    let half = read(&folder.join("out"), "ada");
    assert!(half.tests[0].is_clean() && !half.tests[1].graded && !half.complete);
    let written: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&results).unwrap()).unwrap();
    assert_eq!(written["tests"][0]["score"].as_f64(), Some(half.tests[0].terms.points));
    assert_eq!(written["tests"][1]["output"], "not run: grading ended before its turn");

    grade_well(&arguments);
    let whole = read(&folder.join("out"), "ada");
    assert!(whole.complete && whole.tests.iter().all(grade::grade::TestGrade::is_clean));
    // Not run again: even the wall time is the same.
    assert_eq!(whole.tests[0], half.tests[0]);
}
