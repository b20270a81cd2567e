//! What the operations of labrt cost, on any engine. Each function gives the time of `n` of them.

use std::{sync::Arc, time::Duration};

use labrt::{
    channel,
    sync::{Condvar, Mutex},
    thread, time,
};

use crate::On;

/// Switches between so many tasks, which do nothing but let others run.
pub fn switches(on: On, tasks: u64, n: u64) -> Duration {
    on.run(move || {
        let rounds = n.div_ceil(tasks);
        let time = on.clock().time(|| {
            let yielding = move || (0..rounds).for_each(|_| thread::yield_now());
            let tasks: Vec<_> = (0..tasks).map(|_| thread::spawn(yielding)).collect();
            tasks.into_iter().for_each(join);
        });
        share(time, n, rounds * tasks)
    })
}

/// Tasks that end at once, each waited for before the next begins.
pub fn spawns(on: On, n: u64) -> Duration {
    on.run(move || on.clock().time(|| (0..n).for_each(|_| join(thread::spawn(|| ())))))
}

/// Sleeps of a microsecond.
pub fn sleeps(on: On, n: u64) -> Duration {
    on.run(move || on.clock().time(|| (0..n).for_each(|_| time::sleep(Duration::from_micros(1)))))
}

/// Additions under a lock that nobody else wants.
pub fn locks(on: On, n: u64) -> Duration {
    on.run(move || {
        let counter = Mutex::new(0_u64);
        on.clock().time(|| (0..n).for_each(|_| *counter.lock() += 1))
    })
}

/// Messages that a task sends to itself: nobody waits.
pub fn messages(on: On, n: u64) -> Duration {
    on.run(move || {
        let (send, receive) = channel::unbounded();
        on.clock().time(|| {
            for i in 0..n {
                send.send(i).expect("the other end is here");
                receive.recv().expect("just sent");
            }
        })
    })
}

/// Questions to another task and its answers, over two channels.
pub fn channel_round_trips(on: On, n: u64) -> Duration {
    on.run(move || {
        let (ask, questions) = channel::unbounded();
        let (answer, answers) = channel::unbounded();
        let answering = thread::spawn(move || {
            for question in questions {
                answer.send(question).expect("somebody asked");
            }
        });
        let time = on.clock().time(|| {
            for i in 0..n {
                ask.send(i).expect("the other task is there");
                answers.recv().expect("it answers");
            }
        });
        drop(ask);
        join(answering);
        time
    })
}

/// A ball between two tasks and back, under a lock with a condition.
pub fn condvar_round_trips(on: On, n: u64) -> Duration {
    fn play(table: &(Mutex<bool>, Condvar), side: bool, n: u64) {
        let mut ball = table.0.lock();
        for _ in 0..n {
            table.1.wait_while(&mut ball, |ball| *ball != side);
            *ball = !side;
            table.1.notify_one();
        }
    }
    on.run(move || {
        let table = Arc::new((Mutex::new(false), Condvar::new()));
        let shared = table.clone();
        let other = thread::spawn(move || play(&shared, true, n));
        on.clock().time(|| {
            play(&table, false, n);
            join(other);
        })
    })
}

fn join<T>(task: thread::JoinHandle<T>) {
    assert!(task.join().is_ok(), "no task is killed");
}

/// The part of a time that `n` of so many operations had.
pub(crate) fn share(time: Duration, n: u64, operations: u64) -> Duration {
    let nanos = time.as_nanos() * u128::from(n) / u128::from(operations.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
