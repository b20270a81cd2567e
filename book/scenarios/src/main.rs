//! The figures of the book that show a run: scripted, played by the reference Raft, drawn.
//!
//! ```text
//!  split_vote.rs ...   a story, in the language of the graded tests, and what must come of it
//!        │ play.rs     in the simulation, with the recorder of timelines
//!        ▼
//!  timeline::Run ──┬── figure/  book/figures/runs/*.svg, which are kept
//!                  └── its page target/book/runs/*.html, made with the book
//! ```
//!
//! `make scenarios` draws them anew. If a run is not any more what the text says of it, it is not
//! drawn, and the sentence that does not hold is printed; then `scenarios seek NAME` looks for a seed on
//! which it does. `scenarios check`, and with it `cargo test -p scenarios`, compares what is
//! kept with what is drawn, byte for byte.
//!
//! - `scenario.rs` is what stories are made of; `figure/` draws servers' logs at an instant, or
//!   messages between two.
//! - Not here: what the figures mean. That is in `book/`.

mod figure;
mod figure_8;
mod partition;
mod play;
mod repair;
mod scenario;
mod snapshot;
mod split_vote;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use scenario::{Figure, Scenario};

const ALL: [Scenario; 6] = [
    split_vote::SCENARIO,
    repair::SCENARIO,
    figure_8::LOST,
    figure_8::SAVED,
    snapshot::SCENARIO,
    partition::SCENARIO,
];

#[derive(Debug, Parser)]
#[command(about = "Draws the figures of the book that show a run.")]
struct Options {
    /// Where the figures are.
    #[arg(long, default_value = "book/figures/runs")]
    figures: PathBuf,
    /// Where runs leave what they write.
    #[arg(long, default_value = "target/scenarios")]
    work: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Draws all figures.
    Draw,
    /// Are the figures those that would be drawn?
    Check,
    /// Writes the timelines of the runs.
    Pages {
        /// Where to.
        #[arg(default_value = "target/book/runs")]
        to: PathBuf,
    },
    /// Looks for the first seed on which a scenario comes about.
    Seek {
        /// Which.
        name: String,
        /// The first seed that is tried.
        #[arg(default_value_t = 1)]
        from: u64,
    },
    /// Plays a scenario as the `LAB_` variables say, as if it were a graded test.
    Play {
        /// Which.
        name: String,
    },
}

fn main() -> ExitCode {
    let options = Options::parse();
    match work(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("scenarios: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn work(options: &Options) -> Result<(), String> {
    match &options.what {
        What::Play { name } => (find(name)?.play)(),
        What::Seek { name, from } => seek(find(name)?, *from, &options.work)?,
        What::Draw => {
            for scenario in &ALL {
                for (file, svg) in files(scenario, drawn(scenario, &options.work)?.1) {
                    write(&options.figures.join(file), &svg)?;
                }
            }
        }
        What::Pages { to } => {
            for scenario in &ALL {
                let page = drawn(scenario, &options.work)?.0;
                write(&to.join(format!("{}.html", scenario.name)), &page)?;
            }
        }
        What::Check => check(&options.figures, &options.work)?,
    }
    Ok(())
}

fn find(name: &str) -> Result<&'static Scenario, String> {
    static SCENARIOS: [Scenario; 6] = ALL;
    let names = || ALL.map(|scenario| scenario.name).join(", ");
    let found = SCENARIOS.iter().find(|scenario| scenario.name == name);
    found.ok_or_else(|| format!("there is no scenario {name}, but: {}", names()))
}

/// A scenario's page and its figures.
fn drawn(scenario: &Scenario, work: &Path) -> Result<(String, Vec<Figure>), String> {
    let about = |problem: &dyn std::fmt::Display| format!("{}: {problem}", scenario.name);
    let played = play::play(scenario, scenario.seed, work).map_err(|problem| about(&problem))?;
    let figures = (scenario.draw)(&played.run).map_err(|problem| about(&problem))?;
    Ok((played.page, figures))
}

fn files(scenario: &Scenario, figures: Vec<Figure>) -> impl Iterator<Item = (String, String)> {
    let name = scenario.name;
    figures.into_iter().map(move |figure| match figure.name {
        "" => (format!("{name}.svg"), figure.svg),
        part => (format!("{name}-{part}.svg"), figure.svg),
    })
}

/// Every file that differs, and those that nothing draws.
fn check(figures: &Path, work: &Path) -> Result<(), String> {
    let mut wrong = Vec::new();
    let mut known = Vec::new();
    for scenario in &ALL {
        for (file, svg) in files(scenario, drawn(scenario, work)?.1) {
            if fs::read_to_string(figures.join(&file)).ok().as_ref() != Some(&svg) {
                wrong.push(format!("{file} is not what is drawn now"));
            }
            known.push(file);
        }
    }
    let kept = fs::read_dir(figures).map_err(|error| format!("{}: {error}", figures.display()))?;
    for file in kept.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        if !known.contains(&file) {
            wrong.push(format!("{file} is drawn by no scenario"));
        }
    }
    wrong.sort();
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "`make scenarios` draws anew what is in {}:\n{}",
        figures.display(),
        wrong.join("\n")
    ))
}

fn seek(scenario: &Scenario, from: u64, work: &Path) -> Result<(), String> {
    const TRIES: u64 = 20_000;
    for seed in from..from + TRIES {
        match play::play(scenario, seed, work) {
            Err(play::Problem::Story(..)) => {}
            Err(problem) => return Err(problem.to_string()),
            Ok(played) => match (scenario.draw)(&played.run) {
                Ok(_) => {
                    eprintln!("{} comes about on seed {seed}", scenario.name);
                    return Ok(());
                }
                Err(problem) => eprintln!("{seed}: {problem}"),
            },
        }
    }
    Err(format!("{} comes about on none of {TRIES} seeds", scenario.name))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, text));
    written.map_err(|error| format!("{}: {error}", path.display()))?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
