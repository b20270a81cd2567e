//! One seed of every graded test, as a student runs them: to see whether they run at all.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use labrecord::Record;

use crate::suite::TestBinary;

/// Runs `tests` once each, and returns their records. What they print goes to a file beside
/// `records`, where the records are written.
///
/// Meant for one's own machine: the child process is believed.
///
/// # Errors
///
/// If the binary cannot be run, is not done in time, or leaves a test without a record.
pub fn run(
    binary: &TestBinary,
    tests: &[String],
    records: &Path,
    limit: Duration,
) -> Result<Vec<Record>> {
    let log = records.with_extension("log");
    if records.exists() {
        fs::remove_file(records).with_context(|| records.display().to_string())?;
    }
    let out = File::create(&log).with_context(|| log.display().to_string())?;
    let mut command = binary.command();
    command.args(tests).arg("--exact").env("LAB_RUNS", "1").env("LAB_RECORDS", records);
    command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
    let mut child = command.spawn().with_context(|| binary.path().display().to_string())?;
    let deadline = Instant::now() + limit;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            bail!("the tests were not over after {} s: see {}", limit.as_secs(), log.display());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let text = fs::read_to_string(records).unwrap_or_default();
    let read: Result<Vec<Record>, _> = text.lines().map(serde_json::from_str).collect();
    let mut read = read.with_context(|| records.display().to_string())?;
    let place = |record: &Record| tests.iter().position(|test| *test == record.test);
    read.sort_by_key(place);
    for test in tests {
        if !read.iter().any(|record| record.test == *test) {
            bail!("{test} ended without a result: see {}", log.display());
        }
    }
    Ok(read)
}
