//! The loop that makes a simulation go: it picks who runs next, lets it run to its next wait, and
//! ends the tasks of nodes that are killed.

use std::io;
use std::mem;
use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::atomic::Ordering::Relaxed;

use crate::backend::{Fiber, Fibers, Job, Signal, Step};
use crate::kernel::{self, EventFn, Kernel, MAIN_NODE, NodeId, Runnable, State, Trace};
use crate::sim::{Failure, Report};
use crate::task;

/// How a run ended.
pub(crate) struct End {
    pub(crate) failure: Option<Failure>,
    pub(crate) report: Report,
    /// Every step, if the run was recorded.
    pub(crate) trace: Trace,
}

/// The stacks of all tasks, by slot. Who they belong to is the kernel's business.
pub(crate) struct Scheduler {
    tasks: Vec<Option<Fiber>>,
    fibers: Fibers,
}

impl Scheduler {
    /// Runs `main` as task 0 of the simulation, to its end.
    pub(crate) fn run(
        kernel: Kernel,
        main: impl FnOnce() + Send + 'static,
        started_at: &'static Location<'static>,
    ) -> End {
        let fibers = Fibers::new(kernel.config.backend, kernel.config.stack_size);
        kernel::install(Box::new(kernel));
        task::spawn_detached(MAIN_NODE, Some("main".into()), started_at, main);
        let mut scheduler = Scheduler { tasks: Vec::new(), fibers };
        scheduler.run_until_main_returns();
        scheduler.tear_down();
        let mut kernel = kernel::uninstall().expect("it was installed above");
        let totals = kernel.totals();
        End {
            failure: kernel.take_failure(),
            report: Report {
                virtual_time: totals.now,
                switches: totals.switches,
                tasks: totals.spawned,
                max_live: totals.max_live,
                trace_hash: totals.hash,
                warnings: std::mem::take(&mut kernel.warnings).into_iter().collect(),
            },
            trace: kernel.take_trace().unwrap_or_default(),
        }
    }

    fn run_until_main_returns(&mut self) {
        /// Its serial number. Its slot is used again if it is abandoned.
        const MAIN: u64 = 0;
        loop {
            let next = kernel::with(|kernel| {
                if kernel.has_failed() || kernel.beacon.abandoned.load(Relaxed) {
                    return None;
                }
                let next = kernel.next();
                if next.is_none() && !kernel.has_failed() {
                    kernel.fail_deadlock();
                }
                next
            });
            match next {
                None => return,
                Some(Runnable::Event(event)) => self.run_event(event),
                Some(Runnable::Task(slot)) => {
                    let serial = kernel::with(|kernel| kernel.task(slot).serial);
                    let step = self.step(slot, Signal::Run);
                    if serial == MAIN && step == Step::Finished {
                        return;
                    }
                }
            }
        }
    }

    /// Lets a task run until it waits or ends, then does what it asked for.
    fn step(&mut self, slot: u32, signal: Signal) -> Step {
        let index = slot as usize;
        if self.tasks.len() <= index {
            self.tasks.resize_with(index + 1, || None);
        }
        let job = kernel::with(|kernel| {
            kernel.begin_step(slot);
            kernel.task_mut(slot).job.take()
        });
        let mut fiber = match (self.tasks[index].take(), job) {
            (Some(fiber), _) => fiber,
            (None, Some(job)) => match self.fibers.start(job) {
                Ok(fiber) => fiber,
                Err((problem, job)) => return self.cannot_start(slot, &problem, job),
            },
            (None, None) => unreachable!("a task has a job until it starts, then a fiber"),
        };
        let step = fiber.resume(signal);
        let killed = kernel::with(Kernel::end_step);
        match step {
            Step::Suspended => self.tasks[index] = Some(fiber),
            Step::Finished => {
                self.fibers.recycle(fiber);
                kernel::with(|kernel| kernel.remove_task(slot));
            }
        }
        for node in killed {
            self.kill(node);
        }
        step
    }

    /// The system has no stack for this task: the run fails, and what the task would have run is dropped.
    fn cannot_start(&mut self, slot: u32, problem: &io::Error, job: Job) -> Step {
        let killed = kernel::with(|kernel| {
            kernel.fail_no_stack(problem);
            kernel.remove_task(slot);
            kernel.end_step()
        });
        // No task runs now, so that destructors which would have to wait panic, and say so.
        drop(panic::catch_unwind(AssertUnwindSafe(|| drop(job))));
        for node in killed {
            self.kill(node);
        }
        Step::Finished
    }

    /// Events run here, on the scheduler's own stack. A panic in one ends the run like any other.
    fn run_event(&mut self, event: EventFn) {
        kernel::with(Kernel::begin_event);
        if let Err(payload) = panic::catch_unwind(AssertUnwindSafe(event)) {
            kernel::with(|kernel| kernel.fail_with_panic(payload));
        }
        for node in kernel::with(Kernel::end_step) {
            self.kill(node);
        }
    }

    /// Unwinds every task that works for `node`, where it stands.
    fn kill(&mut self, node: NodeId) {
        let condemned = kernel::with(|kernel| {
            kernel.mark_dead(node);
            kernel.condemn(node)
        });
        self.unwind(condemned);
    }

    /// Unwinds all that is left, and drops what would have happened later.
    fn tear_down(&mut self) {
        let everyone = kernel::with(|kernel| {
            kernel.mark_all_dead();
            let everyone = kernel.live_tasks();
            for &(_, slot) in &everyone {
                kernel.task_mut(slot).unwind_to = Some(0);
            }
            everyone
        });
        self.unwind(everyone);
        // Destructors of what is dropped here may still call labrt, so the kernel is still there,
        // but not borrowed. What they start in turn is dropped by the next round.
        loop {
            let (queue, events) = kernel::with(Kernel::take_pending);
            if queue.is_empty() && events.is_empty() {
                break;
            }
            drop((queue, events));
        }
    }

    /// Makes tasks unwind. One whose destructors wait for a lock tries again after the others, one
    /// of which may hold it; one that never gets it is abandoned.
    ///
    /// Tasks are given by serial number and slot: destructors may kill other nodes, whose tasks are
    /// unwound at once, and may be among these.
    fn unwind(&mut self, mut tasks: Vec<(u64, u32)>) {
        while !tasks.is_empty() {
            let before = tasks.len();
            tasks.retain(|&(serial, slot)| is_alive(serial, slot) && self.unwind_one(slot));
            if tasks.len() == before {
                for (serial, slot) in tasks.drain(..) {
                    if is_alive(serial, slot) {
                        self.abandon(slot);
                    }
                }
            }
        }
    }

    /// Says whether the task must be tried again.
    fn unwind_one(&mut self, slot: u32) -> bool {
        kernel::with(|kernel| kernel.pull_out(slot));
        match self.step(slot, Signal::Kill) {
            Step::Finished => false,
            // A visitor that has left the node is ready to go on; others wait for a lock.
            Step::Suspended => {
                kernel::with(|kernel| kernel.task(slot).state == State::StuckUnwinding)
            }
        }
    }

    fn abandon(&mut self, slot: u32) {
        if let Some(fiber) = self.tasks[slot as usize].take() {
            fiber.abandon();
        }
        kernel::with(|kernel| {
            let who = kernel.task_info(slot);
            kernel.warnings.insert(format!(
                "{who} could not be ended: it waits in a destructor for a lock that another node holds, \
                 or catches the unwinding again and again"
            ));
            kernel.remove_task(slot);
        });
    }
}

/// Does this task still exist?
fn is_alive(serial: u64, slot: u32) -> bool {
    kernel::with(|kernel| {
        let task = kernel.task(slot);
        task.serial == serial && task.state != State::Free
    })
}

/// If the scheduler itself panics, fibers are left that have not finished: dropping them would unwind
/// them by force, each in the middle of something.
impl Drop for Scheduler {
    fn drop(&mut self) {
        for fiber in mem::take(&mut self.tasks).into_iter().flatten() {
            fiber.abandon();
        }
    }
}
