//! Folders to try things in, and the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use grade::workspace::{self, Files};

/// The staff's workspace.
pub(crate) fn staff() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// An empty folder that goes by this name.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The staff's workspace, copied without its history to a folder that goes by this name.
pub(crate) fn clone(name: &str, change: impl FnOnce(&mut Files)) -> PathBuf {
    let folder = folder(name);
    let mut files = workspace::read(staff()).unwrap();
    change(&mut files);
    workspace::write(&files, &folder).unwrap();
    folder
}

/// `grade ..`, in a folder. What it builds is built where this is.
pub(crate) fn grade(folder: &Path, args: &[&str]) -> Output {
    let target = std::path::absolute(Path::new(env!("CARGO_TARGET_TMPDIR")).join("..")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_grade"));
    command.args(args).current_dir(folder).env("CARGO_TARGET_DIR", target);
    command.output().unwrap()
}

/// The same, where it must succeed; returns what it printed.
pub(crate) fn graded(folder: &Path, args: &[&str]) -> String {
    let output = grade(folder, args);
    let [out, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "grade {args:?}:\n{out}{error}");
    out
}

/// The same, where it must refuse; returns what it said.
pub(crate) fn refused(folder: &Path, args: &[&str]) -> String {
    let output = grade(folder, args);
    let [out, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(output.status.code(), Some(2), "grade {args:?}:\n{out}{error}");
    error
}
