//! Stackful coroutines on the simulation's one OS thread, by `corosensei`.
//!
//! A task must be able to suspend from deep inside a student's calls, so the pointer to its yielder is
//! kept beside it, not on the way: one of the two places of the workspace with `unsafe` code (the
//! other is `overflow`, beside this).

use std::cell::Cell;
use std::io;
use std::ptr;

use corosensei::stack::{DefaultStack, Stack as _};
use corosensei::{Coroutine, CoroutineResult, Yielder};
use parking_lot::Mutex;

use super::{DEFAULT_STACK_SIZE, Job, Signal, Step, overflow};

#[cfg(not(panic = "unwind"))]
compile_error!("a killed task is unwound: this needs panic = \"unwind\"");

thread_local! {
    /// The yielder of the fiber that runs on this thread now; null while none does.
    static YIELDER: Cell<*const Yielder<Signal, ()>> = const { Cell::new(ptr::null()) };
}

/// A task's stack with what it has left to do.
pub(crate) struct Fiber {
    coroutine: Coroutine<Signal, (), ()>,
    /// The lowest address of its stack, which is that of its guard page.
    lowest: usize,
}

impl Fiber {
    /// Puts `job` on a stack. It runs at the first [`resume`](Self::resume).
    pub(crate) fn start(stack: DefaultStack, job: Job) -> Self {
        let lowest = stack.limit().get();
        let coroutine = Coroutine::with_stack(stack, move |yielder, first| {
            YIELDER.set(yielder);
            job(first);
        });
        Fiber { coroutine, lowest }
    }

    /// Runs the fiber until it suspends or finishes.
    pub(crate) fn resume(&mut self, signal: Signal) -> Step {
        overflow::enter(self.lowest);
        let outer = YIELDER.replace(ptr::null());
        let result = self.coroutine.resume(signal);
        YIELDER.set(outer);
        overflow::leave();
        match result {
            CoroutineResult::Yield(()) => Step::Suspended,
            CoroutineResult::Return(()) => Step::Finished,
        }
    }

    /// Gives the stack of a finished fiber back for the next one.
    pub(crate) fn recycle(self, stacks: &mut Stacks) {
        stacks.idle.push(self.coroutine.into_stack());
    }
}

/// Suspends the running fiber until it is resumed, and says why it was.
///
/// # Panics
///
/// If no fiber runs: only a task can wait.
#[expect(unsafe_code, reason = "the yielder outlives every call made from inside its fiber")]
pub(crate) fn suspend() -> Signal {
    let yielder = YIELDER.get();
    assert!(!yielder.is_null(), "only a task can wait");
    // SAFETY: `YIELDER` is set when a fiber starts and again below each time it resumes, and
    // `Fiber::resume` takes it away as soon as the fiber no longer runs. So, not being null, it points
    // to the yielder of the fiber that is running now; a fiber never changes its OS thread, because
    // `Coroutine` is not `Send`. That yielder lives in the frame at the root of this very stack, which is
    // still there while we run on top of it.
    let signal = unsafe { &*yielder }.suspend(());
    YIELDER.set(yielder);
    signal
}

/// Stacks that finished tasks left behind. A fresh one costs two system calls, a used one nothing.
pub(crate) struct Stacks {
    size: usize,
    idle: Vec<DefaultStack>,
}

/// What earlier runs left for later ones, on whatever thread. All are of [`DEFAULT_STACK_SIZE`].
static SHARED: Mutex<Vec<DefaultStack>> = Mutex::new(Vec::new());

/// More idle stacks than this are given back to the system.
const KEPT: usize = 512;

impl Stacks {
    pub(crate) fn new(size: usize) -> Self {
        Stacks { size, idle: Vec::new() }
    }

    /// An unused stack, or why the system has none.
    pub(crate) fn take(&mut self) -> io::Result<DefaultStack> {
        if let Some(stack) = self.idle.pop() {
            return Ok(stack);
        }
        let shared = if self.size == DEFAULT_STACK_SIZE { SHARED.lock().pop() } else { None };
        shared.map_or_else(|| DefaultStack::new(self.size), Ok)
    }
}

impl Drop for Stacks {
    fn drop(&mut self) {
        if self.size != DEFAULT_STACK_SIZE {
            return;
        }
        let mut shared = SHARED.lock();
        let room = KEPT.saturating_sub(shared.len()).min(self.idle.len());
        shared.extend(self.idle.drain(..room));
    }
}
