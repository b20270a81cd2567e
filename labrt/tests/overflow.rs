//! A stack overflow ends the process, so the test looks at another one.

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
    let this = std::env::current_exe().expect("a test knows its own path");
    let output = Command::new(this)
        .args(["--ignored", "--exact", "overflows", "--nocapture"])
        .output()
        .expect("the test can run itself");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    let expected = "[0.020003s] task #1 'deep' (S5, spawned at labrt/tests/overflow.rs:";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains(") overflowed its 256 KiB stack: is it an endless recursion?"), "{text}");
}
