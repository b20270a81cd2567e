//! One line a submission, for a spreadsheet.

use super::rounded;
use crate::grade::{Grade, TestGrade};

/// The file's text. All grades are of the same tests.
#[must_use]
pub fn table(grades: &[Grade]) -> String {
    let Some(first) = grades.first() else { return String::new() };
    let parts = first.parts();
    let mut header =
        vec!["submission", "score", "max_score", "complete", "problem", "findings", "needs_staff"];
    header.extend(parts.iter().map(|(part, _)| *part));
    header.extend(first.tests.iter().map(|test| &*test.terms.about.test));
    let mut text = line(header.into_iter().map(str::to_owned));
    for grade in grades {
        let sum = |tests: &[&TestGrade]| tests.iter().map(|test| test.score()).sum::<f64>();
        let fields = [
            grade.submission.clone(),
            rounded(grade.score()).to_string(),
            rounded(grade.max_score()).to_string(),
            grade.complete.to_string(),
            grade.problem.as_ref().map_or("", |problem| problem.title()).to_owned(),
            grade.findings.len().to_string(),
            grade.needs_staff().to_string(),
        ];
        let parts = grade.parts().into_iter().map(|(_, tests)| rounded(sum(&tests)).to_string());
        let tests = grade.tests.iter().map(|test| rounded(test.score()).to_string());
        text.push_str(&line(fields.into_iter().chain(parts).chain(tests)));
    }
    text
}

/// As RFC 4180 has it; and nothing that a spreadsheet takes for a formula.
fn line(fields: impl Iterator<Item = String>) -> String {
    let quoted = fields.map(|field| {
        let field =
            if field.starts_with(['=', '+', '-', '@']) { format!("'{field}") } else { field };
        if field.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            field
        }
    });
    quoted.collect::<Vec<_>>().join(",") + "\r\n"
}
