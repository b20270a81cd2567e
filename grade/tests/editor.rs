//! What VS Code makes of the reports, by the problem matchers in `.vscode/tasks.json`.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;

use labrecord::Report;
use regex::Regex;
use serde_json::Value;

/// File, line and message of a problem.
type Problem = (String, String, String);

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The matchers of our own, of the task with this label.
fn matchers(label: &str) -> Vec<Vec<Value>> {
    let text = fs::read_to_string(workspace().join(".vscode/tasks.json")).unwrap();
    let is_comment = |line: &&str| line.trim_start().starts_with("//");
    let json: String = text.lines().filter(|line| !is_comment(line)).collect();
    let tasks: Value = serde_json::from_str(&json).unwrap();
    let tasks = tasks["tasks"].as_array().unwrap();
    let task = tasks.iter().find(|task| task["label"] == label).unwrap();
    let patterns = task["problemMatcher"].as_array().unwrap().iter().filter_map(|matcher| {
        let pattern = matcher.get("pattern")?;
        Some(pattern.as_array().cloned().unwrap_or_else(|| vec![pattern.clone()]))
    });
    patterns.collect()
}

/// As VS Code does it: the patterns of a matcher match lines that follow each other.
fn problems(output: &str) -> Vec<Problem> {
    let lines: Vec<&str> = output.lines().collect();
    let mut found = Vec::new();
    for matcher in matchers("test a part") {
        let patterns: Vec<(Regex, &Value)> = matcher
            .iter()
            .map(|pattern| (Regex::new(pattern["regexp"].as_str().unwrap()).unwrap(), pattern))
            .collect();
        for window in lines.windows(patterns.len()) {
            let mut problem = Problem::default();
            let matches = window.iter().zip(&patterns).all(|(line, (regex, pattern))| {
                let Some(captures) = regex.captures(line) else { return false };
                let group = |name: &str| {
                    let n = usize::try_from(pattern[name].as_u64()?).ok()?;
                    Some(captures[n].to_owned())
                };
                problem.0 = group("file").unwrap_or(problem.0.clone());
                problem.1 = group("line").unwrap_or(problem.1.clone());
                problem.2 = group("message").unwrap_or(problem.2.clone());
                true
            });
            if matches {
                found.push(problem);
            }
        }
    }
    found
}

fn problem(file: &str, line: u32, message: &str) -> Problem {
    (file.to_owned(), line.to_string(), message.to_owned())
}

fn report(title: &str, happened: &str, look_at: &str) -> Report {
    Report {
        title: title.to_owned(),
        expected: "no panic".to_owned(),
        happened: happened.to_owned(),
        look_at: look_at.to_owned(),
        again: "LAB_SEED=0x1 cargo test raft_3A::re_election -- --exact".to_owned(),
    }
}

#[test]
fn a_failed_test_is_a_problem_at_the_test() {
    let report = report("no leader", "at 5.1 s: S0 in T0", "election timeouts: how they are drawn");
    let output = format!("{report}\n  test       tests/lab/raft_3A.rs:38: no leader\n");
    assert_eq!(problems(&output), [problem("tests/lab/raft_3A.rs", 38, "no leader")]);
}

#[test]
fn a_panic_is_a_problem_at_its_line() {
    let happened = "task #2 'ticker' (S0), at 0.100 s: index out of bounds";
    let output = report("a server panicked", happened, "raft/src/log.rs:7").to_string();
    assert_eq!(problems(&output), [problem("raft/src/log.rs", 7, happened)]);
}

#[test]
fn each_thing_to_do_is_a_note_at_its_line() {
    let look_at = "raft/src/election.rs:42; to do in part 3A:\nraft/src/election.rs:42  vote\n\
                   raft/src/election.rs:60  count";
    let output = report("part 3A is not written yet", "S0 came here", look_at).to_string();
    let expected = [
        problem("raft/src/election.rs", 42, "S0 came here"),
        problem("raft/src/election.rs", 42, "vote"),
        problem("raft/src/election.rs", 60, "count"),
    ];
    assert_eq!(problems(&output), expected);
}

/// Both tasks know the same: VS Code cannot share matchers between tasks.
#[test]
fn all_tasks_have_the_same_matchers() {
    assert_eq!(matchers("test a part"), matchers("repeat a failed run, with its log"));
    assert_eq!(matchers("test a part").len(), 3);
}
