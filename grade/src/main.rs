//! `grade --help` says what it does.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use grade::{confine, doctor, gradescope, handout, list, merge, run, scan, submit, sweep};

/// Sweeps of seeds, scores, and the grading of submissions that may cheat.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

// One module of the library for each: its `Options`, and `run`.
#[derive(Debug, Subcommand)]
enum Command {
    Gradescope(gradescope::Options),
    Handout(handout::Options),
    Sweep(sweep::Options),
    Merge(merge::Options),
    Run(run::Options),
    Doctor(doctor::Options),
    List(list::Options),
    #[command(hide = true)]
    Confine(confine::Options),
    Submit(submit::Options),
    Scan(scan::Options),
}

fn main() -> ExitCode {
    let result = match Options::parse().command {
        Command::Gradescope(options) => gradescope::run(&options),
        Command::Handout(options) => handout::run(&options),
        Command::Sweep(options) => sweep::run(&options),
        Command::Merge(options) => merge::run(&options),
        Command::Run(options) => run::run(&options),
        Command::Confine(options) => confine::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::List(options) => list::run(&options),
        Command::Scan(options) => scan::run(&options),
        Command::Submit(options) => submit::run(&options),
    };
    result.unwrap_or_else(|error| {
        eprintln!("grade: {error:#}");
        ExitCode::from(2)
    })
}
