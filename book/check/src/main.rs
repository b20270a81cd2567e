//! Checks of the lab book.
//!
//! ```text
//!  book/en, book/zh ─┬─ pages    both languages have the same pages, with the same blocks of code
//!                    ├─ quotes   what a block says `from=` a file is in that file
//!                    └─ run      what a block says to `run` runs, and prints what the book shows
//!  target/book ──────── links    every link and picture leads somewhere
//! ```
//!
//! A block of code says in its first line what it is: see `block.rs`. Without one of these words it is
//! a drawing, or prose, and only `pages` looks at it.
//!
//! - Not here: building the book, which is `book/build`; links to other sites.

mod block;
mod links;
mod pages;
mod quotes;
mod run;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about = "Checks the lab book.")]
struct Options {
    /// The workspace.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Both languages have the same pages, and these the same code.
    Pages,
    /// Quotations are what they say they are.
    Quotes,
    /// Links within the built book lead somewhere.
    Links,
    /// Commands run, and print what the book shows.
    Run {
        /// Only blocks of pages whose path contains this.
        page: Option<String>,
    },
}

fn main() -> ExitCode {
    let options = Options::parse();
    let problems = match &options.what {
        What::Pages => pages::check(&options.root),
        What::Quotes => quotes::check(&options.root),
        What::Links => links::check(&options.root),
        What::Run { page } => run::check(&options.root, page.as_deref()),
    };
    for problem in &problems {
        eprintln!("{problem}");
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
