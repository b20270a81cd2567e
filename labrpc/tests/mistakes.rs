//! Mistakes in the program are no network trouble: they end the run, and name both sides.

mod common;

use std::time::Duration;

use common::{Length, Name, pair};
use labrpc::{Conditions, DelayRange, Network, Rpc, Service};
use labrt::{
    node::Node,
    sim::{self, Config, Engine, Failure, FailureKind},
    time,
};
use serde::{Deserialize, Serialize};

/// The same method as `Name`, with other types.
#[derive(Serialize, Deserialize)]
struct WrongName {
    text: Option<String>,
}

impl Rpc for WrongName {
    const METHOD: &'static str = "Junk.Name";
    type Reply = String;
}

/// The same method and request as `Length`, with another reply.
#[derive(Serialize, Deserialize)]
struct WrongLength(String);

impl Rpc for WrongLength {
    const METHOD: &'static str = "Junk.Length";
    type Reply = Option<[u64; 4]>;
}

#[derive(Serialize, Deserialize)]
struct Unknown;

impl Rpc for Unknown {
    const METHOD: &'static str = "Junk.Unknown";
    type Reply = ();
}

/// How the story fails on each engine.
#[track_caller]
fn failures(story: impl Fn() + Clone + Send + 'static) -> [Failure; 2] {
    [Engine::Simulated, Engine::Real].map(|engine| {
        let time_limit = Some(Duration::from_mins(5));
        let config = Config { engine, time_limit, ..Config::with_seed(1) };
        let failure = sim::run(config, story.clone()).result.expect_err("the run must fail");
        assert_eq!(failure.kind, FailureKind::Panic, "{failure}");
        failure
    })
}

#[track_caller]
fn assert_says(failures: &[Failure], line: u32, message: &str) {
    for failure in failures {
        assert!(failure.message.contains(message), "{}", failure.message);
        let place = format!("mistakes.rs:{line}");
        assert!(failure.message.contains(&place), "not at line {line}: {}", failure.message);
    }
}

/// Reports call a handler's task by its method, and say where the handler was given.
#[test]
fn a_panic_in_a_handler_names_the_method_and_the_line() {
    let line = line!() + 5;
    let failures = failures(|| {
        let network = Network::new();
        let server = Node::new("S2");
        let service =
            Service::new().on(|Name(n)| panic!("{n} has no name")).and(Service::default());
        network.serve(&server, service);
        let _ = network.end(&Node::new("C0"), "S2").call(&Name(13));
    });
    for failure in failures {
        let report = failure.to_string();
        let place = format!(" 'Junk.Name' (S2, spawned at labrpc/tests/mistakes.rs:{line})");
        assert!(report.contains(&place), "{report}");
        assert!(report.contains("13 has no name"), "{report}");
    }
}

#[test]
fn an_unknown_method_is_named_with_what_there_is() {
    let line = line!() + 2;
    let failures = failures(|| {
        let _ = pair().end.call(&Unknown);
    });
    assert_says(
        &failures,
        line,
        "C0 called Junk.Unknown of S0 with a mistakes::Unknown, but the server answers only \
         Junk.Name, Junk.Length, Junk.Sleep",
    );
}

#[test]
fn an_empty_service_is_named() {
    let line = line!() + 5;
    let failures = failures(|| {
        let network = Network::new();
        let node = Node::new("S1");
        network.serve(&node, Service::new());
        let _ = network.end(&node, "S1").call(&Name(1));
    });
    assert_says(
        &failures,
        line,
        "S1 called Junk.Name of S1 with a mistakes::common::Name, but the server's service is \
         empty",
    );
}

#[test]
fn an_undecodable_request_names_both_types() {
    let line = line!() + 2;
    let failures = failures(|| {
        let _ = pair().end.call(&WrongName { text: Some("hello".to_owned()) });
    });
    assert_says(
        &failures,
        line,
        "C0 called Junk.Name of S0 with a mistakes::WrongName, but the server's handler takes a \
         mistakes::common::Name and cannot read it: 6 bytes are left over",
    );
}

#[test]
fn an_undecodable_reply_names_both_types() {
    let line = line!() + 2;
    let failures = failures(|| {
        let _ = pair().end.call(&WrongLength("hello".to_owned()));
    });
    assert_says(
        &failures,
        line,
        "C0 called Junk.Length of S0 with a mistakes::WrongLength, but cannot read the reply as a \
         core::option::Option<[u64; 4]>: expected 0 or 1 of an option, got 5",
    );
}

/// Nobody waits for these, so they fail where they arrive.
#[test]
fn late_mistakes_fail_the_run_too() {
    fn assert_late(call: impl Fn(&labrpc::ClientEnd) + Clone + Send + 'static, message: &str) {
        let failures = failures(move || {
            let pair = pair();
            pair.network.set_conditions(Conditions {
                late_request: 1.0,
                late_request_delay: DelayRange::millis(50, 100),
                ..Conditions::reliable()
            });
            call(&pair.end);
            time::sleep(Duration::from_mins(4));
        });
        for failure in failures {
            assert!(failure.message.contains(message), "{failure}");
        }
    }
    assert_late(
        |end| assert!(end.call(&Unknown).is_err()),
        "C0 called Junk.Unknown of S0, but the server answers only Junk.Name",
    );
    assert_late(|end| assert!(end.call(&WrongName { text: None }).is_ok()), "is_ok");
    assert_late(
        |end| assert!(end.call(&WrongName { text: Some(String::new()) }).is_err()),
        "C0 called Junk.Name of S0, but the server's handler takes a",
    );
}

#[test]
#[should_panic(expected = "Junk.Length has two handlers")]
fn two_handlers_for_one_method() {
    let _ = Service::new().on(|Length(_)| 1).and(Service::new().on(|Length(_)| 2));
}

/// Types are checked where the handler is given, at the student's line.
#[test]
fn a_reply_of_the_wrong_type_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/mistakes/wrong_reply.rs");
    cases.compile_fail("tests/mistakes/wrong_use_of_reply.rs");
}
