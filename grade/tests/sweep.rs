//! `grade sweep` and `grade merge`, from outside.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use common::{grade, grade_well, root, scratch, text};
use grade::tally::{Sweep, Times};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const TESTS: [&str; 2] = ["3A::initial_election", "3A::re_election"];

fn read(file: &std::path::Path) -> Sweep {
    let mut sweep: Sweep = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    // The only thing that two runs of one seed do not have in common.
    sweep.tests.values_mut().for_each(|tally| tally.wall_time = Times::default());
    sweep
}

#[test]
fn merged_shards_equal_the_sweep_in_one_piece() {
    let folder = scratch("shards");
    let file = |name: &str| folder.join(name).display().to_string();
    let sweep = |more: &[&str]| {
        let options = ["sweep", "--profile", "dev", "--runs", "25"];
        grade_well(&[&options, &TESTS[..], more].concat())
    };
    let printed = sweep(&["--out", &file("whole.json"), "--jobs", "1"]);
    assert!(printed.contains("\n50 runs, 0 failed; "), "{printed}");
    for shard in ["1", "2", "3"] {
        sweep(&["--shard", &format!("{shard}/3"), "--out", &file(shard), "--jobs", "2"]);
    }
    grade_well(&["merge", &file("3"), &file("1"), &file("2"), "--out", &file("merged.json")]);
    let (whole, merged) = (read(&folder.join("whole.json")), read(&folder.join("merged.json")));
    assert_eq!(whole.tests["raft_3A::initial_election"].runs, 25);
    assert!(whole.tests["raft_3A::initial_election"].virtual_time.sum > 0);
    assert_eq!(whole, merged);

    let output = grade(&["merge", &file("3"), &file("1")]);
    assert!(!output.status.success());
    assert!(text(&output.stdout).ends_with("\nmissing: 2/3\n"));
}

#[test]
fn the_environment_of_a_batch_system_chooses_the_shard() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grade"));
    command.args(["sweep", "--profile", "dev", "--runs", "4", TESTS[0]]).current_dir(root());
    command.envs([("SLURM_ARRAY_TASK_ID", "1"), ("SLURM_ARRAY_TASK_COUNT", "4")]);
    let output = command.output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(err.contains("part 2/4 of the sweep, says SLURM_ARRAY_TASK_ID"), "{err}");
    assert!(out.contains("\n1 runs, 0 failed; "), "{out}");
}

#[test]
fn a_sweep_ends_when_its_time_is_over() {
    let began = std::time::Instant::now();
    let printed = grade_well(&["sweep", "--profile", "dev", TESTS[0], "--time", "1s"]);
    assert!(printed.contains(" failed, cut short; 1."), "{printed}");
    assert!(began.elapsed().as_secs() < 60);
}

/// Whoever is impatient loses nothing.
#[test]
fn a_signal_ends_it_with_the_table_so_far() {
    let out = scratch("signal").join("sweep.json");
    grade_well(&["list", TESTS[0]]); // builds what the sweep needs
    let child = Command::new(env!("CARGO_BIN_EXE_grade"))
        .args(["sweep", "--profile", "dev", "--runs", "1000000", TESTS[0], "--out"])
        .arg(&out)
        .current_dir(root())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // By then it has begun.
    thread::sleep(Duration::from_secs(10));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    let printed = text(&output.stdout);
    assert!(printed.contains(" failed, cut short; "), "{printed}");
    assert_eq!(text(&output.stderr), "", "no progress where there is no terminal");
    let sweep = read(&out);
    let runs = sweep.tests["raft_3A::initial_election"].runs;
    assert!(sweep.cut_short && (1..1_000_000).contains(&runs), "{runs}");
}

#[test]
fn what_makes_no_sense_is_said() {
    for (arguments, said) in [
        (vec!["sweep", "--profile", "dev", "9Z"], "grade: there is no graded test `9Z`\n"),
        (vec!["sweep", "--runs", "0"], "grade: --runs 0 runs nothing\n"),
        (vec!["sweep", "--root", "/"], "grade: / is not inside a raftlab workspace\n"),
        (vec!["merge", "/none"], "grade: /none: No such file or directory (os error 2)\n"),
    ] {
        let output = grade(&arguments);
        assert_eq!((output.status.code(), &*text(&output.stderr)), (Some(2), said));
    }
}
