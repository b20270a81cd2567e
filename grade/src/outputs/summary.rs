//! Markdown, for the summary of a step of GitHub Actions, or anywhere.

use std::fmt::Write as _;

use super::{rounded, shown};
use crate::grade::Grade;

/// The file's text.
#[must_use]
pub fn markdown(grade: &Grade) -> String {
    let mut text = format!(
        "## {}: {} of {} points\n\n",
        escaped(&grade.submission),
        rounded(grade.score()),
        rounded(grade.max_score()),
    );
    if let Some(problem) = &grade.problem {
        let _ = writeln!(text, "**{}**\n\n{}", problem.title(), fenced(problem.text()));
        return text;
    }
    if !grade.complete {
        text.push_str("Not all tests have been run yet.\n\n");
    }
    text.push_str("| | test | seeds passed | points |\n| --- | --- | ---: | ---: |\n");
    let mut reports = String::new();
    for (part, tests) in shown(grade) {
        let (mut score, mut points) = (0.0, 0.0);
        for shown in tests {
            let how = shown.test;
            (score, points) = (score + how.score(), points + how.terms.points);
            let sign = match (how.graded, how.is_clean()) {
                (_, true) => "pass",
                (true, false) => "FAIL",
                (false, false) => "not run",
            };
            let _ = writeln!(
                text,
                "| {sign} | {} {} | {} of {} | {} of {} |",
                shown.number,
                escaped(&shown.title),
                how.passed(),
                how.terms.seeds,
                rounded(how.score()),
                rounded(how.terms.points),
            );
            if sign != "pass" && !shown.text.is_empty() {
                let _ =
                    writeln!(reports, "\n**{}**\n\n{}", escaped(&shown.name), fenced(&shown.text));
            }
        }
        let _ =
            writeln!(text, "| | **{part}** | | **{} of {}** |", rounded(score), rounded(points));
    }
    text + &reports
}

/// Text that Markdown takes as it is.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if c.is_ascii_punctuation() {
            escaped.push('\\');
        }
        escaped.push(if c.is_control() { ' ' } else { c });
    }
    escaped
}

/// A block that its contents cannot end: with a longer fence than any in them.
fn fenced(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}", text.trim_end())
}
