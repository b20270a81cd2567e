//! `grade handout`: the tree that students get, written and checked.
//!
//! ```text
//!  staff's workspace ──the files named in tree.rs──┐
//!                                                  ├──▶ tree ──▶ no secret line? ──▶ written
//!  staff/handout/ ──the skeleton, README, Makefile───────┘               (leak.rs)            │
//!                         every graded test fails as it should ◀── lints ◀── built ◀────┘
//! ```
//!
//! The whole of this crate's `src` is handed out, the grader included: students need `sweep` and
//! `submit`, and a grader that is safe only while nobody has read it is not safe. What the staff
//! keeps is data: the policy with its hidden tests, and the seeds.

mod leak;
mod remnants;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use labrecord::{Record, Verdict};

pub use leak::{Leak, Secrets};
pub use tree::Reader;

use crate::cargo::{Build, target as target_of};
use crate::say::say;
use crate::submit::PRISTINE;
use crate::workspace::{self, Files};
use crate::{archive, smoke};

/// Write the tree that students get, without solutions, and check it.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The folder to write to; what is in it is replaced.
    #[arg(long, default_value = "target/handout")]
    out: PathBuf,
    /// Only write, and look for what must not be in it: do not build and run it.
    #[arg(long)]
    no_build: bool,
    /// The staff's workspace, or a folder in it.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

/// No skeleton needs longer for all tests, by far.
const PATIENCE: Duration = Duration::from_mins(2);

/// Each test must fail in this time.
const SOON: f64 = 5.0;

/// Writes and checks.
///
/// # Errors
///
/// If something of the solution is in the tree, or a check fails; the message says which and where.
pub fn run(options: &Options) -> Result<ExitCode> {
    let root = workspace::find(&options.root)?;
    let staff = staff(&root)?;
    let folder = std::path::absolute(&options.out)?;
    let handed_out = write(&staff, Reader::Student, &folder)?;
    say(&format!("{}: {}\n", folder.display(), size(&handed_out)));
    if !options.no_build {
        check(&root, &folder)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The staff's workspace: its files, but those that git does not know.
///
/// # Errors
///
/// If a file cannot be read, or this is a workspace that was handed out.
pub fn staff(root: &Path) -> Result<Files> {
    let staff = tree::read(root)?;
    if tree::skeleton(&staff).next().is_none() {
        bail!("{} is not the staff's workspace: there is no skeleton in it", root.display());
    }
    Ok(staff)
}

/// Writes the tree for a reader to a folder, and returns it.
///
/// # Errors
///
/// If something is in it that the reader must not see, or the folder is in use.
pub fn write(staff: &Files, reader: Reader, folder: &Path) -> Result<Files> {
    let mut handed_out = tree::hand_out(staff, reader)?;
    let mut skeleton: Files = tree::skeleton(staff).collect();
    if reader == Reader::Grader {
        // They are no secret there.
        let hidden = handed_out.iter().filter(|(path, _)| tree::is_hidden(path));
        skeleton.extend(hidden.map(|(path, contents)| (path.clone(), contents.clone())));
    }
    let secrets = Secrets::of(staff, &skeleton);
    refuse_leaks(&secrets.in_tree(&handed_out))?;
    say(&format!("none of {} secret lines is handed out\n", secrets.len()));

    refuse_remnants(&remnants::remnants(&handed_out), reader)?;
    may_be_replaced(folder)?;
    // Beside its place: where cargo fails, nothing half-written stays behind.
    let mut name = folder.file_name().context("the tree needs a folder of its own")?.to_owned();
    name.push(".unfinished");
    let beside = folder.with_file_name(name);
    let lock = lock_file(&handed_out, &beside);
    // Whatever came of it.
    let removed = fs::remove_dir_all(&beside);
    handed_out.insert("Cargo.lock".to_owned(), lock?);
    removed.with_context(|| beside.display().to_string())?;
    let pristine = archive::pack(&handed_out)?;
    handed_out.insert(PRISTINE.to_owned(), pristine.clone());
    // First what says that the tree may be replaced: if this is cut short, the next run goes on.
    let mark = folder.join(PRISTINE);
    fs::create_dir_all(mark.parent().unwrap_or(folder))?;
    fs::write(&mark, pristine).with_context(|| mark.display().to_string())?;
    workspace::write(&handed_out, folder)?;
    Ok(handed_out)
}

/// The lock file without what only the staff's crates need, made in a `folder` of its own. The registry
/// is asked only if this machine has not asked it before.
fn lock_file(tree: &Files, folder: &Path) -> Result<Vec<u8>> {
    workspace::write(tree, folder)?;
    let offline = cargo(folder, &["update", "--workspace", "--offline", "--quiet"], &[]);
    offline.or_else(|_| cargo(folder, &["update", "--workspace", "--quiet"], &[]))?;
    fs::read(folder.join("Cargo.lock")).context("Cargo.lock")
}

fn size(files: &Files) -> String {
    let bytes: usize = files.values().map(Vec::len).sum();
    format!("{} files, {} KB", files.len(), bytes.div_ceil(1000))
}

fn refuse_leaks(leaks: &[Leak]) -> Result<()> {
    let line = |leak: &Leak| format!("\n  {} is {}: {}", leak.place, leak.origin, leak.line);
    if leaks.is_empty() {
        return Ok(());
    }
    bail!("students would see:{}", leaks.iter().map(line).collect::<String>())
}

fn refuse_remnants(found: &[String], reader: Reader) -> Result<()> {
    if found.is_empty() || reader == Reader::Grader {
        return Ok(());
    }
    bail!("students would see what makes sense for staff only:\n  {}", found.join("\n  "))
}

/// What is in the folder goes away; so it must be a tree that was written here before.
fn may_be_replaced(folder: &Path) -> Result<()> {
    let used = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if used && !folder.join(PRISTINE).is_file() {
        bail!("{} is in use, and not by an earlier hand-out", folder.display());
    }
    Ok(())
}

/// Does it build, is it clean, and does each test fail as it should?
fn check(root: &Path, folder: &Path) -> Result<()> {
    // Not in the tree. Nor where the workspace itself is built: its crates have the same names and
    // the same places in it, and cargo would take what was built of one for the other.
    let target = std::path::absolute(target_of(root))?.join("handout-build");
    let target = target.to_str().context("the target folder's name is not UTF-8")?;
    let env = [("CARGO_TARGET_DIR", target), ("RUSTDOCFLAGS", "-D warnings")];
    cargo(folder, &["fmt", "--all", "--check"], &[])?;
    let clippy = ["clippy", "--locked", "--quiet", "--workspace", "--all-targets"];
    cargo(folder, &[&clippy[..], &["--", "-D", "warnings"]].concat(), &env)?;
    let doc = ["doc", "--locked", "--quiet", "--no-deps", "-p", "raft", "-p", "kvraft"];
    cargo(folder, &doc, &env)?;
    say("rustfmt, clippy and rustdoc have nothing to say\n");

    let build = Build { root: folder.to_owned(), profile: "dev".to_owned(), frozen: false };
    let mut command = build.command();
    command.env("CARGO_TARGET_DIR", target);
    let binary = crate::suite::TestBinary::new(build.run(command)?, folder.join("tests"));
    let tests = binary.graded()?;
    let records = smoke::run(&binary, &tests, &Path::new(target).join("handout.jsonl"), PATIENCE)?;
    for record in &records {
        fails_as_it_should(record)?;
    }
    let slowest = records.iter().map(|record| record.wall_seconds).fold(0.0, f64::max);
    say(&format!(
        "{} graded tests fail, each within {slowest:.2} s, and say which part is missing\n",
        records.len()
    ));
    Ok(())
}

fn fails_as_it_should(record: &Record) -> Result<()> {
    let Record { test, verdict, wall_seconds, .. } = record;
    let Some(report) = &record.report else { bail!("{test} passes without a solution") };
    let says_what_is_missing =
        report.title.starts_with("part ") && report.title.ends_with(" is not written yet");
    if *verdict == Verdict::Pass || !says_what_is_missing {
        bail!("{test} should say which part is missing, and says:\n{report}");
    }
    if *wall_seconds > SOON {
        bail!("{test} takes {wall_seconds:.1} s to fail");
    }
    Ok(())
}

/// Runs cargo in a folder, and returns what it printed.
pub(crate) fn cargo(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(args).current_dir(folder).envs(env.iter().copied());
    let output = cargo.output().context("cargo cannot be run")?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("cargo {}:\n{}", args.join(" "), String::from_utf8_lossy(&said).trim_end());
    }
    Ok(output.stdout)
}
