//! What the tester says of services that do wrong. The service here is right, so each story makes
//! something look wrong, and must be failed for it.

use std::time::Duration;

use kvraft::Clerk;
use labrt::node::Node;
use labsystem::lab;
use labtester::{KvCluster, Lab};
use linearize::models::Kv;
use linearize::{Budget, Verdict, check, format};
use raftapi::{ServerId, SnapshotWrite};

use crate::child::{fails, report};

const LAB: Lab = lab("self", "a service that does wrong", 0).ignored().kv(None);

/// A clerk whose operations are in no history.
fn secret_clerk(kv: &KvCluster) -> Clerk {
    let node = Node::new("C999");
    let ends = kv.servers().map(|server| kv.network().end(&node, &server.to_string())).collect();
    node.run(|| Clerk::new(ends)).unwrap()
}

fn expect_report(test: &str, title: &str, phrases: &[&str]) -> String {
    let output = fails(&format!("tester_kv::{test}"));
    let report = report(&output);
    assert_eq!(report.lines().next(), Some(title), "{report}");
    for phrase in phrases {
        assert!(report.contains(phrase), "no {phrase:?} in {report}");
    }
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The clerk panics, on the story's own task.
#[test]
#[ignore = "it fails"]
fn has_a_clerk_that_panics() {
    LAB.run_kv(|kv| drop(kv.client_with(&[])));
}

#[test]
fn a_panic_of_the_students_is_not_the_testers() {
    expect_report("has_a_clerk_that_panics", "a clerk panicked", &["kvraft/src/clerk.rs:"]);
}

/// Every right answer has a place between others; the one of a write that nobody made has none.
#[test]
#[ignore = "it fails"]
fn answers_what_nobody_wrote() {
    LAB.run_kv(|kv| {
        let mut client = kv.client();
        client.put("x", "1");
        secret_clerk(kv).put("x", "2");
        client.get("x");
    });
}

/// The report names the operation that cannot fit; a picture and the history are beside it, and
/// the history says the same when it is read again.
#[test]
fn a_history_that_is_not_linearizable_is_explained_and_drawn() {
    let printed = expect_report(
        "answers_what_nobody_wrote",
        "what clients saw is not linearizable",
        &[r#"C0: get x → "2" cannot fit"#, r#"leaves x at "1"; the answer was "2""#],
    );
    let path = |what: &str| {
        let line = printed.lines().find_map(|line| line.strip_prefix(&format!("  {what:<10} ")));
        let line = line.unwrap_or_else(|| panic!("no {what} in {printed}"));
        // As a person in the workspace would type it.
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(line)
    };
    let picture = std::fs::read_to_string(path("picture")).unwrap();
    assert!(picture.starts_with("<!doctype html>") && picture.contains("cannot fit"));
    let history = std::fs::read_to_string(path("history")).unwrap();
    let history = format::parse(&Kv, &history).unwrap();
    assert!(matches!(check(&Kv, &history, Budget::default()), Verdict::NotLinearizable(_)));
}

#[test]
#[ignore = "it fails"]
fn is_checked_with_too_little_patience() {
    LAB.run_kv(|kv| {
        let clients: Vec<_> =
            (0..5).map(|n| kv.client().begin(move |c| c.append("x", &n.to_string()))).collect();
        clients.into_iter().for_each(labtester::kv::Begun::wait);
        kv.client().get("x");
        kv.expect_linearizable_within(Budget::of_steps(2));
    });
}

/// What was not found to be linearizable does not pass.
#[test]
fn a_check_that_is_cut_off_fails_the_test() {
    expect_report(
        "is_checked_with_too_little_patience",
        "the history could not be checked",
        &["6 operations, 2 steps"],
    );
}

#[test]
#[ignore = "it fails"]
fn has_a_client_that_reaches_nobody() {
    LAB.run_kv(|kv| {
        let mut client = kv.client();
        client.put("x", "1");
        client.reach(&[]);
        client.get("x");
    });
}

/// If all is well with the servers, operations end.
#[test]
fn an_operation_that_does_not_end_is_reported() {
    expect_report(
        "has_a_client_that_reaches_nobody",
        "an operation takes too long",
        &["within 10 s when all servers are up", "C0 called get x"],
    );
}

#[test]
#[ignore = "it fails"]
fn does_something_in_time() {
    LAB.run_kv(|kv| {
        let put = kv.client().begin(|client| client.put("x", "1"));
        kv.sleep(Duration::from_secs(2));
        kv.expect_under_way(&put, "a put");
    });
}

#[test]
fn a_minority_that_does_something_is_reported() {
    let phrases = ["a put of C0 ended"];
    expect_report("does_something_in_time", "a minority did something", &phrases);
}

#[test]
#[ignore = "it fails"]
fn gives_another_value() {
    LAB.run_kv(|kv| {
        let mut client = kv.client();
        client.put("x", "1");
        client.expect("x", "2");
    });
}

#[test]
fn a_wrong_value_is_reported() {
    let phrases = [r#"the value of "x" is "2""#, r#"C0 was answered "1""#];
    expect_report("gives_another_value", "a get returned a wrong value", &phrases);
}

#[test]
#[ignore = "it fails"]
fn loses_an_append() {
    LAB.run_kv(|kv| {
        kv.expect_once_and_in_order("ac", ["a", "b", "c"].map(String::from).into_iter());
    });
}

#[test]
#[ignore = "it fails"]
fn repeats_an_append() {
    LAB.run_kv(|kv| kv.expect_once_and_in_order("abb", ["a", "b"].map(String::from).into_iter()));
}

#[test]
#[ignore = "it fails"]
fn misplaces_an_append() {
    LAB.run_kv(|kv| kv.expect_once_and_in_order("ba", ["a", "b"].map(String::from).into_iter()));
}

#[test]
fn appends_that_are_lost_repeated_or_misplaced_are_reported() {
    let title = "an append was lost, repeated or misplaced";
    expect_report("loses_an_append", title, &[r#""b" is not in the value"#]);
    expect_report("repeats_an_append", title, &[r#""b" is in the value 2 times"#]);
    expect_report("misplaces_an_append", title, &[r#""b" stands before what the same client"#]);
}

#[test]
#[ignore = "it fails"]
fn saves_a_snapshot() {
    LAB.run_kv(|kv| {
        kv.persister(ServerId(1)).save(Vec::new(), SnapshotWrite::Replace(b"snapshot".to_vec()));
        kv.client().get("x");
    });
}

#[test]
#[ignore = "it fails"]
fn saves_too_much() {
    LAB.kv(Some(10)).run_kv(|kv| {
        kv.persister(ServerId(1)).save(vec![0; 1000], SnapshotWrite::Keep);
        kv.client().get("x");
    });
}

#[test]
fn what_is_saved_is_looked_at() {
    let title = "a snapshot, though there are to be none";
    expect_report("saves_a_snapshot", title, &["S1 saved one of 8 bytes"]);
    let phrases = ["never exceeds 80 bytes", "S1 saved 1000 bytes"];
    expect_report("saves_too_much", "the log is too large", &phrases);
}

#[test]
#[ignore = "it fails"]
fn is_slow() {
    LAB.run_kv(|kv| {
        kv.set_conditions(labrpc::Conditions {
            delay: labrpc::DelayRange::millis(6, 8),
            ..labrpc::Conditions::reliable()
        });
        kv.expect_speed(100);
    });
}

#[test]
fn slow_operations_are_reported() {
    expect_report("is_slow", "operations are slow", &["100 operations one after the other"]);
}

#[test]
#[ignore = "it fails"]
fn keeps_a_channel_each_millisecond() {
    LAB.run_kv(|kv| {
        labrt::thread::spawn(|| {
            let mut kept = Vec::new();
            loop {
                kept.push(labrt::channel::unbounded::<()>());
                labrt::time::sleep(Duration::from_millis(1));
            }
        });
        kv.expect_speed(100);
    });
}

#[test]
fn a_leak_of_what_requests_wait_for_is_reported() {
    let title = "servers keep what requests waited for";
    expect_report("keeps_a_channel_each_millisecond", title, &["after 100 operations there are 1"]);
}

/// Forty clients ask as often as one without patience.
#[test]
#[ignore = "it fails"]
fn asks_very_often() {
    LAB.run_kv(|kv| {
        kv.expect_settled_leader();
        for _ in 0..40 {
            drop(kv.client().begin(|client| {
                loop {
                    client.get("x");
                }
            }));
        }
        kv.expect_few_requests_without_a_leader();
    });
}

#[test]
fn clients_without_patience_are_reported() {
    expect_report("asks_very_often", "too many requests without a leader", &["at most 1000"]);
}
