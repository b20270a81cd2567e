//! The experiments of the book, each one command.
//!
//! ```text
//!  `make figure16`     failover.rs ── 1,000 crashes a curve ──▶ figure16-*.svg, figure16.md
//!  `make experiments`  batches.rs ─── commands at a time ─────▶ batches.svg, batches.md
//!                      recovery.rs ── length of the log ──────▶ recovery.md
//! ```
//!
//! What is counted in virtual time, messages and bytes is the same in every run and on every
//! machine, and CI compares it. What is CPU time is in tables of its own, which say whose.
//!
//! - `failover.rs`: how long a crashed leader is missed; `trial.rs` is one crash.
//! - `batches.rs`, `recovery.rs`: what a cluster pays; `cluster.rs` is what they share.
//! - `plot.rs` draws lines as SVG that follow the page's colours.
//! - Not here: what the figures mean. That is in `book/`.

mod batches;
mod cluster;
mod failover;
mod plot;
mod recovery;
mod trial;

use std::{fs, io, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "Repeats the experiments of the book.")]
struct Options {
    /// Where the figures and tables are written.
    #[arg(long, default_value = "book/figures")]
    out: PathBuf,
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// The paper's Figure 16: how long a crashed leader is missed, by election timeouts.
    Figure16 {
        /// Crashes for each curve; a tenth of them where no leader is expected, as in the paper.
        #[arg(long, default_value_t = 1000)]
        trials: u64,
    },
    /// Throughput and latency against the number of commands that are started together.
    Batches,
    /// What a server's return costs, against the length of the log, with and without snapshots.
    Recovery,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let files = match options.which {
        Which::Figure16 { trials } => failover::run(trials),
        Which::Batches => batches::run(),
        Which::Recovery => recovery::run(),
    };
    match write(&options.out, files) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("experiments: {}: {error}", options.out.display());
            ExitCode::FAILURE
        }
    }
}

/// A file's name, and what is in it.
type File = (&'static str, String);

fn write(out: &PathBuf, files: Vec<File>) -> io::Result<()> {
    fs::create_dir_all(out)?;
    for (name, text) in files {
        fs::write(out.join(name), text)?;
        eprintln!("wrote {}", out.join(name).display());
    }
    Ok(())
}
