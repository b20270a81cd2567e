//! The same as in [`runtime`](crate::runtime), on what the real engine is made of.

use std::{hint::black_box, sync::Arc, thread, time::Duration};

use crossbeam_channel as channel;
use parking_lot::{Condvar, Mutex};

use crate::Clock;

/// Threads that end at once, each waited for before the next begins.
pub fn spawns(n: u64) -> Duration {
    Clock::Process
        .time(|| (0..n).for_each(|_| thread::spawn(|| ()).join().expect("it does nothing")))
}

/// Additions under a lock that nobody else wants.
pub fn locks(n: u64) -> Duration {
    let counter = black_box(Mutex::new(0_u64));
    Clock::Process.time(|| (0..n).for_each(|_| *black_box(&counter).lock() += 1))
}

/// Messages that a thread sends to itself: nobody waits.
pub fn messages(n: u64) -> Duration {
    let (send, receive) = channel::unbounded();
    Clock::Process.time(|| {
        for i in 0..n {
            send.send(i).expect("the other end is here");
            receive.recv().expect("just sent");
        }
    })
}

/// Questions to another thread and its answers, over two channels.
pub fn channel_round_trips(n: u64) -> Duration {
    let (ask, questions) = channel::unbounded();
    let (answer, answers) = channel::unbounded();
    let answering = thread::spawn(move || {
        for question in questions {
            answer.send(question).expect("somebody asked");
        }
    });
    let time = Clock::Process.time(|| {
        for i in 0..n {
            ask.send(i).expect("the other thread is there");
            answers.recv().expect("it answers");
        }
    });
    drop(ask);
    answering.join().expect("it has answered everything");
    time
}

/// A ball between two threads and back, under a lock with a condition.
pub fn condvar_round_trips(n: u64) -> Duration {
    fn play(table: &(Mutex<bool>, Condvar), side: bool, n: u64) {
        let mut ball = table.0.lock();
        for _ in 0..n {
            table.1.wait_while(&mut ball, |ball| *ball != side);
            *ball = !side;
            table.1.notify_one();
        }
    }
    let table = Arc::new((Mutex::new(false), Condvar::new()));
    let shared = table.clone();
    let other = thread::spawn(move || play(&shared, true, n));
    Clock::Process.time(|| {
        play(&table, false, n);
        other.join().expect("it has played its part");
    })
}
