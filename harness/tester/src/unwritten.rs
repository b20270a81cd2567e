//! Places that a student has still to write: `todo!("Part 3A: give the vote, or refuse it")`.
//!
//! Who comes to one has made no mistake, so the report is no complaint about a panic. It says what
//! to write there, and lists what else is left of that part, as links that an editor follows.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::report::{Failure, Verdict};
use crate::text::at;

/// The words that `todo!` puts before its own.
const TODO: &str = "not yet implemented: ";

/// How the title of every such report ends.
const NOT_WRITTEN: &str = "is not written yet";

/// The packages that students write in.
const PACKAGES: [&str; 2] = ["raft", "kvraft"];

/// Did a run end at such a place? Then there is nothing to find out.
pub(crate) fn is(failure: &Failure) -> bool {
    failure.title.ends_with(NOT_WRITTEN)
}

/// The report of a panic in `task`, if it was a `todo!`; `what` it said, and its `place`.
pub(crate) fn failure(task: &str, when: Duration, what: &str, place: &str) -> Option<Failure> {
    let what = what.strip_prefix(TODO)?;
    let (part, work) = part_of(what).unwrap_or(("", what));
    let title = if part.is_empty() {
        format!("something {NOT_WRITTEN}")
    } else {
        format!("part {part} {NOT_WRITTEN}")
    };
    let left = list(&workspace(), part);
    let look_at = if left.len() > 1 {
        format!("{place}; to do in part {part}:\n{}", left.join("\n"))
    } else {
        place.to_owned()
    };
    Some(
        Failure::new(Verdict::Panic, &title)
            .expected(work)
            .happened(format!("{task} came to this place {}", at(when)))
            .look_at(look_at),
    )
}

/// `3A` and the rest, of `Part 3A: the rest`.
fn part_of(text: &str) -> Option<(&str, &str)> {
    let (part, work) = text.strip_prefix("Part ")?.split_once(": ")?;
    part.chars().all(char::is_alphanumeric).then_some((part, work))
}

/// Where the sources are, if this runs where it was built.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every place of this part that is still to be written: `raft/src/election.rs:61  give the vote`.
fn list(workspace: &Path, part: &str) -> Vec<String> {
    let mut places = Vec::new();
    for package in PACKAGES {
        let mut files = Vec::new();
        collect(&workspace.join(package).join("src"), &format!("{package}/src"), &mut files);
        files.sort();
        for (name, path) in files {
            let Ok(text) = fs::read_to_string(path) else { continue };
            let todos = todos(&text).into_iter().filter(|(_, todo, _)| *todo == part);
            places.extend(todos.map(|(line, _, work)| format!("{name}:{line}  {work}")));
        }
    }
    places
}

fn collect(folder: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = format!("{name}/{}", entry.file_name().to_string_lossy());
        if path.is_dir() {
            collect(&path, &name, files);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            files.push((name, path));
        }
    }
}

/// Line, part and work of each `todo!("Part ...: ...")` that is not commented out.
pub fn todos(text: &str) -> Vec<(usize, &str, &str)> {
    let mut found = Vec::new();
    for (start, opening) in text.match_indices("todo!(") {
        let before = &text[..start];
        let line_so_far = before.rsplit('\n').next().unwrap_or(before);
        let said = text[start + opening.len()..].trim_start().strip_prefix('"');
        let said = said.and_then(|rest| rest.split('"').next()).and_then(part_of);
        if let Some((part, work)) = said.filter(|_| !line_so_far.contains("//")) {
            found.push((before.matches('\n').count() + 1, part, work));
        }
    }
    found
}
