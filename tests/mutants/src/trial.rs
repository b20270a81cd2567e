//! One trial: the tests built with one patch, and run until one fails or the seeds are used up.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use grade::cargo::Build;
use grade::suite::TestBinary;
use serde::{Deserialize, Serialize};

use crate::mutant::{Lab, Mutant};
use crate::sources::Sources;
use crate::table::Outcome;

/// What each patch is given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    /// Seeds of each test, in the last step.
    pub(crate) runs: u64,
    /// Wall time, building included.
    pub(crate) limit: Duration,
    /// Tests that run side by side.
    pub(crate) threads: usize,
    pub(crate) profile: &'a str,
}

/// Seeds of each test in the steps before the last: most wrong Rafts need few.
const STEPS: [u64; 3] = [2, 10, 50];

/// A place to build and run in, with one patch at a time.
pub(crate) struct Workshop {
    place: PathBuf,
}

/// A test that failed, and how soon.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failed {
    /// `raft_3A::re_election`.
    pub(crate) test: String,
    /// It failed on the so-manieth seed.
    pub(crate) seeds: u64,
    /// That one.
    pub(crate) seed: String,
    /// `safety`, `liveness`, ...
    pub(crate) verdict: String,
    /// What it said.
    pub(crate) title: String,
}

/// What is read of a line of `LAB_RECORDS`.
#[derive(Deserialize)]
struct Record {
    test: String,
    seed: String,
    verdict: String,
    signature: Option<String>,
}

/// How a run of the test binary ended.
pub(crate) enum End {
    Ended,
    OutOfTime,
}

impl Workshop {
    pub(crate) fn new(place: PathBuf) -> Workshop {
        Workshop { place }
    }

    /// Patches, builds, and runs.
    pub(crate) fn try_out(&self, mutant: &Mutant, sources: &Sources, plan: Plan) -> Outcome {
        let deadline = now() + plan.limit;
        match self.try_until(mutant, sources, plan, deadline) {
            Ok(outcome) => outcome,
            Err(problem) => Outcome::NotRun { problem },
        }
    }

    fn try_until(
        &self,
        mutant: &Mutant,
        sources: &Sources,
        plan: Plan,
        deadline: Instant,
    ) -> Result<Outcome, String> {
        sources.copy_patched(mutant, &self.place)?;
        let tests = self.build(plan.profile)?;
        let names = Self::list(&tests, mutant.lab)?;
        let steps = STEPS.into_iter().filter(|step| *step < plan.runs && mutant.is_wrong());
        for runs in steps.chain([plan.runs]) {
            let end = self.run(&tests, mutant.lab, runs, plan, deadline)?;
            let (failed, seeds) = self.read_records(&names)?;
            if !failed.is_empty() {
                return Ok(Outcome::Failed { failed });
            }
            match end {
                End::OutOfTime => return Ok(Outcome::OutOfTime { seeds }),
                End::Ended if seeds < runs => {
                    return Err(format!(
                        "a test ended without a record: see {}",
                        self.log().display()
                    ));
                }
                End::Ended => {}
            }
        }
        Ok(Outcome::Passed { seeds: plan.runs })
    }

    /// Where it is.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Builds the graded tests, and says where they are.
    pub(crate) fn build(&self, profile: &str) -> Result<TestBinary, String> {
        let build = Build { root: self.place.clone(), profile: profile.to_owned(), frozen: false };
        let mut cargo = build.command();
        // A folder of its own, wherever the workspace itself is built.
        cargo.args(["--target-dir", "target"]).env_remove("CARGO_TARGET_DIR");
        let path = build.run(cargo).map_err(|e| format!("{e:#}"))?;
        Ok(TestBinary::new(path, self.place.join("tests")))
    }

    /// The paths of a lab's graded tests.
    fn list(tests: &TestBinary, lab: Lab) -> Result<BTreeSet<String>, String> {
        let names = tests.graded().map_err(|e| format!("{e:#}"))?;
        let names: BTreeSet<String> =
            names.into_iter().filter(|name| name.starts_with(lab.tests())).collect();
        if names.is_empty() {
            return Err(format!("there is no test {}", lab.tests()));
        }
        Ok(names)
    }

    /// Runs all graded tests of a lab, each on so many seeds.
    fn run(
        &self,
        tests: &TestBinary,
        lab: Lab,
        runs: u64,
        plan: Plan,
        deadline: Instant,
    ) -> Result<End, String> {
        let mut command = tests.command();
        command
            .arg(lab.tests())
            .args(["--test-threads", &plan.threads.to_string()])
            .env("LAB_RUNS", runs.to_string())
            .env("LAB_TRACE", "never")
            .env("LAB_SHRINK", "no");
        self.execute(command, deadline)
    }

    /// Runs the test binary, which has been told what to do. Records go to [`records`](Self::records),
    /// what it prints to the log.
    pub(crate) fn execute(&self, mut command: Command, deadline: Instant) -> Result<End, String> {
        let records = self.records();
        let _ = fs::remove_file(&records);
        let log = File::create(self.log()).map_err(|e| format!("{}: {e}", self.log().display()))?;
        command
            .env("LAB_RECORDS", records)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|e| e.to_string())?)
            .stderr(log);
        let child = command.spawn();
        let mut child = child.map_err(|e| format!("{}: {e}", command.get_program().display()))?;
        wait_until(&mut child, deadline)
    }

    /// Every test that failed, the soonest first; and on how many seeds each of `names` has run at
    /// least.
    fn read_records(&self, names: &BTreeSet<String>) -> Result<(Vec<Failed>, u64), String> {
        let text = fs::read_to_string(self.records()).unwrap_or_default();
        let mut seeds: BTreeMap<String, u64> = BTreeMap::new();
        let mut failed = Vec::new();
        for line in text.lines() {
            let record: Record = serde_json::from_str(line)
                .map_err(|e| format!("a record is not understood: {e}"))?;
            let seeds = seeds.entry(record.test.clone()).or_default();
            *seeds += 1;
            if record.verdict != "pass" {
                failed.push(Failed {
                    test: record.test,
                    seeds: *seeds,
                    seed: record.seed,
                    verdict: record.verdict,
                    title: record.signature.unwrap_or_default(),
                });
            }
        }
        failed.sort_by(|a, b| (a.seeds, &a.test).cmp(&(b.seeds, &b.test)));
        let fewest = names.iter().map(|name| seeds.get(name).copied().unwrap_or(0)).min();
        Ok((failed, fewest.unwrap_or(0)))
    }

    pub(crate) fn records(&self) -> PathBuf {
        absolute(&self.place).join("target/records.jsonl")
    }

    fn log(&self) -> PathBuf {
        self.place.join("target/tests.log")
    }
}

/// Until it has ended; if it has not by then, it is ended.
fn wait_until(child: &mut Child, deadline: Instant) -> Result<End, String> {
    loop {
        if child.try_wait().map_err(|e| e.to_string())?.is_some() {
            return Ok(End::Ended);
        }
        if now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Ok(End::OutOfTime);
        }
        #[expect(clippy::disallowed_methods, reason = "no simulation runs in this process")]
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[expect(clippy::disallowed_methods, reason = "no simulation runs in this process")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
