//! Locks and condition variables, and the promise of the whole crate: one seed, one run.

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use common::for_many_seeds;
use labrt::rand::{rng, stream};
use labrt::sim::{Config, Preempt, Schedule, check_determinism, run};
use labrt::sync::{Condvar, Mutex, RwLock};
use labrt::{channel, sim, thread, time, trace};
use rand::RngExt as _;

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_mutex_excludes() {
    for_many_seeds(|| {
        let inside = Arc::new(Mutex::new(0));
        let total = Arc::new(Mutex::new(0));
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let (inside, total) = (inside.clone(), total.clone());
                thread::spawn(move || {
                    for _ in 0..5 {
                        let mut guard = total.lock();
                        *inside.lock() += 1;
                        let before = *guard;
                        thread::yield_now();
                        *guard = before + 1;
                        let mut inside = inside.lock();
                        assert_eq!(*inside, 1);
                        *inside -= 1;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.join().unwrap();
        }
        assert_eq!(*total.lock(), 25);
        assert!(total.try_lock().is_some());
    });
}

#[test]
fn readers_share_and_writers_do_not() {
    for_many_seeds(|| {
        let lock = Arc::new(RwLock::new((0, 0)));
        for _ in 0..2 {
            let lock = lock.clone();
            thread::spawn(move || {
                for _ in 0..5 {
                    let mut pair = lock.write();
                    pair.0 += 1;
                    thread::yield_now();
                    pair.1 += 1;
                }
            });
        }
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let lock = lock.clone();
                thread::spawn(move || {
                    for _ in 0..5 {
                        let pair = lock.read();
                        let other = lock.read(); // more than one may read
                        assert_eq!((pair.0, pair.1), (other.1, other.0));
                        drop((pair, other));
                        thread::yield_now();
                    }
                })
            })
            .collect();
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn a_condvar_wakes_one_or_all() {
    for_many_seeds(|| {
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
        time::sleep(MS);
        *pair.0.lock() += 1;
        assert!(pair.1.notify_one());
        time::sleep(MS);
        assert_eq!(waiters.iter().filter(|waiter| waiter.is_finished()).count(), 1);
        *pair.0.lock() += 3;
        assert_eq!(pair.1.notify_all(), 3);
        for waiter in waiters {
            waiter.join().unwrap();
        }
        assert!(!pair.1.notify_one());
    });
}

#[test]
fn a_condvar_waits_no_longer_than_told() {
    for_many_seeds(|| {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let mut guard = mutex.lock();
        let began = time::Instant::now();
        assert!(condvar.wait_for(&mut guard, 5 * MS).timed_out());
        assert!(condvar.wait_until(&mut guard, began + 8 * MS).timed_out());
        assert!(condvar.wait_while_for(&mut guard, |()| true, 2 * MS).timed_out());
        let waited = began.elapsed();
        assert!((10 * MS..11 * MS).contains(&waited), "{waited:?}");
    });
}

#[test]
fn what_tasks_wait_for_counts_as_long_as_it_exists() {
    let count = || sim::waitables().unwrap();
    let outcome = run(Config::with_seed(1), move || {
        let before = count();
        let (channel, condvar) = (channel::bounded::<()>(1), Condvar::new());
        assert_eq!(count(), before + 1); // nobody has waited at the other
        for _ in 0..2 {
            condvar.wait_for(&mut Mutex::new(()).lock(), MS);
            assert_eq!(count(), before + 2);
        }
        let clone = channel.clone();
        drop(channel);
        assert_eq!(count(), before + 2);
        drop((clone, condvar));
        assert_eq!(count(), before);
    });
    outcome.result.unwrap();
    assert_eq!(sim::waitables(), None);
}

/// A little of everything that could make runs differ.
fn busy() -> u64 {
    let (send, receive) = channel::bounded(2);
    let lock = Arc::new(Mutex::new(0_u64));
    for n in 0..5_u64 {
        let (send, lock) = (send.clone(), lock.clone());
        thread::spawn(move || {
            for _ in 0..10 {
                time::sleep(Duration::from_micros(rng().random_range(0..2000)));
                *lock.lock() ^= rng().random::<u64>() >> n;
                send.send(n).expect("the receiver is there to the end");
            }
        });
    }
    drop(send);
    let order = receive.iter().fold(0_u64, |sum, n| sum.wrapping_mul(7).wrapping_add(n));
    trace::mix(order);
    let locked = *lock.lock();
    locked ^ stream("test").at(3).random::<u64>()
}

#[test]
fn one_seed_is_one_run() {
    let mut hashes = BTreeSet::new();
    for seed in 0..50 {
        let [first, second] = [0, 1].map(|_| run(Config::with_seed(seed), busy));
        assert_eq!(first.result.unwrap(), second.result.unwrap());
        assert_eq!(first.report, second.report);
        hashes.insert(first.report.trace_hash);
        check_determinism(&Config::with_seed(seed), busy).unwrap();
    }
    assert_eq!(hashes.len(), 50, "and each seed is another");
}

/// Recorded once. It may change when the scheduler does, but never from build to build.
#[test]
fn a_run_is_the_same_in_every_build() {
    let outcome = run(Config::with_seed(7), busy);
    assert_eq!(outcome.report.trace_hash, RECORDED);
}
const RECORDED: u64 = 1_769_095_342_712_614_999;

/// Ten increments by two tasks that read and write back in two steps lose one if a switch falls in
/// between: the reason for preemption.
#[test]
fn preemption_finds_a_lost_update() {
    let lost = |preempt| {
        let run_one = |seed| {
            let config = Config { preempt, schedule: Schedule::Random, ..Config::with_seed(seed) };
            let total = run(config, || {
                let counter = Arc::new(Mutex::new(0));
                let tasks: Vec<_> = (0..2)
                    .map(|_| {
                        let counter = counter.clone();
                        thread::spawn(move || {
                            for _ in 0..5 {
                                let before = *counter.lock();
                                *counter.lock() = before + 1;
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.join().unwrap();
                }
                *counter.lock()
            });
            total.result.unwrap() < 10
        };
        (0..100).filter(|&seed| run_one(seed)).count()
    };
    assert_eq!(lost(Preempt::Probability(0.0)), 0);
    assert!(lost(Preempt::Probability(0.5)) > 80);
    assert!(lost(Preempt::BySeed) > 20);
}

#[test]
fn simulations_run_side_by_side() {
    let alone: Vec<_> = (0..8).map(|seed| run(Config::with_seed(seed), busy).report).collect();
    let together: Vec<_> = (0..8)
        .map(|seed| std::thread::spawn(move || run(Config::with_seed(seed), busy).report))
        .collect();
    let together: Vec<_> = together.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(alone, together);
    assert!(!sim::active());
}

// ---- looking on ----

/// Whoever looks changes nothing: not which task runs next, not what is drawn, not the time.
#[test]
fn a_look_leaves_no_trace() {
    let trace = |looks: bool| {
        let outcome = sim::run(
            Config { preempt: Preempt::Probability(0.5), ..Config::with_seed(3) },
            move || {
                let shared = Arc::new(Mutex::new(0));
                let tasks: Vec<_> = (0..4)
                    .map(|_| {
                        let shared = Arc::clone(&shared);
                        thread::spawn(move || {
                            for _ in 0..20 {
                                *shared.lock() += 1;
                                if looks {
                                    assert!(
                                        sim::observe(|| *shared.lock()).is_none_or(|n| n <= 80)
                                    );
                                    assert_eq!(sim::observe(thread::yield_now), None);
                                    assert_eq!(
                                        sim::observe(|| labrt::rand::rng().random::<u64>()),
                                        None
                                    );
                                    assert_eq!(sim::observe(|| drop(thread::spawn(|| ()))), None);
                                    assert_eq!(
                                        sim::observe(|| -> u32 { panic!("nobody hears of this") }),
                                        None
                                    );
                                }
                            }
                        })
                    })
                    .collect();
                for task in tasks {
                    task.join().unwrap();
                }
                assert_eq!(sim::observe(|| *shared.lock()), Some(80));
            },
        );
        assert!(outcome.result.is_ok());
        outcome.report
    };
    assert_eq!(trace(false), trace(true));
}

/// Three tasks that contend for two locks, and events that look at what is behind one of them.
fn contention(looks: bool) -> sim::Report {
    let config = Config { preempt: Preempt::Probability(0.5), ..Config::with_seed(7) };
    let outcome = run(config, move || {
        let shared = Arc::new((Mutex::new(0), Mutex::new(())));
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    for _ in 0..20 {
                        let mut number = shared.0.lock();
                        let look = || *shared.1.lock();
                        if looks {
                            assert!(sim::observe(|| *shared.0.lock()).is_none(), "it is taken");
                        }
                        *number += 1;
                        look();
                        time::sleep(MS);
                    }
                })
            })
            .collect();
        let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
        for n in 0..40 {
            let (shared, seen) = (shared.clone(), seen.clone());
            labrt::event::after(n * MS * 3 / 2, move || {
                if looks {
                    seen.lock().push(sim::observe(|| *shared.0.lock()));
                }
            });
        }
        for task in tasks {
            task.join().expect("it ends");
        }
        if looks {
            assert_eq!(sim::observe(|| *shared.0.lock()), Some(60));
            let seen = seen.lock();
            assert!(seen.is_sorted() || seen.contains(&None), "{seen:?}");
        }
    });
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    outcome.report
}

/// A look draws no number, takes no time, and wakes nobody; a lock that is taken shows nothing.
#[test]
fn whoever_looks_on_is_not_noticed() {
    assert_eq!(contention(true), contention(false));
}

#[test]
fn nothing_is_seen_outside_a_run_or_by_waiting() {
    assert_eq!(sim::observe(|| 1), None);
    let outcome = run(Config::with_seed(1), || {
        let (_send, receive) = channel::unbounded::<()>();
        assert_eq!(sim::observe(|| receive.recv()), None);
        assert_eq!(sim::observe(|| time::sleep(MS)), None);
        assert_eq!(sim::observe(|| 1), Some(1));
    });
    outcome.result.unwrap();
}
