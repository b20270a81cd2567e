//! What can be seen only from another process: the end of one, and what it prints.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use labrt::node::Node;
use labrt::sim::{Config, FailureKind, run};
use labrt::sync::Mutex;
use labrt::{thread, time};

#[test]
#[ignore = "it overflows its stack; run by the test below"]
fn overflows() {
    fn deep(n: u64) -> u64 {
        if n == 0 { 0 } else { std::hint::black_box(deep(std::hint::black_box(n) - 1)) + 1 }
    }
    let config = Config { name: "raft_3A::deep".to_owned(), ..Config::with_seed(0x5eed) };
    let _outcome = run(config, || {
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
    assert!(text.contains("That was raft_3A::deep with seed 0x5eed."), "{text}");
}

struct Locks(Arc<Mutex<()>>);

impl Drop for Locks {
    fn drop(&mut self) {
        drop(self.0.lock());
    }
}

#[test]
#[ignore = "it panics; run by the test below"]
fn panics_and_locks() {
    let outcome = run(Config::default(), || {
        let mutex = Arc::new(Mutex::new(()));
        let (locks, guard) = (Locks(mutex.clone()), mutex.lock());
        thread::spawn(move || {
            let _locks = locks;
            panic!("a bug");
        });
        time::sleep(Duration::from_millis(1));
        drop(guard);
    });
    let failure = outcome.result.expect_err("a task panicked");
    assert_eq!(failure.kind, FailureKind::Panic);
    panic!("the run has failed: {failure}");
}

/// A task that panics, and whose destructors need a lock that another holds, ends its run and not the
/// process.
#[test]
fn a_destructor_that_cannot_lock_after_a_panic_fails_the_run_only() {
    let text = errors_of("panics_and_locks");
    assert!(text.contains("the run has failed: [0.000"), "{text}");
    assert!(text.contains("panicked: a bug, at labrt/tests/process.rs:"), "{text}");
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
