//! `result.json` of Classroom 50: schema `classroom50/result/v1`.

use serde::Serialize;

use super::shown;
use crate::grade::Grade;

/// What the autograder's environment says of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    classroom: String,
    assignment: String,
    assignment_type: String,
    owner: String,
    submission: String,
    commit: String,
    release: String,
    review: String,
    datetime: String,
}

#[derive(Serialize)]
struct Results<'a> {
    schema: &'static str,
    #[serde(flatten)]
    identity: &'a Identity,
    score: u64,
    #[serde(rename = "max-score")]
    max_score: u64,
    tests: Vec<Test>,
}

#[derive(Serialize)]
struct Test {
    #[serde(rename = "test-name")]
    name: String,
    passed: bool,
    score: u64,
    #[serde(rename = "max-score")]
    max_score: u64,
    message: String,
}

impl Identity {
    /// Reads the environment. `None`, if this is not Classroom 50; `datetime` is the instant of the
    /// graded commit, as `2026-11-25T20:00:00Z`.
    ///
    /// # Errors
    ///
    /// The name of a variable that is missing beside the others.
    pub fn read(
        lookup: impl Fn(&str) -> Option<String>,
        datetime: &str,
    ) -> Result<Option<Identity>, &'static str> {
        let get = |name: &'static str| lookup(name).filter(|value| !value.is_empty()).ok_or(name);
        if get("CLASSROOM").is_err() {
            return Ok(None);
        }
        let commit = get("COMMIT_URL")?;
        Ok(Some(Identity {
            classroom: get("CLASSROOM")?,
            assignment: get("ASSIGNMENT")?,
            assignment_type: get("ASSIGNMENT_TYPE").unwrap_or_else(|_| "individual".to_owned()),
            owner: get("OWNER").or_else(|_| get("USERNAME"))?,
            submission: get("SUBMISSION_TAG")?,
            release: get("RELEASE_URL")?,
            review: get("REVIEW_URL").unwrap_or_else(|_| commit.clone()),
            commit,
            datetime: datetime.to_owned(),
        }))
    }
}

/// The file's text. Its scores are integers, so each test's points are rounded down, and the total is
/// their sum.
///
/// # Panics
///
/// Never: such data has a form in JSON.
#[must_use]
pub fn results(grade: &Grade, identity: &Identity) -> String {
    let tests: Vec<Test> = shown(grade)
        .into_iter()
        .flat_map(|(_, tests)| tests)
        .map(|shown| Test {
            passed: shown.test.is_clean(),
            score: whole(shown.test.score()),
            max_score: whole(shown.test.terms.points),
            name: shown.name,
            message: shown.text,
        })
        .collect();
    let results = Results {
        schema: "classroom50/result/v1",
        identity,
        score: tests.iter().map(|test| test.score).sum(),
        max_score: tests.iter().map(|test| test.max_score).sum(),
        tests,
    };
    serde_json::to_string_pretty(&results).expect("plain data") + "\n"
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "points are small, and not negative"
)]
fn whole(points: f64) -> u64 {
    // A sum that is a hair below a whole number is that number.
    (points + 1e-9).floor() as u64
}
