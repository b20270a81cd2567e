//! Runs tests that fail on purpose, in a process of their own, and reads what they print.

use std::process::{Command, Output};

/// Runs a command that has to fail.
pub(crate) fn run(command: &mut Command) -> Output {
    for variable in ["LAB_SEED", "LAB_RUNS", "LAB_LOG", "LAB_RECORDS", "LAB_CHECK"] {
        command.env_remove(variable);
    }
    let output = command.env("CARGO_NET_OFFLINE", "true").output().unwrap();
    assert!(!output.status.success(), "it passed");
    output
}

/// The report in what a failing test printed: from its title to its last line.
pub(crate) fn report(output: &Output) -> String {
    let printed = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<&str> = printed.lines().collect();
    let end = lines.iter().position(|line| line.trim_start().starts_with("again "));
    let end = end.unwrap_or_else(|| panic!("no report in:\n{printed}"));
    let start = lines[..end].iter().rposition(|line| !line.starts_with(' ')).unwrap();
    lines[start..=end].join("\n")
}

/// Runs a test of this binary that is marked `#[ignore]` because it fails.
pub(crate) fn fails(test: &str) -> Output {
    let binary = std::env::current_exe().unwrap();
    run(Command::new(binary).args([test, "--exact", "--ignored"]))
}
