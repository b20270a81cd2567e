//! A failing test, end to end: its report, its last line, and what is not written yet.

use std::process::Command;
use std::time::Duration;

use labsystem::lab;
use labtester::unwritten::todos;
use rand::RngExt as _;

use crate::child::{fails, report, run};

/// Fails on purpose, at a time that the seed decides. Run by the test below.
#[test]
#[ignore = "it fails"]
fn fails_on_purpose() {
    lab("self", "a failure", 0).ignored().run(|cluster| {
        let leader = cluster.expect_one_leader();
        cluster.sleep(Duration::from_micros(cluster.dice("when").random_range(0..1_000_000)));
        for n in 1..3 {
            cluster.disconnect(cluster.after(leader, n));
        }
        cluster.expect_agreement(3);
    });
}

/// Waits for something with a lock in its hand. Run by the test below.
#[test]
#[ignore = "it fails"]
fn waits_with_a_lock_on_purpose() {
    lab("self", "a lock", 0).ignored().no_locked_calls().run(|_| {
        let mutex = labrt::sync::Mutex::new(());
        let (reply, wait) = labrt::oneshot::channel();
        labrt::event::after(Duration::from_millis(1), move || reply.send(()));
        let _guard = mutex.lock();
        wait.wait().unwrap();
    });
}

/// Comes to a place that is not written. Run by the test below.
#[test]
#[ignore = "it fails"]
fn is_not_written_on_purpose() {
    lab("self", "a place to fill in", 0)
        .ignored()
        .run(|_| todo!("Part 9Z: let pigs fly (Figure 99)"));
}

/// A `todo!` is reported as work to do, and not as a crash with a message of its own.
#[test]
fn what_is_not_written_yet_is_reported_as_work_to_do() {
    let binary = std::env::current_exe().unwrap();
    let ignored = ["tester::failing::is_not_written_on_purpose", "--exact", "--ignored"];
    let output = run(Command::new(binary).args(ignored));
    let report = report(&output);
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines[0], "part 9Z is not written yet");
    assert_eq!(lines[1], "  expected   let pigs fly (Figure 99)");
    assert!(lines[3].starts_with("  look at    tests/lab/tester/failing.rs:"), "{report}");
    let printed = [output.stdout, output.stderr].concat();
    assert!(!String::from_utf8_lossy(&printed).contains("panicked"), "{report}");
}

#[test]
fn what_is_still_to_do_is_found_in_the_sources() {
    let source = "\
fn vote() {
    todo!(\"Part 3A: vote\")
}
// todo!(\"Part 3A: commented out\")
fn more() {
    todo!(
        \"Part 3B: more, and longer\"
    )
}
fn other() {
    todo!()
}
";
    assert_eq!(todos(source), [(2, "3A", "vote"), (6, "3B", "more, and longer")]);
}

/// A lock held across a call fails a test that asks for it, with both lines; and whatever else fails,
/// it is named below the report.
#[test]
fn a_lock_held_across_a_call_is_reported() {
    let output = fails("tester::failing::waits_with_a_lock_on_purpose");
    let report = report(&output);
    assert!(report.starts_with("a lock is held across a call\n"), "{report}");
    let printed = String::from_utf8_lossy(&output.stdout);
    let besides = printed.lines().find(|line| line.starts_with("  besides ")).unwrap();
    assert_eq!(besides.matches("tests/lab/tester/failing.rs:").count(), 2, "{besides}");
}

/// The command on a report's last line, given to a shell, shows the same failure at the same
/// virtual time.
#[test]
fn the_last_line_of_a_report_repeats_it() {
    let first = report(&fails("tester::failing::fails_on_purpose"));
    let lines: Vec<&str> = first.lines().collect();
    assert_eq!(lines.len(), 5, "{first}");
    assert_eq!(lines[0], "no agreement");

    let again = lines[4].trim().strip_prefix("again").unwrap().trim();
    assert!(again.starts_with("LAB_SEED=0x"), "{again}");
    // The same profile, so that nothing needs to be built.
    let profile = if cfg!(debug_assertions) { "cargo test" } else { "cargo test --release" };
    let shell = again.replacen("cargo test", profile, 1);
    let directory = env!("CARGO_MANIFEST_DIR");
    let second = report(&run(Command::new("sh").arg("-c").arg(shell).current_dir(directory)));
    assert_eq!(first, second);
}

/// Without a socket on standard input there is nobody to run for, and nothing passes for it.
#[test]
fn a_supervisor_that_is_not_there_is_an_error() {
    let binary = std::env::current_exe().unwrap();
    let test = ["raft_3A::initial_election", "--exact"];
    let output = run(Command::new(binary).args(test).env("LAB_SUPERVISOR", "stdin"));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("\nLAB_SUPERVISOR=stdin: no order came: "), "{printed}");
}
