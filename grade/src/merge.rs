//! `grade merge`: the parts of a sweep that was spread over machines, as one.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::say::say;
use crate::sweep;
use crate::tally::Sweep;

/// Merge the parts of a sweep, and print its table.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// What `grade sweep --shard .. --out FILE` wrote.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Write the whole here.
    #[arg(long, short)]
    out: Option<PathBuf>,
}

/// Merges.
///
/// # Errors
///
/// If a file cannot be read, or two are not parts of one sweep.
pub fn run(options: &Options) -> Result<ExitCode> {
    let mut whole: Option<Sweep> = None;
    for file in &options.files {
        let name = || file.display().to_string();
        let text = fs::read_to_string(file).with_context(name)?;
        let part: Sweep = serde_json::from_str(&text).with_context(name)?;
        match &mut whole {
            Some(whole) => whole.merge(part).with_context(name)?,
            None => whole = Some(part),
        }
    }
    let whole = whole.context("there is nothing to merge")?;
    say(&whole.table());
    let missing = whole.missing();
    if !missing.is_empty() {
        let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
        say(&format!("\nmissing: {}\n", missing.join(", ")));
    }
    if whole.cut_short {
        say("\ncut short: it has fewer runs than were asked for\n");
    }
    if let Some(out) = &options.out {
        sweep::write(&whole, out)?;
    }
    let good = whole.failures() == 0 && missing.is_empty() && !whole.cut_short;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
