//! One test on some seeds, in as many processes as it takes: every seed gets its record.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::Result;
use labrecord::{About, Record, Report, Seed, Verdict};

use crate::process::{self, End, Limits};

/// What is to be run.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// The test.
    pub about: &'a About,
    /// Its seeds, in order.
    pub seeds: &'a [Seed],
    /// Run each seed twice.
    pub check_determinism: bool,
    /// Wall time for all of it; what a process may print, for each.
    pub limits: Limits<'a>,
}

/// What was strange about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// Something was sent that the tester does not send. What this test's records say is void.
    pub forged: Option<String>,
    /// The end of what the last process printed that ended without a record.
    pub printed: String,
}

impl Trial<'_> {
    /// Runs it. `command` gives, for each process, what runs the test binary. Each seed has exactly one
    /// record in the end, in order, unless it is stopped: a record that does not come is a failure, and
    /// the next seed gets a new process, as long as there is time.
    ///
    /// # Errors
    ///
    /// If a process cannot be started.
    pub fn run(
        &self,
        command: impl Fn() -> Result<Command>,
        mut record: impl FnMut(Record),
    ) -> Result<Notes> {
        let Trial { limits, mut seeds, .. } = *self;
        let deadline = Instant::now() + limits.wall;
        let mut notes = Notes::default();
        while !seeds.is_empty() && !limits.stop.load(Ordering::Relaxed) {
            let wall = deadline.saturating_duration_since(Instant::now());
            let rest = Trial { seeds, limits: Limits { wall, ..limits }, ..*self };
            let mut stuck = false;
            let outcome = process::run(command()?, &rest, |next| {
                stuck = next.verdict == Verdict::Stuck;
                record(next);
            })?;
            seeds = &seeds[outcome.records..];
            match &outcome.end {
                End::Stopped => return Ok(notes),
                // After a stuck task the tester goes no further in that process.
                End::Ended(_) if stuck || seeds.is_empty() => continue,
                End::Forged(what) => notes.forged = Some(what.clone()),
                _ => {}
            }
            notes.printed = outcome.printed;
            let over = matches!(outcome.end, End::OutOfTime(_) | End::Forged(_));
            let lost = if over { seeds.len() } else { seeds.len().min(1) };
            for seed in &seeds[..lost] {
                record(no_record(self.about, *seed, &self.words(&outcome.end)));
            }
            seeds = &seeds[lost..];
        }
        Ok(notes)
    }

    /// What is left of the time differs from process to process; what the test was given does not.
    fn words(&self, end: &End) -> String {
        match end {
            End::OutOfTime(_) => End::OutOfTime(self.limits.wall).words(),
            end => end.words(),
        }
    }
}

/// The record of a run that ended without one.
#[must_use]
pub fn no_record(about: &About, seed: Seed, why: &str) -> Record {
    let About { test, part, title, points, .. } = about.clone();
    Record {
        signature: Some(format!("no record: {why}")),
        report: Some(Report {
            title: "no record of the run".to_owned(),
            expected: "the tester says what each run came to".to_owned(),
            happened: why.to_owned(),
            look_at: "what ends or fills the whole process: exit, abort, memory, printing"
                .to_owned(),
            again: format!("LAB_SEED={seed} cargo test {test} -- --exact"),
        }),
        test,
        part,
        title,
        points,
        seed,
        verdict: Verdict::Missing,
        virtual_seconds: 0.0,
        wall_seconds: 0.0,
        servers: 0,
        rpcs: 0,
        bytes: 0,
        commands: 0,
        switches: 0,
        trace: String::new(),
        warnings: Vec::new(),
        artefacts: BTreeMap::new(),
        environment: None,
        coverage: BTreeMap::new(),
        broken_before: None,
        shrunk: None,
        budgets: BTreeMap::new(),
        cpu: None,
    }
}
