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
//! make mutants                        every patch: right ones on 200 seeds of every test
//! make mutants ONLY=R01,C05 RUNS=1000 these two
//! make mutants ONLY=4A,4B             those of the key/value service
//! make compare                        are wrong ones found as soon as the committed matrix says?
//! make explain                        is what is wrong with each pointed at?
//! make search ONLY=R50,R80            what does the systematic search find in these Rafts?
//! make second-opinion                 every change that `cargo mutants` knows, as a wrong one
//! ```
//!
//! A patch is a header and a unified diff against `raft/src` or `kvraft/src`, or against a design that
//! takes the place of these; [`mutant`] reads it.
//! It is given the graded tests of Lab 3 or of Lab 4. A wrong one is *caught* if some test fails on
//! some of its first thousand seeds; it is given few at first, and more only while nothing has failed; and
//! then torture. A right one gets all seeds of all tests, and must fail none.
//!
//! A result is kept under a hash of the patch and the sources that the tests of its lab depend on.
//! What was not changed is not run again, so an interrupted run goes on where it was. Wrong ones that
//! change nothing but bodies of functions share a build.
//!
//! | file | what it does |
//! | --- | --- |
//! | `mutant.rs` | a patch file: its header, its diff, applying it |
//! | `design.rs` | directories that take the place of the reference |
//! | `sources.rs` | the workspace's files, their hash, a copy that is brought up to date |
//! | `campaign.rs` | many patches: what is kept, what shares a build |
//! | `switches.rs` | many patches in one build, each behind a switch |
//! | `trial.rs` | builds the tests with a patch |
//! | `runs.rs` | how many seeds of which tests a patch is given |
//! | `outcome.rs` | what came of it, and where that is kept |
//! | `table.rs`, `summary.rs` | lines, sums, TABLE.md |
//! | `matrix.rs` | MATRIX.csv, and whether it has become worse |
//! | `opinion.rs` | what `cargo mutants` would change |
//! | `search.rs` | what the systematic search finds in one |
//! | `others.rs` | the workspace with a Raft of others in the place of `raft` |
//! | `explain.rs` | runs one test of a wrong one with shrinking and the timeline |
//! | `judge.rs` | does the timeline point at what is wrong? |
//! | `accusations.rs` | records correct servers, and says what their timelines accuse them of |
//! | `explained.rs` | the table of that: EXPLAINED.md |
//!
//! Not here: what a test checks. That is in `tests/lab` and `harness/tester`.

mod accusations;
mod campaign;
mod design;
mod explain;
mod explained;
mod judge;
mod matrix;
mod mutant;
mod opinion;
mod others;
mod outcome;
mod runs;
mod search;
mod sources;
mod summary;
mod switches;
mod table;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::campaign::{Campaign, in_workshops};
use crate::explain::Archive;
use crate::explained::Row;
use crate::matrix::Comparison;
use crate::mutant::{Lab, Mutant};
use crate::outcome::Outcome;
use crate::runs::Plan;
use crate::sources::Sources;
use crate::trial::Workshop;

/// Runs the graded tests on wrong Rafts and services, which must fail, and on unusual right ones,
/// which must pass.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[derive(Debug, Parser)]
struct Options {
    /// Numbers of the patches to run, separated by commas, such as R01,C05; also R, K or C for all
    /// of a kind, and 3A or 4 for those of a part or a lab. Everything, if nothing is said.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Seeds of each test that a right one must pass.
    #[arg(long, default_value_t = 200)]
    runs: u64,
    /// Seeds of each test within which a wrong one must fail. It gets few at first, and more only while
    /// nothing has failed.
    #[arg(long, default_value_t = 1000)]
    wrong_runs: u64,
    /// Patches that are run at the same time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=2))]
    jobs: u8,
    /// Seconds of wall time for one patch, building included.
    #[arg(long, default_value_t = 1200)]
    limit: u64,
    /// Build the tests with this cargo profile.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Run also what a kept result answers.
    #[arg(long)]
    again: bool,
    /// Explain the wrong ones: run a test that fails each, with shrinking and the timeline, and judge
    /// whether what is pointed at is what is wrong. `recorded` takes what was recorded before, of
    /// whatever sources.
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "runs")]
    explain: Option<Explain>,
    /// Only search the Rafts among them, systematically, with so many runs each as `--runs` says.
    #[arg(long, conflicts_with = "explain")]
    search: bool,
    /// Only record the correct ones among them, and the Rafts of others if none is named, on `--runs` seeds
    /// of each graded test, with their view and without it: their timelines must accuse them of nothing.
    #[arg(long, conflicts_with = "explain")]
    accusations: bool,
    /// Lay out the workspace with a Raft of others in the place of ours, in `target/others`: these of
    /// `staff/others`, separated by commas, or all. Build and run nothing.
    #[arg(long, num_args = 0.., value_delimiter = ',')]
    others: Option<Vec<String>>,
    /// Compare with MATRIX.csv in place of writing it: is a wrong server found later than it was?
    #[arg(long)]
    compare: bool,
    /// Try every change that `cargo mutants` would make in `src` of this crate, raft or kvraft, each
    /// until the first failure.
    #[arg(long, value_name = "CRATE")]
    second_opinion: Option<String>,
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
    let home = options.root.join("staff/mutants");
    if let Some(package) = &options.second_opinion {
        return second_opinion(options, package);
    }
    let all = Mutant::read_all(&home)?;
    for only in &options.only {
        if !all.iter().any(|mutant| is_meant(mutant, only)) {
            return Err(format!("there is no patch {only}"));
        }
    }
    let chosen: Vec<&Mutant> = all.iter().filter(|mutant| is_chosen(mutant, options)).collect();
    let sources = Sources::read(&options.root)?;
    if let Some(what) = options.explain {
        return explain_all(options, &chosen, &sources, what == Explain::Recorded);
    }

    if options.accusations {
        return accuse_all(options, &chosen, &sources);
    }
    if options.search {
        return search_all(options, &chosen, &sources);
    }

    let campaign = campaign(options, &sources, "results", "job1");
    let outcomes = campaign.run(&chosen, table::line)?;
    let rows: Vec<(&Mutant, &Outcome)> =
        outcomes.iter().map(|(mutant, outcome)| (*mutant, outcome)).collect();
    table::print_sums(&rows);
    let matrix = home.join("MATRIX.csv");
    if options.compare {
        return compare(&matrix, &all, &rows);
    }
    let before = fs::read_to_string(&matrix).unwrap_or_default();
    write(&matrix, &matrix::csv(&before, &all, &rows))?;
    if rows.len() == all.len() {
        write(&home.join("TABLE.md"), &table::markdown(&rows, options.wrong_runs))?;
    }
    Ok(rows.iter().all(|(mutant, outcome)| outcome.is_right_for(mutant.is_wrong())))
}

/// Is every wrong server found as soon as the committed matrix says?
fn compare(committed: &Path, all: &[Mutant], rows: &[(&Mutant, &Outcome)]) -> Result<bool, String> {
    let problem = |what: &dyn std::fmt::Display| format!("{}: {what}", committed.display());
    let text = fs::read_to_string(committed).map_err(|error| problem(&error))?;
    let before = matrix::parse(&text).map_err(|error| problem(&error))?;
    let now = matrix::parse(&matrix::csv("", all, rows))?;
    let Comparison { worse, notes } = matrix::compare(&before, &now);
    for note in notes {
        table::say(&format!("note   {note}\n"));
    }
    for line in &worse {
        table::say(&format!("WORSE  {line}\n"));
    }
    table::say(&format!("{} of {} are found later than before\n", worse.len(), rows.len()));
    Ok(worse.is_empty())
}

/// Tries every change that `cargo mutants` offers for a crate.
fn second_opinion(options: &Options, package: &str) -> Result<bool, String> {
    let offered = opinion::offered(&options.root, package)?;
    let wanted = |change: &&Mutant| {
        options.only.is_empty() || options.only.iter().any(|only| change.what.contains(only))
    };
    let chosen: Vec<&Mutant> = some(offered.iter().filter(wanted), "changes", options)?;
    let sources = Sources::read(&options.root)?;
    let campaign = campaign(options, &sources, "second-opinion", "switches");
    let outcomes = campaign.run(&chosen, opinion::line)?;
    let rows: Vec<(&Mutant, &Outcome)> =
        outcomes.iter().map(|(change, outcome)| (*change, outcome)).collect();
    let (text, good) = opinion::sums(&rows, &options.root.join("staff/mutants"));
    table::say(&format!("\n{text}"));
    Ok(good)
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

/// Searches the Rafts of `chosen`.
fn search_all(options: &Options, chosen: &[&Mutant], sources: &Sources) -> Result<bool, String> {
    let plan = plan(options);
    let place = options.root.join("target/mutants");
    let rafts = chosen.iter().copied().filter(|mutant| mutant.lab == Lab::Raft);
    let rafts = some(rafts, "Rafts", options)?;
    let found = in_workshops(options.jobs.into(), &rafts, &place, |mutant, workshop| {
        let found = workshop.search(mutant, sources, plan);
        table::say(&search::lines(mutant, &found));
        found
    })?;
    Ok(found.iter().all(|(mutant, found)| search::is_right_for(mutant, found)))
}

/// Records the correct ones of `chosen`, and Rafts of others if no patch is named.
fn accuse_all(options: &Options, chosen: &[&Mutant], sources: &Sources) -> Result<bool, String> {
    let plan = plan(options);
    let place = options.root.join("target/mutants");
    let correct = chosen.iter().copied().filter(|mutant| !mutant.is_wrong());
    let correct = some(correct, "correct servers", options)?;
    let mut clean = accusations::accuse_all(&correct, sources, plan, &place)?;
    let others = if options.only.is_empty() { others::names(&options.root)? } else { Vec::new() };
    for name in others {
        clean &= accusations::accuse_other(&options.root, &name, sources, plan)?;
    }
    Ok(clean)
}

/// What each patch is given.
fn plan(options: &Options) -> Plan<'_> {
    Plan {
        runs: options.runs,
        wrong_runs: options.wrong_runs,
        limit: Duration::from_secs(options.limit),
        threads: if options.jobs == 1 { 2 } else { 1 },
        profile: &options.profile,
        view: true,
        hasty: options.second_opinion.is_some(),
    }
}

fn campaign<'a>(
    options: &'a Options,
    sources: &'a Sources,
    results: &'a str,
    shared: &'a str,
) -> Campaign<'a> {
    let plan = plan(options);
    let place = options.root.join("target/mutants");
    let (jobs, again) = (options.jobs.into(), options.again);
    Campaign { sources, plan, jobs, place, results, shared, again }
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
    let without = Archive(place.join("explained-without-view"));
    let plan = Plan { threads: 2, ..plan(options) };
    let wrong = chosen.iter().copied().filter(|mutant| mutant.is_wrong());
    let wrong = some(wrong, "buggy servers", options)?;
    let explain = |mutant: &Mutant, workshop: &Workshop, view: bool| {
        let archive = if view { &archive } else { &without };
        let plan = Plan { view, ..plan };
        let key = sources.recording_key(mutant);
        let kept = archive.read(mutant, (!recorded).then_some(&key));
        let explained = match kept.filter(|_| !options.again) {
            Some(kept) => kept,
            None if recorded => return Err("it was not recorded yet".to_owned()),
            None => {
                let known = outcome::read_any(&place.join(format!("results/{}.json", mutant.id())));
                workshop.explain((mutant, &key), sources, known, plan, archive)?
            }
        };
        let judgement = judge::judge(mutant, &explained);
        Ok((explained.record, judgement))
    };
    let rows: Vec<Row> = in_workshops(options.jobs.into(), &wrong, &place, |mutant, workshop| {
        let row = Row {
            mutant,
            with: explain(mutant, workshop, true),
            without: explain(mutant, workshop, false),
        };
        table::say(&explained::line(&row));
        row
    })?
    .into_iter()
    .map(|(_, row)| row)
    .collect();
    let sums = explained::sums(&rows);
    table::say(&format!("\n{sums}"));
    if options.only.is_empty() {
        let file = options.root.join("staff/mutants/EXPLAINED.md");
        write(&file, &explained::markdown(&rows))?;
    }
    let right = rows.iter().filter(|row| explained::is_right(&row.with));
    Ok(100 * right.count() >= GOAL * rows.len())
}

/// So many of a hundred explanations are to be right, of servers that show what they are in.
const GOAL: usize = 90;

fn is_chosen(mutant: &Mutant, options: &Options) -> bool {
    options.only.is_empty() || options.only.iter().any(|only| is_meant(mutant, only))
}

fn is_meant(mutant: &Mutant, only: &str) -> bool {
    mutant.number.eq_ignore_ascii_case(only)
        || (only.len() == 1 && mutant.number.starts_with(&only.to_ascii_uppercase()))
        || (!only.is_empty() && mutant.part.starts_with(&only.to_ascii_uppercase()))
}

/// These, unless there are none: then nothing would be tried, which is no pass.
fn some<'a>(
    these: impl Iterator<Item = &'a Mutant>,
    what: &str,
    options: &Options,
) -> Result<Vec<&'a Mutant>, String> {
    let these: Vec<&Mutant> = these.collect();
    if these.is_empty() {
        return Err(format!("there are no {what} among {}", options.only.join(", ")));
    }
    Ok(these)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To try nothing is no pass.
    #[test]
    fn what_is_not_there_is_named() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        let tried = [
            (&["--only", "R50,R999"][..], "there is no patch R999"),
            (&["--search", "--only", "K01"], "there are no Rafts among K01"),
            (&["--accusations", "--only", "R50"], "there are no correct servers among R50"),
            (&["--explain", "--only", "C01"], "there are no buggy servers among C01"),
        ];
        for (arguments, said) in tried {
            let arguments = [&["mutants", "--root", root], arguments].concat();
            assert_eq!(run(&Options::parse_from(arguments)), Err(said.to_owned()));
        }
    }
}
