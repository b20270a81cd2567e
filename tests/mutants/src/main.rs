//! Tests of the tests: is every wrong Raft or service failed, and every right one passed?
//!
//! ```text
//!  wrong/*.patch ─┐   target/mutants/job1/                        target/mutants/results/*.json
//!                 ├─▶ a copy of the workspace ─build─▶ tests ──▶ who failed, after how many seeds
//!  right/*.patch ─┘   with one patch applied         of its lab   ──▶ TABLE.md
//!                                                    LAB_RUNS
//! ```
//!
//! ```text
//! make mutants                        every patch, 200 seeds of every test
//! make mutants ONLY=R01,C05 RUNS=1000 these two
//! make mutants ONLY=4A,4B             those of the key/value service
//! make explain                        is what is wrong with each pointed at?
//! ```
//!
//! A patch is a header and a unified diff against `raft/src` or `kvraft/src`; [`mutant`] reads it.
//! It is given the graded tests of Lab 3 or of Lab 4. A wrong one is *caught* if some test fails on
//! some of its seeds. It is first given few seeds, and more only while nothing has failed. A right
//! one gets all seeds of all tests, and must fail none.
//!
//! A result is kept under a hash of the patch and the sources that the tests of its lab depend on.
//! What was not changed is not run again, so an interrupted run goes on where it was.
//!
//! | file | what it does |
//! | --- | --- |
//! | `mutant.rs` | a patch file: its header, its diff, applying it |
//! | `sources.rs` | the workspace's files, their hash, a copy that is brought up to date |
//! | `trial.rs` | builds the tests of a copy, runs them, reads their records |
//! | `others.rs` | the workspace with a Raft of others in the place of `raft` |
//! | `table.rs` | lines, sums, the Markdown table |
//! | `explain.rs` | runs one test of a wrong one with shrinking and the timeline |
//! | `judge.rs` | does the timeline point at what is wrong? |
//! | `explained.rs` | the table of that: EXPLAINED.md |
//!
//! Not here: what a test checks. That is in `tests/src` and `tests/tests`.

mod explain;
mod explained;
mod judge;
mod mutant;
mod others;
mod sources;
mod table;
mod trial;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use grade::parallel;
use parking_lot::Mutex;

use crate::explain::Archive;
use crate::explained::Row;
use crate::mutant::Mutant;
use crate::sources::Sources;
use crate::table::Outcome;
use crate::trial::{Plan, Workshop};

/// Runs the graded tests on wrong Rafts and services, which must fail, and on unusual right ones,
/// which must pass.
#[derive(Debug, Parser)]
struct Options {
    /// Numbers of the patches to run, separated by commas, such as R01,C05; also R, K or C for all
    /// of a kind, and 3A or 4 for those of a part or a lab. Everything, if nothing is said.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Seeds of each test.
    #[arg(long, default_value_t = 200)]
    runs: u64,
    /// Patches that are run at the same time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    jobs: u8,
    /// Seconds of wall time for one patch, building included.
    #[arg(long, default_value_t = 1200)]
    limit: u64,
    /// Build the tests with this cargo profile.
    #[arg(long, default_value = "dev")]
    profile: String,
    /// Run also what a kept result answers.
    #[arg(long)]
    again: bool,
    /// Explain the wrong ones: run a test that fails each, with shrinking and the timeline, and judge
    /// whether what is pointed at is what is wrong. `recorded` takes what was recorded before, of
    /// whatever sources.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "runs")]
    explain: Option<Explain>,
    /// Lay out the workspace with a Raft of others in the place of ours, in `target/others`: these of
    /// `tests/others`, separated by commas, or all. Build and run nothing.
    #[arg(long, num_args = 0.., value_delimiter = ',')]
    others: Option<Vec<String>>,
    /// Only check that every patch applies; build and run nothing.
    #[arg(long)]
    check: bool,
    /// The workspace.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

/// Of what to explain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Explain {
    /// Runs of these sources.
    Runs,
    /// What was recorded before.
    Recorded,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("mutants: {message}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything is as it should be.
fn run(options: &Options) -> Result<bool, String> {
    if let Some(others) = &options.others {
        return lay_out(&options.root, others);
    }
    let home = options.root.join("tests/mutants");
    let all = Mutant::read_all(&home)?;
    let chosen: Vec<&Mutant> = all.iter().filter(|mutant| is_chosen(mutant, options)).collect();
    if chosen.is_empty() {
        return Err(format!("there is no patch {}", options.only.join(", ")));
    }
    let sources = Sources::read(&options.root)?;
    if options.check {
        return Ok(check(&chosen, &sources));
    }

    if let Some(what) = options.explain {
        return explain_all(options, &chosen, &sources, what == Explain::Recorded);
    }

    let place = options.root.join("target/mutants");
    let results = place.join("results");
    fs::create_dir_all(&results).map_err(|e| format!("{}: {e}", results.display()))?;
    let plan = Plan {
        runs: options.runs,
        limit: Duration::from_secs(options.limit),
        threads: if options.jobs == 1 { 2 } else { 1 },
        profile: &options.profile,
    };
    let outcomes = in_workshops(options.jobs, &chosen, &place, |mutant, workshop| {
        let key = sources.key(mutant);
        let kept = results.join(format!("{}.json", mutant.id()));
        let outcome = table::read(&kept, &key, plan.runs).filter(|_| !options.again);
        let outcome = outcome.unwrap_or_else(|| {
            let outcome = workshop.try_out(mutant, &sources, plan);
            table::write(&kept, &key, plan.runs, &outcome);
            outcome
        });
        table::print_line(mutant, &outcome);
        outcome
    })?;

    let rows: Vec<(&Mutant, &Outcome)> =
        outcomes.iter().map(|(mutant, outcome)| (*mutant, outcome)).collect();
    table::print_sums(&rows);
    if rows.len() == all.len() {
        write(&home.join("TABLE.md"), &table::markdown(&rows, options.runs))?;
    }
    Ok(rows.iter().all(|(mutant, outcome)| outcome.is_right_for(mutant.is_wrong())))
}

/// Lays out these Rafts of others, or all, and says where.
fn lay_out(root: &Path, others: &[String]) -> Result<bool, String> {
    let sources = Sources::read(root)?;
    let names = if others.is_empty() { others::names(root)? } else { others.to_vec() };
    for name in names {
        let place = others::lay_out(root, &name, &sources)?;
        table::say(&format!("{}\n", place.display()));
    }
    Ok(true)
}

/// Explains the wrong ones of `chosen`.
fn explain_all(
    options: &Options,
    chosen: &[&Mutant],
    sources: &Sources,
    recorded: bool,
) -> Result<bool, String> {
    let place = options.root.join("target/mutants");
    let archive = Archive(place.join("explained"));
    let plan = Plan {
        runs: options.runs,
        limit: Duration::from_secs(options.limit),
        threads: 2,
        profile: &options.profile,
    };
    let wrong: Vec<&Mutant> = chosen.iter().copied().filter(|mutant| mutant.is_wrong()).collect();
    let explain = |mutant: &Mutant, workshop: &Workshop| {
        let key = sources.recording_key(mutant);
        let kept = archive.read(mutant, (!recorded).then_some(&key));
        let explained = match kept.filter(|_| !options.again) {
            Some(kept) => kept,
            None if recorded => return Err("it was not recorded yet".to_owned()),
            None => {
                let known = table::read_any(&place.join(format!("results/{}.json", mutant.id())));
                workshop.explain((mutant, &key), sources, known, plan, &archive)?
            }
        };
        let judgement = judge::judge(mutant, &explained);
        Ok((explained.record, judgement))
    };
    let rows: Vec<Row> = in_workshops(options.jobs, &wrong, &place, |mutant, workshop| {
        let row = (mutant, explain(mutant, workshop));
        table::say(&explained::line(&row));
        row.1
    })?;
    let sums = explained::sums(&rows);
    table::say(&format!("\n{sums}"));
    if options.only.is_empty() {
        let file = options.root.join("tests/mutants/EXPLAINED.md");
        write(&file, &explained::markdown(&rows))?;
    }
    let right = rows.iter().filter(|(_, row)| row.as_ref().is_ok_and(|(_, j)| j.is_right));
    Ok(100 * right.count() >= GOAL * rows.len())
}

/// Does something with each patch, so many at a time, each in a workshop that is used by one at a time.
/// What came of them, in their order.
fn in_workshops<'a, T: Send>(
    jobs: u8,
    mutants: &[&'a Mutant],
    place: &Path,
    work: impl Fn(&'a Mutant, &Workshop) -> T + Sync,
) -> Result<Vec<(&'a Mutant, T)>, String> {
    let found = Mutex::new(BTreeMap::new());
    parallel::each(jobs.into(), mutants, |job, mutant| {
        let workshop = Workshop::new(place.join(format!("job{}", job + 1)));
        let outcome = work(mutant, &workshop);
        found.lock().insert(mutant.id(), outcome);
        Ok(())
    })
    .map_err(|e| format!("{e:#}"))?;
    let mut found = found.into_inner();
    Ok(mutants.iter().filter_map(|mutant| Some((*mutant, found.remove(&mutant.id())?))).collect())
}

/// So many of a hundred explanations are to be right.
const GOAL: usize = 90;

fn is_chosen(mutant: &Mutant, options: &Options) -> bool {
    let wanted = |only: &String| {
        mutant.number.eq_ignore_ascii_case(only)
            || (only.len() == 1 && mutant.number.starts_with(&only.to_ascii_uppercase()))
            || (!only.is_empty() && mutant.part.starts_with(&only.to_ascii_uppercase()))
    };
    options.only.is_empty() || options.only.iter().any(wanted)
}

/// Applies every patch, in memory.
fn check(chosen: &[&Mutant], sources: &Sources) -> bool {
    let mut good = true;
    for mutant in chosen {
        if let Err(problem) = sources.patched(mutant) {
            table::say(&format!("{}  {problem}\n", mutant.id()));
            good = false;
        }
    }
    table::say(&format!(
        "{} patches, {}\n",
        chosen.len(),
        if good { "all apply" } else { "some do not apply" }
    ));
    good
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}
