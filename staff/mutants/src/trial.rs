//! One trial: the tests built with one patch, and run until some fail or the seeds are used up.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use grade::cargo::Build;
use grade::suite::TestBinary;

use crate::mutant::Mutant;
use crate::outcome::Outcome;
use crate::runs::{Plan, Tests};
use crate::sources::Sources;
use crate::switches::{Change, Switched};

/// A place to build and run in, with one patch at a time.
pub(crate) struct Workshop {
    place: PathBuf,
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
        let tests = Tests { binary: self.build(plan.profile)?, change: None };
        tests.try_out(mutant, plan, deadline)
    }

    /// Builds the tests with all these patches in them, as far as they can be behind switches and
    /// compile: for each of these, by its place in the list, the tests with it in force. All are
    /// patches of one design.
    pub(crate) fn build_switched(
        &self,
        mutants: &[&Mutant],
        sources: &Sources,
        profile: &str,
    ) -> Result<BTreeMap<u32, Tests>, String> {
        let Some(&first) = mutants.first() else { return Ok(BTreeMap::new()) };
        let read = |path: &str| sources.text(first, path);
        let change = |mutant: &&Mutant| Change::of(&sources.patched(mutant).ok()?, read);
        let mut changes: BTreeMap<u32, Change> = (0..)
            .zip(mutants)
            .filter_map(|(number, mutant)| Some((number, change(mutant)?)))
            .collect();
        loop {
            let switched = Switched::new(&changes, read);
            sources.copy_with(first, &switched.files, &self.place)?;
            let Err((messages, said)) = self.check()? else { break };
            let blamed = switched.to_blame(&messages);
            if blamed.is_empty() {
                return Err(format!("{} does not compile:\n{said}", self.place.display()));
            }
            changes.retain(|number, _| !blamed.contains(number));
        }
        let binary = self.build(profile)?;
        let tests =
            |&number: &u32| (number, Tests { binary: binary.clone(), change: Some(number) });
        Ok(changes.keys().map(tests).collect())
    }

    /// Where it is.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Builds the graded tests, and says where they are.
    pub(crate) fn build(&self, profile: &str) -> Result<TestBinary, String> {
        let build = Build { root: self.place.clone(), profile: profile.to_owned(), frozen: false };
        let mut cargo = build.command();
        // A folder of its own, wherever the workspace itself is built. Incremental: a patch changes
        // a line or two.
        cargo
            .args(["--target-dir", "target"])
            .env_remove("CARGO_TARGET_DIR")
            .env("CARGO_PROFILE_RELEASE_INCREMENTAL", "true")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
        let path = build.run(cargo).map_err(|e| format!("{e:#}"))?;
        Ok(TestBinary::new(path, self.place.join("tests")))
    }

    /// Do the labs' crates compile? If not, what cargo said, as JSON and otherwise.
    fn check(&self) -> Result<Result<(), (String, String)>, String> {
        let mut cargo = Command::new(grade::cargo::program());
        cargo
            .args(["check", "-p", "raft", "-p", "kvraft", "--keep-going"])
            .args(["--message-format=json", "--target-dir", "target"])
            .current_dir(&self.place);
        let output = cargo.output().map_err(|e| format!("cargo cannot be run: {e}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = || (text(&output.stdout), text(&output.stderr));
        Ok(if output.status.success() { Ok(()) } else { Err(said()) })
    }

    /// Runs the test binary, which has been told what to do. Records go to [`records`](Self::records),
    /// what it prints to the log. After `deadline` it is ended.
    pub(crate) fn execute(&self, mut command: Command, deadline: Instant) -> Result<(), String> {
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

    pub(crate) fn records(&self) -> PathBuf {
        absolute(&self.place).join("target/records.jsonl")
    }

    fn log(&self) -> PathBuf {
        self.place.join("target/tests.log")
    }
}

/// Until it has ended; if it has not by then, it is ended.
fn wait_until(child: &mut Child, deadline: Instant) -> Result<(), String> {
    while child.try_wait().map_err(|e| e.to_string())?.is_none() {
        if now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            break;
        }
        #[expect(clippy::disallowed_methods, reason = "no simulation runs in this process")]
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "no simulation runs in this process")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
