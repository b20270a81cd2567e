//! What is written of a grade, against the published descriptions of each format.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;
#[path = "common/schema.rs"]
mod schema;

use std::collections::BTreeMap;
use std::time::Duration;

use grade::confine::Confinement;
use grade::grade::{Grade, Problem, TestGrade};
use grade::outputs::{classroom50, csv, gradescope, junit, summary};
use grade::policy::{Curve, Terms};
use grade::scan::{Finding, Kind};
use grade::trial::no_record;
use labrecord::{About, Record, Seed, Verdict};
use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use schema::faults;
use serde_json::{Value, json};

/// What ends blocks and lines in one format or another.
const NASTY: &str = "]]></failure> ```` \u{1} <b> | $X ::set-output\n=1+1";

fn about(test: &str, part: &str, points: u32) -> About {
    let title = format!("the title of {test}");
    About { test: test.to_owned(), lab: "raft".to_owned(), part: part.to_owned(), title, points }
}

fn test(about: About, passed: u64, hidden: bool, curve: Curve) -> TestGrade {
    let seeds = 4;
    let records = (0..seeds).map(|n| {
        let mut record: Record = no_record(&about, Seed(n), NASTY);
        (record.rpcs, record.bytes, record.wall_seconds) = (10, 1000, 0.25);
        if n < passed {
            (record.verdict, record.report, record.signature) = (Verdict::Pass, None, None);
        }
        record
    });
    let records = records.collect();
    let points = f64::from(about.points);
    let terms = Terms { about, points, seeds, curve, hidden };
    TestGrade { graded: true, records, ..TestGrade::new(terms) }
}

/// A submission that passes one test, half of another, and not a hidden one; two are not run.
fn grade() -> Grade {
    let half = Curve::Slope { from: 0.0, power: 1.0 };
    let mut not_run = test(about("raft_3B::d", "3B", 7), 0, false, Curve::All);
    (not_run.graded, not_run.records) = (false, Vec::new());
    let mut skipped = test(about("kvraft_4A::e", "4A", 5), 0, false, Curve::All);
    (skipped.graded, skipped.records) = (false, Vec::new());
    skipped.skipped = Some("kvraft/src was not handed in".to_owned());
    Grade {
        submission: "ada".to_owned(),
        key: "0123".to_owned(),
        complete: false,
        problem: None,
        findings: vec![Finding {
            file: "raft/src/lib.rs".to_owned(),
            line: 3,
            kind: Kind::Static,
            what: "static".to_owned(),
        }],
        ignored: BTreeMap::new(),
        confinement: Confinement::default(),
        seconds: 12.345_678,
        leaderboard: true,
        tests: vec![
            test(about("raft_3A::a", "3A", 5), 4, false, Curve::All),
            test(about("raft_3A::b", "3A", 5), 2, false, half),
            test(about("raft_3B::c", "3B", 20), 3, true, Curve::All),
            not_run,
            skipped,
        ],
    }
}

/// One that passes everything.
fn perfect() -> Grade {
    let mut grade = grade();
    grade.tests.truncate(1);
    grade.complete = true;
    grade
}

/// One that is not run at all.
fn rejected() -> Grade {
    let mut grade = grade();
    grade.tests.iter_mut().for_each(|test| (test.graded, test.records) = (false, Vec::new()));
    (grade.complete, grade.problem) = (true, Some(Problem::Rejected(NASTY.to_owned())));
    grade
}

fn all() -> [Grade; 3] {
    [grade(), perfect(), rejected()]
}

fn read(schema: &str) -> Value {
    serde_json::from_str(schema).unwrap()
}

// ---- Gradescope ----

#[test]
fn gradescope_results_are_what_its_documentation_says() {
    let schema = read(include_str!("schemas/gradescope.json"));
    for grade in all() {
        let results = read(&gradescope::results(&grade));
        assert_eq!(faults(&schema, &results), [""; 0], "{results:#}");
        let scores = results["tests"].as_array().unwrap().iter();
        let sum: f64 = scores.map(|test| test["score"].as_f64().unwrap()).sum();
        assert!((sum - grade.score()).abs() < 0.01);
    }
    let results = read(&gradescope::results(&grade()));
    let tests = &results["tests"];
    assert_eq!(tests[0]["status"], "passed");
    assert_eq!((&tests[1]["score"], &tests[1]["status"]), (&json!(2.5), &json!("failed")));
    assert_eq!((&tests[1]["number"], &tests[2]["number"]), (&json!("3A.2"), &json!("3B.1")));
    assert_eq!(tests[2]["visibility"], "hidden");
    assert_eq!(tests[4]["output"], "kvraft/src was not handed in");
    assert!(results.get("leaderboard").is_none());
    let board = read(&gradescope::results(&perfect()))["leaderboard"].clone();
    assert_eq!(board[0], json!({"name": "Requests", "value": 40, "order": "asc"}));
}

#[test]
fn the_schemas_find_faults() {
    let schema = read(include_str!("schemas/gradescope.json"));
    let mut results = read(&gradescope::results(&grade()));
    results["tests"][0]["visibility"] = json!("secret");
    results["tests"][1].as_object_mut().unwrap().remove("score");
    results["scores"] = json!(3);
    results["execution_time"] = json!("12 s");
    assert_eq!(faults(&schema, &results).len(), 4, "{:?}", faults(&schema, &results));

    let schema = read(include_str!("schemas/classroom50.json"));
    let mut results = read(&classroom50::results(&grade(), &identity()));
    results["score"] = json!(7.5);
    results["datetime"] = json!("2026-11-25 20:00:00");
    results["tests"][0]["score"] = json!(-1);
    results["submission"] = json!("v1");
    assert_eq!(faults(&schema, &results).len(), 4, "{:?}", faults(&schema, &results));
}

// ---- Classroom 50 ----

fn environment(name: &str) -> Option<String> {
    let variables = [
        ("CLASSROOM", "cs6840"),
        ("ASSIGNMENT", "raft"),
        ("ASSIGNMENT_TYPE", "group"),
        ("OWNER", "ada"),
        ("SUBMISSION_TAG", "submit/20261125T200000Z-abcdef0"),
        ("COMMIT_URL", "https://example.org/commit"),
        ("RELEASE_URL", "https://example.org/release"),
    ];
    let found = variables.iter().find(|(variable, _)| *variable == name);
    found.map(|(_, value)| (*value).to_owned())
}

fn identity() -> classroom50::Identity {
    classroom50::Identity::read(environment, "2026-11-25T20:00:00Z").unwrap().unwrap()
}

#[test]
fn classroom50_results_are_of_its_schema() {
    let schema = read(include_str!("schemas/classroom50.json"));
    for grade in all() {
        let results = read(&classroom50::results(&grade, &identity()));
        assert_eq!(faults(&schema, &results), [""; 0], "{results:#}");
        assert!(results["score"].as_u64() <= results["max-score"].as_u64());
        for test in results["tests"].as_array().unwrap() {
            assert!(test["score"].as_u64() <= test["max-score"].as_u64());
        }
    }
    let results = read(&classroom50::results(&grade(), &identity()));
    // 5, and 2.5 rounded down.
    assert_eq!((&results["score"], &results["max-score"]), (&json!(7), &json!(42)));
    // Whatever is in there can be read by students.
    assert_eq!(results["tests"][2]["test-name"], "hidden 3B.1");
    assert_eq!(results["tests"][2]["message"], "");
    assert!(!results.to_string().contains("raft_3B::c"));
}

#[test]
fn without_classroom50_there_is_no_identity() {
    assert_eq!(classroom50::Identity::read(|_| None, ""), Ok(None));
    let without = |missing: &'static str| {
        let lookup = |name: &str| environment(name).filter(|_| name != missing);
        classroom50::Identity::read(lookup, "").unwrap_err()
    };
    assert_eq!([without("ASSIGNMENT"), without("RELEASE_URL")], ["ASSIGNMENT", "RELEASE_URL"]);
}

// ---- JUnit ----

#[test]
fn junit_is_read_back() {
    for grade in all() {
        let text = junit::report(&grade);
        let report = Report::deserialize_from_str(&text).unwrap();
        assert_eq!(report.tests, grade.tests.len(), "{text}");
        assert_eq!(report.test_suites.len(), grade.parts().len());
        assert!(!text.contains('\u{1}'));
    }
    let report = Report::deserialize_from_str(&junit::report(&grade())).unwrap();
    assert_eq!((report.failures, report.errors), (2, 2));
    let suite = &report.test_suites[0];
    assert_eq!((suite.name.as_str(), suite.tests, suite.failures), ("3A", 2, 1));
    assert_eq!(suite.test_cases[0].name.as_str(), "raft_3A::a");
    assert_eq!(suite.test_cases[0].time, Some(Duration::from_secs(1)));
    let TestCaseStatus::NonSuccess { kind, message, ty, description, .. } =
        &suite.test_cases[1].status
    else {
        panic!("it failed")
    };
    assert_eq!((*kind, ty.as_ref().unwrap().as_str()), (NonSuccessKind::Failure, "missing"));
    assert_eq!(message.as_ref().unwrap().as_str(), "2 of 4 seeds");
    assert!(description.as_ref().unwrap().as_str().contains("LAB_SEED=0x2 cargo test raft_3A::b"));
    assert!(!junit::report(&grade()).contains("raft_3B::c"));
}

// ---- Markdown and CSV ----

#[test]
fn a_summary_is_a_table_and_reports_in_blocks() {
    let text = summary::markdown(&grade());
    assert!(text.starts_with("## ada: 7.5 of 42 points\n"), "{text}");
    assert!(
        text.contains("| pass | 3A.1 the title of raft\\_3A\\:\\:a | 4 of 4 | 5 of 5 |\n"),
        "{text}"
    );
    assert!(text.contains("| FAIL | 3B.1 hidden 3B\\.1 | 3 of 4 | 0 of 20 |\n"), "{text}");
    assert!(text.contains("| not run | 3B.2 "), "{text}");
    // A fence that the report cannot end.
    assert!(text.contains("\n`````text\n2 of 4 seeds passed\n"), "{text}");
    assert!(!text.contains("raft_3B::c") && !text.contains("raft\\_3B\\:\\:c"), "{text}");
    let text = summary::markdown(&rejected());
    assert!(text.contains("**rejected**\n\n`````text\n"), "{text}");
}

#[test]
fn a_line_of_csv_for_each_submission() {
    let mut formula = grade();
    formula.submission = "=cmd(\"x\"),1".to_owned();
    formula.tests[1].records[3].verdict = Verdict::Tester;
    let text = csv::table(&[grade(), rejected(), formula]);
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert_eq!(
        lines,
        [
            "submission,score,max_score,complete,problem,findings,needs_staff,3A,3B,4A,raft_3A::a,raft_3A::b,\
             raft_3B::c,raft_3B::d,kvraft_4A::e",
            "ada,7.5,42,false,,1,false,7.5,0,0,5,2.5,0,0,0",
            "ada,0,42,true,rejected,1,false,0,0,0,0,0,0,0,0",
            "\"'=cmd(\"\"x\"\"),1\",7.5,42,false,,1,true,7.5,0,0,5,2.5,0,0,0",
        ]
    );
}

/// A failure of the harness is not passed over, and what passing seeds prove is said.
#[test]
fn students_are_told_what_seeds_prove_and_of_a_tester_that_failed() {
    let mut grade = perfect();
    let proved = "4 of 4 seeds passed: at 95 % confidence, fewer than 52.7 % of runs fail";
    assert_eq!(grade.tests[0].text(), proved);
    assert!(!grade.needs_staff());
    grade.tests[0].records[0].verdict = Verdict::Tester;
    assert!(grade.needs_staff());
    assert!(gradescope::results(&grade).contains("The tester itself failed in some run"));
}

#[test]
fn forged_records_are_void() {
    let mut grade = perfect();
    grade.tests[0].forged = Some("a line that the tester did not write".to_owned());
    assert!(grade.score() < 1e-9);
    assert!(grade.tests[0].text().starts_with("void: "), "{}", grade.tests[0].text());
}
