//! The mistakes that labrt must notice: each is made here on purpose, and the message compared.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use labrt::node::Node;
use labrt::sim::{Config, FailureKind, Preempt, run};
use labrt::sync::{Condvar, Mutex, RwLock};
use labrt::{channel, event, oneshot, thread, time};

/// How a run that must fail did fail. Line numbers are left out, so that this file may grow.
#[track_caller]
fn failure<T: Send + 'static>(main: impl FnOnce() -> T + Send + 'static) -> (FailureKind, String) {
    let config = Config { preempt: Preempt::Probability(0.0), ..Config::with_seed(1) };
    failure_with(config, main)
}

#[track_caller]
fn failure_with<T: Send + 'static>(
    config: Config,
    main: impl FnOnce() -> T + Send + 'static,
) -> (FailureKind, String) {
    let Err(failure) = run(config, main).result else { panic!("the run did not fail") };
    (failure.kind, without_lines(&failure.to_string()))
}

/// `labrt/tests/mistakes.rs:12` becomes `mistakes.rs`.
fn without_lines(text: &str) -> String {
    let text = text.replace("labrt/tests/", "");
    let mut parts = text.split("mistakes.rs:");
    let first = parts.next().expect("split gives one part at least").to_owned();
    parts.fold(first, |text, rest| {
        text + "mistakes.rs" + rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':')
    })
}

#[test]
fn locking_what_the_task_holds_already() {
    let (kind, message) = failure(|| {
        let mutex = Mutex::new(());
        let _first = mutex.lock();
        let _second = mutex.lock();
    });
    assert_eq!(kind, FailureKind::Panic);
    assert_eq!(
        message,
        "[0.000001s] task #0 'main' (main, spawned at mistakes.rs) panicked: deadlock: this task locks \
         at mistakes.rs what it holds already, since mistakes.rs, at mistakes.rs"
    );
}

#[test]
fn writing_what_the_task_reads_already() {
    let (_, message) = failure(|| {
        let lock = RwLock::new(());
        let _first = lock.read();
        let _second = lock.write();
    });
    assert!(message.contains("what it holds already"), "{message}");
}

#[test]
fn a_cycle_of_locks() {
    let (kind, message) = failure(|| {
        let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
        let (a2, b2) = (a.clone(), b.clone());
        let other = thread::Builder::new().name("other".into()).spawn(move || {
            let _first = b2.lock();
            time::sleep(Duration::from_millis(1));
            let _second = a2.lock();
        });
        let _first = a.lock();
        time::sleep(Duration::from_millis(2));
        let _second = b.lock();
        drop(other);
    });
    assert_eq!(kind, FailureKind::Panic);
    assert_eq!(
        message,
        "[0.002002s] task #0 'main' (main, spawned at mistakes.rs) panicked: deadlock: tasks wait for \
         each other's locks\n  \
         task #0 'main' (main, spawned at mistakes.rs) waits at mistakes.rs for the lock taken at mistakes.rs\n  \
         task #1 'other' (main, spawned at mistakes.rs) waits at mistakes.rs for the lock taken at \
         mistakes.rs, at mistakes.rs"
    );
}

#[test]
fn everybody_waits() {
    let (kind, message) = failure(|| {
        let (send, receive) = channel::unbounded::<()>();
        let waiter = Node::new("S1").spawn(move || receive.recv());
        let _joined = waiter.join();
        drop(send);
    });
    assert_eq!(kind, FailureKind::Deadlock);
    assert_eq!(
        message,
        "[0.000002s] no task can ever run again:\n  \
         task #0 'main' (main, spawned at mistakes.rs) waits for a task to end since 0.000001s at mistakes.rs\n  \
         task #1 (S1, spawned at mistakes.rs) waits for a message since 0.000002s at mistakes.rs"
    );
}

/// A notification before the wait is lost; whether it comes before is up to the schedule.
#[test]
fn a_lost_wake_up() {
    let (kind, message) = failure(|| {
        let pair = Arc::new((Mutex::new(()), Condvar::new()));
        let other = pair.clone();
        pair.1.notify_one();
        let _waiter = thread::spawn(move || other.1.wait(&mut other.0.lock())).join();
    });
    assert_eq!(kind, FailureKind::Deadlock);
    assert!(message.contains("waits for a condition variable since"), "{message}");
}

#[test]
fn a_panic_in_a_task() {
    let (kind, message) = failure(|| {
        let node = Node::new("S2");
        time::sleep(Duration::from_millis(10));
        let applier = node.run(|| {
            thread::Builder::new().name("applier".into()).spawn(|| {
                let log: Vec<u8> = Vec::new();
                assert_eq!(log.len(), 1, "one entry");
            })
        });
        let _joined = applier.expect("the node is alive").expect("tasks start").join();
    });
    assert_eq!(kind, FailureKind::Panic);
    assert_eq!(
        message,
        "[0.010003s] task #1 'applier' (S2, spawned at mistakes.rs) panicked: assertion `left == right` \
         failed: one entry\n  left: 0\n right: 1, at mistakes.rs"
    );
}

#[test]
fn a_typed_panic_arrives_as_it_was() {
    let outcome = run(Config::default(), || {
        thread::spawn(|| std::panic::resume_unwind(Box::new(42_u8))).join()
    });
    let failure = outcome.result.expect_err("the task panicked");
    assert_eq!(
        failure.payload.and_then(|payload| payload.downcast::<u8>().ok()),
        Some(Box::new(42))
    );
}

/// The failure is found by CPU time, so this test takes that much of it.
#[test]
fn an_endless_loop() {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let config = Config { patience: Duration::from_millis(300), ..Config::with_seed(1) };
    let (kind, message) = failure_with(config, move || {
        let ticker = thread::Builder::new().name("ticker".into());
        let _joined = Node::new("S3")
            .run(|| ticker.spawn(move || while !stopped.load(Relaxed) {}))
            .expect("the node is alive")
            .expect("tasks start")
            .join();
    });
    stop.store(true, Relaxed);
    assert_eq!(kind, FailureKind::Stuck);
    let expected = "task #1 'ticker' (S3, spawned at mistakes.rs) computed for";
    assert!(message.contains(expected), "{message}");
    assert!(message.contains("without a labrt call: is it an endless loop"), "{message}");
}

#[test]
fn blocking_outside_labrt() {
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let config = Config { patience: Duration::from_millis(300), ..Config::with_seed(1) };
    let (kind, message) = failure_with(config, move || receive.recv());
    drop(send);
    assert_eq!(kind, FailureKind::Stuck);
    assert!(message.contains("has used no CPU for"), "{message}");
    assert!(message.contains("use labrt::sync, labrt::channel, labrt::time"), "{message}");
}

#[test]
fn polling_while_time_stands_still() {
    let (kind, message) = failure(|| {
        let (_send, receive) = channel::unbounded::<()>();
        while receive.try_recv().is_err() {}
    });
    assert_eq!(kind, FailureKind::Panic);
    assert_eq!(
        message,
        "[0.000001s] task #0 'main' (main, spawned at mistakes.rs) panicked: livelock: 5000000 \
         operations in a row while virtual time stood still at 0.000001s; does this loop poll without \
         sleeping or waiting?, at mistakes.rs"
    );
}

/// A loop that polls and yields makes time pass, if slowly: it is wasteful, but ends.
#[test]
fn polling_with_yields_makes_time_pass() {
    let outcome = run(Config::default(), || {
        let end = time::Instant::now() + Duration::from_millis(5);
        while time::Instant::now() < end {
            thread::yield_now();
        }
    });
    assert!(outcome.result.is_ok());
    assert!(outcome.report.switches > 4000);
}

#[test]
fn too_many_tasks() {
    let config = Config { max_tasks: 100, ..Config::with_seed(1) };
    let (kind, message) = failure_with(config, || {
        loop {
            thread::spawn(|| time::sleep(Duration::from_secs(1)));
        }
    });
    assert_eq!(kind, FailureKind::TooManyTasks);
    let expected = "more than 100 tasks are alive; most were spawned at\n  mistakes.rs (100)\n";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_run_without_end() {
    let config = Config { time_limit: Some(Duration::from_secs(2)), ..Config::with_seed(1) };
    let (kind, message) = failure_with(config, || {
        loop {
            time::sleep(Duration::from_millis(300));
        }
    });
    assert_eq!(kind, FailureKind::TimeLimit);
    assert!(
        message.starts_with(
            "[2.000000s] the run was not over after 2.000000s of virtual time:\n  \
             task #0 'main' (main, spawned at mistakes.rs) waits for its sleep to end since 1.800"
        ),
        "{message}"
    );
}

#[test]
fn an_event_that_blocks() {
    let (kind, message) = failure(|| {
        event::after(Duration::from_millis(1), || time::sleep(Duration::from_secs(1)));
        time::sleep(Duration::from_secs(1));
    });
    assert_eq!(kind, FailureKind::Panic);
    assert!(
        message.contains("an event must not block: mistakes.rs waits for its sleep to end"),
        "{message}"
    );
}

#[test]
fn a_lock_held_across_a_call_is_noted() {
    let outcome = run(Config::default(), || {
        let mutex = Mutex::new(());
        let (reply, wait) = oneshot::channel();
        event::after(Duration::from_millis(1), move || reply.send(()));
        let _guard = mutex.lock();
        wait.wait()
    });
    assert_eq!(outcome.result.expect("that is no failure"), Some(()));
    let warnings: Vec<_> = outcome.report.warnings.iter().map(|text| without_lines(text)).collect();
    assert_eq!(warnings, ["the lock taken at mistakes.rs is held across a call at mistakes.rs"]);
}

#[test]
fn outside_a_simulation() {
    let panic =
        std::panic::catch_unwind(|| time::sleep(Duration::from_secs(1))).expect_err("no clock");
    let message = panic.downcast_ref::<&str>().expect("it has a message");
    assert!(message.contains("this needs a run to belong to"), "{message}");
}
