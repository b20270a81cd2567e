//! What came of one patch, and where that is kept.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What came of running all tests on one patch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Some tests failed; the soonest comes first.
    Failed { failed: Vec<Failed>, kill: Kill },
    /// No test failed on so many seeds.
    Passed { seeds: u64 },
    /// No test had failed when the time was over; each had passed so many seeds.
    OutOfTime { seeds: u64 },
    /// The patch does not apply, or does not compile.
    NotRun { problem: String },
}

/// A test that failed, and how soon.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failed {
    /// `raft_3A::re_election`.
    pub(crate) test: String,
    /// It failed on the so-manieth seed.
    pub(crate) seeds: u64,
    /// On so many of `runs` seeds it failed.
    pub(crate) failures: u64,
    pub(crate) runs: u64,
    /// The first of these.
    pub(crate) seed: String,
    /// Of this test's runs up to that one, on their own clocks; the same on every machine.
    pub(crate) virtual_seconds: f64,
    /// On one core.
    pub(crate) wall_seconds: f64,
    /// `safety`, `liveness`, ...
    pub(crate) verdict: String,
    /// What it said.
    pub(crate) title: String,
}

/// What it takes to see the first failure, if every test is run on its first seed, then every one on
/// its second, and so on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Kill {
    /// The test that fails.
    pub(crate) test: String,
    /// Seeds of each test.
    pub(crate) seeds: u64,
    /// Of all runs until then, on their own clocks; the same on every machine.
    pub(crate) virtual_seconds: f64,
    /// On one core.
    pub(crate) wall_seconds: f64,
}

impl Outcome {
    /// Is it what it should be for a wrong, or a right, one?
    pub(crate) fn is_right_for(&self, wrong: bool) -> bool {
        match self {
            Outcome::Failed { .. } => wrong,
            Outcome::Passed { .. } => !wrong,
            Outcome::OutOfTime { .. } | Outcome::NotRun { .. } => false,
        }
    }

    /// Has torture a part in it?
    pub(crate) fn is_of_torture(&self) -> bool {
        match self {
            Outcome::Failed { kill, .. } => kill.test.starts_with("torture"),
            Outcome::Passed { .. } | Outcome::OutOfTime { .. } => true,
            Outcome::NotRun { .. } => false,
        }
    }

    /// What it took to see the first failure.
    pub(crate) fn kill(&self) -> Option<&Kill> {
        match self {
            Outcome::Failed { kill, .. } => Some(kill),
            _ => None,
        }
    }

    pub(crate) fn word(&self, wrong: bool) -> &'static str {
        match self {
            Outcome::Failed { .. } if wrong => "caught",
            Outcome::Failed { .. } => "FAILED",
            Outcome::Passed { .. } if wrong => "NOT CAUGHT",
            Outcome::Passed { .. } => "passed",
            Outcome::OutOfTime { .. } => "OUT OF TIME",
            Outcome::NotRun { .. } => "NOT RUN",
        }
    }
}

/// A result as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    key: String,
    runs: u64,
    #[serde(flatten)]
    outcome: Outcome,
}

/// The kept result, if it is of these sources and this patch, and answers for so many seeds.
pub(crate) fn read(file: &Path, key: impl Fn(&Outcome) -> String, runs: u64) -> Option<Outcome> {
    let kept: Kept = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    let answers = match &kept.outcome {
        // What failed within so many seeds fails within more.
        Outcome::Failed { failed, .. } => failed.first().is_some_and(|first| first.seeds <= runs),
        Outcome::Passed { seeds } => *seeds >= runs,
        Outcome::OutOfTime { .. } | Outcome::NotRun { .. } => false,
    };
    (answers && kept.key == key(&kept.outcome)).then_some(kept.outcome)
}

/// What was known last, of whichever sources.
pub(crate) fn read_any(file: &Path) -> Option<Outcome> {
    let kept: Kept = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    Some(kept.outcome)
}

/// Keeps a result. Not being able to costs time later, and nothing else.
pub(crate) fn write(file: &Path, key: &str, runs: u64, outcome: &Outcome) {
    let kept = Kept { key: key.to_owned(), runs, outcome: outcome.clone() };
    let text = serde_json::to_string_pretty(&kept).unwrap_or_default();
    if let Err(error) = fs::write(file, text) {
        eprintln!("{}: {error}", file.display());
    }
}
