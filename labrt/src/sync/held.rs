//! What all locks share: taking one in a simulation, and keeping track of who holds it.

use std::panic::Location;
use std::time::Duration;

use crate::kernel::{self, Held, Kernel, Key, Kind, Park};
use crate::mode::{Mode, mode};
use crate::real;
use crate::task::{self, Woken, park};

/// Takes a lock in the real engine. `try_take` waits for the time it is given.
pub(super) fn take_real<G>(try_take: impl Fn(Duration) -> Option<G>) -> G {
    /// A killed task looks that often whether it is; in most cases whoever has the lock unwinds too.
    const LOOK: Duration = Duration::from_millis(20);
    loop {
        real::checkpoint();
        if let Some(guard) = try_take(LOOK) {
            return guard;
        }
    }
}

/// Takes a lock by `try_take`, waiting for it as long as need be.
///
/// # Panics
///
/// If waiting can never end: the task holds the lock itself, or the tasks that wait for each other
/// form a cycle.
#[inline]
#[track_caller]
pub(super) fn take<G>(
    lock: usize,
    what: &'static str,
    location: &'static Location<'static>,
    try_take: impl Fn() -> Option<G>,
) -> G {
    task::preemption_point();
    loop {
        if let Some(guard) = try_take() {
            note(lock, location);
            return guard;
        }
        wait_for(lock, what, location);
    }
}

#[cold]
#[track_caller]
fn wait_for(lock: usize, what: &'static str, location: &'static Location<'static>) {
    if task::must_not_block() {
        let again = task::wait_while_unwinding();
        assert!(
            again,
            "a destructor needs a lock that another task holds, at {}",
            kernel::place(location)
        );
        return;
    }
    let (trouble, event) =
        kernel::with(|kernel| (kernel.lock_trouble(lock, location), !kernel.in_task()));
    if let Some(trouble) = trouble {
        panic!("{trouble}");
    }
    assert!(!event, "an event must not block: {} waits for {what}", kernel::place(location));
    let key = key_of(lock);
    if park(&Park { what, keys: &[key], deadline: None, location }) == Woken::Refused {
        task::wait_while_unwinding();
    }
}

/// The running task holds the lock from here on.
pub(super) fn note(lock: usize, taken_at: &'static Location<'static>) {
    kernel::with(|kernel| {
        if let Some(task) = kernel.current_mut() {
            task.held.push(Held { lock, taken_at });
        }
    });
}

/// The lock has just been opened: whoever waits for it may try, and may run first.
#[inline]
pub(super) fn released(lock: usize, wake: impl FnOnce(&mut Kernel, Key)) {
    if mode() == Mode::Simulated && release(lock, wake) {
        task::give_way();
    }
}

/// As [`released`], and never lets another task run first. Says whether the schedule would.
pub(super) fn release(lock: usize, wake: impl FnOnce(&mut Kernel, Key)) -> bool {
    kernel::try_with(|kernel| {
        if let Some(task) = kernel.current_mut()
            && let Some(place) = task.held.iter().rposition(|held| held.lock == lock)
        {
            task.held.swap_remove(place);
        }
        wake(kernel, key_of(lock));
        // A livelock is reported by the next operation that can panic; this may be a destructor.
        kernel.operation().unwrap_or(false)
    })
    .unwrap_or(false)
}

fn key_of(lock: usize) -> Key {
    Key::of(lock as *const u8, Kind::Lock)
}
