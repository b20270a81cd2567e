//! What is written of a grade, and where.

pub mod classroom50;
pub mod csv;
pub mod gradescope;
pub mod junit;
pub mod summary;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::grade::{Grade, TestGrade};

/// Writes a file so that whoever reads it sees the old or the new one, and never half of it.
///
/// # Errors
///
/// If it cannot be written.
pub fn write(file: &Path, text: &str) -> Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = file.with_file_name(name);
    fs::write(&new, text)
        .and_then(|()| fs::rename(&new, file))
        .with_context(|| file.display().to_string())
}

/// A test as students see it: of a hidden one, neither name nor report.
pub(crate) struct Shown<'a> {
    pub(crate) number: String,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) test: &'a TestGrade,
}

/// The tests of each part, as students see them.
pub(crate) fn shown(grade: &Grade) -> Vec<(&str, Vec<Shown<'_>>)> {
    let show = |part: &str, n: usize, test| {
        let test: &TestGrade = test;
        let number = format!("{part}.{n}");
        let about = &test.terms.about;
        if test.terms.hidden {
            let name = format!("hidden {number}");
            Shown { number, title: name.clone(), name, text: String::new(), test }
        } else {
            let (name, title) = (about.test.clone(), about.title.clone());
            Shown { number, name, title, text: test.text(), test }
        }
    };
    let of_part = |(part, tests): (_, Vec<_>)| {
        let numbered = tests.into_iter().zip(1..);
        (part, numbered.map(|(test, n)| show(part, n, test)).collect())
    };
    grade.parts().into_iter().map(of_part).collect()
}

/// Two decimals at most.
pub(crate) fn rounded(points: f64) -> f64 {
    (points * 100.0).round() / 100.0
}
