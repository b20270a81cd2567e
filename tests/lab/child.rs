//! Runs tests that fail on purpose, in a process of their own, and reads what they print.

use std::process::{Command, Output};

/// Runs a command that has to fail.
pub(crate) fn run(command: &mut Command) -> Output {
    let given: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("LAB_") && !given.contains(&variable) {
            command.env_remove(variable);
        }
    }
    if !given.iter().any(|name| name == "LAB_SHRINK") {
        command.env("LAB_SHRINK", "no"); // it takes its time
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
