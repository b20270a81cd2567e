//! The one record of a submission's grading. Every output is a projection of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::binomial::upper_bound;
use labrecord::{Record, Verdict};
use serde::{Deserialize, Serialize};

use crate::confine::Confinement;
use crate::policy::Terms;
use crate::scan::Finding;

/// All that is known about one submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grade {
    /// What it is called.
    pub submission: String,
    /// A hash over the submission and all that decides its grade.
    pub key: String,
    /// Is nothing left to be done?
    pub complete: bool,
    /// Why it was not tested.
    pub problem: Option<Problem>,
    /// What of it staff should look at.
    pub findings: Vec<Finding>,
    /// What was handed in and not looked at: path, and why.
    pub ignored: BTreeMap<String, String>,
    /// What held its processes.
    pub confinement: Confinement,
    /// Seconds of wall time so far.
    pub seconds: f64,
    /// Is there a leaderboard?
    pub leaderboard: bool,
    /// In the order of the tests.
    pub tests: Vec<TestGrade>,
}

/// Why a submission was not tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "text", rename_all = "lowercase")]
pub enum Problem {
    /// It is no submission.
    Unreadable(String),
    /// The scan found what the policy rejects.
    Rejected(String),
    /// It does not compile.
    Uncompiled(String),
}

impl Problem {
    /// In a word or two.
    #[must_use]
    pub fn title(&self) -> &'static str {
        match self {
            Problem::Unreadable(_) => "not a submission",
            Problem::Rejected(_) => "rejected",
            Problem::Uncompiled(_) => "does not compile",
        }
    }

    /// In full.
    #[must_use]
    pub fn text(&self) -> &str {
        let (Problem::Unreadable(text) | Problem::Rejected(text) | Problem::Uncompiled(text)) =
            self;
        text
    }
}

/// How one test went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestGrade {
    /// What it is worth.
    pub terms: Terms,
    /// Has it been run?
    pub graded: bool,
    /// Why it was not run, if it was not to be.
    pub skipped: Option<String>,
    /// One for each seed.
    pub records: Vec<Record>,
    /// Something was sent that the tester does not send: all its records are void.
    pub forged: Option<String>,
    /// The end of what was printed by the last process that ended early.
    pub printed: String,
}

impl Grade {
    /// Points.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.tests.iter().map(TestGrade::score).sum()
    }

    /// Points that can be had.
    #[must_use]
    pub fn max_score(&self) -> f64 {
        self.tests.iter().map(|test| test.terms.points).sum()
    }

    /// Did the tester itself fail, in some run? That is no fault of the student's.
    #[must_use]
    pub fn needs_staff(&self) -> bool {
        let mut records = self.tests.iter().flat_map(|test| &test.records);
        records.any(|record| record.verdict == Verdict::Tester)
    }

    /// The parts in their order, each with its tests.
    #[must_use]
    pub fn parts(&self) -> Vec<(&str, Vec<&TestGrade>)> {
        let mut parts: Vec<(&str, Vec<&TestGrade>)> = Vec::new();
        for test in &self.tests {
            let part = &*test.terms.about.part;
            match parts.iter_mut().find(|(name, _)| *name == part) {
                Some((_, tests)) => tests.push(test),
                None => parts.push((part, vec![test])),
            }
        }
        parts
    }
}

impl TestGrade {
    /// Not run yet.
    #[must_use]
    pub fn new(terms: Terms) -> TestGrade {
        TestGrade {
            terms,
            graded: false,
            skipped: None,
            records: Vec::new(),
            forged: None,
            printed: String::new(),
        }
    }

    /// How many seeds passed.
    #[must_use]
    pub fn passed(&self) -> u64 {
        if self.forged.is_some() {
            return 0;
        }
        self.records.iter().filter(|record| record.verdict == Verdict::Pass).count() as u64
    }

    /// Points. Seeds without a record count as failed.
    #[must_use]
    pub fn score(&self) -> f64 {
        self.terms.points * self.terms.curve.share(self.passed(), self.terms.seeds)
    }

    /// Did every seed pass?
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.graded && self.passed() == self.terms.seeds
    }

    /// The first run that failed.
    #[must_use]
    pub fn first_failure(&self) -> Option<&Record> {
        self.records.iter().find(|record| record.verdict != Verdict::Pass)
    }

    /// How it went, for a reader.
    #[must_use]
    pub fn text(&self) -> String {
        if let Some(why) = &self.skipped {
            return why.clone();
        }
        if !self.graded {
            return "not run: grading ended before its turn".to_owned();
        }
        if let Some(what) = &self.forged {
            return format!("void: the tester did not write what came as its records ({what})");
        }
        let (passed, seeds) = (self.passed(), self.terms.seeds);
        let mut text = format!("{passed} of {seeds} seeds passed");
        if passed == seeds {
            let bound = 100.0 * upper_bound(0, seeds);
            let _ = write!(text, ": at 95 % confidence, fewer than {bound:.1} % of runs fail");
        }
        if let Some(report) = self.first_failure().and_then(|record| record.report.as_ref()) {
            let _ = write!(text, "\n\n{report}");
        }
        text
    }
}
