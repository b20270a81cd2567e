//! The log of a sweep: a line for each run, as it ends. So a campaign of hours can be followed, and asked
//! afterwards which seeds met what.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use labrecord::{Record, Seed, Verdict};
use serde::{Deserialize, Serialize};

/// A line of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Path of the test.
    pub test: String,
    /// What decided the run.
    pub seed: Seed,
    /// What it came to.
    pub verdict: Verdict,
    /// What the seed has chosen of the world, if that was for it to choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// How often the run came to each situation that its test counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub coverage: BTreeMap<String, u64>,
}

/// A file that lines are added to.
pub(crate) struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// What is in the file already stays there.
    pub(crate) fn open(path: &Path) -> Result<Log> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.with_context(|| path.display().to_string())?;
        Ok(Log { path: path.to_owned(), file })
    }

    /// One write, at the end of the file: several workers do not mix their lines.
    pub(crate) fn add(&self, record: &Record) -> Result<()> {
        let line = Line {
            test: record.test.clone(),
            seed: record.seed,
            verdict: record.verdict,
            environment: record.environment.clone(),
            coverage: record.coverage.clone(),
        };
        let text = serde_json::to_string(&line)? + "\n";
        (&self.file).write_all(text.as_bytes()).with_context(|| self.path.display().to_string())
    }
}
