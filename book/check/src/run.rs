//! Do the commands run, and print what the book shows?
//!
//! Each command is run once, though both languages have it. Blocks of a page that are marked
//! `scratch` run in one copy of the workspace's files, `target/book-scratch`, which is fresh for each
//! page: they may apply patches.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use regex::Regex;

use crate::block::{Block, LANGUAGES, blocks, pages};

/// Commands that fail, or print something else.
pub(crate) fn check(root: &Path, only: Option<&str>) -> Vec<String> {
    let root = match root.canonicalize() {
        Ok(root) => root,
        Err(error) => return vec![format!("{}: {error}", root.display())],
    };
    let mut problems = Vec::new();
    let mut done = BTreeSet::new();
    let all = LANGUAGES.into_iter().flat_map(|language| pages(&root, language));
    for page in all.filter(|page| only.is_none_or(|only| page.path.contains(only))) {
        let mut scratch = None;
        for block in blocks(&page.text).iter().filter(|block| block.has("run")) {
            if !done.insert((page.name.clone(), block.text.clone())) {
                continue;
            }
            let folder = if block.has("scratch") {
                scratch.get_or_insert_with(|| copy(&root)).clone()
            } else {
                Ok(root.clone())
            };
            eprintln!("{}:{}: {}", page.path, block.line, first_line(&block.text));
            let ran = folder.and_then(|folder| run(block, &root, &folder));
            if let Err(problem) = ran {
                problems.push(format!("{}:{}: {problem}", page.path, block.line));
            }
        }
    }
    if let (Some(only), true) = (only, done.is_empty()) {
        problems.push(format!("{only}: no page with this in its path has a command to run"));
    }
    problems
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// A copy of all files that git knows or could know.
fn copy(root: &Path) -> Result<PathBuf, String> {
    let to = root.join("target/book-scratch");
    let script = "set -e; mkdir -p \"$1\"; find \"$1\" -mindepth 1 -maxdepth 1 ! -name target -exec rm -rf {} +; \
                  git ls-files -z --cached --others --exclude-standard | \
                  tar --null --files-from=- --create | tar --extract --touch --directory \"$1\"";
    let status = Command::new("bash")
        .args(["-c", script, "copy"])
        .arg(&to)
        .current_dir(root)
        .status()
        .map_err(|error| format!("bash: {error}"))?;
    if status.success() { Ok(to) } else { Err(format!("{} was not made", to.display())) }
}

fn run(block: &Block, root: &Path, folder: &Path) -> Result<(), String> {
    if !block.has("console") {
        return match execute(&block.text, root, folder)? {
            (true, _) => Ok(()),
            (false, output) => Err(format!("it fails:\n{output}")),
        };
    }
    // To its end in any case: its last command may take a patch away again.
    let mut problem = None;
    for (command, expected) in commands(&block.text) {
        let (_, output) = execute(&command, root, folder)?;
        if let Some(line) = missing(&expected, &output) {
            let says = || format!("`{command}` does not print `{line}`, but\n{output}");
            problem.get_or_insert_with(says);
        }
    }
    problem.map_or(Ok(()), Err)
}

/// Whether it ended well, and what it printed, on both ways, mixed.
fn execute(script: &str, root: &Path, folder: &Path) -> Result<(bool, String), String> {
    let out = root.join("target/book-output.txt");
    let file = fs::File::create(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    let both = file.try_clone().map_err(|error| format!("{}: {error}", out.display()))?;
    let status = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(folder)
        .env("CARGO_TERM_COLOR", "never")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(both)
        .status()
        .map_err(|error| format!("bash: {error}"))?;
    let output = fs::read(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    Ok((status.success(), String::from_utf8_lossy(&output).into_owned()))
}

/// Each line after a `$`, with the lines that follow it.
fn commands(text: &str) -> Vec<(String, Vec<String>)> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((command.to_owned(), Vec::new()));
        } else if let Some((command, expected)) = commands.last_mut() {
            if command.ends_with('\\') {
                command.push('\n');
                command.push_str(line);
            } else {
                expected.push(line.trim_end().to_owned());
            }
        }
    }
    commands
}

/// The first expected line that the output does not have, behind those before it. What differs between
/// machines does not count: how long something took.
fn missing(expected: &[String], output: &str) -> Option<String> {
    let took = Regex::new(r"\d+(\.\d+)? ?s\b").expect("it is a regular expression");
    let plain = |line: &str| took.replace_all(line.trim_end(), "_ s").into_owned();
    let mut lines = output.lines().map(plain);
    let mut wanted = expected.iter().filter(|line| line.as_str() != "..." && !line.is_empty());
    let mut printed_later = |line: &str| {
        let line = plain(line);
        lines.any(|printed| printed == line)
    };
    wanted.find(|line| !printed_later(line)).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_must_be_printed_in_order() {
        let text = "$ echo a; echo b\na\n...\nb\n$ ls \\\n  -l\n";
        let commands = commands(text);
        assert_eq!(commands[1].0, "ls \\\n  -l");
        assert_eq!(missing(&commands[0].1, "x\na\nb\n"), None);
        assert_eq!(missing(&commands[0].1, "b\na\n"), Some("b".into()));
        assert_eq!(missing(&["ok in 0.21 s".into()], "ok in 13 s\n"), None);
    }

    #[test]
    fn a_page_that_is_not_there_is_a_problem() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let problems = check(&root, Some("debugging/indx"));
        assert_eq!(
            problems,
            ["debugging/indx: no page with this in its path has a command to run"]
        );
    }

    #[test]
    fn a_script_that_fails_is_a_problem() {
        let here = std::env::temp_dir();
        fs::create_dir_all(here.join("target")).unwrap();
        let block = |text: &str| Block { line: 1, words: vec!["sh".into()], text: text.into() };
        assert_eq!(run(&block("true\n"), &here, &here), Ok(()));
        assert!(run(&block("false\ntrue\n"), &here, &here).is_err());
    }
}
