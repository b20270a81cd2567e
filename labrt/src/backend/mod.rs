//! How a task gets a stack of its own: the only part of a simulation that depends on the platform.
//!
//! The interface is small on purpose: start a fiber, resume it with a [`Signal`], suspend the one
//! that runs, take its stack back when it has finished, or abandon it. Everything above (who runs
//! next, what time it is, who waits for what) is the same for every backend.

mod coroutine;

pub(crate) use coroutine::{DEFAULT_STACK_SIZE, Fiber, Stacks, suspend};

/// Why a suspended task is running again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The scheduler picked it.
    Run,
    /// Its node was killed, or the run is over: it must unwind.
    Kill,
}

/// What a fiber did when it was resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It waits in [`suspend`].
    Suspended,
    /// Its job has returned.
    Finished,
}

/// The body of a task; it is told at its first step whether it may run at all.
pub(crate) type Job = Box<dyn FnOnce(Signal) + Send>;
