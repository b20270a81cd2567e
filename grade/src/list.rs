//! `grade list`: the graded tests.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::cargo::Build;
use crate::say::say;
use crate::{suite, workspace};

/// Print the names of the graded tests.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Parts or tests, such as 3A or `raft_3A::re_election`; all, if nothing is said.
    tests: Vec<String>,
    /// Build with this cargo profile.
    #[arg(long, default_value = "dev")]
    profile: String,
    /// The workspace, or a folder in it.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

/// Lists.
///
/// # Errors
///
/// If the tests cannot be built, or there is no such test.
pub fn run(options: &Options) -> Result<ExitCode> {
    let root = workspace::find(&options.root)?;
    let build = Build { root, profile: options.profile.clone(), frozen: false };
    let tests = suite::select(&build.tests()?.graded_and_campaigns()?, &options.tests)?;
    say(&format!("{}\n", tests.join("\n")));
    Ok(ExitCode::SUCCESS)
}
