//! Failing runs that are reduced and repeated from a file.

use std::process::Command;
use std::time::Duration;

use labsystem::lab;
use labtester::Replay;
use raftapi::ServerId;
use rand::RngExt as _;

use crate::child::{report, run};

/// Twelve faults, of which the last two are to blame. Run by the test below.
#[test]
#[ignore = "it fails"]
fn fails_by_two_faults_on_purpose() {
    lab("self", "two faults", 0).unreliable().ignored().run(|cluster| {
        let mut dice = cluster.dice("victims");
        for round in 0..9 {
            let victim = ServerId(dice.random_range(0..3));
            if round % 3 == 0 {
                cluster.restart(victim);
            } else {
                cluster.disconnect(victim);
            }
            cluster.connect(victim);
            cluster.expect_agreement(2);
        }
        cluster.disconnect(ServerId(0));
        cluster.disconnect(ServerId(2));
        cluster.expect_agreement_on(&cluster.command(), 2, Duration::from_secs(2));
    });
}

/// Whoever is struck right after a save restarts, and whoever is spared never died. Run by the test below.
#[test]
#[ignore = "it fails"]
fn fails_after_crashes_at_saves_on_purpose() {
    lab("self", "crashes at saves", 0).ignored().run(|cluster| {
        let nemesis = cluster.crash_at_saves(0.3);
        for _ in 0..20 {
            for server in cluster.servers() {
                cluster.start(server, &cluster.command());
            }
            cluster.sleep(Duration::from_millis(100));
        }
        drop(nemesis);
        cluster.expect_agreement(3);
        cluster.disconnect(ServerId(0));
        cluster.disconnect(ServerId(2));
        cluster.expect_agreement_on(&cluster.command(), 2, Duration::from_secs(2));
    });
}

#[test]
fn crashes_at_saves_are_left_out_as_a_whole() {
    let binary = std::env::current_exe().unwrap();
    let test = ["tester::replays::fails_after_crashes_at_saves_on_purpose", "--exact", "--ignored"];
    let output = run(Command::new(&binary).args(test).env("LAB_SHRINK", "60"));
    let printed = String::from_utf8_lossy(&output.stdout);
    let line = printed.lines().find_map(|line| line.trim_start().strip_prefix("shrunk "));
    let shrunk = line.unwrap_or_else(|| panic!("not reduced:\n{printed}")).trim();
    let faults = shrunk.strip_prefix("from ").and_then(|rest| rest.split_once(" faults to 2, "));
    let (from, _) = faults.unwrap_or_else(|| panic!("{shrunk}"));
    assert!(from.parse::<u32>().unwrap() > 5, "{shrunk}");
}

/// A run that fails is reduced to what it takes, and the file that is written repeats it.
#[test]
fn a_failing_run_is_reduced_and_can_be_replayed() {
    let binary = std::env::current_exe().unwrap();
    let test = ["tester::replays::fails_by_two_faults_on_purpose", "--exact", "--ignored"];
    let output = run(Command::new(&binary).args(test).env("LAB_SHRINK", "60"));
    let printed = String::from_utf8_lossy(&output.stdout);
    let line = |label: &str| {
        let found = printed.lines().find_map(|line| line.trim_start().strip_prefix(label));
        found.unwrap_or_else(|| panic!("no {label} in:\n{printed}")).trim().to_owned()
    };
    let shrunk = line("shrunk ");
    assert!(shrunk.starts_with("from 12 faults to 2, "), "{shrunk}");
    assert!(shrunk.contains(" lost or late messages to 0; "), "{shrunk}");

    let replay = line("replay ");
    let file = replay.strip_prefix("LAB_REPLAY=").unwrap().split(' ').next().unwrap();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let file_text = std::fs::read_to_string(std::path::Path::new(root).join(file)).unwrap();
    let faults: Vec<&str> = file_text.lines().filter(|line| line.starts_with("fault ")).collect();
    assert_eq!(faults.len(), 2, "{file_text}");
    assert!(faults[0].starts_with("fault   disconnect 7 ") && faults[0].contains(" # S0, at "));
    assert!(faults[1].starts_with("fault   disconnect 8 ") && faults[1].contains(" # S2, at "));
    assert_eq!(file_text.parse::<Replay>().unwrap().fails, "no agreement");

    let again = run(Command::new(&binary).args(test).env("LAB_REPLAY", file));
    let report = report(&again);
    assert!(report.starts_with("no agreement\n"), "{report}");
    assert!(report.contains(&format!("again      LAB_REPLAY={file} cargo test ")), "{report}");

    // It is a run of that test and no other.
    let other = ["tester::failing::fails_on_purpose", "--exact", "--ignored"];
    let refused = run(Command::new(&binary).args(other).env("LAB_REPLAY", file));
    let printed = String::from_utf8_lossy(&refused.stdout);
    let expected = format!("LAB_REPLAY={file} is a run of {}: cargo test {0} -- --exact", test[0]);
    assert!(printed.contains(&expected), "{printed}");
}

/// Runs that failed once, reduced: they are kept beside the tests, and must pass.
#[test]
fn kept_runs_pass() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/replays");
    let mut runs = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "replay") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let replay: Replay = text.parse().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([replay.test.as_str(), "--exact"]).env("LAB_REPLAY", &path);
        let output = command.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}:\n{printed}", path.display());
        assert!(printed.contains("1 passed"), "no test is called {}", replay.test);
        runs += 1;
    }
    assert!(runs > 0, "no run is kept in {folder}");
}

#[test]
fn a_replay_is_text() {
    let text = "\
version 1
test    raft_3C::figure_8
seed    0x5eed
fails   two leaders in one term
fault   crash 17
fault   disconnect 2
command all
message S1>S2 request 44
message S2>S1 reply 7
choice  3 deafen
choice  17 restart
";
    let replay: Replay = text.parse().unwrap();
    assert_eq!(replay.to_string(), text);
    let commented =
        text.replace("crash 17", "crash 17   # S2, at 3.214 s").replace("all", "  all  ");
    assert_eq!(commented.parse(), Ok(replay));

    let error = |text: &str| text.parse::<Replay>().unwrap_err().to_string();
    let wrong = [
        (
            "fault   crash 17",
            "fault crash",
            "a fault is `all`, or a verb and which time, as `crash 17`",
        ),
        (
            "fault   crash 17",
            "fault agree 3",
            "a fault is `all`, or a verb and which time, as `crash 17`",
        ),
        ("command all", "command", "a command is `all`, or a verb and which time, as `agree 3`"),
        (
            "message S1>S2 request 44",
            "message S1 44",
            "a message is `all`, or its place on its link, as `S1>S2 request 44`",
        ),
        (
            "choice  17 restart",
            "choice restart",
            "a choice is the number of a point and lose, delay, deafen, crash or restart: `17 lose`",
        ),
        ("seed    0x5eed", "seed zz", "a seed is a number, as 0x5eed"),
        ("version 1", "version 2", "this tester reads version 1"),
        (
            "fails",
            "why",
            "a line begins with version, test, seed, fails, fault, command, message or choice",
        ),
    ];
    for (line, instead, accepted) in wrong {
        let message = error(&text.replacen(line, instead, 1));
        assert!(message.starts_with("line ") && message.ends_with(accepted), "{message}");
    }
    assert_eq!(error("version 1\n"), "there is no line that begins with `test`");
}
