//! The real engine: the same code on OS threads and the wall clock. Times are asserted from below
//! only, or very generously from above: the machine may be busy.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use common::really;
use labrt::channel::{
    self, RecvTimeoutError, TrySendError, after, bounded, select, tick, unbounded,
};
use labrt::node::{Killed, Node};
use labrt::rand::rng;
use labrt::sim::{self, Config, Engine, FailureKind, run};
use labrt::sync::{Condvar, Mutex, RwLock};
use labrt::time::{Instant, sleep};
use labrt::{event, oneshot, thread};
use rand::RngExt as _;

const MS: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_mins(1);

#[test]
fn tasks_locks_and_channels_work() {
    let (total, order) = really(|| {
        let total = Arc::new(Mutex::new(0));
        let shared = Arc::new(RwLock::new(0));
        let (send, receive) = bounded(1);
        for n in 0..4_u32 {
            let (total, shared, send) = (total.clone(), shared.clone(), send.clone());
            thread::spawn(move || {
                for _ in 0..100 {
                    *total.lock() += 1;
                    let _before = *shared.read();
                    *shared.write() += 1;
                }
                send.send(n).unwrap();
            });
        }
        drop(send);
        let mut order: Vec<_> = receive.iter().collect();
        order.sort_unstable();
        assert_eq!(*shared.read(), 400);
        let total = *total.lock();
        (total, order)
    });
    assert_eq!((total, order), (400, vec![0, 1, 2, 3]));
}

#[test]
fn waits_take_their_time() {
    really(|| {
        let began = Instant::now();
        sleep(5 * MS);
        assert!(began.elapsed() >= 5 * MS && sim::elapsed() >= 5 * MS);
        let (send, receive) = unbounded::<()>();
        assert_eq!(receive.recv_timeout(5 * MS), Err(RecvTimeoutError::Timeout));
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        assert!(condvar.wait_for(&mut mutex.lock(), 5 * MS).timed_out());
        assert!(after(5 * MS).recv().unwrap() >= began + 20 * MS);
        assert!(tick(5 * MS).recv().is_ok());
        assert!(began.elapsed() >= 25 * MS);
        drop(send);
        assert!(!sim::active());
    });
}

#[test]
fn condvars_wake_who_waits() {
    really(|| {
        let pair = Arc::new((Mutex::new(0), Condvar::new()));
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                let pair = pair.clone();
                thread::spawn(move || {
                    let mut tickets = pair.0.lock();
                    pair.1.wait_while(&mut tickets, |tickets| *tickets == 0);
                    *tickets -= 1;
                })
            })
            .collect();
        for ticket in 0..4 {
            sleep(ticket * MS);
            *pair.0.lock() += 1;
            pair.1.notify_one();
        }
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert_eq!(pair.1.notify_all(), 0);
    });
}

#[test]
fn select_takes_what_comes() {
    really(|| {
        let (send, receive) = bounded(0);
        let sender = thread::spawn(move || {
            sleep(5 * MS);
            select! { send(send, 7) -> result => result.unwrap() }
        });
        let early = select! { recv(receive) -> _ => false, default => true };
        let timed_out = select! { recv(receive) -> _ => false, default(MS) => true };
        let got = select! {
            recv(receive) -> message => message.unwrap(),
            recv(after(LONG)) -> _ => 0,
        };
        sender.join().unwrap();
        assert_eq!((early, timed_out, got), (true, true, 7));
        let (send, receive) = bounded(1);
        assert_eq!((send.try_send(1), send.try_send(2)), (Ok(()), Err(TrySendError::Full(2))));
        drop(receive);
        assert!(send.send(3).is_err());
    });
}

/// Whatever a task waits in, a kill wakes it, and its destructors run before `kill` returns.
#[test]
fn a_killed_node_is_gone_wherever_its_tasks_stood() {
    struct Dropped(Arc<AtomicU32>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            sleep(LONG); // does not block: the task is unwinding
            self.0.fetch_add(1, SeqCst);
        }
    }
    really(|| {
        let node = Node::new("S1");
        let dropped = Arc::new(AtomicU32::new(0));
        let mutex = Arc::new(Mutex::new(()));
        let condvar = Arc::new(Condvar::new());
        let (send, receive) = bounded::<()>(0);
        let (reply, answer) = oneshot::channel::<()>();
        let waits: Vec<Box<dyn FnOnce() + Send>> = vec![
            Box::new(|| sleep(LONG)),
            Box::new(|| _ = channel::never::<()>().recv()),
            Box::new(|| _ = thread::spawn(|| sleep(LONG)).join()),
            Box::new(move || _ = answer.wait()),
            Box::new(move || _ = send.send(())),
            Box::new(move || _ = select! { recv(channel::never::<()>()) -> m => m }),
            Box::new({
                let mutex = mutex.clone();
                move || {
                    let _guard = mutex.lock();
                    sleep(LONG);
                }
            }),
            Box::new({
                let mutex = mutex.clone();
                move || drop(mutex.lock())
            }),
            Box::new(move || condvar.wait(&mut Mutex::new(()).lock())),
            Box::new(|| {
                loop {
                    thread::yield_now();
                }
            }),
        ];
        let tasks = u32::try_from(waits.len()).unwrap();
        for wait in waits {
            let dropped = Dropped(dropped.clone());
            node.spawn(move || {
                let _dropped = dropped;
                wait();
                sleep(LONG);
            });
        }
        sleep(30 * MS);
        node.kill();
        assert_eq!(dropped.load(SeqCst), tasks);
        assert!(!mutex.is_locked());
        assert_eq!(node.run(|| ()), Err(Killed));
        assert!(node.spawn(|| ()).join().is_err());
        assert!(sim::elapsed() < LONG);
        drop((reply, receive));
    });
}

#[test]
fn visitors_are_sent_home_and_events_happen() {
    really(|| {
        let node = Node::new("S1");
        let doomed = node.clone();
        event::after(5 * MS, move || doomed.kill());
        assert_eq!(node.run(|| sleep(LONG)), Err(Killed));
        let own = Node::new("S1");
        assert_eq!(own.incarnation(), 1);
        assert_eq!(own.run(|| own.kill()), Err(Killed));
        assert_eq!(&*Node::current().name(), "main");
        assert!(sim::elapsed() < LONG);
    });
}

#[test]
fn what_events_hold_is_dropped_with_the_run() {
    let held = Arc::new(());
    let owned = held.clone();
    really(move || event::after(LONG, move || drop(owned)));
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn nodes_pause_and_have_clocks() {
    really(|| {
        let node = Node::new("S1");
        let beats = Arc::new(AtomicU32::new(0));
        let counted = beats.clone();
        node.spawn(move || {
            loop {
                sleep(MS);
                counted.fetch_add(1, SeqCst);
            }
        });
        sleep(10 * MS);
        node.pause();
        let late = node.spawn(|| ());
        sleep(10 * MS);
        let before = beats.load(SeqCst);
        sleep(20 * MS);
        assert_eq!(beats.load(SeqCst), before);
        assert!(!late.is_finished(), "a task does not begin on a paused node");
        node.resume();
        late.join().unwrap();
        while beats.load(SeqCst) == before {
            sleep(MS);
        }
        let fast = Node::new("S2");
        fast.set_clock_rate(10.0);
        let slept = fast.run(|| {
            let began = Instant::now();
            sleep(50 * MS);
            began.elapsed()
        });
        assert!(slept.unwrap() >= 50 * MS);
        assert_eq!(fast.run(|| rng().random::<u64>()).is_ok(), fast.is_alive());
    });
}

#[test]
fn a_panic_ends_the_run() {
    let config = Config { engine: Engine::Real, ..Config::with_seed(1) };
    let outcome = run(config, || {
        let task = thread::Builder::new().name("applier".into());
        let node = Node::new("S2");
        let _task = node.run(|| task.spawn(|| panic!("no such entry")));
        sleep(LONG);
    });
    let failure = outcome.result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Panic);
    let text = failure.to_string();
    assert!(text.contains("task #1 'applier' (S2, spawned at "), "{text}");
    assert!(text.contains("panicked: no such entry, at "), "{text}");
    assert!(failure.at < LONG);
}

/// However the main task's unwinding and the end of the run meet, the panic is what is reported.
#[test]
fn a_panic_of_the_main_task_is_the_failure() {
    for seed in 0..200 {
        let config = Config { engine: Engine::Real, ..Config::with_seed(seed) };
        let outcome: sim::Outcome<()> = run(config, || std::panic::resume_unwind(Box::new(7_u8)));
        let failure = outcome.result.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Panic, "{failure}");
    }
}

#[test]
fn a_run_ends_at_its_time_limit() {
    let time_limit = Some(20 * MS);
    let config = Config { engine: Engine::Real, time_limit, ..Config::with_seed(1) };
    let failure = run(config, || sleep(LONG)).result.unwrap_err();
    assert_eq!(failure.kind, FailureKind::TimeLimit);
    assert!(failure.at >= 20 * MS && failure.at < LONG);
}
