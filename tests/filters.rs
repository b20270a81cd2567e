//! Is there a test for each filter? A filter that matches nothing runs nothing, which looks like a pass:
//! `cargo test 3a` has "0 passed; 0 failed". `cargo test` runs this beside the graded tests, and with the
//! same arguments; it is silent when all is well.

#![allow(missing_docs, reason = "a program")]

use std::env::{self, consts::EXE_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The options of a test binary that take the next argument as their value.
const WITH_VALUE: [&str; 7] =
    ["--color", "--format", "--logfile", "--shuffle-seed", "--skip", "--test-threads", "-Z"];

fn main() -> ExitCode {
    let (filters, exact) = filters(env::args().skip(1));
    if filters.is_empty() {
        return ExitCode::SUCCESS;
    }
    let Some(tests) = tests() else {
        eprintln!(
            "the graded tests are not built here: is there one for each filter? Nobody knows"
        );
        return ExitCode::SUCCESS;
    };
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut code = ExitCode::SUCCESS;
    for filter in &filters {
        if let Some(problem) = problem(filter, exact, &tests)
            && (is_for_the_lab(filter, &tests) || !is_mentioned(filter, &workspace))
        {
            eprintln!("{problem}");
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// The filters among a test binary's arguments, and whether they are whole names.
pub(crate) fn filters(arguments: impl IntoIterator<Item = String>) -> (Vec<String>, bool) {
    let (mut filters, mut exact) = (Vec::new(), false);
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if WITH_VALUE.contains(&argument.as_str()) {
            arguments.next();
        } else if argument == "--exact" {
            exact = true;
        } else if !argument.starts_with('-') {
            filters.push(argument);
        }
    }
    (filters, exact)
}

/// The names of the graded tests, by their own word: cargo has just built them, beside this.
fn tests() -> Option<Vec<String>> {
    let here = env::current_exe().ok()?;
    let is_lab = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let hash = name.strip_prefix("lab-").and_then(|rest| rest.strip_suffix(EXE_SUFFIX));
        hash.is_some_and(|hash| hash.chars().all(|c| c.is_ascii_hexdigit()))
    };
    let files = fs::read_dir(here.parent()?).ok()?.flatten().map(|file| file.path());
    let built = |path: &PathBuf| fs::metadata(path).and_then(|file| file.modified()).ok();
    let lab = files.filter(is_lab).max_by_key(built)?;
    let listed = Command::new(lab).args(["--list", "--format", "terse"]).output().ok()?;
    let listed = listed.status.success().then_some(listed.stdout)?;
    let listed = String::from_utf8(listed).ok()?;
    Some(listed.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// What is wrong with a filter that matches none of these tests.
pub(crate) fn problem(filter: &str, exact: bool, tests: &[String]) -> Option<String> {
    if tests.iter().any(|test| if exact { test == filter } else { test.contains(filter) }) {
        return None;
    }
    let part = tests.iter().find(|test| test.contains(filter));
    let cased = tests.iter().find_map(|test| {
        let begin = test.to_ascii_lowercase().find(&filter.to_ascii_lowercase())?;
        test.get(begin..begin + filter.len())
    });
    Some(match (part, cased) {
        (Some(test), _) => format!("no test is called `{filter}`: did you mean `{test}`?"),
        (_, Some(meant)) => {
            format!("no test has `{filter}` in its name: did you mean `{meant}`?")
        }
        _ => {
            let mut parts: Vec<&str> = tests.iter().filter_map(|test| part_of(test)).collect();
            parts.sort_unstable();
            parts.dedup();
            let parts = parts.join(", ");
            format!(
                "no test has `{filter}` in its name: the parts are {parts}, and \
                 `cargo test -- --list` prints all names"
            )
        }
    })
}

/// `3A` of `raft_3A::re_election`.
fn part_of(test: &str) -> Option<&str> {
    let (module, _) = test.split_once("::")?;
    let part = module.strip_prefix("raft_").or_else(|| module.strip_prefix("kvraft_"))?;
    (part.len() == 2).then_some(part)
}

/// Is a filter of the kind that only the graded tests can match? (Identifiers do not begin with a digit.) Or is
/// it a test's name without its module?
pub(crate) fn is_for_the_lab(filter: &str, tests: &[String]) -> bool {
    let begins = ["raft_", "kvraft_", "torture"].iter().any(|begin| filter.starts_with(begin));
    let name = format!("::{filter}");
    begins
        || filter.starts_with(|c: char| c.is_ascii_digit())
        || tests.iter().any(|test| test.ends_with(&name))
}

/// Is it in the name or the text of a source file? Then it may be a test of another package: `cargo test
/// --workspace channels` has a filter that no graded test matches.
pub(crate) fn is_mentioned(filter: &str, folder: &Path) -> bool {
    let word = filter.rsplit([':', '/']).next().unwrap_or(filter);
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().map(|entry| entry.path()).any(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name == "target" {
            false
        } else if path.is_dir() {
            is_mentioned(filter, &path)
        } else if name.ends_with(".rs") {
            name.contains(word) || fs::read_to_string(&path).is_ok_and(|text| text.contains(word))
        } else {
            false
        }
    })
}
