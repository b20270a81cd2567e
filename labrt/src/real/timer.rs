//! Events of the real engine: one thread runs them when their time has come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use parking_lot::Mutex;

use super::{CONTEXT, Context, Never, Run, fail_with_panic, with};
use crate::kernel::EventFn;
use crate::mode::{Mode, set_mode};
use crate::task::Unwinding;

/// Where events are handed in.
pub(super) struct Timer {
    events: Mutex<Option<Sender<(Instant, EventFn)>>>,
}

/// The other end, until its thread runs.
pub(super) struct TimerThread {
    events: Receiver<(Instant, EventFn)>,
}

/// An event with its time; of equal times the one handed in first comes first.
struct Entry {
    at: Instant,
    number: u64,
    event: EventFn,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl Timer {
    pub(super) fn new() -> (Self, TimerThread) {
        let (send, receive) = crossbeam_channel::unbounded();
        (Timer { events: Mutex::new(Some(send)) }, TimerThread { events: receive })
    }

    /// No event runs after the one that runs now, if any.
    pub(super) fn stop(&self) {
        *self.events.lock() = None;
    }
}

impl TimerThread {
    /// Gives a channel that is disconnected when the thread has ended, with all that it held.
    #[track_caller]
    pub(super) fn start(self, run: &Arc<Run>) -> Receiver<Never> {
        let (ended, wait) = crossbeam_channel::bounded(0);
        let context = Context {
            run: run.clone(),
            serial: u64::MAX,
            name: Some("events".into()),
            spawned_at: Location::caller(),
            nodes: vec![run.nodes.main()],
            last_panic: None,
        };
        let body = move || {
            set_mode(Mode::Real);
            CONTEXT.set(Some(context));
            self.run();
            CONTEXT.set(None);
            drop(ended);
        };
        thread::Builder::new()
            .name("events".to_owned())
            .spawn(body)
            .expect("the system has room for another thread");
        wait
    }

    fn run(self) {
        let mut waiting: BinaryHeap<Reverse<Entry>> = BinaryHeap::new();
        let mut number = 0;
        loop {
            let next = waiting.peek().map(|Reverse(entry)| entry.at);
            let due = next.is_some_and(|at| at <= Instant::now());
            let order = match next {
                // Others may have been handed in meanwhile, for an earlier time.
                Some(_) if due => self.events.try_recv().map_err(|e| match e {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                }),
                Some(at) => self.events.recv_deadline(at),
                None => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match order {
                Ok((at, event)) => {
                    number += 1;
                    waiting.push(Reverse(Entry { at, number, event }));
                }
                Err(RecvTimeoutError::Timeout) if due => {
                    let Some(Reverse(entry)) = waiting.pop() else { continue };
                    if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(entry.event))
                        && !payload.is::<Unwinding>()
                    {
                        fail_with_panic(payload);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return, // the run is over
            }
        }
    }
}

/// Runs `event` after `delay`, unless the run is over by then.
pub(crate) fn after(delay: Duration, event: EventFn) {
    let events = with(|context| context.run.timer.events.lock().clone());
    if let Some(events) = events {
        // What is due after all time that there is never happens.
        if let Some(due) = Instant::now().checked_add(delay) {
            let _ = events.send((due, event)); // its thread may have ended
        }
    }
}
