//! Mistakes in the program are no network trouble: they end the run, and name both sides.

mod common;

use std::time::Duration;

use common::{Length, Name, pair};
use labrpc::{Conditions, Network, Rpc, Service};
use labrt::{
    node::Node,
    sim::{self, Config, Failure, FailureKind},
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

#[track_caller]
fn failure(story: impl FnOnce() + Send + 'static) -> Failure {
    let failure = sim::run(Config::with_seed(1), story).result.expect_err("the run must fail");
    assert_eq!(failure.kind, FailureKind::Panic, "{failure}");
    failure
}

#[track_caller]
fn assert_says(failure: &Failure, line: u32, message: &str) {
    assert!(failure.message.contains(message), "{}", failure.message);
    let place = format!("mistakes.rs:{line}");
    assert!(failure.message.contains(&place), "not at line {line}: {}", failure.message);
}

#[test]
fn an_unknown_method_is_named_with_what_there_is() {
    let line = line!() + 2;
    let failure = failure(|| {
        let _ = pair().end.call(&Unknown);
    });
    assert_says(
        &failure,
        line,
        "C0 called Junk.Unknown of S0 with a mistakes::Unknown, but the server answers only \
         Junk.Name, Junk.Length, Junk.Sleep",
    );
}

#[test]
fn an_empty_service_is_named() {
    let line = line!() + 5;
    let failure = failure(|| {
        let network = Network::new();
        let node = Node::new("S1");
        network.serve(&node, Service::new());
        let _ = network.end(&node, "S1").call(&Name(1));
    });
    assert_says(
        &failure,
        line,
        "S1 called Junk.Name of S1 with a mistakes::common::Name, but the server's service is \
         empty",
    );
}

#[test]
fn an_undecodable_request_names_both_types() {
    let line = line!() + 2;
    let failure = failure(|| {
        let _ = pair().end.call(&WrongName { text: Some("hello".to_owned()) });
    });
    assert_says(
        &failure,
        line,
        "C0 called Junk.Name of S0 with a mistakes::WrongName, but the server's handler takes a \
         mistakes::common::Name and cannot read it: 6 bytes are left over",
    );
}

#[test]
fn an_undecodable_reply_names_both_types() {
    let line = line!() + 2;
    let failure = failure(|| {
        let _ = pair().end.call(&WrongLength("hello".to_owned()));
    });
    assert_says(
        &failure,
        line,
        "C0 called Junk.Length of S0 with a mistakes::WrongLength, but cannot read the reply as a \
         core::option::Option<[u64; 4]>: expected 0 or 1 of an option, got 5",
    );
}

/// Nobody waits for these, so they fail where they arrive.
#[test]
fn late_mistakes_fail_the_run_too() {
    fn late(call: impl FnOnce(&labrpc::ClientEnd) + Send + 'static) -> Failure {
        failure(move || {
            let pair = pair();
            pair.network.set_conditions(Conditions::reliable().with_late_requests(1.0));
            call(&pair.end);
            time::sleep(Duration::from_secs(10));
        })
    }
    let unknown = late(|end| assert!(end.call(&Unknown).is_err()));
    let message = "C0 called Junk.Unknown of S0, but the server answers only Junk.Name";
    assert!(unknown.message.contains(message), "{unknown}");

    let undecodable = late(|end| assert!(end.call(&WrongName { text: None }).is_ok()));
    assert!(undecodable.message.contains("is_ok"), "{undecodable}");
    let undecodable =
        late(|end| assert!(end.call(&WrongName { text: Some(String::new()) }).is_err()));
    let message = "C0 called Junk.Name of S0, but the server's handler takes a";
    assert!(undecodable.message.contains(message), "{undecodable}");
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
