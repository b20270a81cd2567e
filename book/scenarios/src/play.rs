//! A scenario is played in a process of its own: the tester reads seed and recorder from the environment.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use timeline::Run;

use crate::scenario::Scenario;

/// Why there is no run to draw.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// A file or a process.
    #[error("{0}: {1}")]
    Io(String, io::Error),
    /// The story came to no good end.
    #[error(
        "its story fails on seed {0:#x}; `scenarios play {1}` with LAB_SEED={0:#x} shows where"
    )]
    Story(u64, &'static str),
}

/// What came of it.
pub(crate) struct Played {
    pub(crate) run: Run,
    /// The timeline.
    pub(crate) page: String,
}

/// Plays a scenario on a seed, in a folder for what is left behind.
pub(crate) fn play(scenario: &Scenario, seed: u64, folder: &Path) -> Result<Played, Problem> {
    let io = |what: &Path| {
        let what = what.display().to_string();
        move |error| Problem::Io(what, error)
    };
    let folder = folder.join(scenario.name);
    let pages = folder.join("target/lab");
    if pages.exists() {
        fs::remove_dir_all(&pages).map_err(io(&pages))?;
    }
    fs::create_dir_all(&folder).map_err(io(&folder))?;
    let program = env::current_exe().map_err(io(Path::new("this program")))?;
    let mut player = Command::new(&program);
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LAB_")) {
        player.env_remove(name);
    }
    player.args(["play", scenario.name]).current_dir(&folder);
    player.env("LAB_SEED", format!("{seed:#x}")).env("LAB_TRACE", "always").env("LAB_SHRINK", "no");
    player.env("RUST_BACKTRACE", "0"); // to look for the lines takes long
    player.stdout(Stdio::null()).stderr(Stdio::null());
    if !player.status().map_err(io(&program))?.success() {
        return Err(Problem::Story(seed, scenario.name));
    }
    let path = only_page(&pages).map_err(io(&pages))?;
    let page = fs::read_to_string(&path).map_err(io(&path))?;
    let run = timeline::run_of_page(&page).map_err(io(&path))?;
    Ok(Played { run, page })
}

fn only_page(folder: &Path) -> io::Result<PathBuf> {
    let mut files = fs::read_dir(folder)?;
    let first = files.next().transpose()?;
    Ok(first.ok_or(io::ErrorKind::NotFound)?.path())
}
