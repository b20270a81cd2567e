//! The tester, tested: what it prints, what it reads, which histories it lets pass.

use std::process::Command;
use std::time::Duration;

use labgob::Bytes;
use labrt::sim::{Backend, Engine};
use labtester::log::Columns;
use labtester::unwritten::todos;
use labtester::{
    Applied, Elections, Failure, Lab, Record, Seed, Seeds, Settings, Topics, Verdict, pass_line,
};
use raftapi::{EntryId, LogIndex, ServerId, Term};
use rand::RngExt as _;

use crate::child::{fails, report, run};

// ---- what it prints ----

#[test]
fn a_report_has_five_lines() {
    let failure = Failure::safety("two leaders in one term")
        .expected("at most one leader in each term (Raft 5.2, Election Safety)")
        .happened("S1 led T7, first seen at 1.840 s; S4 leads T7 too, seen at 1.911 s")
        .look_at("what your server saves before it answers RequestVote (Figure 2)");
    let report = failure.report("LAB_SEED=0x5eed cargo test raft_3A::re_election".into());
    let expected = "\
two leaders in one term
  expected   at most one leader in each term (Raft 5.2, Election Safety)
  happened   S1 led T7, first seen at 1.840 s; S4 leads T7 too, seen at 1.911 s
  look at    what your server saves before it answers RequestVote (Figure 2)
  again      LAB_SEED=0x5eed cargo test raft_3A::re_election";
    assert_eq!(report.to_string(), expected);
}

#[test]
fn what_is_longer_goes_on_under_its_beginning() {
    let failure = Failure::liveness("slow").happened("first\nsecond\n");
    let report = failure.report(String::new()).to_string();
    assert!(report.contains("  happened   first\n             second\n  look at"), "{report}");
}

#[test]
fn a_pass_is_one_line_with_means() {
    let line = pass_line(&[record(10.0, 100), record(11.0, 103)]);
    let expected = "Test (3A): initial election                                        \
                    ... Passed --  10.5  3    102      2000     7   2 seeds\n";
    assert_eq!(line, expected);
}

#[test]
fn a_record_survives_json() {
    let written = serde_json::to_string(&record(1.5, 10)).unwrap();
    assert!(written.contains(r#""seed":"0xffffffffffffffff","verdict":"pass""#), "{written}");
    assert_eq!(serde_json::from_str::<Record>(&written).unwrap(), record(1.5, 10));
}

fn record(virtual_seconds: f64, rpcs: u64) -> Record {
    Record {
        test: "raft_3A::initial_election".into(),
        part: "3A".into(),
        title: "initial election".into(),
        points: 5,
        seed: Seed(u64::MAX),
        verdict: Verdict::Pass,
        signature: None,
        report: None,
        virtual_seconds,
        wall_seconds: 0.01,
        servers: 3,
        rpcs,
        bytes: 2000,
        commands: 7,
        switches: 9,
        trace: "0".into(),
        warnings: vec![],
        artefacts: std::collections::BTreeMap::new(),
    }
}

#[test]
fn the_log_has_a_column_for_each_server() {
    let columns = Columns { servers: 3, width: 10 };
    let at = Duration::from_micros(1_840_312);
    let mine = columns.lay_out(at, "vote", Some(1), "grants T7 to S0");
    assert_eq!(
        mine,
        "   1.840312 vote               | grants T7  |\n                               | to S0      |\n"
    );
    let testers = columns.lay_out(at, "fault", None, "crash S1");
    assert_eq!(testers, "   1.840312 fault   == crash S1\n");
}

// ---- what it reads ----

fn settings(variables: &[(&str, &str)]) -> Result<Settings, String> {
    let lookup = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    Settings::read(lookup).map_err(|error| error.to_string())
}

#[test]
fn settings_have_defaults() {
    let read = settings(&[("LAB_SEED", ""), ("LAB_LOG", "")]).unwrap();
    assert_eq!(read.seeds, Seeds::Derived(10));
    assert_eq!((read.records, read.log, read.check_determinism), (None, None, false));
}

#[test]
fn a_seed_is_hexadecimal_or_decimal() {
    for text in ["0x5eed", "0X5EED", "24301"] {
        let read = settings(&[("LAB_SEED", text), ("LAB_RUNS", "3")]).unwrap();
        assert_eq!(read.seeds, Seeds::One(Seed(0x5eed)));
        assert_eq!(read.seeds_of("any").collect::<Vec<_>>(), [Seed(0x5eed)]);
    }
    for text in ["zz", "0x", "0x+5", "-1", "5eed"] {
        let error = settings(&[("LAB_SEED", text)]).unwrap_err();
        assert_eq!(
            error,
            format!(
                "LAB_SEED={text} is not understood: it takes the seed of a run, in hexadecimal \
                 (0x5eed) or decimal (24301)"
            )
        );
    }
}

#[test]
fn a_wrong_value_is_named() {
    let wrong = [
        ("LAB_RUNS", "abc", "it takes a number of seeds, 1 or more"),
        ("LAB_RUNS", "0", "it takes a number of seeds, 1 or more"),
        ("LAB_CHECK", "all", "it takes `determinism`"),
        ("LAB_SUPERVISOR", "3", "it takes `stdin`"),
        ("LAB_CLOCK", "wall", "it takes `real` or `virtual`"),
        ("LAB_BACKEND", "fibers", "it takes `coroutines` or `threads`"),
    ];
    for (variable, value, accepted) in wrong {
        let error = settings(&[(variable, value)]).unwrap_err();
        assert_eq!(error, format!("{variable}={value} is not understood: {accepted}"));
    }
}

/// On the wall clock a test runs once unless more is asked for, and cannot be compared with itself.
#[test]
fn the_real_clock_changes_what_makes_sense() {
    let read = settings(&[("LAB_CLOCK", "real")]).unwrap();
    assert_eq!((read.engine, read.seeds), (Engine::Real, Seeds::Derived(1)));
    let read = settings(&[("LAB_CLOCK", "real"), ("LAB_RUNS", "3")]).unwrap();
    assert_eq!(read.seeds, Seeds::Derived(3));
    let error = settings(&[("LAB_CLOCK", "real"), ("LAB_CHECK", "determinism")]).unwrap_err();
    assert!(error.ends_with("no two runs on the wall clock are the same"), "{error}");
    assert_eq!(settings(&[("LAB_BACKEND", "threads")]).unwrap().backend, Backend::Threads);
}

#[test]
fn topics_are_a_list_or_all() {
    let read = |value| settings(&[("LAB_LOG", value)]).unwrap().log.unwrap();
    assert_eq!(read("vote, rpc"), Topics::Only(vec!["vote".into(), "rpc".into()]));
    assert!(read("vote,all").include("rpc"));
    assert!(!read("vote").include("rpc"));
}

/// Written down once: a seed in a report must mean the same run next year.
#[test]
fn seeds_follow_from_the_name() {
    let settings = settings(&[("LAB_RUNS", "3")]).unwrap();
    let seeds: Vec<String> =
        settings.seeds_of("raft_3A::re_election").map(|seed| seed.to_string()).collect();
    assert_eq!(seeds, SEEDS);
    assert_ne!(Seed::derived("a", 0), Seed::derived("b", 0));
}
const SEEDS: [&str; 3] = ["0x8dd5454f", "0xc0630b6f", "0xb0083e8d"];

// ---- which histories it lets pass ----

const S0: ServerId = ServerId(0);
const S1: ServerId = ServerId(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn a_term_has_one_leader_for_ever() {
    let mut elections = Elections::new(3);
    elections.saw(S0, 0, (Term(1), true), ms(1)).unwrap();
    elections.saw(S0, 0, (Term(2), false), ms(2)).unwrap();
    let failure = elections.saw(S1, 0, (Term(1), true), ms(900)).unwrap_err();
    assert_eq!(failure.title, "two leaders in one term");
    assert_eq!(
        failure.happened,
        "S0 led T1, first seen at 0.001 s; S1 leads T1 too, seen at 0.900 s"
    );
}

#[test]
fn a_term_never_goes_back() {
    let mut elections = Elections::new(3);
    elections.saw(S0, 0, (Term(3), false), ms(1)).unwrap();
    let failure = elections.saw(S0, 0, (Term(2), false), ms(2)).unwrap_err();
    assert_eq!(failure.title, "a term went back");
}

#[test]
fn a_term_survives_a_crash_once_it_was_surely_saved() {
    let mut elections = Elections::new(3);
    elections.saw(S0, 0, (Term(3), false), ms(0)).unwrap();
    elections.saw(S0, 0, (Term(4), false), ms(200)).unwrap();
    elections.crashed(S0, ms(249)); // T4 may not have been saved, T3 must
    elections.started(S0, 1);
    elections.clone().saw(S0, 1, (Term(3), false), ms(251)).unwrap();
    // A look that was under way when the server crashed is not held against its successor.
    elections.saw(S0, 0, (Term(4), false), ms(251)).unwrap();
    let failure = elections.saw(S0, 1, (Term(2), false), ms(251)).unwrap_err();
    assert_eq!(failure.title, "a term was forgotten in a crash");
}

/// Two servers, started, and a command that S0 took in as T1:i1.
fn history() -> Applied {
    let mut history = Applied::new(2);
    history.started(S0, 0, &[], ms(0)).unwrap();
    history.started(S1, 0, &[], ms(0)).unwrap();
    accept(&mut history, id(1, 1), "a");
    history
}

fn accept(history: &mut Applied, id: EntryId, command: &str) {
    let call = history.starting(&bytes(command));
    history.accepted(call, S0, id).unwrap();
}

fn apply(
    history: &mut Applied,
    server: ServerId,
    id: EntryId,
    command: &str,
) -> Result<(), String> {
    history.command(server, 0, id, &bytes(command), ms(10)).map_err(|failure| failure.title)
}

fn id(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: LogIndex(index) }
}

fn bytes(text: &str) -> Bytes {
    Bytes::from(text.as_bytes())
}

#[test]
fn all_servers_apply_the_same() {
    let mut history = history();
    apply(&mut history, S0, id(1, 1), "a").unwrap();
    apply(&mut history, S1, id(1, 1), "a").unwrap();
    assert_eq!(history.count(LogIndex(1)), 2);

    accept(&mut history, id(1, 2), "b");
    accept(&mut history, id(2, 2), "c");
    apply(&mut history, S0, id(1, 2), "b").unwrap();
    let title = apply(&mut history, S1, id(2, 2), "c").unwrap_err();
    assert_eq!(title, "two servers applied different commands at one index");
}

#[test]
fn a_server_applies_every_index_once() {
    let mut history = history();
    accept(&mut history, id(1, 2), "b");
    let gap = apply(&mut history.clone(), S0, id(1, 2), "b").unwrap_err();
    apply(&mut history, S0, id(1, 1), "a").unwrap();
    let again = apply(&mut history, S0, id(1, 1), "a").unwrap_err();
    assert_eq!([gap, again], ["apply out of order", "apply out of order"]);
}

#[test]
fn after_a_restart_it_begins_anew() {
    let mut history = history();
    apply(&mut history, S0, id(1, 1), "a").unwrap();
    history.crashed(S0);
    assert_eq!(history.count(LogIndex(1)), 0);
    apply(&mut history, S0, id(1, 2), "its last words").unwrap();
    history.started(S0, 1, &[], ms(5)).unwrap();
    history.command(S0, 1, id(1, 1), &bytes("a"), ms(6)).unwrap();
}

#[test]
fn what_start_promised_is_what_is_applied() {
    let mut history = history();
    let title = apply(&mut history, S0, id(1, 1), "z").unwrap_err();
    assert_eq!(title, "start() named an entry that holds another command");
}

#[test]
fn a_refused_command_is_never_applied() {
    let mut history = history();
    apply(&mut history, S0, id(1, 1), "a").unwrap();
    let call = history.starting(&bytes("b"));
    // While start() runs, its command may be applied already.
    apply(&mut history, S0, id(1, 2), "b").unwrap();
    assert_eq!(
        history.clone().refused(call).unwrap_err().title,
        "a command that no leader took in was applied"
    );
    history.accepted(call, S0, id(1, 2)).unwrap();

    let call = history.starting(&bytes("c"));
    history.refused(call).unwrap();
    let title = apply(&mut history, S0, id(1, 3), "c").unwrap_err();
    assert_eq!(title, "a command that no leader took in was applied");
}

#[test]
fn a_start_cut_short_by_a_crash_may_have_worked() {
    let mut history = history();
    apply(&mut history, S0, id(1, 1), "a").unwrap();
    let call = history.starting(&bytes("b"));
    history.cut_short(call);
    apply(&mut history, S0, id(1, 2), "b").unwrap();
}

#[test]
fn a_snapshot_holds_what_was_applied() {
    let mut history = history();
    apply(&mut history, S0, id(1, 1), "a").unwrap();
    let snapshot = labgob::to_bytes(&history.snapshot_at(LogIndex(1)));

    let install = |id, data: &[u8]| {
        let mut history = history.clone();
        let outcome = history.installed(S1, 0, id, data, ms(9));
        outcome.map(|()| history.progress(S1)).map_err(|failure| failure.title)
    };
    assert_eq!(install(id(1, 1), &snapshot), Ok(Some(LogIndex(1))));
    assert_eq!(install(id(2, 1), &snapshot), Err("a snapshot came with a wrong label".into()));
    assert_eq!(install(id(1, 2), &snapshot), Err("a snapshot came with a wrong label".into()));
    assert_eq!(install(id(1, 1), &snapshot[1..]), Err("a snapshot is damaged".into()));
}

#[test]
fn a_saved_snapshot_survives_a_crash() {
    let mut history = history();
    apply(&mut history, S0, id(1, 1), "a").unwrap();
    let snapshot = labgob::to_bytes(&history.snapshot_at(LogIndex(1)));
    history.saved(S0, &snapshot, ms(20)).unwrap();
    history.crashed(S0);
    history.clone().started(S0, 1, &snapshot, ms(30)).unwrap();
    let failure = history.started(S0, 1, &[], ms(30)).unwrap_err();
    assert_eq!(failure.title, "a snapshot was lost in a crash");
}

// ---- a failing test, end to end ----

/// Fails on purpose, at a time that the seed decides. Run by the test below.
#[test]
#[ignore = "it fails"]
fn fails_on_purpose() {
    Lab::new("self", "a failure", 0).ignored().run(|cluster| {
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
    Lab::new("self", "a lock", 0).ignored().no_locked_calls().run(|_| {
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
    Lab::new("self", "a place to fill in", 0)
        .ignored()
        .run(|_| todo!("Part 9Z: let pigs fly (Figure 99)"));
}

/// A `todo!` is reported as work to do, and not as a crash with a message of its own.
#[test]
fn what_is_not_written_yet_is_reported_as_work_to_do() {
    let binary = std::env::current_exe().unwrap();
    let ignored = ["tester::is_not_written_on_purpose", "--exact", "--ignored"];
    let output = run(Command::new(binary).args(ignored));
    let report = report(&output);
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines[0], "part 9Z is not written yet");
    assert_eq!(lines[1], "  expected   let pigs fly (Figure 99)");
    assert!(lines[3].starts_with("  look at    tests/tests/lab/tester.rs:"), "{report}");
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
    let output = fails("tester::waits_with_a_lock_on_purpose");
    let report = report(&output);
    assert!(report.starts_with("a lock is held across a call\n"), "{report}");
    let printed = String::from_utf8_lossy(&output.stdout);
    let besides = printed.lines().find(|line| line.starts_with("  besides ")).unwrap();
    assert_eq!(besides.matches("tests/tests/lab/tester.rs:").count(), 2, "{besides}");
}

/// The command on a report's last line, given to a shell, shows the same failure at the same
/// virtual time.
#[test]
fn the_last_line_of_a_report_repeats_it() {
    let first = report(&fails("tester::fails_on_purpose"));
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
