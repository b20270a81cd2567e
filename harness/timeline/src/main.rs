//! The command line: a recorded run as a page, as a `ShiViz` log, or beside another run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use timeline::Run;

/// Draws a recorded run: a page (`target/lab/<test>-<seed>.html`), or the JSON of one.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Action>,
    /// The run.
    run: Option<PathBuf>,
    /// Where to write the page.
    #[arg(long)]
    html: Option<PathBuf>,
    /// Where to write the run as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where to write a log for `ShiViz`.
    #[arg(long)]
    shiviz: Option<PathBuf>,
    /// Where to write the story: what broke, and what led to it, as JSON.
    #[arg(long)]
    story: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Action {
    /// Draws a run beside another, and marks the first event that differs.
    Compare {
        /// The run, usually one that fails.
        run: PathBuf,
        /// The other, usually one that passes.
        other: PathBuf,
        /// Where to write the page.
        #[arg(long, default_value = "compare.html")]
        html: PathBuf,
    },
}

fn main() -> ExitCode {
    match work(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

fn work(arguments: &Arguments) -> Result<(), String> {
    if let Some(Action::Compare { run, other, html }) = &arguments.command {
        return write(html, &timeline::page_beside(&read(run)?, &read(other)?));
    }
    let path = arguments.run.as_ref().ok_or("which run?")?;
    let run = read(path)?;
    if [&arguments.html, &arguments.json, &arguments.shiviz, &arguments.story] == [&None; 4] {
        return Err("nothing to write: give --html, --json, --shiviz or --story".to_owned());
    }
    if let Some(json) = &arguments.json {
        write(json, &serde_json::to_string(&run).map_err(|error| error.to_string())?)?;
    }
    if let Some(html) = &arguments.html {
        write(html, &timeline::page(&run))?;
    }
    if let Some(log) = &arguments.shiviz {
        write(log, &timeline::shiviz(&run))?;
    }
    if let Some(story) = &arguments.story {
        let text = serde_json::to_string_pretty(&timeline::why::Story::of(&run));
        write(story, &text.map_err(|error| error.to_string())?)?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Run, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let run = if text.starts_with('<') {
        timeline::run_of_page(&text)
    } else {
        serde_json::from_str(&text).map_err(Into::into)
    };
    let run = run.map_err(|error| format!("{} is not a recorded run: {error}", path.display()))?;
    if run.version != Run::VERSION {
        let (found, known) = (run.version, Run::VERSION);
        return Err(format!("{} has version {found}, this program reads {known}", path.display()));
    }
    Ok(run)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
