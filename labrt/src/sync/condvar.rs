//! Waiting for a condition.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use super::MutexGuard;
use crate::kernel::{self, Key, Kind, Park};
use crate::task::{Woken, park, preemption_point};
use crate::time::Instant;

/// A condition variable, as `parking_lot::Condvar`. There are no spurious wake-ups, but another task
/// may have changed what the lock guards before the waiter has it again: wait in a loop.
#[derive(Default)]
pub struct Condvar {
    /// Something with an address of its own.
    place: u8,
}

/// Tells how a wait with a deadline ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitTimeoutResult {
    timed_out: bool,
}

impl WaitTimeoutResult {
    /// Did the time pass without a notification?
    pub fn timed_out(self) -> bool {
        self.timed_out
    }
}

impl Condvar {
    /// Nobody waits yet.
    pub const fn new() -> Self {
        Condvar { place: 0 }
    }

    /// Opens the guard's lock, waits for a notification, and closes the lock again.
    #[track_caller]
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        self.wait_to(guard, None, Location::caller());
    }

    /// As [`wait`](Self::wait), for at most `timeout`.
    #[track_caller]
    pub fn wait_for<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        self.wait_to(guard, Some(Instant::now() + timeout), Location::caller())
    }

    /// As [`wait`](Self::wait), until `deadline` at the latest.
    #[track_caller]
    pub fn wait_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        self.wait_to(guard, Some(deadline), Location::caller())
    }

    /// Waits until `condition` no longer holds.
    #[track_caller]
    pub fn wait_while<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) {
        while condition(&mut **guard) {
            self.wait_to(guard, None, Location::caller());
        }
    }

    /// Waits until `condition` no longer holds, for at most `timeout` in all.
    #[track_caller]
    pub fn wait_while_for<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        let deadline = Instant::now() + timeout;
        while condition(&mut **guard) {
            if self.wait_to(guard, Some(deadline), Location::caller()).timed_out {
                return WaitTimeoutResult { timed_out: condition(&mut **guard) };
            }
        }
        WaitTimeoutResult { timed_out: false }
    }

    /// Wakes one waiter, by the schedule's choice. Says whether there was one.
    pub fn notify_one(&self) -> bool {
        let key = self.key();
        let woken = kernel::with(|kernel| kernel.wake_one(key));
        preemption_point();
        woken
    }

    /// Wakes all waiters, and says how many.
    pub fn notify_all(&self) -> usize {
        let key = self.key();
        let woken = kernel::with(|kernel| kernel.wake_all(key));
        preemption_point();
        woken
    }

    fn wait_to<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> WaitTimeoutResult {
        guard.unlock_to_wait();
        let woken = park(&Park {
            what: "a condition variable",
            keys: &[self.key()],
            deadline: deadline.map(Instant::to_true),
            location,
        });
        guard.relock(location);
        // A wait that was refused because this task unwinds is as good as one that timed out.
        WaitTimeoutResult { timed_out: woken != Woken::Notified }
    }

    fn key(&self) -> Key {
        Key::of(&raw const self.place, Kind::Condvar)
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condvar")
    }
}
