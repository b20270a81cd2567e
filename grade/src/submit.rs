//! `grade submit`: packs a student's work, after a look at what the staff will see of it.
//!
//! The graders take over `raft/src` and `kvraft/src`, and nothing else. So does this: it lays them
//! over the tree as it was handed out, builds that, and runs every graded test once. What works
//! only because of a change elsewhere fails here, and not for the first time when it is graded.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use labrecord::{Record, Verdict};

use crate::cargo::{self, Build, CompileError};
use crate::say::say;
use crate::submission::{MAX_BYTES, Submission};
use crate::suite::{TestBinary, crate_and_part};
use crate::workspace::{self, Files, LAB_CRATES};
use crate::{archive, scan, smoke};

/// The tree as it was handed out, packed; in that tree.
pub const PRISTINE: &str = "grade/pristine.tar.gz";

/// A deadlock, an endless loop: each test reports these by itself, after seconds.
const PATIENCE: Duration = Duration::from_mins(10);

/// Check your work as it will be graded, and pack it.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The archive to write.
    #[arg(long, default_value = "submission.tar.gz")]
    out: PathBuf,
    /// The workspace, or a folder in it.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

/// Checks and packs.
///
/// # Errors
///
/// If the work is too large, does not compile in the tree that was handed out, or its tests do not
/// come to an end. Tests that fail are no error: parts are handed in one after the other.
pub fn run(options: &Options) -> Result<ExitCode> {
    let root = workspace::find(&options.root)?;
    let pristine = fs::read(root.join(PRISTINE)).with_context(|| {
        format!("{PRISTINE} is missing, which is in every tree that was handed out")
    })?;
    let pristine = archive::unpack(&pristine).context(PRISTINE)?;
    let submission = Submission::read(&root)?;
    for (path, why) in &submission.ignored {
        say(&format!("not taken: {path}: {why}\n"));
    }
    for (path, what) in changed_elsewhere(&pristine, &workspace::read(&root)?) {
        say(&format!("not taken: {path}: {what}\n"));
    }
    for finding in scan::scan(&submission.files) {
        say(&format!("{finding}: graders may reject it\n"));
    }

    let target = std::path::absolute(cargo::target(&root))?;
    let folder = target.join("submit");
    let copy = folder.join("tree");
    workspace::write(&workspace::overlay(&pristine, &submission.files), &copy)?;
    say("building it in the tree as it was handed out\n");
    let build = Build { root: copy, profile: "dev".to_owned(), frozen: false };
    let mut command = build.command();
    // Not where the student builds: cargo would take this tree's crates for those of that one.
    command.env("CARGO_TARGET_DIR", folder.join("build"));
    let executable = build.run(command).map_err(not_compiling)?;
    let binary = TestBinary::new(executable, build.root.join("tests"));
    let records = smoke::run(&binary, &binary.graded()?, &folder.join("smoke.jsonl"), PATIENCE)?;
    say(&table(&records)?);

    let packed = archive::pack(&submission.files)?;
    if packed.len() > MAX_BYTES {
        bail!("the archive has {} bytes; {MAX_BYTES} are the limit", packed.len());
    }
    fs::write(&options.out, &packed).with_context(|| options.out.display().to_string())?;
    say(&contents(&submission.files, &options.out, packed.len())?);
    Ok(ExitCode::SUCCESS)
}

fn not_compiling(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<CompileError>() {
        Ok(error) => anyhow::Error::new(error).context("nothing is packed"),
        Err(error) => error,
    }
}

/// Files outside the student's folders that are not as they were handed out.
fn changed_elsewhere(pristine: &Files, present: &Files) -> Vec<(String, &'static str)> {
    let theirs = |path: &str| {
        LAB_CRATES.iter().any(|lab| workspace::is_source_of(lab, path)) || path == PRISTINE
    };
    let changed =
        pristine.iter().filter(|(path, _)| !theirs(path)).filter_map(|(path, contents)| {
            match present.get(path) {
                None => Some((path.clone(), "you deleted it; it is graded with it")),
                Some(found) if found != contents => {
                    Some((path.clone(), "you changed it; it is graded as it was handed out"))
                }
                Some(_) => None,
            }
        });
    let is_code = |path: &str| Path::new(path).extension().is_some_and(|kind| kind == "rs");
    let added = present
        .keys()
        .filter(|path| !theirs(path) && is_code(path) && !pristine.contains_key(*path))
        .map(|path| (path.clone(), "only src is handed in"));
    changed.chain(added).collect()
}

/// Which tests pass, part by part.
fn table(records: &[Record]) -> Result<String, fmt::Error> {
    let mut text = String::from("one seed of every test; `grade sweep` runs many:\n");
    let part =
        |record: &Record| crate_and_part(&record.test).map(|(lab, part)| format!("{lab} {part}"));
    for group in records.chunk_by(|a, b| part(a) == part(b)) {
        let passed = group.iter().filter(|record| record.verdict == Verdict::Pass).count();
        let name = part(&group[0]).unwrap_or_default();
        writeln!(text, "  {name:<10} {passed:>2} of {:>2} pass", group.len())?;
        for record in group {
            if let Some(report) = &record.report {
                writeln!(text, "    {}: {}", record.test, report.title)?;
            }
        }
    }
    Ok(text)
}

fn contents(files: &Files, archive: &Path, size: usize) -> Result<String, fmt::Error> {
    let mut text = format!("{}, {size} bytes, holds\n", archive.display());
    for (path, contents) in files {
        writeln!(text, "  {:>8} {path}", contents.len())?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_theirs_counts_as_changed() {
        let file = |path: &str, text: &str| (path.to_owned(), text.as_bytes().to_vec());
        let pristine = Files::from([
            file("raft/src/lib.rs", "skeleton"),
            file("tests/lab/main.rs", "tests"),
            file("clippy.toml", ""),
        ]);
        let present = Files::from([
            file("raft/src/lib.rs", "mine"),
            file("raft/src/log.rs", "mine"),
            file("raft/build.rs", "mine"),
            file("notes.txt", "mine"),
            file("tests/lab/main.rs", "no tests"),
        ]);
        let changed = changed_elsewhere(&pristine, &present);
        let paths: Vec<&str> = changed.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["clippy.toml", "tests/lab/main.rs", "raft/build.rs"]);
    }
}
