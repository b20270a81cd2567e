//! How many seeds each schedule needs to find three planted bugs: the table in the docs of
//! `labrt::sim::Schedule`. Every find is a panic, so:
//! `cargo run --release -p labrt --example exploration 2> /dev/null`.

#![expect(clippy::print_stdout, reason = "a table is what it is for")]

use std::fmt::Write as _;
use std::sync::Arc;

use labrt::sim::{Config, Preempt, Schedule, run};
use labrt::sync::{Condvar, Mutex};
use labrt::thread;

const SEEDS: u64 = 1000;

/// Reads and writes back in two steps, once, while another task makes sixty steps of its own.
fn lost_update() {
    let counter = Arc::new(Mutex::new(0));
    let other = counter.clone();
    let increments = thread::spawn(move || {
        for _ in 0..30 {
            drop(other.lock());
        }
        *other.lock() += 1;
        for _ in 0..30 {
            drop(other.lock());
        }
    });
    let before = *counter.lock();
    *counter.lock() = before + 1;
    increments.join().expect("it does not panic");
    assert_eq!(*counter.lock(), 2, "an update was lost");
}

/// Two tasks take two locks in opposite orders, once in thirty rounds.
fn lock_order_inversion() {
    let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
    let (a2, b2) = (a.clone(), b.clone());
    let other = thread::spawn(move || {
        for round in 0..30 {
            let _first = if round == 15 { b2.lock() } else { a2.lock() };
            let _second = if round == 15 { a2.lock() } else { b2.lock() };
        }
    });
    for _ in 0..30 {
        let _first = a.lock();
        let _second = b.lock();
    }
    other.join().expect("it does not panic");
}

/// Looks at the flag and waits in two steps, so that the notification may fall in between.
fn lost_wake_up() {
    let pair = Arc::new((Mutex::new(false), Condvar::new()));
    let other = pair.clone();
    let waiter = thread::spawn(move || {
        let ready = *other.0.lock();
        if !ready {
            let mut guard = other.0.lock();
            other.1.wait(&mut guard);
        }
    });
    *pair.0.lock() = true;
    pair.1.notify_one();
    waiter.join().expect("it does not panic");
}

fn main() {
    let random = |p| (Schedule::Random, Preempt::Probability(p));
    let pct = |changes| (Schedule::Pct { changes, length: 150 }, Preempt::BySeed);
    let policies = [
        ("random, never preempted", random(0.0)),
        ("random, 1 %", random(0.01)),
        ("random, 10 %", random(0.1)),
        ("random, 50 %", random(0.5)),
        ("random, by seed (the default)", (Schedule::Random, Preempt::BySeed)),
        ("fifo, by seed", (Schedule::Fifo, Preempt::BySeed)),
        ("PCT, 1 change", pct(1)),
        ("PCT, 3 changes", pct(3)),
    ];
    let bugs: [(&str, fn()); 3] = [
        ("lost update", lost_update),
        ("lock-order inversion", lock_order_inversion),
        ("lost wake-up", lost_wake_up),
    ];
    let mut table = String::from("| schedule |");
    for (bug, _) in bugs {
        let _ = write!(table, " {bug} |");
    }
    table += "\n| --- | --- | --- | --- |\n";
    for (name, (schedule, preempt)) in policies {
        let _ = write!(table, "| {name} |");
        for (_, bug) in bugs {
            let found: Vec<u64> = (0..SEEDS)
                .filter(|&seed| {
                    let config = Config { schedule, preempt, ..Config::with_seed(seed) };
                    run(config, bug).result.is_err()
                })
                .collect();
            let first = found.first().map_or("never".to_owned(), |seed| format!("first {seed}"));
            let _ = write!(table, " {} of {SEEDS}, {first} |", found.len());
        }
        table += "\n";
    }
    print!("{table}");
}
