//! Events: small things that happen at a time, without a task of their own.
//!
//! A network delivers its messages this way: a message in flight needs no stack.

use std::time::Duration;

use crate::kernel::{self, to_nanos};
use crate::mode::{Mode, mode};
use crate::observe;
use crate::real;

/// Runs `f` when `delay` of true virtual time has passed, unless the run is over by then.
///
/// `f` runs on the scheduler and belongs to no node. It must not block; it may notify, send on an
/// unbounded channel or a oneshot, spawn on a [`Node`](crate::node::Node), kill one, and set further
/// events.
///
/// # Panics
///
/// Outside a simulation. A panic in `f`, or a call in it that would block, fails the run.
#[track_caller]
pub fn after(delay: Duration, f: impl FnOnce() + Send + 'static) {
    observe::must_not_be_needed();
    let event = Box::new(f);
    if mode() == Mode::Real {
        return real::after(delay, event);
    }
    kernel::with(|kernel| kernel.run_after(to_nanos(delay), event));
}
