//! What a running task does with the kernel: spawn, wait, let others run, unwind.
//!
//! Everything that can block goes through [`park`]. That is also where a killed task is told so: it
//! unwinds from there with a private payload that only the root of the task (or the place where it
//! began to work for the killed node) catches.

use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::Arc;
use std::thread;

use crate::backend::{self, Job, Signal};
use crate::kernel::{self, Kernel, NodeId, Park, State};
use crate::mode::{Mode, mode};
use crate::observe;
use crate::real;

/// What a killed task unwinds with.
pub(crate) struct Unwinding;

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Somebody woke this task.
    Notified,
    /// The deadline passed first.
    TimedOut,
    /// There was no wait: this task is unwinding, and a destructor must not block.
    Refused,
}

/// How many times a killed task may catch its unwinding and go on before it is given up.
const MAX_SWALLOWED: u32 = 100;

/// What runs at the root of a task: `body`, and the end of the run if it panics.
pub(crate) fn job(body: impl FnOnce() + Send + 'static) -> Job {
    Box::new(move |signal| {
        let run = move || match signal {
            Signal::Run => __rust_begin_short_backtrace(body),
            Signal::Kill => drop(body), // it never started, but its destructors may call labrt
        };
        if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(run))
            && !payload.is::<Unwinding>()
        {
            match mode() {
                Mode::Real => real::fail_with_panic(payload),
                Mode::Simulated | Mode::Observing | Mode::Outside => {
                    kernel::with(|kernel| kernel.fail_with_panic(payload));
                }
            }
        }
    })
}

/// Runs `f`. The name makes std end a backtrace here, so that it shows lab code and not the frames of
/// the runtime below it.
#[inline(never)]
fn __rust_begin_short_backtrace(f: impl FnOnce()) {
    f();
    std::hint::black_box(()); // no tail call, which would take this frame away
}

/// Starts a task whose result nobody waits for. Nothing happens if the node is dead.
pub(crate) fn spawn_detached(
    node: NodeId,
    name: Option<Arc<str>>,
    at: &'static Location<'static>,
    body: impl FnOnce() + Send + 'static,
) {
    observe::must_not_be_needed();
    let job = job(body);
    if mode() == Mode::Real {
        return real::spawn(node, name, at, job);
    }
    let (refused, too_many) = kernel::with(|kernel| {
        if !kernel.is_alive(node) {
            return (Some(job), false);
        }
        (None, !kernel.add_task(node, name, at, job))
    });
    drop(refused); // here, where the kernel is free
    if too_many {
        end_this_task();
    }
}

/// The run has failed: the task that made it fail goes no further.
fn end_this_task() {
    let in_task =
        kernel::with(|kernel| kernel.current_mut().map(|task| task.unwind_to = Some(0)).is_some());
    if in_task && !must_not_block() {
        unwind_if_condemned();
    }
}

/// Waits for a key to be notified or for the deadline.
///
/// # Panics
///
/// In an event, which must not block. Unwinds if the task is killed.
#[track_caller]
pub(crate) fn park(wait: &Park<'_>) -> Woken {
    observe::must_not_be_needed();
    if must_not_block() {
        kernel::with(Kernel::forget_park_ref);
        return Woken::Refused;
    }
    unwind_if_condemned();
    let waits = kernel::with(|kernel| {
        if kernel.in_task() {
            kernel.begin_park(wait);
        }
        kernel.in_task()
    });
    assert!(waits, "an event must not block: this one waits for {}", wait.what);
    suspend();
    if kernel::with(|kernel| kernel.current_mut().is_some_and(|task| task.timed_out)) {
        Woken::TimedOut
    } else {
        Woken::Notified
    }
}

/// Lets others run first, if any can.
pub(crate) fn yield_now() {
    if mode() == Mode::Real {
        return real::yield_now();
    }
    let_others_run(true);
}

/// The schedule lets another task run first.
pub(crate) fn give_way() {
    let_others_run(false);
}

fn let_others_run(of_its_own_will: bool) {
    observe::must_not_be_needed();
    if kernel::with(|kernel| kernel.in_task()) && !must_not_block() {
        unwind_if_condemned();
        kernel::with(|kernel| kernel.begin_yield(of_its_own_will));
        suspend();
    }
}

/// A place where the schedule may let another task run first.
#[inline]
#[track_caller]
pub(crate) fn preemption_point() {
    match mode() {
        Mode::Real => return real::checkpoint(),
        Mode::Observing => observe::give_up(),
        Mode::Simulated | Mode::Outside => {}
    }
    match kernel::with(Kernel::operation) {
        Ok(false) => {}
        Ok(true) => give_way(),
        // A panic while this task unwinds would end the process.
        Err(_) if must_not_block() => {}
        Err(stuck_at) => panic!("{}", Kernel::livelock_message(stuck_at)),
    }
}

/// While a task unwinds, its destructors run in whatever state things are: they must not wait.
///
/// The thread's own flag is not enough, since all tasks share it; nor is the task's, since a
/// student's code may have caught the panic.
pub(crate) fn must_not_block() -> bool {
    thread::panicking()
        && kernel::with(|kernel| kernel.current_mut().is_none_or(|task| task.unwinding))
}

/// A destructor of an unwinding task needs a lock that is taken: the scheduler tries again when the
/// other killed tasks are gone. A task that unwinds because it panicked fails the run now, which kills
/// all of them. Says whether it makes sense to look at the lock again.
pub(crate) fn wait_while_unwinding() -> bool {
    let waits = kernel::with(|kernel| {
        if kernel.current_mut().is_some_and(|task| task.unwind_to.is_none()) {
            kernel.fail_with_last_panic();
        }
        let Some(task) = kernel.current_mut() else { return false };
        task.unwind_to.get_or_insert(0);
        task.state = State::StuckUnwinding;
        true
    });
    if waits {
        backend::suspend();
    }
    waits
}

/// Gives the processor back until the scheduler picks this task again.
fn suspend() {
    if backend::suspend() == Signal::Kill {
        unwind_if_condemned();
    }
}

/// A killed task goes no further. It comes here again if a student's `catch_unwind` stopped it.
fn unwind_if_condemned() {
    let swallowed = kernel::with(|kernel| {
        let task = kernel.current_mut()?;
        task.unwind_to?;
        task.unwinding = true;
        task.swallowed += 1;
        Some(task.swallowed)
    });
    let Some(swallowed) = swallowed else { return };
    if swallowed > MAX_SWALLOWED {
        loop {
            wait_while_unwinding(); // and never comes back: the scheduler abandons this task
        }
    }
    panic::resume_unwind(Box::new(Unwinding));
}

/// Runs `f` on behalf of `node`. `Err` if the node was killed meanwhile, or was dead before.
pub(crate) fn visit<T>(node: NodeId, f: impl FnOnce() -> T) -> Result<T, NodeIsDead> {
    if mode() == Mode::Real {
        return real::visit(node, f).ok_or(NodeIsDead);
    }
    observe::must_not_be_needed();
    let entered = kernel::with(|kernel| {
        let alive = kernel.is_alive(node);
        if alive && let Some(task) = kernel.current_mut() {
            task.nodes.push(node);
        }
        alive
    });
    if !entered {
        return Err(NodeIsDead);
    }
    let visit = || {
        if kernel::with(|kernel| kernel.is_paused(node)) {
            yield_now(); // and is picked again when the node goes on, or is killed
        }
        f()
    };
    let result = panic::catch_unwind(AssertUnwindSafe(visit));
    let (depth, unwound) = kernel::with(|kernel| {
        let Some(task) = kernel.current_mut() else { return (0, false) };
        task.nodes.pop();
        let depth = task.nodes.len();
        let unwound = task.unwind_to == Some(depth);
        if unwound {
            task.unwind_to = None;
            task.unwinding = false;
            task.swallowed = 0;
        }
        (depth, unwound)
    });
    match result {
        Ok(value) if !unwound => Ok(value),
        Err(payload) if !unwound || !payload.is::<Unwinding>() => panic::resume_unwind(payload),
        _ => {
            debug_assert!(depth > 0, "the home of a task is not a visit");
            yield_now(); // whoever killed the node goes on first
            Err(NodeIsDead)
        }
    }
}

/// The node is dead, or died while the visitor was there.
pub(crate) struct NodeIsDead;
