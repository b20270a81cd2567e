//! What the tester reads: the environment's variables.

use std::process::Command;
use std::time::Duration;

use labrt::sim::{Backend, Engine};
use labtester::{Seed, Seeds, Settings, Topics};

use crate::child::run;

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
