//! Mutual exclusion.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;

use super::held;
use crate::kernel::{self, Kernel};
use crate::mode::{Mode, mode};
use crate::observe::give_up;
use crate::task::preemption_point;

/// A lock around a value, as `parking_lot::Mutex`: no poisoning, `lock()` gives a guard.
///
/// A task that locks what it holds already, or that closes a cycle of tasks waiting for each other,
/// panics at once and says where each lock was taken.
#[derive(Default)]
pub struct Mutex<T: ?Sized> {
    inner: parking_lot::Mutex<T>,
}

impl<T> Mutex<T> {
    /// An open lock around `value`.
    pub const fn new(value: T) -> Self {
        Mutex { inner: parking_lot::Mutex::new(value) }
    }

    /// The value itself.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Blocks the task until the lock is open, and closes it until the guard is dropped.
    ///
    /// # Panics
    ///
    /// If this could never end: the task holds the lock already, or it would close a cycle of tasks
    /// that wait for each other's locks.
    #[track_caller]
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { lock: self, inner: Some(self.take("a mutex", Location::caller())) }
    }

    /// Closes the lock if it is open.
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        if matches!(mode(), Mode::Simulated | Mode::Real) {
            preemption_point();
        }
        let inner = self.inner.try_lock()?;
        if mode() == Mode::Simulated {
            held::note(self.address(), Location::caller());
        }
        Some(MutexGuard { lock: self, inner: Some(inner) })
    }

    /// The value, by a reference that proves that nobody else has one.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    /// Is the lock closed at this moment?
    pub fn is_locked(&self) -> bool {
        self.inner.is_locked()
    }

    #[track_caller]
    #[inline]
    fn take(
        &self,
        what: &'static str,
        location: &'static Location<'static>,
    ) -> parking_lot::MutexGuard<'_, T> {
        match mode() {
            Mode::Simulated => held::take(self.address(), what, location, || self.inner.try_lock()),
            Mode::Real => held::take_real(|time| self.inner.try_lock_for(time)),
            Mode::Observing => self.inner.try_lock().unwrap_or_else(|| give_up()),
            Mode::Outside => self.inner.lock(),
        }
    }

    fn address(&self) -> usize {
        (&raw const self.inner).cast::<u8>() as usize
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Mutex::new(value)
    }
}

/// Access to what a [`Mutex`] guards; opens the lock when dropped.
#[must_use = "the lock opens again as soon as the guard is dropped"]
pub struct MutexGuard<'a, T: ?Sized> {
    lock: &'a Mutex<T>,
    /// `None` only while a condition variable waits with it.
    inner: Option<parking_lot::MutexGuard<'a, T>>,
}

impl<T: ?Sized> MutexGuard<'_, T> {
    /// Which mutex this is the guard of.
    pub(super) fn address(&self) -> usize {
        self.lock.address()
    }

    /// Opens the lock for the length of a wait; until [`relock`](Self::relock) the guard is empty,
    /// so that unwinding in between does not open a lock that somebody else has taken.
    pub(super) fn unlock_to_wait(&mut self) {
        self.inner = None;
        if mode() == Mode::Simulated {
            held::release(self.lock.address(), wake_next);
        }
    }

    /// Ends what [`unlock_to_wait`](Self::unlock_to_wait) began.
    #[track_caller]
    pub(super) fn relock(&mut self, location: &'static Location<'static>) {
        self.inner = Some(self.lock.take("a mutex, after a wait,", location));
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("a guard is empty only inside a wait")
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("a guard is empty only inside a wait")
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.inner.take().is_some() {
            held::released(self.lock.address(), wake_next);
        }
    }
}

fn wake_next(kernel: &mut Kernel, key: kernel::Key) {
    kernel.wake_one(key);
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
