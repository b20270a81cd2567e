//! One trial: the tests built with one patch, and run until one fails or the seeds are used up.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::mutant::Mutant;
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
const STEPS: [u64; 2] = [10, 50];

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
enum End {
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
        let steps = STEPS.into_iter().filter(|step| *step < plan.runs && mutant.is_wrong());
        for runs in steps.chain([plan.runs]) {
            let end = self.run(&tests, runs, plan.threads, deadline)?;
            let (failed, seeds) = self.read_records()?;
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

    /// Builds the graded tests, and says where they are.
    fn build(&self, profile: &str) -> Result<PathBuf, String> {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["test", "--no-run", "-p", "labtests", "--test", "lab"]);
        cargo.args(["--message-format=json", "--profile", profile, "--target-dir"]);
        cargo.arg("target").current_dir(&self.place).env_remove("CARGO_TARGET_DIR");
        for (name, _) in std::env::vars_os() {
            // Of the package that this program was run from.
            if name.to_str().is_some_and(|name| {
                name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST")
            }) {
                cargo.env_remove(name);
            }
        }
        let output = cargo.output().map_err(|e| format!("cargo: {e}"))?;
        let messages: Vec<serde_json::Value> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        if !output.status.success() {
            let error = messages.iter().find(|message| message["message"]["level"] == "error");
            let error = error.and_then(|error| error["message"]["rendered"].as_str());
            let error = error.map_or_else(
                || String::from_utf8_lossy(&output.stderr).into_owned(),
                str::to_owned,
            );
            return Err(format!("it does not compile:\n{}", error.trim_end()));
        }
        let tests = messages.iter().find(|message| message["target"]["name"] == "lab");
        let path = tests.and_then(|tests| tests["executable"].as_str());
        path.map(PathBuf::from).ok_or_else(|| "cargo names no executable".to_owned())
    }

    /// Runs all graded tests, each on so many seeds.
    fn run(
        &self,
        tests: &Path,
        runs: u64,
        threads: usize,
        deadline: Instant,
    ) -> Result<End, String> {
        let records = self.records();
        let _ = fs::remove_file(&records);
        let log = File::create(self.log()).map_err(|e| format!("{}: {e}", self.log().display()))?;
        let mut command = Command::new(tests);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("LAB_")) {
                command.env_remove(name);
            }
        }
        command
            .args(["raft_3", "--test-threads", &threads.to_string()])
            .current_dir(self.place.join("tests"))
            .env("LAB_RUNS", runs.to_string())
            .env("LAB_RECORDS", &records)
            .env("LAB_TRACE", "never")
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(|e| e.to_string())?)
            .stderr(log);
        let mut child = command.spawn().map_err(|e| format!("{}: {e}", tests.display()))?;
        wait_until(&mut child, deadline)
    }

    /// Every test that failed, the soonest first; and on how many seeds each test has run at least.
    fn read_records(&self) -> Result<(Vec<Failed>, u64), String> {
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
        let fewest =
            if seeds.len() < TESTS { 0 } else { seeds.values().copied().min().unwrap_or(0) };
        Ok((failed, fewest))
    }

    fn records(&self) -> PathBuf {
        absolute(&self.place).join("target/records.jsonl")
    }

    fn log(&self) -> PathBuf {
        self.place.join("target/tests.log")
    }
}

/// Graded tests of Lab 3.
const TESTS: usize = 28;

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
fn now() -> Instant {
    Instant::now()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
