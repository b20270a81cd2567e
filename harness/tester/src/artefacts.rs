//! Files about a run that failed, beside what the build makes: `target/lab/<test>-<seed>.<ending>`.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::report::Attachment;
use crate::run::Test;
use labrecord::Seed;

/// Writes them, and gives what each is and its path.
///
/// A file that cannot be written is named with the reason: the report is printed in any case.
pub(crate) fn write<'a>(
    test: &str,
    seed: Seed,
    attachments: impl Iterator<Item = &'a Attachment>,
) -> BTreeMap<String, String> {
    let one = |attachment: &Attachment| {
        (attachment.what.to_owned(), write_one(test, seed, attachment.ending, &attachment.text))
    };
    attachments.map(one).collect()
}

/// The reduced run of a test. Returns its path, or why it was not written.
pub(crate) fn replay(test: &Test, seed: Seed, contents: &str) -> String {
    write_one(&test.name, seed, "replay", contents)
}

fn write_one(test: &str, seed: Seed, ending: &str, contents: &str) -> String {
    let folder = builds().join("lab");
    let path = folder.join(format!("{}-{seed}.{ending}", test.replace("::", ".")));
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, contents));
    match written {
        Ok(()) => shown(&path),
        Err(error) => format!("{} was not written: {error}", path.display()),
    }
}

/// A path as a person in the workspace would type it.
fn shown(path: &Path) -> String {
    path.strip_prefix(workspace()).unwrap_or(path).display().to_string()
}

/// A path that a person in the workspace typed: cargo runs tests in their package's directory.
pub(crate) fn place(path: &Path) -> PathBuf {
    workspace().join(path)
}

/// The workspace that the current directory is in; else the current directory.
fn workspace() -> PathBuf {
    let here = env::current_dir().unwrap_or_default();
    let is_workspace = |path: &&Path| path.join("Cargo.lock").exists();
    here.ancestors().find(is_workspace).unwrap_or(&here).to_path_buf()
}

/// The directory of cargo's builds: this program is in its `<profile>/deps`; else `target`.
fn builds() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let is_deps = |path: &&Path| path.file_name().is_some_and(|name| name == "deps");
    let deps = program.parent().filter(is_deps);
    deps.and_then(|deps| deps.ancestors().nth(2)).unwrap_or(Path::new("target")).to_path_buf()
}
