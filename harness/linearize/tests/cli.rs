//! The command line: its answers and exit codes.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]
#![cfg(feature = "cli")]

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Exit code and output of a check of `history`.
fn run(args: &[&str], history: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_linearize"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A process that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(history.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

const RIGHT: &str = "1, invoke, write, r 1\n2, invoke, read, r\n2, ok, read, 1\n1, info, write,\n";
const WRONG: &str =
    "1, invoke, write, r 1\n1, ok, write, r 1\n2, invoke, read, r\n2, ok, read, 2\n";

#[test]
fn a_linearizable_history_gives_0() {
    let (code, out, _) = run(&["--model", "register", "-"], RIGHT);
    assert_eq!(code, 0);
    assert_eq!(out, "linearizable (2 operations on 1 keys, 3 steps)\n");
}

#[test]
fn another_gives_1_and_says_why() {
    let (code, out, _) = run(&["--model", "register", "-"], WRONG);
    assert_eq!(code, 1);
    assert!(out.starts_with("not linearizable\n2: read r → 2 cannot fit"), "{out}");
}

#[test]
fn a_budget_used_up_gives_2() {
    let (code, out, _) = run(&["--model", "register", "--steps", "1", "-"], WRONG);
    assert_eq!(code, 2);
    assert_eq!(out, "unknown: no answer after 1 steps, for r; the budget of steps is used up\n");
}

#[test]
fn bad_input_gives_3() {
    let (code, _, err) = run(&["--model", "register", "-"], "1, invoke, write, r 1\nnonsense\n");
    assert_eq!(code, 3);
    assert!(err.starts_with("linearize: -: line 2: expected `process"), "{err}");
    let (code, _, _) = run(&["--model", "register", "no-such-file"], "");
    assert_eq!(code, 3);
    let (code, _, _) = run(&["--model", "stack", "-"], "");
    assert_eq!(code, 3);
    let (code, _, _) = run(&["--help"], "");
    assert_eq!(code, 0);
}

#[test]
fn a_picture_is_written() {
    let file = std::env::temp_dir().join(format!("linearize-{}.html", std::process::id()));
    let (code, _, _) = run(&["--model", "register", "--html", file.to_str().unwrap(), "-"], WRONG);
    let page = std::fs::read_to_string(&file);
    let _ = std::fs::remove_file(&file);
    assert_eq!(code, 1);
    assert!(page.unwrap().contains("cannot fit"));
}
