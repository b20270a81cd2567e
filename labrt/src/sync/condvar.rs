//! Waiting for a condition.

use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crossbeam_channel::Sender;

use super::MutexGuard;
use crate::kernel::{self, Key, Kind, Park};
use crate::live::Live;
use crate::mode::{Mode, mode};
use crate::observe;
use crate::real;
use crate::task::{Woken, park, preemption_point};
use crate::time::Instant;

/// A condition variable, as `parking_lot::Condvar`. There are no spurious wake-ups, but another task
/// may have changed what the lock guards before the waiter has it again: wait in a loop.
///
/// To wait while another task waits with another mutex panics, as there.
#[derive(Default)]
pub struct Condvar {
    /// Who waits, first come first served: in the real engine only. (In a simulation the address of
    /// this is what tasks are parked on.)
    waiters: parking_lot::Mutex<VecDeque<Sender<()>>>,
    /// The address of the mutex with which tasks wait, while any does.
    mutex: AtomicUsize,
    live: Live,
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
        Condvar {
            waiters: parking_lot::Mutex::new(VecDeque::new()),
            mutex: AtomicUsize::new(0),
            live: Live::new(),
        }
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
        if mode() == Mode::Real {
            // A waiter that was killed or has timed out no longer listens.
            while let Some(waiter) = self.next_waiter() {
                if waiter.send(()).is_ok() {
                    return true;
                }
            }
            return false;
        }
        observe::must_not_be_needed();
        let key = self.key();
        let woken = kernel::with(|kernel| kernel.wake_one(key));
        preemption_point();
        woken
    }

    /// Wakes all waiters, and says how many.
    pub fn notify_all(&self) -> usize {
        if mode() == Mode::Real {
            let waiters = std::mem::take(&mut *self.waiters.lock());
            return waiters.into_iter().filter(|waiter| waiter.send(()).is_ok()).count();
        }
        observe::must_not_be_needed();
        let key = self.key();
        let woken = kernel::with(|kernel| kernel.wake_all(key));
        preemption_point();
        woken
    }

    /// # Panics
    ///
    /// If others wait with another mutex.
    #[track_caller]
    fn use_with<T: ?Sized>(&self, guard: &MutexGuard<'_, T>, is_waited_for: bool) {
        let mutex = guard.address();
        let before = self.mutex.swap(mutex, Relaxed);
        if is_waited_for && before != mutex && !std::thread::panicking() {
            self.mutex.store(before, Relaxed);
            panic!("attempted to use a condition variable with more than one mutex");
        }
    }

    #[track_caller]
    fn wait_to<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> WaitTimeoutResult {
        if mode() == Mode::Real {
            return self.wait_really(guard, deadline, location);
        }
        observe::must_not_be_needed();
        self.live.note();
        let key = self.key();
        self.use_with(guard, kernel::with(|kernel| kernel.is_waited_for(key)));
        guard.unlock_to_wait();
        let woken = park(&Park {
            what: "a condition variable",
            keys: &[key],
            deadline: deadline.map(Instant::to_true),
            location,
        });
        guard.relock(location);
        // A wait that was refused because this task unwinds is as good as one that timed out.
        WaitTimeoutResult { timed_out: woken != Woken::Notified }
    }

    #[track_caller]
    fn wait_really<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> WaitTimeoutResult {
        let (waiter, notified) = crossbeam_channel::bounded(1);
        let mut waiters = self.waiters.lock();
        self.use_with(guard, !waiters.is_empty());
        waiters.push_back(waiter.clone());
        drop(waiters);
        guard.unlock_to_wait();
        let in_time = real::recv(&notified, deadline.map(Instant::to_wall)).is_ok();
        let mut waiters = self.waiters.lock();
        let unnoticed = waiters.iter().position(|other| other.same_channel(&waiter));
        if let Some(place) = unnoticed {
            waiters.remove(place);
        }
        drop(waiters);
        guard.relock(location);
        WaitTimeoutResult { timed_out: !in_time && unnoticed.is_some() }
    }

    fn next_waiter(&self) -> Option<Sender<()>> {
        self.waiters.lock().pop_front()
    }

    fn key(&self) -> Key {
        Key::of(&raw const self.waiters, Kind::Condvar)
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Condvar")
    }
}
