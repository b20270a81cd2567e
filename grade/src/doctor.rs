//! `grade doctor`: is this machine fit for the labs, and for grading?

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use labrecord::{About, Record, Seed, Verdict};

use crate::cargo::Build;
use crate::process::{self, Limits};
use crate::say::say;
use crate::suite::{self, TestBinary};
use crate::trial::Trial;
use crate::{confine, parallel, workspace};

/// Look at the toolchain and the machine, try its speed and whether runs repeat, and say what to do.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Build with this cargo profile. The limits of speed are those of `release`.
    #[arg(long, default_value = "release")]
    profile: String,
    /// The workspace, or a folder in it.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

/// One line of the diagnosis.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    /// As it should be.
    Good(String),
    /// It works, but is worth knowing; and what to do.
    Note(String, String),
    /// It does not work; and what to do.
    Bad(String, String),
}

/// What one seed of all tests of a crate may take on one core, in release (design, "Figures to hold").
const LIMITS: [(&str, Duration); 2] =
    [("raft", Duration::from_millis(250)), ("kvraft", Duration::from_secs(5))];

/// Seeds of each test, for the speed.
const SPEED_SEEDS: u64 = 3;

/// Seconds that all of a check may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// Prints the diagnosis.
///
/// # Errors
///
/// If the workspace is not found or does not build.
pub fn run(options: &Options) -> Result<ExitCode> {
    let root = workspace::find(&options.root)?;
    let jobs = parallel::jobs(None);
    let mut bad = false;
    let mut tell = |finding: &Finding| {
        bad |= matches!(finding, Finding::Bad(..));
        say(&finding.to_string());
    };
    tell(&toolchain(&root)?);
    tell(&cores(jobs, read_number("/proc/loadavg", "")));
    tell(&memory(read_number("/proc/meminfo", "MemAvailable"), jobs));
    confinement()?.iter().for_each(&mut tell);

    let build = Build { root, profile: options.profile.clone(), frozen: false };
    let began = Instant::now();
    let binary = build.tests()?;
    let tests = binary.graded()?;
    let abouts = process::describe(binary.command(), &tests)?;
    let seconds = began.elapsed().as_secs_f64();
    tell(&Finding::Good(format!("the tests build ({seconds:.0} s): {} graded ones", tests.len())));
    speed(&binary, &abouts, jobs)?.iter().for_each(&mut tell);
    tell(&repeatable(&binary, &abouts, jobs)?);
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn toolchain(root: &Path) -> Result<Finding> {
    let manifest: toml::Table = fs::read_to_string(root.join("Cargo.toml"))?.parse()?;
    let needed = manifest["workspace"]["package"]["rust-version"].as_str();
    let needed = needed.context("Cargo.toml has no rust-version")?;
    let output = Command::new("rustc").arg("--version").output();
    let found = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    Ok(match found {
        Err(error) => Finding::Bad(format!("no rustc: {error}"), format!("install Rust {needed}")),
        Ok(found) if version(&found) < version(needed) => {
            Finding::Bad(format!("{found} is older than {needed}"), "rustup update".to_owned())
        }
        Ok(found) => Finding::Good(format!("{found} ({needed} or later is needed)")),
    })
}

/// Major and minor of the first version in a text.
fn version(text: &str) -> Option<(u32, u32)> {
    let word =
        text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    let mut numbers = word.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn cores(cores: usize, load: Option<f64>) -> Finding {
    #[expect(clippy::cast_precision_loss, reason = "few cores")]
    let busy = load.filter(|load| *load > cores as f64);
    match busy {
        Some(load) => Finding::Note(
            format!("{cores} cores, and {load:.1} tasks that want one"),
            "other work runs here: sweeps and grading take longer, and limits of wall time may be too short"
                .to_owned(),
        ),
        None => Finding::Good(format!("{cores} cores")),
    }
}

/// `free` is in KiB.
fn memory(free: Option<f64>, jobs: usize) -> Finding {
    // A test takes less than that, and so does each compiler of a build.
    #[expect(clippy::cast_precision_loss, reason = "few jobs")]
    let needed = 0.5 * (jobs + 1) as f64;
    match free.map(|free| free / f64::from(1 << 20)) {
        None => Finding::Note(
            "free memory: unknown here".to_owned(),
            format!("{needed} GiB are enough"),
        ),
        Some(free) if free < needed => Finding::Note(
            format!("{free:.1} GiB of memory free"),
            format!("{jobs} jobs may need {needed} GiB: fewer --jobs, and CARGO_BUILD_JOBS=1"),
        ),
        Some(free) => Finding::Good(format!("{free:.1} GiB of memory free")),
    }
}

/// A number from a file of the system's: the first in the line that begins so.
fn read_number(file: &str, begin: &str) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(begin))?;
    line.split_whitespace().find_map(|word| word.parse().ok())
}

fn confinement() -> Result<Vec<Finding>> {
    let missing = confine::probe()?.missing();
    if missing.is_empty() {
        return Ok(vec![Finding::Good(
            "grade run: everything that confines a test is there".to_owned(),
        )]);
    }
    let note = |what: &str| {
        let advice = "the scan and the limits still hold; to grade strangers' work, use a machine that has it";
        Finding::Note(format!("grade run: not to be had: {what}"), advice.to_owned())
    };
    Ok(missing.into_iter().map(note).collect())
}

/// Runs each test on some seeds, on all cores; for each run, hands on its record.
fn run_all(
    binary: &TestBinary,
    abouts: &[About],
    (jobs, seeds): (usize, u64),
    environment: &[(&str, &str)],
    check_determinism: bool,
) -> Result<Vec<Record>> {
    let records = Mutex::new(Vec::new());
    let stop = AtomicBool::new(false);
    parallel::each(jobs, abouts, |_, about| {
        let seeds: Vec<Seed> = (0..seeds).map(|n| Seed::derived(&about.test, n)).collect();
        let limits = Limits { wall: PATIENCE, print: 0, stop: &stop };
        let trial = Trial { about, seeds: &seeds, check_determinism, limits };
        let command = || {
            let mut command = binary.command();
            command.envs(environment.iter().copied());
            Ok(command)
        };
        trial.run(command, |record| {
            records.lock().unwrap_or_else(PoisonError::into_inner).push(record);
        })?;
        Ok(())
    })?;
    let mut records = records.into_inner().unwrap_or_else(PoisonError::into_inner);
    records.sort_by(|a, b| (&a.test, a.seed).cmp(&(&b.test, b.seed)));
    Ok(records)
}

fn speed(binary: &TestBinary, abouts: &[About], jobs: usize) -> Result<Vec<Finding>> {
    let records = run_all(binary, abouts, (jobs, SPEED_SEEDS), &[], false)?;
    let of = |(lab, limit): (&str, Duration)| {
        let mine = || {
            let of_lab =
                |test: &str| suite::crate_and_part(test).is_some_and(|(found, _)| found == lab);
            records.iter().filter(move |record| of_lab(&record.test))
        };
        let runs = mine().count() as u64;
        let failed = mine().filter(|record| record.verdict != Verdict::Pass).count();
        if runs == 0 {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a few seeds")]
        let pass = mine().map(|record| record.wall_seconds).sum::<f64>() / SPEED_SEEDS as f64;
        let mut said = format!(
            "{lab}: one seed of all tests takes {:.0} ms of a core (at most {} ms, in release)",
            pass * 1e3,
            limit.as_millis()
        );
        if failed > 0 {
            let _ = write!(said, "; {failed} of {runs} runs failed, which says little of speed");
        }
        Some(if pass > limit.as_secs_f64() {
            let advice = "is it a release build, on a core of its own? Else allow for it: fewer --runs, longer limits";
            Finding::Note(said, advice.to_owned())
        } else {
            Finding::Good(said)
        })
    };
    Ok(LIMITS.into_iter().filter_map(of).collect())
}

/// Each test twice on one seed, and on both backends: are the steps the same?
fn repeatable(binary: &TestBinary, abouts: &[About], jobs: usize) -> Result<Finding> {
    let twice = run_all(binary, abouts, (jobs, 1), &[], true)?;
    // OS threads are slow; the lightest tests will do.
    let mut light: Vec<&Record> = twice.iter().collect();
    light.sort_by(|a, b| a.wall_seconds.total_cmp(&b.wall_seconds));
    let light: Vec<&str> = light.iter().take(10).map(|record| &*record.test).collect();
    let light: Vec<About> =
        abouts.iter().filter(|about| light.contains(&&*about.test)).cloned().collect();
    let threads = [("LAB_BACKEND", "threads")];
    let threads = run_all(binary, &light, (jobs, 1), &threads, false)?;
    Ok(compare(&twice, &threads))
}

fn compare(twice: &[Record], threads: &[Record]) -> Finding {
    let report =
        "a run that does not repeat cannot be debugged: report it, with this machine's kind";
    if let Some(record) = twice.iter().find(|record| record.verdict == Verdict::Nondeterministic) {
        let what = record.report.as_ref().map_or(String::new(), |report| report.happened.clone());
        return Finding::Bad(
            format!("{} took other steps the second time: {what}", record.test),
            "does your Raft use std's clock, threads or HashMap, or a static? If not, report it"
                .to_owned(),
        );
    }
    // One that was not over in time says nothing.
    for other in threads.iter().filter(|record| record.verdict != Verdict::Missing) {
        let same =
            twice.iter().find(|record| (&record.test, record.seed) == (&other.test, other.seed));
        if same.is_none_or(|record| record.trace != other.trace) {
            let said = format!("{} takes other steps on OS threads than on coroutines", other.test);
            return Finding::Bad(said, report.to_owned());
        }
    }
    Finding::Good(format!(
        "runs repeat: {} tests twice, {} on both backends",
        twice.len(),
        threads.len()
    ))
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Finding::Good(what) => writeln!(f, "good  {what}"),
            Finding::Note(what, advice) => writeln!(f, "note  {what}\n      {advice}"),
            Finding::Bad(what, advice) => writeln!(f, "BAD   {what}\n      {advice}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::no_record;

    #[test]
    fn versions() {
        assert_eq!(version("rustc 1.95.0 (59807616e 2026-04-14)"), Some((1, 95)));
        assert!(version("rustc 1.9.0") < version("1.95"));
        assert!(version("rustc 1.100.0-nightly") > version("1.95"));
        assert!(version("") < version("1.95"));
    }

    #[test]
    fn little_is_noted() {
        assert!(matches!(cores(2, Some(7.5)), Finding::Note(..)));
        assert!(matches!(cores(2, Some(0.5)), Finding::Good(_)));
        assert!(matches!(memory(Some(1e6), 4), Finding::Note(..)));
        assert!(matches!(memory(Some(8e6), 4), Finding::Good(_)));
        assert!(matches!(memory(None, 4), Finding::Note(..)));
    }

    #[test]
    fn what_does_not_repeat_is_bad() {
        let about = About {
            test: "raft_3A::a".to_owned(),
            lab: "raft".to_owned(),
            part: "3A".to_owned(),
            title: "a".to_owned(),
            points: 5,
        };
        let mut record = no_record(&about, Seed(1), "");
        (record.verdict, record.trace) = (Verdict::Pass, "abc".to_owned());
        let same = [record.clone()];
        assert!(matches!(compare(&same, &same), Finding::Good(_)));
        let mut other = record.clone();
        other.trace = "abd".to_owned();
        assert!(matches!(compare(&same, &[other]), Finding::Bad(..)));
        record.verdict = Verdict::Nondeterministic;
        assert!(matches!(compare(&[record], &same), Finding::Bad(..)));
    }
}
