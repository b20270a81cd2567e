//! One value from whoever has it to the task that waits for it: the reply of a call.

use std::panic::Location;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::kernel::{self, Park, TaskRef};
use crate::mode::{Mode, mode};
use crate::real;
use crate::task::{Woken, park};

/// Makes the two ends.
pub fn channel<T: Send>() -> (Sender<T>, Receiver<T>) {
    if mode() == Mode::Real {
        let (send, receive) = crossbeam_channel::bounded(1);
        return (Sender(Sending::Real(send)), Receiver(Receiving::Real(receive)));
    }
    let slot = Arc::new(Mutex::new(Slot { state: State::Empty, waiter: None }));
    (Sender(Sending::Simulated(slot.clone())), Receiver(Receiving::Simulated(slot)))
}

/// The end that delivers. Dropping it unused tells the other end that nothing will come.
#[derive(Debug)]
pub struct Sender<T>(Sending<T>);

/// The end that waits.
#[derive(Debug)]
pub struct Receiver<T>(Receiving<T>);

#[derive(Debug)]
enum Sending<T> {
    Simulated(Arc<Mutex<Slot<T>>>),
    Real(crossbeam_channel::Sender<T>),
}

#[derive(Debug)]
enum Receiving<T> {
    Simulated(Arc<Mutex<Slot<T>>>),
    Real(crossbeam_channel::Receiver<T>),
}

#[derive(Debug)]
struct Slot<T> {
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
        match &self.0 {
            Sending::Simulated(slot) => finish(slot, State::Sent(value)),
            Sending::Real(send) => _ = send.try_send(value),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if let Sending::Simulated(slot) = &self.0 {
            finish(slot, State::Closed);
        }
    }
}

/// Puts in the end of the story, unless it has ended already, and wakes whoever waits for it.
fn finish<T>(slot: &Mutex<Slot<T>>, state: State<T>) {
    let mut slot = slot.lock();
    if matches!(slot.state, State::Empty) {
        slot.state = state;
    }
    let waiter = slot.waiter.take();
    drop(slot);
    if let Some(waiter) = waiter {
        kernel::try_with(|kernel| kernel.wake(waiter, false));
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
        if mode() == Mode::Simulated {
            kernel::with(|kernel| kernel.note_locks_held("a call", location));
        }
        self.wait_for("a reply", location)
    }

    /// Waits for something that is no call; `what` finishes "waits for", in reports.
    pub(crate) fn wait_for(
        self,
        what: &'static str,
        location: &'static Location<'static>,
    ) -> Option<T> {
        let slot = match &self.0 {
            Receiving::Real(receive) => return real::recv(receive, None).ok(),
            Receiving::Simulated(slot) => slot,
        };
        loop {
            let mut open = slot.lock();
            match std::mem::replace(&mut open.state, State::Closed) {
                State::Sent(value) => return Some(value),
                State::Closed => return None,
                State::Empty => open.state = State::Empty,
            }
            open.waiter = kernel::with(|kernel| kernel.next_park_ref());
            drop(open);
            if park(&Park { what, keys: &[], deadline: None, location }) == Woken::Refused {
                return None;
            }
        }
    }
}
