//! A second opinion: every change that `cargo mutants` would make, tried as a patch is.
//!
//! Our own patches are mistakes that people make. `cargo mutants` knows nothing of Raft: it turns
//! every comparison round and every function's result into something else, and so finds the lines
//! that no test looks at. Its own way to run them builds the workspace anew for each; here all are in
//! one build, behind switches, and each costs a short run.
//!
//! What no test fails is looked at by a person: either it gets a test, or a line in SURVIVORS.md that
//! says why nobody could notice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::mutant::{Lab, Mutant};
use crate::outcome::Outcome;

/// What is read of one change that `cargo mutants --list --json --diff` offers.
#[derive(Deserialize)]
struct Offered {
    /// `raft/src/log.rs:42:9: replace Log::term_at -> Option<Term> with None`.
    name: String,
    file: String,
    diff: String,
}

/// The changes that `cargo mutants` offers for the sources of a crate.
pub(crate) fn offered(root: &Path, package: &str) -> Result<Vec<Mutant>, String> {
    let lab = match package {
        "raft" => Lab::Raft,
        "kvraft" => Lab::Service,
        _ => return Err(format!("{package} is neither raft nor kvraft")),
    };
    let mut cargo = Command::new(grade::cargo::program());
    cargo.args(["mutants", "--list", "--json", "--diff", "--no-config", "-p", package]);
    let output = cargo.current_dir(root).output().map_err(|e| e.to_string())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{said}\n(it comes by `cargo install --locked cargo-mutants`)"));
    }
    let list = String::from_utf8_lossy(&output.stdout);
    let list: Vec<Offered> =
        serde_json::from_str(&list).map_err(|e| format!("cargo mutants: {e}"))?;
    Ok(patches(list, lab))
}

fn patches(list: Vec<Offered>, lab: Lab) -> Vec<Mutant> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut patches = Vec::new();
    for Offered { name, file, diff } in list {
        // Without line and column, which change with every comment: the so-manieth of its name.
        let what = name.splitn(4, ':').nth(3).unwrap_or(&name).trim();
        let what = format!("{file}: {what}");
        let count = seen.entry(what.clone()).or_default();
        *count += 1;
        let what = if *count == 1 { what } else { format!("{what} #{count}") };
        let hunks = diff.find("\n@@").map_or("", |start| &diff[start..]);
        let text = format!("what: {what}\n\n--- a/{file}\n+++ b/{file}{hunks}");
        patches.push(Mutant::without_a_number(&what, lab, text));
    }
    patches
}

/// What is said of those that survive, in SURVIVORS.md: the first cell of each line of a table.
pub(crate) fn explained(survivors: &str) -> BTreeSet<String> {
    let cells = survivors.lines().filter_map(|line| line.strip_prefix("| `"));
    cells.filter_map(|line| Some(line.split_once("` |")?.0.to_owned())).collect()
}

/// One line for one change.
pub(crate) fn line(change: &Mutant, outcome: &Outcome) -> String {
    let what = match outcome {
        Outcome::Failed { failed, .. } => {
            format!("caught    {} ({}: {})", failed[0].test, failed[0].verdict, failed[0].title)
        }
        Outcome::Passed { seeds } => format!("SURVIVES  {seeds} seeds"),
        Outcome::OutOfTime { seeds } => format!("OUT OF TIME after {seeds} seeds"),
        Outcome::NotRun { problem } => {
            format!("not run   {}", problem.lines().nth(1).unwrap_or(problem))
        }
    };
    format!("{:<90} {what}\n", change.what)
}

/// How many were caught, and who survived; and what SURVIVORS.md says that is not so, or does not
/// say. The second is whether all is explained.
pub(crate) fn sums(rows: &[(&Mutant, &Outcome)], home: &Path) -> (String, bool) {
    let known = fs::read_to_string(home.join("SURVIVORS.md")).unwrap_or_default();
    let known = explained(&known);
    let [mut caught, mut unviable, mut as_explained] = [0; 3];
    let mut text = String::new();
    for (mutant, outcome) in rows {
        match outcome {
            Outcome::Failed { .. } if known.contains(&mutant.what) => {
                caught += 1;
                let _ = writeln!(text, "explained, but caught: {}", mutant.what);
            }
            Outcome::Failed { .. } => caught += 1,
            Outcome::NotRun { .. } => unviable += 1,
            Outcome::Passed { .. } | Outcome::OutOfTime { .. } if known.contains(&mutant.what) => {
                as_explained += 1;
            }
            Outcome::Passed { .. } => {
                let _ = writeln!(text, "not explained: {}", mutant.what);
            }
            Outcome::OutOfTime { .. } => {
                let _ = writeln!(text, "out of time: {}", mutant.what);
            }
        }
    }
    let good = text.is_empty();
    let sum = format!(
        "{} changes: {caught} caught, {unviable} do not compile, {as_explained} survive as explained\n",
        rows.len()
    );
    (text + &sum, good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(line: u32) -> Offered {
        Offered {
            name: format!("raft/src/a.rs:{line}:9: replace < with == in f"),
            file: "raft/src/a.rs".to_owned(),
            diff: "--- raft/src/a.rs\n+++ replace < with == in f\n@@ -1,2 +1,2 @@\n a < b\n-c < d\n+c == d\n"
                .to_owned(),
        }
    }

    #[test]
    fn what_is_offered_becomes_a_patch() {
        let patches = patches(vec![offer(1), offer(2)], Lab::Raft);
        let changed = patches[0].apply(|_| Some("a < b\nc < d\n")).unwrap();
        assert_eq!(changed["raft/src/a.rs"], "a < b\nc == d\n");
        let names: Vec<&str> = patches.iter().map(|patch| patch.what.as_str()).collect();
        let name = "raft/src/a.rs: replace < with == in f";
        assert_eq!(names, [name, &format!("{name} #2")]);
        assert_ne!(patches[0].id(), patches[1].id());
    }

    #[test]
    fn a_table_says_who_may_survive() {
        let text = "| change | why |\n| --- | --- |\n| `raft/src/a.rs: replace f` | no reason |\n";
        assert_eq!(explained(text), BTreeSet::from(["raft/src/a.rs: replace f".to_owned()]));
    }
}
