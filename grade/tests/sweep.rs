//! `grade sweep` and `grade merge`, from outside.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use common::{grade, grade_well, root, scratch, text};
use grade::campaign_log::Line;
use grade::tally::{Sweep, Times};
use grade::trial::no_record;
use labrecord::{About, Message, Seed, Verdict};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

const TESTS: [&str; 2] = ["3A::initial_election", "3A::re_election"];

fn read(file: &Path) -> Sweep {
    let mut sweep: Sweep = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    // All that two runs of one seed do not have in common.
    for tally in sweep.tests.values_mut() {
        tally.wall_time = Times::default();
        tally.cpu = (0, 0);
    }
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

/// A campaign says what it really met: summed over processes and shards, and run by run in its log.
#[test]
fn a_campaign_of_torture_says_what_it_met() {
    let folder = scratch("torture");
    let file = |name: &str| folder.join(name).display().to_string();
    let sweep = |more: &[&str]| {
        let options = ["sweep", "--profile", "dev", "torture::raft", "torture::kv", "--runs", "6"];
        grade_well(&[&options, more].concat())
    };
    let printed = sweep(&["--out", &file("whole.json"), "--log", &file("log.json")]);
    assert!(printed.contains("\nmet: how often, and in what share of the runs"), "{printed}");
    for shard in ["1", "2"] {
        sweep(&["--shard", &format!("{shard}/2"), "--out", &file(shard), "--jobs", "1"]);
    }
    let merged = grade_well(&["merge", &file("2"), &file("1"), "--out", &file("merged.json")]);
    assert!(merged.contains("\nmet  "), "{merged}");
    let (whole, merged) = (read(&folder.join("whole.json")), read(&folder.join("merged.json")));
    assert_eq!(whole, merged);

    let log = fs::read_to_string(folder.join("log.json")).unwrap();
    let lines: Vec<Line> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 12);
    assert!(lines.iter().all(|line| line.environment.as_ref().unwrap().contains(" servers, ")));
    for test in ["torture::raft", "torture::kv"] {
        let runs = || lines.iter().filter(|line| line.test == test);
        let situations = &whole.tests[test].situations;
        assert_eq!(situations["leaders"].of_runs, 6);
        assert_eq!(situations["leaders"].in_runs, 6);
        for (name, reached) in situations {
            let times: u64 = runs().filter_map(|line| line.coverage.get(name)).sum();
            assert_eq!(times, reached.times, "{name}");
        }
    }
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
    let printed = grade_well(&["sweep", "--profile", "dev", TESTS[0], "--time", "1s"]);
    let (_, after) = printed.split_once(" failed, cut short; ").expect(&printed);
    let seconds: f64 = after.split_once(" s on ").unwrap().0.parse().unwrap();
    assert!((1.0..60.0).contains(&seconds), "{printed}");
}

/// A workspace of which nothing is built: in the place of the tests is a script that speaks as they do.
/// Of its one test the third seed fails, in that the process ends without a word.
fn workspace_with_a_failure(folder: &Path) -> PathBuf {
    let about = About {
        test: "raft_3A::falls".to_owned(),
        lab: "raft".to_owned(),
        part: "3A".to_owned(),
        title: "one that falls".to_owned(),
        points: 5,
    };
    let seed = |n| Seed::derived(&about.test, n);
    let mut pass = no_record(&about, seed(0), "");
    (pass.verdict, pass.report, pass.signature) = (Verdict::Pass, None, None);
    let pass = Message::Record(Box::new(pass)).to_line("");
    let (before, after) = pass.trim().split_once(&seed(0).to_string()).unwrap();
    let about = Message::About(about.clone()).to_line("");
    let tests = format!(
        r#"#!/bin/sh
case "$*" in *--ignored*) exit ;; *--list*) echo 'raft_3A::falls: test'; exit ;; esac
read -r order
token=${{order#*'"token":"'}} token=${{token%%'"'*}}
seeds=${{order#*'"seeds":['}} seeds=${{seeds%%]*}}
[ "$seeds" ] || echo "$token "'{about}' >&0
IFS=,
for seed in $seeds; do
    seed=${{seed#'"'}} seed=${{seed%'"'}}
    [ "$seed" != {falls} ] || exit 1
    echo "$token "'{before}'"$seed"'{after}' >&0
done
"#,
        about = about.trim(),
        falls = seed(2),
    );
    let script = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    };
    let tests = script("tests.sh", &tests);
    fs::create_dir_all(folder.join("tests/lab")).unwrap();
    fs::write(folder.join("tests/lab/main.rs"), "").unwrap();
    let built = json!({ "target": { "name": "lab" }, "executable": tests });
    script("cargo.sh", &format!("#!/bin/sh\necho '{built}'\n"))
}

#[test]
fn a_sweep_may_end_at_the_first_failure() {
    let root = scratch("until-fail");
    let cargo = workspace_with_a_failure(&root);
    let sweep = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grade"));
        command.args(["sweep", "--jobs", "1"]).args(options);
        let output = command.current_dir(&root).env("CARGO", &cargo).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let all = sweep(&["--runs", "50"]);
    assert!(all.contains("\n50 runs, 1 failed; "), "{all}");
    for options in [&["--until-fail", "--runs", "50"][..], &["--until-fail", "--time", "1h"]] {
        let first = sweep(options);
        assert!(first.contains("\n3 runs, 1 failed, cut short; "), "{first}");
        assert!(
            first.contains("     1 x  no record: the process ended, with status 1\n"),
            "{first}"
        );
        let again = format!("LAB_SEED={} cargo test", Seed::derived("raft_3A::falls", 2));
        assert!(first.contains(&again), "{first}");
    }
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
fn a_merge_says_that_a_part_was_cut_short() {
    let folder = scratch("cut-short");
    let cargo = workspace_with_a_failure(&folder);
    let out = folder.join("part.json").display().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_grade"));
    command.args(["sweep", "--jobs", "1", "--runs", "2", "--out", &out]);
    command.current_dir(&folder).env("CARGO", &cargo);
    assert!(command.output().unwrap().status.success());
    let mut sweep = read(Path::new(&out));
    assert!(grade(&["merge", &out]).status.success());
    sweep.cut_short = true;
    fs::write(&out, serde_json::to_string(&sweep).unwrap()).unwrap();
    let merged = grade(&["merge", &out]);
    let printed = text(&merged.stdout);
    assert!(printed.contains("\ncut short: "), "{printed}");
    assert_eq!(merged.status.code(), Some(1));
}

#[test]
fn fresh_seeds_can_be_repeated() {
    let folder = scratch("fresh");
    let cargo = workspace_with_a_failure(&folder);
    let sweep = |fresh: &str| {
        let out = folder.join("sweep.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_grade"));
        command.args(["sweep", "--jobs", "1", "--runs", "5", fresh, "--out"]).arg(&out);
        let output = command.current_dir(&folder).env("CARGO", &cargo).output().unwrap();
        // The seed that falls is not among them.
        assert!(output.status.success(), "{}", text(&output.stderr));
        (text(&output.stdout), read(&out).plan.fresh.unwrap())
    };
    let (printed, word) = sweep("--fresh");
    assert!(printed.starts_with(&format!("fresh seeds; --fresh={word} repeats them\n")));
    assert_eq!(sweep(&format!("--fresh={word}")).1, word);
    assert_ne!(sweep("--fresh").1, word);
}

#[test]
fn what_makes_no_sense_is_said() {
    for (arguments, said) in [
        (
            vec!["sweep", "--profile", "dev", "9Z"],
            "grade: there is no graded test and no campaign `9Z`\n",
        ),
        (vec!["sweep", "--runs", "0"], "grade: --runs 0 runs nothing\n"),
        (vec!["sweep", "--root", "/"], "grade: / is not inside a raftlab workspace\n"),
        (vec!["merge", "/none"], "grade: /none: No such file or directory (os error 2)\n"),
    ] {
        let output = grade(&arguments);
        assert_eq!((output.status.code(), &*text(&output.stderr)), (Some(2), said));
    }
}
