//! One value from whoever has it to the task that waits for it: the reply of a call.

use std::panic::Location;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::kernel::{self, Park, TaskRef};
use crate::task::{Woken, park};

/// Makes the two ends.
pub fn channel<T: Send>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Mutex::new(Shared { state: State::Empty, waiter: None }));
    (Sender { shared: shared.clone() }, Receiver { shared })
}

/// The end that delivers. Dropping it unused tells the other end that nothing will come.
#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

/// The end that waits.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Mutex<Shared<T>>>,
}

#[derive(Debug)]
struct Shared<T> {
    state: State<T>,
    waiter: Option<TaskRef>,
}

#[derive(Debug)]
enum State<T> {
    Empty,
    Sent(T),
    /// Sent and taken, or never sent.
    Closed,
}

impl<T> Sender<T> {
    /// Delivers the value. Never blocks; works in events. Nobody may be waiting any more.
    pub fn send(self, value: T) {
        self.finish(State::Sent(value));
    }

    fn finish(&self, state: State<T>) {
        let mut shared = self.shared.lock();
        if matches!(shared.state, State::Empty) {
            shared.state = state;
        }
        let waiter = shared.waiter.take();
        drop(shared);
        if let Some(waiter) = waiter {
            kernel::try_with(|kernel| kernel.wake(waiter, false));
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.finish(State::Closed);
    }
}

impl<T> Receiver<T> {
    /// Blocks the task until the value is there. `None` if the sender was dropped, or if this task
    /// is being unwound.
    ///
    /// Locks that the task holds meanwhile are noted in the report's warnings: whoever must answer
    /// may be waiting for them.
    #[track_caller]
    pub fn wait(self) -> Option<T> {
        let location = Location::caller();
        let mut noted = false;
        loop {
            let mut shared = self.shared.lock();
            match std::mem::replace(&mut shared.state, State::Closed) {
                State::Sent(value) => return Some(value),
                State::Closed => return None,
                State::Empty => {}
            }
            shared.state = State::Empty;
            shared.waiter = kernel::with(|kernel| {
                if !noted {
                    kernel.note_locks_held("a call", location);
                }
                kernel.next_park_ref()
            });
            drop(shared);
            noted = true;
            if park(&Park { what: "a reply", keys: &[], deadline: None, location })
                == Woken::Refused
            {
                return None;
            }
        }
    }
}
