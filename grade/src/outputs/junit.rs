//! JUnit XML, of the kind that cargo-nextest writes.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::shown;
use crate::grade::Grade;

/// The file's text: a suite for each part.
#[must_use]
pub fn report(grade: &Grade) -> String {
    let mut report = Report::new(format!("raftlab: {}", grade.submission));
    for (part, tests) in shown(grade) {
        let mut suite = TestSuite::new(part);
        for shown in tests {
            let mut status = if shown.test.is_clean() {
                TestCaseStatus::success()
            } else if shown.test.graded {
                TestCaseStatus::non_success(NonSuccessKind::Failure)
            } else {
                TestCaseStatus::non_success(NonSuccessKind::Error)
            };
            if !shown.test.is_clean() {
                let first = shown.test.first_failure();
                let verdict = first.map(|record| format!("{:?}", record.verdict).to_lowercase());
                status.set_type(verdict.unwrap_or_else(|| "missing".to_owned()));
                let problem = grade.problem.as_ref().map(|problem| problem.title().to_owned());
                let passed = format!("{} of {} seeds", shown.test.passed(), shown.test.terms.seeds);
                status.set_message(problem.unwrap_or(passed));
                status.set_description(shown.text);
            }
            let mut case = TestCase::new(shown.name, status);
            case.set_classname("lab");
            let seconds = shown.test.records.iter().map(|record| record.wall_seconds).sum();
            case.set_time(Duration::try_from_secs_f64(seconds).unwrap_or_default());
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    report.to_string().unwrap_or_default() + "\n"
}
