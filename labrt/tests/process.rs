//! What can be seen only from another process: the end of one, and what it prints.

use std::process::Command;
use std::time::Duration;

use labrt::node::Node;
use labrt::sim::{Config, run};
use labrt::{thread, time};

#[test]
#[ignore = "it overflows its stack; run by the test below"]
fn overflows() {
    fn deep(n: u64) -> u64 {
        if n == 0 { 0 } else { std::hint::black_box(deep(std::hint::black_box(n) - 1)) + 1 }
    }
    let _outcome = run(Config::default(), || {
        time::sleep(Duration::from_millis(20));
        let task = thread::Builder::new().name("deep".into());
        let node = Node::new("S5");
        let _joined = node.run(|| task.spawn(|| deep(u64::MAX))).map(|task| task.map(|t| t.join()));
    });
}

#[test]
#[cfg(unix)]
fn the_task_whose_stack_overflows_is_named() {
    let text = errors_of("overflows");
    let expected = "[0.020003s] task #1 'deep' (S5, spawned at labrt/tests/process.rs:";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains(") overflowed its 256 KiB stack: is it an endless recursion?"), "{text}");
}

#[test]
#[ignore = "it panics; run by the test below"]
fn panics() {
    fn lab_code() {
        panic!("no such entry");
    }
    let outcome = run(Config::default(), || thread::spawn(lab_code).join().is_ok());
    assert!(outcome.result.is_ok());
}

/// A backtrace ends where lab code begins: the scheduler's frames below are left out.
#[test]
fn a_backtrace_shows_lab_code_only() {
    let text = errors_of("panics");
    let (_, trace) = text.split_once("stack backtrace:").expect("a backtrace");
    let (trace, _) = trace.split_once("note: ").expect("std's note after it");
    assert!(trace.contains("lab_code"), "{trace}");
    for hidden in ["corosensei", "scheduler", "backend"] {
        assert!(!trace.contains(hidden), "{hidden} in{trace}");
    }
}

/// What an ignored test of this file prints to stderr while it fails.
fn errors_of(test: &str) -> String {
    let this = std::env::current_exe().expect("a test knows its own path");
    let output = Command::new(this)
        .args(["--ignored", "--exact", test, "--nocapture"])
        .env("RUST_BACKTRACE", "1")
        .output()
        .expect("the test can run itself");
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}
