//! What the tester prints: reports of failures, lines of passes, records.

use labtester::{Failure, Record, Seed, Verdict, pass_line};

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
