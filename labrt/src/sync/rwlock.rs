//! Many readers or one writer.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;

use super::held;
use crate::kernel::{self, Kernel};
use crate::mode::{Mode, mode};
use crate::observe::give_up;

/// A lock that many may share for reading, or one have for writing, as `parking_lot::RwLock`.
///
/// A task that wants it a second time in a way that could never be granted panics at once.
#[derive(Default)]
pub struct RwLock<T: ?Sized> {
    inner: parking_lot::RwLock<T>,
}

impl<T> RwLock<T> {
    /// An open lock around `value`.
    pub const fn new(value: T) -> Self {
        RwLock { inner: parking_lot::RwLock::new(value) }
    }

    /// The value itself.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Blocks the task while somebody writes, and keeps writers out until the guard is dropped.
    ///
    /// # Panics
    ///
    /// If this could never end, as [`Mutex::lock`](super::Mutex::lock).
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        let (what, location) = ("a rwlock (to read)", Location::caller());
        let inner = match mode() {
            Mode::Simulated => held::take(self.address(), what, location, || self.inner.try_read()),
            Mode::Real => held::take_real(|time| self.inner.try_read_for(time)),
            Mode::Observing => self.inner.try_read().unwrap_or_else(|| give_up()),
            Mode::Outside => self.inner.read(),
        };
        RwLockReadGuard { lock: self, inner: Some(inner) }
    }

    /// Blocks the task while anybody reads or writes, and keeps all out until the guard is dropped.
    ///
    /// # Panics
    ///
    /// If this could never end, as [`Mutex::lock`](super::Mutex::lock).
    #[track_caller]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        let (what, location) = ("a rwlock (to write)", Location::caller());
        let inner = match mode() {
            Mode::Simulated => {
                held::take(self.address(), what, location, || self.inner.try_write())
            }
            Mode::Real => held::take_real(|time| self.inner.try_write_for(time)),
            Mode::Observing => self.inner.try_write().unwrap_or_else(|| give_up()),
            Mode::Outside => self.inner.write(),
        };
        RwLockWriteGuard { lock: self, inner: Some(inner) }
    }

    /// The value, by a reference that proves that nobody else has one.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    fn address(&self) -> usize {
        (&raw const self.inner).cast::<u8>() as usize
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Access for reading; lets writers in when the last one is dropped.
#[must_use = "the lock opens again as soon as the guard is dropped"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    inner: Option<parking_lot::RwLockReadGuard<'a, T>>,
}

/// Access for writing; lets others in when dropped.
#[must_use = "the lock opens again as soon as the guard is dropped"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    inner: Option<parking_lot::RwLockWriteGuard<'a, T>>,
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("a guard is full until it is dropped")
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("a guard is full until it is dropped")
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("a guard is full until it is dropped")
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        self.inner = None;
        held::released(self.lock.address(), wake_everyone);
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        self.inner = None;
        held::released(self.lock.address(), wake_everyone);
    }
}

/// Readers can all go on together, so all who wait try again.
fn wake_everyone(kernel: &mut Kernel, key: kernel::Key) {
    kernel.wake_all(key);
}
