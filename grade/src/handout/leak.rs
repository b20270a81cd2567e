//! Looks for what students must not see, line by line.

use std::collections::{BTreeMap, BTreeSet};

use super::tree::{HIDDEN, is_hidden};
use crate::workspace::Files;

/// Where the staff's secrets are: the solution and its tests, wrong servers, hidden tests.
const SECRET: [&str; 8] = [
    "kvraft/examples/",
    "kvraft/src/",
    "kvraft/tests/",
    "raft/src/",
    "raft/tests/",
    "staff/mutants/right/",
    "staff/mutants/wrong/",
    HIDDEN,
];

/// Where the tests are that everybody sees.
const TESTS: &str = "tests/lab/";

/// A line shorter than this, without its indentation, is too common to tell anything.
const TELLING: usize = 24;

/// So many secret lines in a row, whatever is between them that tells nothing, are no coincidence.
const RUN: usize = 3;

/// Every telling line of the secret files that the skeleton does not have, and where it is from.
#[derive(Debug)]
pub struct Secrets {
    lines: BTreeMap<String, String>,
}

/// Secret lines that were found where they must not be.
#[derive(Debug, PartialEq, Eq)]
pub struct Leak {
    /// The file that would be handed out, and the first of the lines in it.
    pub place: String,
    /// Where they are from.
    pub origin: String,
    /// The first of them.
    pub line: String,
}

impl Secrets {
    /// Of the staff's workspace; what is in the `skeleton`'s files is no secret.
    #[must_use]
    pub fn of(staff: &Files, skeleton: &Files) -> Secrets {
        let mut lines = BTreeMap::new();
        let tests = staff.iter().filter(|(path, _)| path.starts_with(TESTS));
        let tests: BTreeSet<String> =
            tests.flat_map(|(_, contents)| telling(contents)).map(|(_, line)| line).collect();
        for (path, contents) in staff.iter().filter(|(path, _)| is_secret(path)) {
            for (number, line) in telling(contents) {
                // A hidden test may be much like another.
                if is_hidden(path) && tests.contains(&line) {
                    continue;
                }
                // A line of the solution may be in many patches: the solution comes first.
                lines.entry(line).or_insert_with(|| format!("{path}:{number}"));
            }
        }
        for contents in skeleton.values() {
            for (_, line) in telling(contents) {
                lines.remove(&line);
            }
        }
        Secrets { lines }
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Where some of these are in a tree, each place once.
    #[must_use]
    pub fn in_tree(&self, tree: &Files) -> Vec<Leak> {
        tree.iter().flat_map(|(path, contents)| self.in_file(path, contents)).collect()
    }

    fn in_file(&self, path: &str, contents: &[u8]) -> Vec<Leak> {
        let mut leaks = Vec::new();
        let mut run = Vec::new();
        // One more line, which is no secret, so that the last run ends.
        for (number, line) in telling(contents).into_iter().chain([(0, String::new())]) {
            if let Some(origin) = self.lines.get(&line) {
                run.push((number, line, origin));
                continue;
            }
            if run.len() >= RUN {
                let (number, line, origin) = &run[0];
                let place = format!("{path}:{number}");
                leaks.push(Leak { place, origin: (*origin).clone(), line: line.clone() });
            }
            run.clear();
        }
        leaks
    }
}

fn is_secret(path: &str) -> bool {
    SECRET.iter().any(|folder| path.starts_with(folder))
}

/// The lines that tell something, without indentation and the signs of a patch; numbered from 1. An
/// import tells nothing.
fn telling(contents: &[u8]) -> Vec<(usize, String)> {
    let text = String::from_utf8_lossy(contents);
    let lines = text.lines().map(|line| line.strip_prefix(['+', '-']).unwrap_or(line).trim());
    let tells = |line: &str| line.len() >= TELLING && !line.starts_with("use ");
    let numbered = (1..).zip(lines).filter(|(_, line)| tells(line));
    numbered.map(|(number, line)| (number, line.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> (String, Vec<u8>) {
        (path.to_owned(), text.as_bytes().to_vec())
    }

    const SOLUTION: &str = "\
fn bake_a_cake(&mut self, oven: &Oven) {
    let dough = self.flour + self.eggs;
    let warm = oven.heat_up_to(Degrees(180));
    self.cake = warm.bake(dough, Minutes(40));
}
";

    fn secrets() -> Secrets {
        let staff = Files::from([file("raft/src/election.rs", SOLUTION)]);
        let skeleton = "fn bake_a_cake(&mut self, oven: &Oven) {\n    todo!()\n}\n";
        Secrets::of(&staff, &Files::from([file("raft/src/election.rs", skeleton)]))
    }

    #[test]
    fn lines_of_the_solution_are_found_wherever_they_are() {
        assert_eq!(secrets().len(), 3);
        let copied = format!("//! A harness.\n\nmod tests {{\n{SOLUTION}}}\n");
        let leaks = secrets().in_tree(&Files::from([file("labrpc/src/lib.rs", &copied)]));
        let found: Vec<_> =
            leaks.iter().map(|leak| (leak.place.as_str(), leak.origin.as_str())).collect();
        assert_eq!(found, [("labrpc/src/lib.rs:5", "raft/src/election.rs:2")]);
    }

    #[test]
    fn a_hidden_test_may_be_much_like_another() {
        let own = "let never_asked_before = cluster.one();\n".repeat(3);
        let staff = Files::from([
            file("tests/lab/raft_3B.rs", SOLUTION),
            file("tests/hidden/raft_3B.rs", &format!("{SOLUTION}{own}")),
        ]);
        let secrets = Secrets::of(&staff, &Files::new());
        assert_eq!(secrets.in_tree(&staff).len(), 1);
        assert_eq!(secrets.len(), 1);
    }

    #[test]
    fn what_the_skeleton_has_or_stands_alone_is_no_leak() {
        let lines =
            "fn bake_a_cake(&mut self, oven: &Oven) {\nlet dough = self.flour + self.eggs;\n";
        assert_eq!(secrets().in_tree(&Files::from([file("labrpc/src/lib.rs", lines)])), []);
    }
}
