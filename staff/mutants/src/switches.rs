//! Many patches in one build, each behind a switch: so a patch costs a run, and no build.
//!
//! ```text
//!  fn f(..) -> T {              fn f(..) -> T { match crate::switches::chosen() {
//!      a < b            ──▶         17 => { a <= b }
//!  }                                18 => { a == b }
//!                                   _ => { a < b }
//!                               }}
//! ```
//!
//! Only for patches that change nothing but bodies of functions; most do not. An arm that does not
//! compile is left out, and the rest compiled again. Functions are found by how rustfmt indents them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use serde_json::Value;

/// The environment variable that says which patch is in force.
pub(crate) const VARIABLE: &str = "RAFTLAB_CHANGE";

/// A function that a patch gives another body.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NewBody {
    file: String,
    /// The so-manieth function of the file.
    function: usize,
    body: String,
}

/// What a patch does, if that is to change bodies of functions only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change(Vec<NewBody>);

impl Change {
    /// `changed` are the files that the patch changes, with their new contents; `read` gives the old
    /// ones. `None` if it does something else, or nothing.
    pub(crate) fn of<'a>(
        changed: &BTreeMap<String, String>,
        read: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<Change> {
        let mut bodies = Vec::new();
        for (file, new) in changed {
            let (old, new) = (parse(read(file)?), parse(new));
            if old.iter().map(|piece| &piece.before).ne(new.iter().map(|piece| &piece.before)) {
                return None;
            }
            for (function, (old, new)) in old.iter().zip(&new).enumerate() {
                if old.body != new.body {
                    bodies.push(NewBody { file: file.clone(), function, body: new.body.clone() });
                }
            }
        }
        (!bodies.is_empty()).then_some(Change(bodies))
    }
}

/// A function's body, and the text that stands before it.
struct Piece {
    before: String,
    body: String,
}

/// A file, cut into bodies of functions and what is between. The last piece has no body.
fn parse(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut before = String::new();
    let mut lines = text.split_inclusive('\n');
    while let Some(line) = lines.next() {
        before.push_str(line);
        let Some(indent) = indent_of_function(line) else { continue };
        // The head ends with a brace; or with a semicolon, in a trait.
        let mut last = line;
        while !last.trim_end().ends_with(['{', ';', '}']) {
            let Some(line) = lines.next() else { break };
            before.push_str(line);
            last = line;
        }
        if !last.trim_end().ends_with('{') {
            continue;
        }
        before.truncate(before.trim_end().len() - 1);
        let mut body = String::from("{\n");
        let end = format!("{}}}", " ".repeat(indent));
        for line in lines.by_ref() {
            body.push_str(line);
            if line.trim_end() == end {
                break;
            }
        }
        pieces.push(Piece { before: std::mem::take(&mut before), body });
    }
    pieces.push(Piece { before, body: String::new() });
    pieces
}

/// By how many spaces is it indented, if a function begins in this line?
fn indent_of_function(line: &str) -> Option<usize> {
    let text = line.trim_start();
    let indent = line.len() - text.len();
    let text = text.strip_prefix("pub").map_or(text, |rest| {
        let rest = if rest.starts_with('(') {
            rest.split_once(')').map_or("", |both| both.1)
        } else {
            rest
        };
        rest.trim_start()
    });
    text.starts_with("fn ").then_some(indent)
}

/// What patches make of one function: whose, and its body.
type Arms<'a> = Vec<(u32, &'a str)>;

/// The files with all patches in them, but for those left out.
#[derive(Debug, Default)]
pub(crate) struct Switched {
    pub(crate) files: BTreeMap<String, String>,
    /// File and lines of each patch's arms.
    arms: Vec<(u32, String, RangeInclusive<usize>)>,
}

impl Switched {
    /// `read` gives the files as they were.
    pub(crate) fn new<'a>(
        changes: &BTreeMap<u32, Change>,
        read: impl Fn(&str) -> Option<&'a str>,
    ) -> Switched {
        let mut bodies: BTreeMap<&str, BTreeMap<usize, Arms>> = BTreeMap::new();
        for (&number, Change(new)) in changes {
            for NewBody { file, function, body } in new {
                let functions = bodies.entry(file).or_default();
                functions.entry(*function).or_default().push((number, body));
            }
        }
        let mut switched = Switched::default();
        for (file, functions) in bodies {
            let mut text = String::new();
            for (place, piece) in parse(read(file).unwrap_or_default()).iter().enumerate() {
                text.push_str(&piece.before);
                let Some(arms) = functions.get(&place) else {
                    text.push_str(&piece.body);
                    continue;
                };
                text.push_str("{ match crate::switches::chosen() {\n");
                for (number, body) in arms {
                    let from = text.matches('\n').count() + 1;
                    let _ = write!(text, "{number} => {body}");
                    let to = text.matches('\n').count();
                    switched.arms.push((*number, file.to_owned(), from..=to));
                }
                let _ = writeln!(text, "_ => {}}} }}", piece.body);
            }
            switched.files.insert(file.to_owned(), text);
        }
        let crates: BTreeSet<String> =
            switched.files.keys().filter_map(|file| root_of(file)).collect();
        for root in crates {
            let text = switched.files.get(&root).map(String::as_str).or_else(|| read(&root));
            let text = with_switch(text.unwrap_or_default());
            switched.files.insert(root, text);
        }
        switched
    }

    /// Whose arms do not compile, by what cargo printed (`--message-format=json`)?
    pub(crate) fn to_blame(&self, messages: &str) -> BTreeSet<u32> {
        let messages = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
        let errors = messages.filter(|message: &Value| message["message"]["level"] == "error");
        let blamed = errors.flat_map(|error| {
            let spans = error["message"]["spans"].as_array().cloned().unwrap_or_default();
            spans.iter().flat_map(|span| self.arms_at(span)).collect::<Vec<u32>>()
        });
        blamed.collect()
    }

    fn arms_at(&self, span: &Value) -> Vec<u32> {
        let file = span["file_name"].as_str().unwrap_or_default();
        let line = span["line_start"].as_u64().and_then(|line| usize::try_from(line).ok());
        let is_there = |(_, of, lines): &&(u32, String, RangeInclusive<usize>)| {
            of == file && line.is_some_and(|line| lines.contains(&line))
        };
        self.arms.iter().filter(is_there).map(|(number, ..)| *number).collect()
    }
}

/// `raft/src/lib.rs` of `raft/src/log.rs`.
fn root_of(file: &str) -> Option<String> {
    let (name, _) = file.split_once("/src/")?;
    Some(format!("{name}/src/lib.rs"))
}

/// A crate's root with what looks at the switch.
fn with_switch(root: &str) -> String {
    format!(
        "{root}\nmod switches {{\n    pub(crate) fn chosen() -> u32 {{\n        \
         static CHOSEN: std::sync::OnceLock<u32> = std::sync::OnceLock::new();\n        \
         *CHOSEN.get_or_init(|| std::env::var(\"{VARIABLE}\").ok()\
         .and_then(|number| number.parse().ok()).unwrap_or(u32::MAX))\n    }}\n}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
use a;
impl A {
    /// Doc.
    pub(crate) fn f(
        &self,
    ) -> bool {
        if a {
        }
        1 < 2
    }
}
trait T {
    fn declared(&self);
}
fn g(A { x }: A) {
    h();
}
";

    fn change(old: &str, new: &str) -> Option<Change> {
        assert!(FILE.contains(old));
        let changed = BTreeMap::from([("raft/src/a.rs".to_owned(), FILE.replace(old, new))]);
        Change::of(&changed, |_| Some(FILE))
    }

    fn changes() -> BTreeMap<u32, Change> {
        let list = [
            change("1 < 2", "1\n            == 2"),
            change("    h();\n", ""),
            change("1 < 2", "true"),
        ];
        (0..).zip(list.map(Option::unwrap)).collect()
    }

    #[test]
    fn each_patch_is_an_arm() {
        let switched = Switched::new(&changes(), |_| Some(FILE));
        let text = &switched.files["raft/src/a.rs"];
        let f = "    ) -> bool { match crate::switches::chosen() {\n\
                 0 => {\n        if a {\n        }\n        1\n            == 2\n    }\n\
                 2 => {\n        if a {\n        }\n        true\n    }\n\
                 _ => {\n        if a {\n        }\n        1 < 2\n    }\n} }\n}\ntrait T {\n";
        let g = "fn g(A { x }: A) { match crate::switches::chosen() {\n\
                 1 => {\n}\n_ => {\n    h();\n}\n} }\n";
        assert!(text.contains(f) && text.ends_with(g), "{text}");
        assert!(switched.files["raft/src/lib.rs"].contains("fn chosen()"));
    }

    #[test]
    fn what_changes_more_than_a_body_has_no_switch() {
        assert_eq!(change("&self,", "&mut self,"), None);
        assert_eq!(change("use a;", "use b;"), None);
        assert_eq!(change("trait T", "fn new() {\n}\ntrait T"), None);
        assert_eq!(change("trait T", "trait T"), None);
    }

    #[test]
    fn an_error_is_blamed_on_its_arm() {
        let switched = Switched::new(&changes(), |_| Some(FILE));
        let text = &switched.files["raft/src/a.rs"];
        let line = text.lines().position(|line| line.trim() == "true").unwrap() + 1;
        let error = format!(
            r#"{{"message":{{"level":"error","spans":[{{"file_name":"raft/src/a.rs","line_start":{line}}}]}}}}"#
        );
        assert_eq!(switched.to_blame(&error), BTreeSet::from([2]));
        assert_eq!(switched.to_blame(&error.replace("error", "warning")), BTreeSet::new());
    }
}
