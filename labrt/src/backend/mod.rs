//! How a task gets a stack of its own: the only part of a simulation that depends on the platform.
//!
//! The interface is small on purpose: start a fiber, resume it with a [`Signal`], suspend the one
//! that runs, take its stack back when it has finished, or abandon it. Everything above (who runs
//! next, what time it is, who waits for what) is the same for every backend.

#[cfg(coroutines)]
mod coroutine;
#[cfg(coroutines)]
mod overflow;
mod threads;

use std::io;
use std::mem;

use crate::sim::Backend;

/// Address space for one task's stack, in bytes; memory is used only where it is touched.
pub(crate) const DEFAULT_STACK_SIZE: usize = 256 * 1024;

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

/// What the fibers of one run are made of.
pub(crate) enum Fibers {
    #[cfg(coroutines)]
    Coroutines(coroutine::Stacks),
    Threads(threads::Workers),
}

/// A task's stack with what it has left to do.
pub(crate) enum Fiber {
    #[cfg(coroutines)]
    Coroutine(coroutine::Fiber),
    Thread(threads::Fiber),
}

impl Fibers {
    pub(crate) fn new(backend: Backend, stack_size: usize) -> Self {
        match backend {
            #[cfg(coroutines)]
            Backend::Coroutines => Fibers::Coroutines(coroutine::Stacks::new(stack_size)),
            #[cfg(not(coroutines))]
            Backend::Coroutines => Fibers::Threads(threads::Workers::new(stack_size)),
            Backend::Threads => Fibers::Threads(threads::Workers::new(stack_size)),
        }
    }

    /// Prepares `job`; it runs when the fiber is first resumed. If the system has no more stacks, the
    /// job comes back.
    pub(crate) fn start(&mut self, job: Job) -> Result<Fiber, (io::Error, Job)> {
        match self {
            #[cfg(coroutines)]
            Fibers::Coroutines(stacks) => match stacks.take() {
                Ok(stack) => Ok(Fiber::Coroutine(coroutine::Fiber::start(stack, job))),
                Err(problem) => Err((problem, job)),
            },
            Fibers::Threads(workers) => workers.start(job).map(Fiber::Thread),
        }
    }

    /// Takes a finished fiber's stack back for the next one.
    pub(crate) fn recycle(&mut self, fiber: Fiber) {
        match (self, fiber) {
            #[cfg(coroutines)]
            (Fibers::Coroutines(stacks), Fiber::Coroutine(fiber)) => fiber.recycle(stacks),
            (Fibers::Threads(workers), Fiber::Thread(fiber)) => workers.recycle(fiber),
            #[cfg(coroutines)]
            _ => unreachable!("a run has fibers of one kind"),
        }
    }
}

impl Fiber {
    /// Runs the fiber until it suspends or finishes.
    pub(crate) fn resume(&mut self, signal: Signal) -> Step {
        match self {
            #[cfg(coroutines)]
            Fiber::Coroutine(fiber) => fiber.resume(signal),
            Fiber::Thread(fiber) => fiber.resume(signal),
        }
    }

    /// Leaks a fiber that cannot be unwound: dropping it would unwind it by force, or abort.
    pub(crate) fn abandon(self) {
        mem::forget(self);
    }
}

/// Suspends the running task until it is resumed, and says why it was. Only a task may call it.
pub(crate) fn suspend() -> Signal {
    #[cfg(coroutines)]
    if !threads::is_worker() {
        return coroutine::suspend();
    }
    threads::suspend()
}

/// Makes the overflow of a task's stack end the process with a message that names the task.
pub(crate) fn install_overflow_handler() {
    #[cfg(coroutines)]
    overflow::install();
}
