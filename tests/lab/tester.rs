//! The tester, tested: what it prints, what it reads, which histories it lets pass.

use std::process::Command;
use std::time::Duration;

use labgob::Bytes;
use labrt::sim::{Backend, Engine};
use labsystem::lab;
use labtester::acks::Acknowledged;
use labtester::log::{Columns, old_style, paint};
use labtester::unwritten::todos;
use labtester::{
    Acks, Applied, Elections, Failure, Record, Replay, Seed, Seeds, Settings, Topics, Verdict,
    Views, pass_line,
};
use raftapi::{EntryId, LogIndex, RaftView, RoleView, ServerId, Term};
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
        environment: Some("3 servers".into()),
        coverage: [("leaders".to_owned(), 2), ("stalls".to_owned(), 0)].into(),
        broken_before: None,
        shrunk: None,
        budgets: std::collections::BTreeMap::new(),
        cpu: None,
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

#[test]
fn lines_of_older_guides_are_understood() {
    let read = |text| old_style(text).map(|(topic, server, text)| (topic, server, text.to_owned()));
    let vote = Some(("vote".to_owned(), 1, "asks for votes in 4".to_owned()));
    assert_eq!(read("001280 VOTE S1 asks for votes in 4"), vote);
    assert_eq!(read("1.280 VOTE S1: asks for votes in 4"), vote);
    for other in
        ["asks for votes in 4", "001280 asks S1 for votes", "VOTE S1 asks", "12 VOTE C1 asks"]
    {
        assert_eq!(read(other), None, "{other}");
    }
}

#[test]
fn a_topic_has_one_colour() {
    assert_eq!(
        paint("crash S1\nagain\n", "fault"),
        "\x1b[31mcrash S1\x1b[0m\n\x1b[31magain\x1b[0m\n"
    );
    assert_eq!(paint("x\n", "vote"), paint("x\n", "vote"));
    assert_ne!(paint("x\n", "vote"), paint("x\n", "elect"));
}

/// Without `LAB_LOG` a line is not even put together.
#[test]
fn nothing_is_formatted_when_nobody_listens() {
    struct Never;
    impl std::fmt::Debug for Never {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("it was formatted");
        }
    }
    if std::env::var_os("LAB_LOG").is_some() || std::env::var_os("LAB_LOG_FILE").is_some() {
        return; // somebody listens
    }
    let outcome = labrt::sim::run(labrt::sim::Config::with_seed(1), || {
        tracing::error!(target: "vote", "{:?}", Never);
        labrt::println!("000000 VOTE S1 {:?}", Never);
    });
    outcome.result.unwrap();
}

/// Says something in the old way and in the new. Run by the test below.
#[test]
#[ignore = "it is run by another"]
fn logs_on_purpose() {
    lab("self", "a log", 0).ignored().run(|cluster| {
        labrt::println!("000012 VOTE S1 asks for votes in {}", 4);
        labrt::println!("000012 VOTE S2 grants one");
        tracing::info!(target: "vote", "counts them");
        tracing::info!("000013 TERM S1 is in 4");
        cluster.disconnect(ServerId(1));
    });
}

/// `LAB_LOG` chooses by topic and by server, also of lines in the old style; `LAB_LOG_FILE` takes them.
#[test]
fn the_log_is_filtered_and_goes_to_a_file() {
    let file = std::env::temp_dir().join(format!("labtester-{}.log", std::process::id()));
    let log = |topics: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["tester::logs_on_purpose", "--exact", "--ignored"]);
        command.env("LAB_SEED", "1").env("LAB_LOG", topics).env("LAB_LOG_FILE", &file);
        assert!(command.output().unwrap().status.success());
        let text = std::fs::read_to_string(&file).unwrap();
        text.lines().skip(1).map(|line| line[12..].trim().to_owned()).collect::<Vec<_>>()
    };
    let columns = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let found: Vec<String> = log("vote@S1,term").iter().map(|line| columns(line)).collect();
    assert_eq!(found, ["vote | asks for votes in 4 |", "term | is in 4 |"]);
    let found: Vec<String> = log("vote").iter().map(|line| columns(line)).collect();
    assert_eq!(
        found,
        ["vote | asks for votes in 4 |", "vote | | grants one", "vote == counts them"]
    );
    std::fs::remove_file(&file).unwrap();
}

// ---- what it reads ----

fn settings(variables: &[(&str, &str)]) -> Result<Settings, String> {
    let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
    Settings::read(variables).map_err(|error| error.to_string())
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
        ("LAB_SEARCH", "0", "it takes a number of runs, 1 or more"),
        ("LAB_DEVIATIONS", "few", "it takes how many choices are forced at most"),
        ("LAB_SHRINK", "0", "it takes `yes`, `no`, or a number of seconds"),
        ("LAB_VIEW", "off", "it takes `yes` or `no`"),
    ];
    for (variable, value, accepted) in wrong {
        let error = settings(&[(variable, value)]).unwrap_err();
        assert_eq!(error, format!("{variable}={value} is not understood: {accepted}"));
    }
}

#[test]
fn an_unknown_name_is_named() {
    let meant = [
        ("LAB_SEEDS", "LAB_SEED"),
        ("LAB_RUN", "LAB_RUNS"),
        ("LAB_LOGFILE", "LAB_LOG_FILE"),
        ("LAB_REPLY", "LAB_REPLAY"),
        ("LAB_TARCE", "LAB_TRACE"),
    ];
    for (name, meant) in meant {
        let error = settings(&[("LAB_RUNS", "3"), (name, "7")]).unwrap_err();
        assert_eq!(error, format!("{name}=7 is not understood: did you mean {meant}?"));
    }
    let error = settings(&[("LAB_MACHINES", "7")]).unwrap_err();
    assert_eq!(
        error,
        "LAB_MACHINES=7 is not understood: the tests read LAB_BACKEND, LAB_CHECK, LAB_CLOCK, \
         LAB_DEVIATIONS, LAB_LOG, LAB_LOG_FILE, LAB_RECORDS, LAB_REPLAY, LAB_RUNS, LAB_SEARCH, \
         LAB_SEED, LAB_SHRINK, LAB_SUPERVISOR, LAB_TRACE, LAB_VIEW; if it is not meant for them, \
         unset it"
    );
    // Whoever else's it is, and what is set to nothing.
    settings(&[("LABEL", "7"), ("SLAB_SEEDS", "7"), ("LAB_SEEDS", "")]).unwrap();
}

/// Said, and the test fails.
#[test]
fn a_variable_that_is_not_understood_fails_a_test() {
    for (name, value) in [("LAB_SEEDS", "3"), ("LAB_VIEW", "off")] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["raft_3A::initial_election", "--exact", "--nocapture"]);
        let output = run(command.env(name, value));
        let printed = String::from_utf8_lossy(&output.stderr);
        let said = format!("{name}={value} is not understood: ");
        assert!(printed.starts_with(&said) || printed.contains(&format!("\n{said}")), "{printed}");
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
    let read = |value| settings(&[("LAB_LOG", value)]).unwrap().log.unwrap().topics;
    assert_eq!(read("vote, rpc").to_string(), "vote,rpc");
    assert!(read("vote,all").include("rpc", &[]));
    assert!(!read("vote").include("rpc", &[]) && !read("vote").may_include("rpc"));
    assert!(read("VOTE").include("vote", &[]), "as older guides write it");
}

#[test]
fn a_topic_may_be_of_one_server() {
    let read = |value| settings(&[("LAB_LOG", value)]).unwrap().log.unwrap().topics;
    let topics = read("vote@S1,fault,@S2");
    assert!(topics.include("vote", &["S1"]) && !topics.include("vote", &["S0"]));
    assert!(topics.include("fault", &["main"]) && topics.include("apply", &["S2"]));
    // A message concerns both of its ends.
    assert!(
        read("rpc@S1").include("rpc", &["S0", "S1"]) && !read("rpc@S1").include("rpc", &["S0"])
    );
    assert!(read("all@S1").include("rpc", &["S1"]) && !read("all@S1").include("rpc", &["S0"]));
    for wrong in ["vote@", "vote,,fault", "@"] {
        let error = settings(&[("LAB_LOG", wrong)]).unwrap_err();
        assert_eq!(
            error,
            format!(
                "LAB_LOG={wrong} is not understood: it takes topics, servers, or both, as in \
                 `vote,fault@S1,@S2`; or `all`"
            )
        );
    }
}

/// A file for the log is enough: then all of it goes there.
#[test]
fn the_log_can_go_to_a_file() {
    let log = settings(&[("LAB_LOG_FILE", "run.log")]).unwrap().log.unwrap();
    assert_eq!((log.topics, log.file), (Topics::all(), Some("run.log".into())));
}

/// Whoever sweeps or looks closely need not wait; who wants to, can.
#[test]
fn runs_are_reduced_unless_somebody_is_busy() {
    let shrink = |variables: &[(&str, &str)]| settings(variables).unwrap().shrink;
    let usual = Some(Settings::SHRINK);
    assert_eq!((shrink(&[]), shrink(&[("LAB_SEED", "1")])), (usual, usual));
    let busy = [
        ("LAB_RUNS", "9"),
        ("LAB_RECORDS", "f"),
        ("LAB_LOG", "all"),
        ("LAB_CLOCK", "real"),
        ("LAB_SUPERVISOR", "stdin"),
    ];
    for busy in busy {
        assert_eq!(shrink(&[busy]), None);
        assert_eq!(shrink(&[busy, ("LAB_SHRINK", "yes")]), usual);
    }
    assert_eq!(shrink(&[("LAB_SHRINK", "no")]), None);
    assert_eq!(shrink(&[("LAB_SHRINK", "60")]), Some(Duration::from_mins(1)));
}

#[test]
fn a_supervisor_says_what_is_run() {
    let error = settings(&[("LAB_SUPERVISOR", "stdin"), ("LAB_REPLAY", "f")]).unwrap_err();
    let said = "LAB_REPLAY=f is not understood: LAB_SUPERVISOR says what is run";
    assert_eq!(error, said);
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

// ---- what servers show of themselves ----

/// A follower of T2 whose log has entries of these terms after nothing, the first `commit` committed.
fn view(terms: &[u64], commit: u64) -> RaftView {
    RaftView {
        term: Term(2),
        role: RoleView::Follower { leader: Some(S0) },
        voted_for: Some(S0),
        base: EntryId::default(),
        entries: terms.iter().map(|term| Term(*term)).collect(),
        commit: LogIndex(commit),
        applied: LogIndex(commit),
        followers: Vec::new(),
    }
}

fn leader(view: RaftView) -> RaftView {
    RaftView { role: RoleView::Leader, ..view }
}

/// Shows them one after the other, a second apart, and says what is wrong with the last one.
fn shows(views: &[(ServerId, RaftView)]) -> Option<Failure> {
    let mut history = Views::new(2);
    let mut outcome = Ok(());
    for (n, (server, view)) in (0..).zip(views) {
        let state = (view.term, view.role == RoleView::Leader);
        let known = (Some(ms(1000 * n)), &Applied::new(2));
        outcome.unwrap();
        outcome = history.saw((*server, 0), state, view.clone(), known, ms(1000 * n + 1));
    }
    outcome.err()
}

#[test]
fn the_five_properties_are_checked_from_look_to_look() {
    let title = |views: &[(ServerId, RaftView)]| shows(views).map(|failure| failure.title);
    let fine = [(S0, view(&[1, 1], 1)), (S0, view(&[1, 2, 2], 3)), (S1, view(&[1, 2], 2))];
    assert_eq!(title(&fine), None, "a follower replaces what is not committed");

    let replaced = [(S0, leader(view(&[1, 2], 0))), (S0, leader(view(&[1, 1], 0)))];
    assert_eq!(title(&replaced).as_deref(), Some("a leader changed its own log"));
    let shorter = [(S0, leader(view(&[1, 2], 0))), (S0, leader(view(&[1], 0)))];
    assert_eq!(title(&shorter).as_deref(), Some("a leader changed its own log"));

    let counted = [(S0, leader(view(&[1], 0))), (S0, leader(view(&[1], 1)))];
    let by_counting = Some("a leader committed an entry of an earlier term by counting");
    assert_eq!(title(&counted).as_deref(), by_counting);
    let rode = [(S0, leader(view(&[1, 2], 0))), (S0, leader(view(&[1, 2], 2)))];
    assert_eq!(title(&rode), None);

    let no_match = [(S0, view(&[1, 2], 0)), (S1, view(&[2, 2], 0))];
    assert_eq!(
        title(&no_match).as_deref(),
        Some("two logs share an entry but not the one before it")
    );
    let incomplete = [(S0, view(&[1, 1], 2)), (S1, leader(view(&[1], 0)))];
    assert_eq!(title(&incomplete).as_deref(), Some("a leader lacks a committed entry"));
    let two = [(S0, view(&[1, 1], 2)), (S1, view(&[1, 2], 2))];
    assert_eq!(
        title(&two).as_deref(),
        Some("two servers committed different entries at one index")
    );
    let back = [(S0, view(&[1, 1], 2)), (S0, view(&[1, 1], 1))];
    assert_eq!(title(&back).as_deref(), Some("the commit index went back"));
    let twice = [(S0, view(&[], 0)), (S0, RaftView { voted_for: Some(S1), ..view(&[], 0) })];
    assert_eq!(title(&twice).as_deref(), Some("a server changed its vote within a term"));
}

/// A report names both sides, and when.
#[test]
fn a_leader_that_lacks_an_entry_is_named_with_it() {
    let failure = shows(&[(S0, view(&[1, 1], 2)), (S1, leader(view(&[1], 0)))]).unwrap();
    assert_eq!(
        failure.happened,
        "S0 shows T1:i1 as committed, at 0.001 s; S1 leads T2 at 1.001 s, and has T1:i1"
            .replace("shows T1:i1", "shows T1:i2")
            .replace("has T1:i1", "has a log that ends at T1:i1")
    );
}

/// A view that contradicts what the server says is no evidence against it, and is named.
#[test]
fn a_wrong_view_is_not_held_against_a_right_server() {
    let mut history = Views::new(2);
    let applied = Applied::new(2);
    for n in 0..20 {
        // It leads T3, and shows a follower of T2 whose log changes at will.
        let view = view(if n % 2 == 0 { &[1, 1] } else { &[2, 2] }, 2);
        history.saw((S0, 0), (Term(3), true), view, (None, &applied), ms(10 * n)).unwrap();
    }
    let remarks = history.remarks();
    assert_eq!(
        remarks,
        [
            "view() contradicts get_state(): S0 shows T2, not leading, and says T3, leading, from 0.000 to \
          0.050 s; nothing that S0 shows was believed from then on"
        ]
    );
    history.nothing();
    assert!(history.remarks()[0].starts_with("Raft::view() shows nothing: not checked are "));
}

/// What a reply acknowledges was saved between the request and the reply, if nothing else was done
/// meanwhile.
#[test]
fn an_acknowledgement_comes_after_a_save() {
    let answer = |before: RaftView, after: RaftView, saves: u64| {
        let mut acks = Acks::new(2);
        acks.asked((S1, 0), 7, 5, Some(before));
        let outcome = acks.answered(S1, (7, S0), 5 + saves, Some(&after), ms(20));
        outcome.map_err(|failure| failure.title)
    };
    let no_vote = RaftView { voted_for: None, ..view(&[1], 0) };
    assert_eq!(
        answer(no_vote.clone(), view(&[1], 0), 0),
        Err("a vote was granted before it was saved".into())
    );
    assert_eq!(answer(no_vote, view(&[1], 0), 1), Ok(Some(Acknowledged::Vote(S0))));
    assert_eq!(
        answer(view(&[1], 0), view(&[1, 2], 0), 0),
        Err("entries were acknowledged before they were saved".into())
    );
    let entries = Acknowledged::Entries(id(2, 2));
    assert_eq!(answer(view(&[1], 0), view(&[1, 2], 0), 1), Ok(Some(entries)));
    // What is deleted is not acknowledged, nor what a leader appends.
    assert_eq!(answer(view(&[1, 1], 0), view(&[1], 0), 0), Ok(None));
    assert_eq!(answer(leader(view(&[1], 0)), leader(view(&[1, 2], 0)), 0), Ok(None));

    // With another request under way nobody can tell which of the two it was.
    let mut acks = Acks::new(2);
    acks.asked((S1, 0), 7, 5, Some(view(&[1], 0)));
    acks.asked((S1, 0), 8, 5, Some(view(&[1], 0)));
    for call in [7, 8] {
        assert_eq!(acks.answered(S1, (call, S0), 5, Some(&view(&[1, 2], 0)), ms(20)), Ok(None));
    }
}

// ---- a failing test, end to end ----

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
    let ignored = ["tester::is_not_written_on_purpose", "--exact", "--ignored"];
    let output = run(Command::new(binary).args(ignored));
    let report = report(&output);
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines[0], "part 9Z is not written yet");
    assert_eq!(lines[1], "  expected   let pigs fly (Figure 99)");
    assert!(lines[3].starts_with("  look at    tests/lab/tester.rs:"), "{report}");
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
    assert_eq!(besides.matches("tests/lab/tester.rs:").count(), 2, "{besides}");
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
    let test = ["tester::fails_after_crashes_at_saves_on_purpose", "--exact", "--ignored"];
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
    let test = ["tester::fails_by_two_faults_on_purpose", "--exact", "--ignored"];
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
    let other = ["tester::fails_on_purpose", "--exact", "--ignored"];
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
