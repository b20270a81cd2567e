//! Killing, pausing and visiting nodes, and clocks that run fast or slow.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use common::for_many_seeds;
use labrt::node::{Killed, Node};
use labrt::sim::{Config, run};
use labrt::sync::{Condvar, Mutex};
use labrt::time::{Instant, sleep};
use labrt::{channel, event, sim, thread};

const MS: Duration = Duration::from_millis(1);

/// A panic that was caught says nothing about the next one.
#[test]
fn a_panic_is_reported_with_its_own_message() {
    let outcome = sim::run(sim::Config::with_seed(1), || {
        let caught = std::panic::catch_unwind(|| panic!("the first")).is_err();
        assert!(caught);
        labrt::time::sleep(Duration::from_millis(1));
        std::panic::resume_unwind(Box::new("the second"));
    });
    let failure = outcome.result.expect_err("it panicked");
    assert_eq!(failure.message, "the second");
}

/// Counts its drops.
#[derive(Clone, Default)]
struct Dropped(Arc<AtomicU32>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

impl Dropped {
    fn times(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

#[test]
fn a_killed_node_is_gone_wherever_its_tasks_stood() {
    for_many_seeds(|| {
        let node = Node::new("S1");
        let dropped = Dropped::default();
        let ran = Arc::new(AtomicU32::new(0));
        let mutex = Arc::new(Mutex::new(()));
        let condvar = Arc::new(Condvar::new());
        let (send, receive) = channel::bounded::<()>(0);
        let waits: Vec<Box<dyn Fn() + Send>> = vec![
            Box::new(|| sleep(10 * MS)),
            Box::new({
                let receive = receive.clone();
                move || _ = receive.recv_timeout(10 * MS)
            }),
            Box::new(move || _ = send.send_timeout((), 10 * MS)),
            Box::new({
                let mutex = mutex.clone();
                move || sleep_locked(&mutex)
            }),
            Box::new({
                let mutex = mutex.clone();
                move || _ = condvar.wait_for(&mut mutex.lock(), 10 * MS)
            }),
            Box::new(|| _ = thread::spawn(|| sleep(10 * MS)).join()),
            Box::new(thread::yield_now),
        ];
        for wait in waits {
            let (dropped, ran) = (dropped.clone(), ran.clone());
            node.spawn(move || {
                let _dropped = dropped;
                loop {
                    wait();
                    ran.fetch_add(1, Relaxed);
                }
            });
        }
        sleep(25 * MS);
        let before = dropped.times();
        node.kill();
        let ran_until_killed = ran.load(Relaxed);
        assert_eq!(dropped.times() - before, 7, "every task was unwound before kill returned");
        assert!(!mutex.is_locked());
        assert!(!node.is_alive());
        sleep(50 * MS);
        assert_eq!(ran.load(Relaxed), ran_until_killed, "nothing of it runs afterwards");
        drop(receive);
    });
}

fn sleep_locked(mutex: &Mutex<()>) {
    let _guard = mutex.lock();
    sleep(3 * MS);
}

#[test]
fn what_a_dead_node_spawns_does_not_run() {
    for_many_seeds(|| {
        let node = Node::new("S1");
        let before = node.spawn(|| ());
        node.kill();
        let after = node.spawn(|| ());
        assert_eq!(node.run(|| ()), Err(Killed));
        assert!(after.join().is_err());
        let _either = before.join(); // it may have run first, and joining does not hang
    });
}

#[test]
fn tasks_belong_to_the_node_of_their_spawner() {
    for_many_seeds(|| {
        let node = Node::new("S1");
        let inner =
            node.run(|| thread::spawn(|| thread::spawn(|| Node::current().name()).join())).unwrap();
        assert_eq!(&*inner.join().unwrap().unwrap(), "S1");
        assert_eq!(&*Node::current().name(), "main");
        assert_eq!(Node::new("S1").incarnation(), 1);
    });
}

#[test]
fn a_visitor_is_sent_home_when_the_node_dies() {
    for_many_seeds(|| {
        let node = Node::new("S1");
        let (outer, inner) = (node.clone(), Node::new("S2"));
        let visitor = thread::spawn(move || {
            let result = outer.run(|| inner.run(|| sleep(Duration::from_secs(1000))));
            (result, Node::current().name())
        });
        sleep(MS);
        node.kill();
        let (result, home) = visitor.join().unwrap();
        assert_eq!(result, Err(Killed));
        assert_eq!(&*home, "main");
        assert!(sim::elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn a_node_can_kill_itself_and_events_can_kill() {
    for_many_seeds(|| {
        let node = Node::new("S1");
        let itself = node.clone();
        assert!(node.spawn(move || itself.kill()).join().is_err());
        let visited = Node::new("S2");
        assert_eq!(visited.run(|| visited.kill()), Err(Killed));

        let node = Node::new("S3");
        let task = node.spawn(|| sleep(Duration::from_secs(1000)));
        event::after(MS, move || node.kill());
        assert!(task.join().is_err());
        assert!(sim::elapsed() < Duration::from_secs(1));
    });
}

/// `catch_unwind` around a kill does not keep a task alive: it unwinds again at its next wait.
#[test]
fn catching_the_unwinding_does_not_help() {
    for_many_seeds(|| {
        let node = Node::new("S1");
        let task = node.spawn(|| {
            for _ in 0..5 {
                let _swallowed = catch_unwind(|| sleep(Duration::from_secs(1000)));
            }
            sleep(Duration::from_secs(1000));
        });
        sleep(MS);
        node.kill();
        assert!(task.is_finished());
    });
}

#[test]
fn a_task_that_always_catches_it_is_abandoned_and_named() {
    let outcome = run(Config::default(), || {
        let node = Node::new("S1");
        node.spawn(|| {
            loop {
                let _swallowed = catch_unwind(|| sleep(Duration::from_secs(1000)));
            }
        });
        sleep(MS);
        node.kill();
        sleep(MS); // and the others go on
    });
    assert!(outcome.result.is_ok());
    assert_eq!(outcome.report.warnings.len(), 1);
    assert!(outcome.report.warnings[0].starts_with("task #1 (S1, spawned at labrt/tests/nodes.rs"));
}

/// Destructors may use labrt while their task is unwound; what would block returns at once.
#[test]
fn destructors_of_killed_tasks_do_not_block() {
    struct Busy {
        mutex: Arc<Mutex<u32>>,
        receive: channel::Receiver<()>,
    }
    impl Drop for Busy {
        fn drop(&mut self) {
            sleep(Duration::from_secs(1000));
            assert!(self.receive.recv().is_err());
            thread::spawn(|| panic!("a dead node starts nothing"));
            *self.mutex.lock() += 1; // held by another task that is being killed: it waits for that
        }
    }
    for_many_seeds(|| {
        let node = Node::new("S1");
        let mutex = Arc::new(Mutex::new(0));
        let (send, receive) = channel::unbounded();
        let busy = Busy { mutex: mutex.clone(), receive };
        node.spawn(move || {
            let _busy = busy;
            sleep(Duration::from_secs(1000));
        });
        let holder = mutex.clone();
        node.spawn(move || {
            let _guard = holder.lock();
            sleep(Duration::from_secs(1000));
        });
        sleep(MS);
        node.kill();
        assert_eq!(*mutex.lock(), 1);
        assert!(sim::elapsed() < Duration::from_secs(1));
        drop(send);
    });
}

/// A lock of a node that lives on cannot be waited for: the task is given up, and said so.
#[test]
fn a_destructor_that_needs_a_living_nodes_lock_is_abandoned() {
    struct Locks(Arc<Mutex<()>>);
    impl Drop for Locks {
        fn drop(&mut self) {
            drop(self.0.lock());
        }
    }
    let outcome = run(Config::default(), || {
        let node = Node::new("S1");
        let mutex = Arc::new(Mutex::new(()));
        let locks = Locks(mutex.clone());
        node.spawn(move || {
            let _locks = locks;
            sleep(Duration::from_secs(1000));
        });
        sleep(MS);
        let guard = mutex.lock();
        node.kill();
        drop(guard);
        // Others can wait as ever, although a task of this thread is stuck in unwinding.
        let (send, receive) = channel::unbounded();
        thread::spawn(move || {
            sleep(MS);
            send.send(1).unwrap();
        });
        receive.recv().unwrap()
    });
    assert_eq!(outcome.result.unwrap(), 1);
    assert_eq!(outcome.report.warnings.len(), 1, "{:?}", outcome.report.warnings);
}

#[test]
fn everything_is_dropped_at_the_end_of_a_run() {
    for seed in 0..50 {
        let dropped = Dropped::default();
        let inside = dropped.clone();
        let outcome = run(Config::with_seed(seed), move || {
            for _ in 0..10 {
                let dropped = inside.clone();
                thread::spawn(move || {
                    let _dropped = dropped;
                    sleep(Duration::from_secs(1000));
                });
                let dropped = inside.clone();
                event::after(Duration::from_secs(1000), move || drop(dropped));
            }
            sleep(Duration::from_millis(seed % 3));
        });
        outcome.result.unwrap();
        assert_eq!(dropped.times(), 21);
        assert_eq!(Arc::strong_count(&dropped.0), 1);
    }
}

#[test]
fn a_paused_node_stands_still_and_catches_up() {
    for_many_seeds(|| {
        let node = Node::new("S1");
        let beats = Arc::new(AtomicU32::new(0));
        let counted = beats.clone();
        node.spawn(move || {
            loop {
                sleep(MS);
                counted.fetch_add(1, Relaxed);
            }
        });
        sleep(10 * MS);
        node.pause();
        let before = beats.load(Relaxed);
        let visitor = node.clone();
        let visit = thread::spawn(move || visitor.run(sim::elapsed));
        sleep(100 * MS);
        assert_eq!(beats.load(Relaxed), before);
        node.resume();
        assert!(visit.join().unwrap().unwrap() >= 110 * MS, "a visitor waits for it, too");
        sleep(10 * MS);
        assert!(beats.load(Relaxed) >= before + 5);
        node.pause();
        node.kill(); // a paused node can be killed
    });
}

/// Whoever has come to see a node that stands still, and dies, goes on without it.
#[test]
fn a_visitor_outlives_a_paused_node() {
    for_many_seeds(|| {
        let node = Node::new("S1");
        node.pause();
        let visitor = node.clone();
        let visit = thread::spawn(move || visitor.run(|| ()));
        sleep(MS);
        node.kill();
        assert!(visit.join().unwrap().is_err());
    });
}

#[test]
fn a_fast_clock_gains_and_a_slow_one_loses() {
    for_many_seeds(|| {
        let measure = |rate: f64| {
            let node = Node::new("S1");
            node.set_clock_rate(rate);
            let began = sim::elapsed();
            let slept = node.run(|| {
                let began = Instant::now();
                sleep(Duration::from_secs(10));
                began.elapsed()
            });
            (slept.unwrap(), sim::elapsed().saturating_sub(began))
        };
        for (rate, real) in [(2.0, 5.0), (0.5, 20.0), (1.0, 10.0)] {
            let (slept, took) = measure(rate);
            assert!((slept.as_secs_f64() - 10.0).abs() < 0.001, "{slept:?} on a clock of {rate}");
            assert!((took.as_secs_f64() - real).abs() < 0.001, "{took:?} with a clock of {rate}");
        }
    });
}

#[test]
fn a_panic_that_lab_code_catches_is_over() {
    let outcome = run(Config::default(), || {
        let caught = catch_unwind(AssertUnwindSafe(|| panic!("caught")));
        sleep(MS); // it can wait again
        caught.is_err()
    });
    assert!(outcome.result.unwrap());
}

/// Who lives on a node, and whether it will do anything more.
#[test]
fn the_tasks_of_a_node_are_known() {
    for_many_seeds(|| {
        let node = Node::new("S1");
        assert_eq!(node.tasks(), []);
        drop(node.spawn(|| sleep(10 * MS)));
        drop(node.spawn(|| channel::never::<()>().recv()));
        sleep(MS);
        let tasks = node.tasks();
        let goes_on: Vec<bool> = tasks.iter().map(|task| task.goes_on).collect();
        assert_eq!(goes_on, [true, false]);
        assert!(tasks.iter().all(|task| &*task.info.node == "S1" && task.waits_for.is_some()));
        sleep(10 * MS);
        assert_eq!(node.tasks().len(), 1);
        node.kill();
        assert_eq!(node.tasks(), []);
    });
}

/// A destructor kills another node, whose task is about to be unwound anyway.
#[test]
fn a_kill_within_a_kill_ends_each_task_once() {
    struct Kills(Node);
    impl Drop for Kills {
        fn drop(&mut self) {
            self.0.kill();
        }
    }
    for_many_seeds(|| {
        let (a, b) = (Node::new("A"), Node::new("B"));
        let kills = Kills(b.clone());
        a.spawn(move || {
            let _kills = kills;
            sleep(1000 * MS);
        });
        let visited = b.clone();
        a.spawn(move || {
            let _ = visited.run(|| sleep(1000 * MS));
        });
        let lives = Node::new("C");
        let answer = thread::spawn(move || lives.run(|| 7).ok());
        sleep(MS);
        a.kill();
        assert!(!a.is_alive() && !b.is_alive());
        assert_eq!(answer.join().unwrap(), Some(7));
    });
}

/// A lock is free, and the task that was told so is killed before it runs: another one gets it.
#[test]
fn a_wake_up_does_not_die_with_the_task_it_woke() {
    for_many_seeds(|| {
        let mutex = Arc::new(Mutex::new(()));
        let guard = mutex.lock();
        let nodes = [Node::new("S1"), Node::new("S2")];
        let (send, receive) = channel::unbounded();
        for (index, node) in nodes.iter().enumerate() {
            let (mutex, send) = (mutex.clone(), send.clone());
            node.spawn(move || {
                let _guard = mutex.lock();
                send.send(index).unwrap();
                sleep(1000 * MS);
            });
        }
        sleep(MS);
        drop(guard);
        nodes[0].kill();
        // Either the first had it before it died, or only the second.
        let first = receive.recv_timeout(MS);
        let other = if first == Ok(0) { receive.recv_timeout(MS) } else { first };
        assert_eq!(other, Ok(1));
    });
}

/// A panic is that of the node for which the task worked at that moment, also if it has left the node by the
/// time the run ends of it; and so is one whose place is in std.
#[test]
fn a_panic_in_a_visit_is_of_the_node_that_is_visited() {
    for engine in [sim::Engine::Simulated, sim::Engine::Real] {
        let config = Config { engine, quiet: true, ..Config::with_seed(1) };
        let outcome = run(config, || {
            let values = std::collections::BTreeMap::from([(1, "one")]);
            let _ = Node::new("S7").run(|| values[&2]);
        });
        let failure = outcome.result.expect_err("it panics");
        assert_eq!(failure.task.expect("a task panicked").node, "S7");
    }
}
