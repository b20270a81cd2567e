//! `results.json` of a Gradescope autograder.

use serde::Serialize;
use serde_json::{Value, json};

use super::{rounded, shown};
use crate::grade::{Grade, TestGrade};

#[derive(Serialize)]
struct Results {
    /// Seconds.
    execution_time: f64,
    output: String,
    output_format: &'static str,
    stdout_visibility: &'static str,
    tests: Vec<Test>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    leaderboard: Vec<Value>,
    /// Only staff see it.
    extra_data: Value,
}

#[derive(Serialize)]
struct Test {
    score: f64,
    max_score: f64,
    status: &'static str,
    name: String,
    number: String,
    output: String,
    output_format: &'static str,
    tags: Vec<String>,
    visibility: &'static str,
}

/// The file's text.
///
/// A hidden test keeps its name here, since Gradescope itself hides it; and with it the total.
///
/// # Panics
///
/// Never: such data has a form in JSON.
#[must_use]
pub fn results(grade: &Grade) -> String {
    let tests = shown(grade).into_iter().flat_map(|(part, tests)| {
        tests.into_iter().map(move |shown| {
            let TestGrade { terms, .. } = shown.test;
            Test {
                score: rounded(shown.test.score()),
                max_score: rounded(terms.points),
                status: if shown.test.is_clean() { "passed" } else { "failed" },
                name: format!("{}: {}", terms.about.test, terms.about.title),
                number: shown.number,
                output: shown.test.text(),
                output_format: "text",
                tags: vec![part.to_owned()],
                visibility: if terms.hidden { "hidden" } else { "visible" },
            }
        })
    });
    let output = match &grade.problem {
        Some(problem) => format!("{}\n\n{}", problem.title(), problem.text()),
        None if grade.needs_staff() => {
            "The tester itself failed in some run. Please tell the staff.".to_owned()
        }
        None if grade.complete => String::new(),
        None => "The grading ended before all tests were run.".to_owned(),
    };
    let results = Results {
        execution_time: rounded(grade.seconds),
        output,
        output_format: "text",
        stdout_visibility: "hidden",
        tests: tests.collect(),
        leaderboard: leaderboard(grade),
        extra_data: json!({
            "findings": grade.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "ignored": grade.ignored,
            "confinement": grade.confinement,
        }),
    };
    serde_json::to_string_pretty(&results).expect("plain data") + "\n"
}

/// Requests and bytes of all runs: of those who pass everything, since doing nothing costs nothing.
fn leaderboard(grade: &Grade) -> Vec<Value> {
    if !grade.leaderboard || !grade.complete || !grade.tests.iter().all(TestGrade::is_clean) {
        return Vec::new();
    }
    let records = || grade.tests.iter().flat_map(|test| &test.records);
    let rpcs: u64 = records().map(|record| record.rpcs).sum();
    let bytes: u64 = records().map(|record| record.bytes).sum();
    vec![
        json!({"name": "Requests", "value": rpcs, "order": "asc"}),
        json!({"name": "Bytes", "value": bytes, "order": "asc"}),
    ]
}
