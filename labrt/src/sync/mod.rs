//! Locks and condition variables, under `parking_lot`'s names: no poisoning, `lock()` gives a guard.
//!
//! The data of a [`Mutex`] lies in a real `parking_lot` lock. In a simulation `lock` tries that lock
//! and parks the task when it is taken, so soundness never depends on the scheduler. Outside of one
//! the locks are `parking_lot`'s own.

mod condvar;
mod held;
mod mutex;
mod rwlock;

pub use condvar::{Condvar, WaitTimeoutResult};
pub use mutex::{Mutex, MutexGuard};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
