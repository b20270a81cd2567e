//! The mistakes that labrt must notice: each is made here on purpose, and the message compared.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use labrt::node::Node;
use labrt::sim::{Config, FailureKind, Preempt, check_determinism, run};
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

/// Compares with a text file: `UPDATE_MESSAGES=1 cargo test -p labrt` writes it anew.
#[track_caller]
fn expect_message(name: &str, message: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/messages/{name}.txt"));
    let message = format!("{message}\n");
    if std::env::var_os("UPDATE_MESSAGES").is_some() {
        fs::write(&file, &message).expect("the message can be written");
    }
    let expected = fs::read_to_string(&file).expect("the message has a file");
    assert_eq!(message, expected);
}

/// `labrt/tests/mistakes.rs:12` becomes `mistakes.rs`, and real time spent becomes `some s`.
fn without_lines(text: &str) -> String {
    let text = text.replace("labrt/tests/", "");
    let mut parts = text.split("mistakes.rs:");
    let first = parts.next().expect("split gives one part at least").to_owned();
    let text = parts.fold(first, |text, rest| {
        text + "mistakes.rs" + rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':')
    });
    let mut parts = text.split("for 0.");
    let first = parts.next().expect("split gives one part at least").to_owned();
    parts.fold(first, |text, rest| {
        text + "for some" + rest.trim_start_matches(|c: char| c.is_ascii_digit())
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
    expect_message("self-lock", &message);
}

#[test]
fn writing_what_the_task_reads_already() {
    let (_, message) = failure(|| {
        let lock = RwLock::new(());
        let _first = lock.read();
        let _second = lock.write();
    });
    expect_message("rwlock-upgrade", &message);
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
    expect_message("lock-cycle", &message);
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
    expect_message("everybody-waits", &message);
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
    expect_message("lost-wake-up", &message);
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
    expect_message("panic-in-a-task", &message);
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
    expect_message("endless-loop", &message);
}

#[test]
fn blocking_outside_labrt() {
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let config = Config { patience: Duration::from_millis(300), ..Config::with_seed(1) };
    let (kind, message) = failure_with(config, move || receive.recv());
    drop(send);
    assert_eq!(kind, FailureKind::Stuck);
    expect_message("blocked-outside-labrt", &message);
}

#[test]
fn polling_while_time_stands_still() {
    let (kind, message) = failure(|| {
        let (_send, receive) = channel::unbounded::<()>();
        while receive.try_recv().is_err() {}
    });
    assert_eq!(kind, FailureKind::Panic);
    expect_message("livelock", &message);
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
    expect_message("too-many-tasks", &message);
}

/// With stacks of an exabyte the first is one too many.
#[test]
fn no_room_for_another_stack() {
    let config = Config { stack_size: 1 << 60, ..Config::with_seed(1) };
    let (kind, message) = failure_with(config, || ());
    assert_eq!(kind, FailureKind::TooManyTasks);
    assert!(message.contains("the system has no stack for another task"), "{message}");
}

#[test]
fn two_mutexes_for_one_condvar() {
    let (kind, message) = failure(|| {
        let condvar = Arc::new(Condvar::new());
        let waits = condvar.clone();
        thread::spawn(move || waits.wait(&mut Mutex::new(1).lock()));
        time::sleep(Duration::from_millis(1));
        condvar.wait_for(&mut Mutex::new(2).lock(), Duration::from_millis(1));
    });
    assert_eq!(kind, FailureKind::Panic);
    let expected = "attempted to use a condition variable with more than one mutex";
    assert!(message.contains(expected), "{message}");
}

/// One mutex after the other is fine.
#[test]
fn another_mutex_for_a_condvar_that_nobody_waits_for() {
    let outcome = run(Config::with_seed(1), || {
        let condvar = Condvar::new();
        for _ in 0..2 {
            condvar.wait_for(&mut Mutex::new(1).lock(), Duration::from_millis(1));
        }
    });
    outcome.result.unwrap();
}

#[test]
fn an_event_that_posts_itself_for_ever() {
    fn again() {
        event::after(Duration::ZERO, again);
    }
    let (kind, message) = failure(|| {
        again();
        time::sleep(Duration::from_millis(1));
    });
    assert_eq!(kind, FailureKind::Panic);
    assert!(message.contains("livelock: 5000000 operations in a row"), "{message}");
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
    expect_message("run-without-end", &message);
}

#[test]
fn an_event_that_blocks() {
    let (kind, message) = failure(|| {
        event::after(Duration::from_millis(1), || time::sleep(Duration::from_secs(1)));
        time::sleep(Duration::from_secs(1));
    });
    assert_eq!(kind, FailureKind::Panic);
    expect_message("event-that-blocks", &message);
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
    assert_eq!(outcome.report.warnings.len(), 1);
    expect_message("lock-across-a-call", &without_lines(&outcome.report.warnings[0]));
}

/// A thread of std's is outside the run: it locks for real, and no task can wait for that.
#[test]
fn a_lock_held_by_a_foreign_thread() {
    let (kind, message) = failure(|| {
        let mutex = Arc::new(Mutex::new(()));
        let (foreign, barrier) = (mutex.clone(), Arc::new(std::sync::Barrier::new(2)));
        let locked = barrier.clone();
        std::thread::spawn(move || {
            let _guard = foreign.lock();
            locked.wait();
            std::thread::sleep(Duration::from_secs(1));
        });
        barrier.wait();
        let _guard = mutex.lock();
    });
    assert_eq!(kind, FailureKind::Panic);
    expect_message("foreign-lock", &message);
}

/// What a foreign thread does with labrt beyond locking says at once what is wrong.
#[test]
fn a_foreign_thread_that_waits() {
    let outcome = run(Config::default(), || {
        std::thread::spawn(|| time::sleep(Duration::from_secs(1))).join().is_err()
    });
    assert!(outcome.result.expect("the run itself goes on"));
}

/// A static that an earlier run changed: the first step that differs is named, and where each run's
/// task had come from.
#[test]
fn what_no_seed_decides_is_found() {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let difference = check_determinism(&Config::with_seed(1), || {
        let runs = RUNS.fetch_add(1, Relaxed);
        time::sleep(Duration::from_millis(1));
        time::sleep(Duration::from_micros(runs));
        thread::yield_now();
    });
    let message = difference.expect_err("the runs differ").to_string();
    expect_message("not-repeatable", &without_lines(&message));
}

/// std's maps are in another order in every process, and even in every map.
#[test]
fn hash_order_makes_runs_differ() {
    let difference = check_determinism(&Config::with_seed(1), || {
        let peers: std::collections::HashSet<u64> = (0..100).collect();
        for peer in peers {
            time::sleep(Duration::from_micros(peer));
        }
    });
    let message = difference.expect_err("the order differs").to_string();
    assert!(message.starts_with("two runs of one seed differ after"), "{message}");
    assert!(message.contains("first run   [0.0"), "{message}");
}

/// A destructor that would block while its task is killed does not, and the run goes on.
#[test]
fn a_task_that_cannot_be_ended() {
    let outcome = run(Config::default(), || {
        let node = Node::new("S1");
        node.spawn(|| {
            loop {
                let _swallowed = std::panic::catch_unwind(|| time::sleep(Duration::from_secs(9)));
            }
        });
        time::sleep(Duration::from_millis(1));
        node.kill();
    });
    assert!(outcome.result.is_ok());
    expect_message("catch-unwind-around-a-kill", &without_lines(&outcome.report.warnings[0]));
}

#[test]
fn outside_a_simulation() {
    let panic =
        std::panic::catch_unwind(|| time::sleep(Duration::from_secs(1))).expect_err("no clock");
    let message = panic.downcast_ref::<&str>().expect("it has a message");
    assert!(message.contains("this needs a run to belong to"), "{message}");
}
