//! `grade run`: grades submissions.
//!
//! ```text
//!   submission ──scan──▶ overlay on the pristine workspace ──build──▶ binary ──▶ tests ──▶ outputs
//!                        one folder, one warm target                  copied      in parallel, rewritten
//!                        (one after the other)                                    after each test
//! ```
//!
//! While the tests of one submission run, the next one is built.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use labrecord::{Seed, Verdict};
use serde::{Deserialize, Serialize};

use crate::cargo::CompileError;
use crate::confine::{self, Cage, Confinement};
use crate::grade::{Grade, Problem, TestGrade};
use crate::outputs::{self, classroom50, csv, gradescope, junit, summary};
use crate::policy::{self, Action, Policy, Terms};
use crate::process::Limits;
use crate::say::say;
use crate::scan::{self, Finding};
use crate::submission::Submission;
use crate::trial::Trial;
use crate::workshop::{Binary, Workshop};
use crate::workspace::{self, resolved};
use crate::{hash, parallel, suite, sweep};

/// Grade submissions: build each on a pristine workspace, run the tests on secret seeds in confined
/// processes, and write the grades.
///
/// What was graded already is not graded again: an interrupted grading goes on where it was.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Folders that hold `raft/src`, and perhaps `kvraft/src`; or archives of `grade submit`.
    #[arg(required = true)]
    submissions: Vec<PathBuf>,
    /// Grades go here: a folder for each submission, and grades.csv.
    #[arg(long, short)]
    out: PathBuf,
    /// Parts or tests, such as 3A or `raft_3A::re_election`; all, if nothing is said.
    #[arg(long, value_delimiter = ',')]
    tests: Vec<String>,
    /// The policy; grade.toml of the workspace, if nothing is said.
    #[arg(long)]
    policy: Option<PathBuf>,
    /// What the seeds are drawn from: `secret` in OUT/grading.json of an earlier grading that is to be
    /// repeated. Drawn anew, if nothing is said.
    #[arg(long)]
    secret: Option<String>,
    /// The same, from a file: other users see the arguments of a process.
    #[arg(long, conflicts_with = "secret")]
    secret_file: Option<PathBuf>,
    /// Where to build: a folder that may be kept, warm, from grading to grading; OUT/build, if nothing
    /// is said.
    #[arg(long)]
    build: Option<PathBuf>,
    /// Build with this cargo profile.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Tests at a time; as many as cores, if nothing is said.
    #[arg(long, short)]
    jobs: Option<NonZeroUsize>,
    /// Write Gradescope's results.json here, too. Only for one submission, as are the next three.
    #[arg(long)]
    gradescope: Option<PathBuf>,
    /// Write Classroom 50's result.json here, too.
    #[arg(long)]
    classroom50: Option<PathBuf>,
    /// Write JUnit XML here, too.
    #[arg(long)]
    junit: Option<PathBuf>,
    /// Write the Markdown summary here, too, such as `"$GITHUB_STEP_SUMMARY"`.
    #[arg(long)]
    summary: Option<PathBuf>,
    /// The workspace, or a folder in it.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

/// What all submissions of a grading have in common, kept in OUT/grading.json.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Grading {
    /// Whoever knows it knows the seeds.
    secret: String,
    /// A hash over the workspace.
    sources: String,
    profile: String,
    policy: Policy,
}

/// Grades.
///
/// # Errors
///
/// If the workspace itself does not build, the policy is not understood, or a file cannot be written. A
/// submission that cannot be graded is no error: its grade says why.
pub fn run(options: &Options) -> Result<ExitCode> {
    let alone = [&options.gradescope, &options.classroom50, &options.junit, &options.summary];
    ensure!(
        options.submissions.len() == 1 || alone.iter().all(|file| file.is_none()),
        "a file for the results of one submission, and several submissions"
    );
    let stop = sweep::stop_at_signals()?;
    let root = workspace::find(&options.root)?;
    let policy_file = options.policy.clone().unwrap_or_else(|| root.join("grade.toml"));
    let policy = if options.policy.is_none() && !policy_file.exists() {
        Policy::default()
    } else {
        Policy::read(&policy_file)?
    };
    let out = resolved(&options.out)?;
    let build =
        options.build.as_ref().map_or_else(|| Ok(out.join("build")), |path| resolved(path))?;
    check_places(&root, &out, &build, &options.submissions)?;
    fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
    // The secret is in there.
    fs::set_permissions(&out, Permissions::from_mode(0o700))?;

    let pristine = workspace::read(&root)?;
    let secret = match &options.secret_file {
        Some(file) => {
            let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
            Some(text.trim().to_owned())
        }
        None => options.secret.clone(),
    };
    let secret_given = secret.is_some();
    let grading = Grading {
        secret: secret.map_or_else(hash::secret, Ok)?,
        sources: hash::of_files(&pristine),
        profile: options.profile.clone(),
        policy,
    };
    let grading = resume(&out.join("grading.json"), grading, secret_given)?;

    let workshop = Workshop::open(&build, pristine, &grading.profile, &grading.policy.limits)?;
    let tests = suite::select(&workshop.tests, &options.tests)?;
    let terms = grading.policy.terms(&workshop.suite)?;
    // A campaign is graded as soon as the policy gives it points.
    let has_points = |terms: &Terms| options.tests.is_empty() && terms.points > 0.0;
    let terms = terms.into_iter();
    let terms =
        terms.filter(|terms| tests.contains(&terms.about.test) || has_points(terms)).collect();
    let jobs = parallel::jobs(options.jobs);
    let confinement = confine::probe()?;
    for what in confinement.missing() {
        eprintln!("not to be had here: {what}");
    }
    try_sandbox(&workshop, &grading.policy.limits, &stop)?;
    let grades = Grader { options, out, grading, workshop, terms, confinement, jobs, stop: &stop }
        .grade_all()?;
    let good = grades.iter().all(|grade| grade.complete && !grade.needs_staff());
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs a test of the workspace itself as submissions are run. Whether it passes is no matter: on
/// Gradescope nothing is solved. But without a record no submission would have one.
fn try_sandbox(workshop: &Workshop, limits: &policy::Limits, stop: &AtomicBool) -> Result<()> {
    let about = workshop.suite.first().context("there is no graded test")?;
    let binary = Binary::take(&workshop.own)?;
    let cage =
        Cage { bounds: limits.bounds(1), uid: Cage::user(0), read: Vec::new(), write: Vec::new() };
    let seeds = [Seed::derived(&about.test, 0)];
    let limits = Limits { wall: limits.wall(1), print: limits.print_mib << 20, stop };
    let trial = Trial { about, seeds: &seeds, check_determinism: false, limits };
    let mut missing = None;
    let notes = trial.run(
        || cage.command(&binary.path),
        |record| {
            if record.verdict == Verdict::Missing {
                missing = record.report.map(|report| report.happened);
            }
        },
    )?;
    if let Some(why) = missing {
        bail!("no test can be run in the sandbox of this machine: {why}\n{}", notes.printed);
    }
    Ok(())
}

/// What is written, and what is graded, must not be part of what it is graded with; and each submission
/// needs a name of its own.
fn check_places(root: &Path, out: &Path, build: &Path, submissions: &[PathBuf]) -> Result<()> {
    let target = root.join("target");
    let mut names = BTreeSet::from(["build".to_owned()]);
    for path in submissions {
        let name = Submission::name_of(path)?;
        ensure!(!names.contains(&name), "{}: there is a `{name}` already", path.display());
        names.insert(name);
    }
    let submissions: Vec<PathBuf> =
        submissions.iter().map(|path| resolved(path)).collect::<Result<_, _>>()?;
    let inside = |path: &&Path| path.starts_with(root) && !path.starts_with(&target);
    let handed_in = submissions.iter().map(PathBuf::as_path).filter(|path| *path != root);
    if let Some(path) = [out, build].into_iter().chain(handed_in).find(inside) {
        bail!(
            "{} is inside the workspace: use a folder outside, or below its target/",
            path.display()
        );
    }
    Ok(())
}

/// Goes on with the grading that is in the folder already, if it is the same.
fn resume(file: &Path, mut grading: Grading, secret_given: bool) -> Result<Grading> {
    if file.exists() {
        let text = fs::read_to_string(file)?;
        let before: Grading =
            serde_json::from_str(&text).with_context(|| file.display().to_string())?;
        if !secret_given {
            grading.secret.clone_from(&before.secret);
        }
        if before != grading {
            bail!(
                "{} is of another grading: other sources, policy, profile or secret",
                file.display()
            );
        }
    }
    outputs::write(file, &(serde_json::to_string_pretty(&grading)? + "\n"))?;
    Ok(grading)
}

struct Grader<'a> {
    options: &'a Options,
    out: PathBuf,
    grading: Grading,
    workshop: Workshop,
    terms: Vec<Terms>,
    confinement: Confinement,
    jobs: usize,
    stop: &'a AtomicBool,
}

/// A submission whose tests can be run.
struct Ready {
    grade: Grade,
    /// What is yet to be run, and with what.
    binary: Option<Binary>,
    began: Instant,
}

impl Grader<'_> {
    fn grade_all(&self) -> Result<Vec<Grade>> {
        let (send, receive) = mpsc::sync_channel(0);
        thread::scope(|scope| {
            let builder = scope.spawn(move || {
                for path in &self.options.submissions {
                    let ready = self.prepare(path);
                    let failed = ready.is_err();
                    if self.is_stopped() || send.send(ready).is_err() || failed {
                        return;
                    }
                }
            });
            let mut grades = Vec::new();
            for ready in receive {
                let grade = self.test(ready?)?;
                say(&line(&grade));
                grades.push(grade);
                outputs::write(&self.out.join("grades.csv"), &csv::table(&grades))?;
            }
            builder.join().unwrap_or_else(|_| panic!("the builder panicked"));
            ensure!(!grades.is_empty(), "stopped before anything was graded");
            Ok(grades)
        })
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Reads, scans and builds.
    fn prepare(&self, path: &Path) -> Result<Ready> {
        let began = Instant::now();
        let name = Submission::name_of(path)?;
        let mut grade = Grade {
            submission: name.clone(),
            key: String::new(),
            complete: false,
            problem: None,
            findings: Vec::new(),
            ignored: BTreeMap::new(),
            confinement: self.confinement,
            seconds: 0.0,
            leaderboard: self.grading.policy.leaderboard,
            tests: self.terms.iter().cloned().map(TestGrade::new).collect(),
        };
        let submission = match Submission::read(path) {
            Ok(submission) => submission,
            Err(error) => {
                grade.problem = Some(Problem::Unreadable(format!("{error:#}")));
                return Ok(Ready { grade, binary: None, began });
            }
        };
        let grading = serde_json::to_string(&self.grading)?;
        let terms = serde_json::to_string(&self.terms)?;
        grade.key = hash::of_texts(&[&grading, &terms, &hash::of_files(&submission.files)]);
        let kept = self.out.join(&name).join("grade.json");
        if let Some(kept) = read_kept(&kept, &grade.key) {
            grade = kept;
        }
        if grade.complete {
            return Ok(Ready { grade, binary: None, began });
        }
        grade.ignored = submission.ignored.clone();
        self.scan(&submission, &mut grade);
        if grade.problem.is_some() {
            return Ok(Ready { grade, binary: None, began });
        }
        let binary = match self.workshop.build(&submission) {
            Ok(path) => Some(Binary::take(&path)?),
            Err(error) => match error.downcast::<CompileError>() {
                Ok(CompileError(text)) => {
                    grade.problem = Some(Problem::Uncompiled(text));
                    None
                }
                Err(error) => return Err(error),
            },
        };
        for test in &mut grade.tests {
            let lab = &test.terms.about.lab;
            if !submission.has(lab) {
                test.skipped = Some(format!("{lab}/src was not handed in"));
            }
        }
        Ok(Ready { grade, binary, began })
    }

    fn scan(&self, submission: &Submission, grade: &mut Grade) {
        let policy = &self.grading.policy;
        let findings = scan::scan(&submission.files).into_iter();
        grade.findings = findings.filter(|found| policy.action(found) != Action::Allow).collect();
        let rejected = grade.findings.iter().filter(|found| policy.action(found) == Action::Reject);
        let rejected: Vec<String> = rejected.map(Finding::to_string).collect();
        if !rejected.is_empty() {
            grade.problem = Some(Problem::Rejected(rejected.join("\n")));
        }
    }

    /// Runs the tests that have not been run.
    fn test(&self, ready: Ready) -> Result<Grade> {
        let Ready { grade, binary, began } = ready;
        let before = grade.seconds;
        let was_complete = grade.complete;
        let shared = Mutex::new(grade);
        let finish = |n: Option<usize>, change: &dyn Fn(&mut TestGrade)| {
            let mut grade = shared.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(n) = n {
                change(&mut grade.tests[n]);
            }
            if !was_complete {
                grade.seconds = before + began.elapsed().as_secs_f64();
            }
            grade.complete = grade.problem.is_some()
                || grade.tests.iter().all(|test| test.graded || test.skipped.is_some());
            self.write(&grade)
        };
        finish(None, &|_| ())?;
        if let Some(binary) = &binary {
            let waiting: Vec<(usize, Terms)> = {
                let grade = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let tests = grade.tests.iter().enumerate();
                let waiting = tests.filter(|(_, test)| !test.graded && test.skipped.is_none());
                waiting.map(|(n, test)| (n, test.terms.clone())).collect()
            };
            parallel::each(self.jobs, &waiting, |slot, (n, terms)| {
                if self.is_stopped() {
                    return Ok(());
                }
                let graded = self.run_test(binary, terms, slot)?;
                // One that was stopped has not been run.
                if self.is_stopped() {
                    Ok(())
                } else {
                    finish(Some(*n), &|test| test.clone_from(&graded))
                }
            })?;
        }
        Ok(shared.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn run_test(&self, binary: &Binary, terms: &Terms, slot: u32) -> Result<TestGrade> {
        let policy = &self.grading.policy.limits;
        let test = &terms.about.test;
        let seeds: Vec<Seed> =
            (0..terms.seeds).map(|n| hash::seed(&self.grading.secret, test, n)).collect();
        let limits = Limits {
            wall: policy.wall(terms.seeds),
            print: policy.print_mib << 20,
            stop: self.stop,
        };
        let trial = Trial { about: &terms.about, seeds: &seeds, check_determinism: false, limits };
        let cage = Cage {
            bounds: policy.bounds(terms.seeds),
            uid: Cage::user(slot),
            read: Vec::new(),
            write: Vec::new(),
        };
        let mut graded = TestGrade::new(terms.clone());
        let notes =
            trial.run(|| cage.command(&binary.path), |record| graded.records.push(record))?;
        graded.graded = true;
        graded.forged = notes.forged;
        graded.printed = notes.printed;
        Ok(graded)
    }

    fn write(&self, grade: &Grade) -> Result<()> {
        let folder = self.out.join(&grade.submission);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let options = self.options;
        let put = |name: &str, also: Option<&PathBuf>, text: &str| {
            also.map_or(Ok(()), |file| outputs::write(file, text))?;
            outputs::write(&folder.join(name), text)
        };
        put("grade.json", None, &(serde_json::to_string(grade)? + "\n"))?;
        put("results.json", options.gradescope.as_ref(), &gradescope::results(grade))?;
        put("junit.xml", options.junit.as_ref(), &junit::report(grade))?;
        put("summary.md", options.summary.as_ref(), &summary::markdown(grade))?;
        if let Some(identity) = self.identity()? {
            let text = classroom50::results(grade, &identity);
            put("result.json", options.classroom50.as_ref(), &text)?;
        }
        Ok(())
    }

    /// Who is graded, where Classroom 50 says so.
    fn identity(&self) -> Result<Option<classroom50::Identity>> {
        let lookup = |name: &str| env::var(name).ok();
        let datetime = if lookup("CLASSROOM").is_some() {
            commit_time(&self.options.submissions[0])?
        } else {
            String::new()
        };
        match classroom50::Identity::read(lookup, &datetime) {
            Ok(None) => {
                ensure!(
                    self.options.classroom50.is_none(),
                    "--classroom50, but CLASSROOM is not set"
                );
                Ok(None)
            }
            Ok(identity) => Ok(identity),
            Err(name) => bail!("CLASSROOM is set, but not {name}"),
        }
    }
}

/// When the commit that is checked out in a folder was made.
fn commit_time(folder: &Path) -> Result<String> {
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%cd", "--date=format-local:%Y-%m-%dT%H:%M:%SZ"]);
    let output = git.current_dir(folder).env("TZ", "UTC").output().context("git")?;
    ensure!(output.status.success(), "{} is no checked-out commit", folder.display());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn read_kept(file: &Path, key: &str) -> Option<Grade> {
    let grade: Grade = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    (grade.key == key).then_some(grade)
}

/// What is printed of a submission.
fn line(grade: &Grade) -> String {
    let part = |(part, tests): (&str, Vec<&TestGrade>)| {
        let score: f64 = tests.iter().map(|test| test.score()).sum();
        format!("  {part} {}", outputs::rounded(score))
    };
    let mut text = format!(
        "{:<20} {:>6} of {}",
        grade.submission,
        outputs::rounded(grade.score()),
        outputs::rounded(grade.max_score())
    );
    match &grade.problem {
        Some(problem) => {
            let first = problem.text().lines().next().unwrap_or_default();
            let _ = write!(text, "  {}: {first}", problem.title());
        }
        None => text.extend(grade.parts().into_iter().map(part)),
    }
    if !grade.findings.is_empty() {
        let _ = write!(text, "  ({} findings)", grade.findings.len());
    }
    if grade.needs_staff() {
        text.push_str("  (needs staff: the tester itself failed)");
    }
    if !grade.complete {
        text.push_str("  (not complete)");
    }
    text + "\n"
}
