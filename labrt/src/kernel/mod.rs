//! The state of one simulation: who exists, who may run, who waits for what, and what time it is.
//!
//! There is one [`Kernel`] for each simulation, in a thread-local of its OS thread. It is plain
//! data: nothing here switches tasks (that is `scheduler`) or calls lab code. [`with`] lends it out
//! for a moment; no borrow is ever held while lab code runs, destructors included.

mod clock;
mod diagnose;
mod nodes;
mod schedule;
mod tasks;
mod timers;
mod trace;
mod waits;

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::mode::{Mode, set_mode};
use crate::rand::mix;
use crate::sim::{Config, Failure, FailureKind, TaskInfo};
use crate::watchdog::Beacon;

pub(crate) use clock::{Rate, to_nanos};
pub(crate) use diagnose::place;
pub(crate) use nodes::{MAIN_NODE, NodeId};
pub(crate) use tasks::{Held, State, Task, TaskRef};
pub(crate) use timers::EventFn;
pub(crate) use trace::{Trace, TraceStep, TraceWhat};
pub(crate) use waits::{Key, Kind, Park};

use nodes::NodeState;
use schedule::Chooser;
use timers::{Due, Timers};
use waits::Waits;

thread_local! {
    static KERNEL: RefCell<Option<Box<Kernel>>> = const { RefCell::new(None) };
}

/// Lends out this thread's kernel. `f` must not call lab code.
#[track_caller]
pub(crate) fn with<R>(f: impl FnOnce(&mut Kernel) -> R) -> R {
    try_with(f).unwrap_or_else(|| {
        panic!(
            "this needs a run to belong to, and there is none on this thread (see labrt::sim::run)"
        )
    })
}

/// Lends out this thread's kernel, if there is one.
pub(crate) fn try_with<R>(f: impl FnOnce(&mut Kernel) -> R) -> Option<R> {
    KERNEL.with(|kernel| kernel.borrow_mut().as_mut().map(|kernel| f(kernel)))
}

/// As [`try_with`], and `None` also if the kernel is lent out already.
pub(crate) fn try_with_unborrowed<R>(f: impl FnOnce(&mut Kernel) -> R) -> Option<R> {
    KERNEL.with(|kernel| kernel.try_borrow_mut().ok()?.as_mut().map(|kernel| f(kernel)))
}

/// Makes `kernel` the one of this thread.
pub(crate) fn install(kernel: Box<Kernel>) {
    set_mode(Mode::Simulated);
    KERNEL.with(|slot| *slot.borrow_mut() = Some(kernel));
}

/// Takes this thread's kernel away: from here on it is outside any simulation.
pub(crate) fn uninstall() -> Option<Box<Kernel>> {
    set_mode(Mode::Outside);
    KERNEL.with(|slot| slot.borrow_mut().take())
}

/// Something that can run now.
pub(crate) enum Runnable {
    Task(u32),
    Event(EventFn),
}

/// So many operations without virtual time moving are a livelock.
const MAX_OPERATIONS: u64 = 5_000_000;

pub(crate) struct Kernel {
    pub(crate) config: Config,
    /// Virtual time since the run began, in nanoseconds. Never decreases.
    now: u64,
    /// The run fails when time passes this.
    time_limit: u64,
    switch_cost: u64,
    tasks: Vec<Task>,
    free: Vec<u32>,
    /// The task that runs now; `None` while the scheduler or an event does.
    current: Option<u32>,
    queue: VecDeque<Runnable>,
    timers: Timers,
    waits: Waits,
    nodes: Vec<NodeState>,
    chooser: Chooser,
    /// Operations by the running task since time last moved.
    operations: u64,
    hash: u64,
    trace: Option<Trace>,
    switches: u64,
    spawned: u64,
    live: usize,
    max_live: usize,
    /// Condition variables and channels that exist, see `live.rs`.
    pub(crate) waitables: usize,
    /// What hears of messages of a type, see `channel/tap.rs`.
    pub(crate) taps: BTreeMap<TypeId, Box<dyn Any + Send>>,
    failure: Option<Failure>,
    /// What the panic hook saw of the latest panic: its message, with the place, and who panicked. By the
    /// time the panic arrives at the root of its task, that has left the nodes that it visited.
    pub(crate) last_panic: Option<(String, Option<TaskInfo>)>,
    /// Nodes that the running task or event asks the scheduler to end.
    kill_requests: Vec<NodeId>,
    pub(crate) warnings: BTreeSet<String>,
    pub(crate) beacon: Arc<Beacon>,
}

/// The numbers of a run that is over.
pub(crate) struct Totals {
    pub(crate) now: Duration,
    pub(crate) hash: u64,
    pub(crate) switches: u64,
    pub(crate) spawned: u64,
    pub(crate) max_live: usize,
}

impl Kernel {
    pub(crate) fn new(config: Config, beacon: Arc<Beacon>) -> Self {
        let trace = config.record.then(Trace::default);
        Kernel {
            chooser: Chooser::new(&config),
            hash: mix(config.seed),
            nodes: vec![NodeState::new(config.seed, Arc::from("main"), 0)],
            time_limit: config.time_limit.map_or(u64::MAX, to_nanos),
            switch_cost: to_nanos(config.switch_cost),
            config,
            now: 0,
            tasks: Vec::new(),
            free: Vec::new(),
            current: None,
            queue: VecDeque::new(),
            timers: Timers::default(),
            waits: Waits::default(),
            operations: 0,
            trace,
            switches: 0,
            spawned: 0,
            live: 0,
            max_live: 0,
            waitables: 0,
            taps: BTreeMap::new(),
            failure: None,
            last_panic: None,
            kill_requests: Vec::new(),
            warnings: BTreeSet::new(),
            beacon,
        }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.config.seed
    }

    /// Does a task run (and not the scheduler, or an event)?
    pub(crate) fn in_task(&self) -> bool {
        self.current.is_some()
    }

    /// What runs next: time passes only when nothing can run now. `None` if nothing ever will.
    pub(crate) fn next(&mut self) -> Option<Runnable> {
        loop {
            if self.now > self.time_limit {
                self.fail_time_limit();
                return None;
            }
            self.fire_due_timers();
            if let Some(next) = self.pick() {
                if let Runnable::Task(slot) = next
                    && self.stall_if_paused(slot)
                {
                    continue;
                }
                return Some(next);
            }
            let at = self.timers.next_at()?;
            if at > self.time_limit {
                self.fail_time_limit();
                return None;
            }
            self.now = at.max(self.now);
            self.operations = 0;
        }
    }

    /// Takes one of those that can run, as the schedule wants.
    fn pick(&mut self) -> Option<Runnable> {
        self.chooser.pick(&mut self.queue, |slot| self.tasks[slot as usize].priority)
    }

    fn fire_due_timers(&mut self) {
        while let Some(due) = self.timers.pop_due(self.now) {
            match due {
                Due::Wake(task) => self.wake(task, true),
                Due::Event(event) => self.queue.push_back(Runnable::Event(event)),
            }
        }
    }

    /// The task in `slot` runs from here on.
    pub(crate) fn begin_step(&mut self, slot: u32) {
        if self.switch_cost > 0 {
            self.now += self.switch_cost;
            self.operations = 0;
        }
        self.switches += 1;
        let task = &mut self.tasks[slot as usize];
        task.state = State::Running;
        task.notified = false;
        let (serial, from) = (task.serial, task.wait.location);
        self.current = Some(slot);
        self.beacon.running(slot, self.switches, self.now);
        self.record(TraceWhat::Task { serial, from }, serial);
    }

    /// The scheduler runs again. Says which nodes the step wanted to have killed.
    pub(crate) fn end_step(&mut self) -> Vec<NodeId> {
        self.current = None;
        self.last_panic = None; // one that was caught has nothing to do with what panics next
        std::mem::take(&mut self.kill_requests)
    }

    /// An event is about to run.
    pub(crate) fn begin_event(&mut self) {
        self.operations += 1;
        if self.operations > MAX_OPERATIONS {
            let message = Self::livelock_message(Duration::from_nanos(self.now));
            let failure = self.failure_now(FailureKind::Panic, message);
            self.fail(failure);
        }
        self.switches += 1;
        self.beacon.running(u32::MAX, self.switches, self.now);
        self.record(TraceWhat::Event, u64::MAX);
    }

    /// Adds a number to the trace hash.
    pub(crate) fn mix(&mut self, n: u64) {
        self.record(TraceWhat::Mixed(n), n);
    }

    fn record(&mut self, what: TraceWhat, n: u64) {
        let h = (self.hash ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        self.hash = (h ^ self.now).wrapping_mul(0xd6e8_feb8_6659_fd93).rotate_left(32);
        if let Some(trace) = &mut self.trace {
            trace.steps.push(TraceStep { at: self.now, what });
        }
    }

    /// Counts one operation of the running task, and says whether another task should run first.
    ///
    /// # Errors
    ///
    /// The time at which virtual time has stood still for millions of operations.
    pub(crate) fn operation(&mut self) -> Result<bool, Duration> {
        self.operations += 1;
        if self.operations > MAX_OPERATIONS {
            self.operations = 0;
            return Err(Duration::from_nanos(self.now));
        }
        let Some(slot) = self.current else { return Ok(false) };
        let tasks = &self.tasks;
        let own = tasks[slot as usize].priority;
        let priority = |slot: u32| tasks[slot as usize].priority;
        let (give_way, changed) = self.chooser.at_operation(&self.queue, own, priority);
        if let Some(priority) = changed {
            self.tasks[slot as usize].priority = priority;
        }
        Ok(give_way)
    }

    /// One of `n` possibilities, by the schedule.
    pub(crate) fn choose(&mut self, n: usize) -> usize {
        self.chooser.one_of(n)
    }

    /// The running task lets others run first, of its own will or because the schedule wants it.
    pub(crate) fn begin_yield(&mut self, of_its_own_will: bool) {
        if let Some(slot) = self.current {
            if of_its_own_will {
                self.tasks[slot as usize].priority = self.chooser.priority_after_yield();
            }
            self.tasks[slot as usize].state = State::Ready;
            self.queue.push_back(Runnable::Task(slot));
        }
    }

    /// Asks the scheduler to end `node` as soon as the running task suspends.
    pub(crate) fn request_kill(&mut self, node: NodeId) {
        self.kill_requests.push(node);
    }

    /// Ends the run with `failure`, unless it has failed already.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.failure.get_or_insert(failure);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    pub(crate) fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    /// The running task panicked with `payload`.
    pub(crate) fn fail_with_panic(&mut self, payload: Box<dyn Any + Send>) {
        let noted = self.last_panic.take();
        let (message, task) = noted.unwrap_or_else(|| (panic_message(&*payload), None));
        let failure = self.failure_now(FailureKind::Panic, message);
        let task = task.or(failure.task);
        self.fail(Failure { task, payload: Some(payload), ..failure });
    }

    /// The running task panicked, and its destructors cannot go on while the run does.
    pub(crate) fn fail_with_last_panic(&mut self) {
        let noted = self.last_panic.clone();
        let (message, task) = noted.unwrap_or_else(|| ("a task panicked".to_owned(), None));
        let failure = self.failure_now(FailureKind::Panic, message);
        let task = task.or(failure.task);
        self.fail(Failure { task, ..failure });
    }

    /// A failure at this instant, by the task that runs.
    pub(crate) fn failure_now(&self, kind: FailureKind, message: String) -> Failure {
        Failure {
            kind,
            at: Duration::from_nanos(self.now),
            task: self.current.map(|slot| self.task_info(slot)),
            message,
            payload: None,
        }
    }

    /// Everything that waits to happen. Must be dropped while no kernel is borrowed.
    pub(crate) fn take_pending(&mut self) -> (VecDeque<Runnable>, Vec<EventFn>) {
        (std::mem::take(&mut self.queue), self.timers.take_events())
    }

    pub(crate) fn take_trace(&mut self) -> Option<Trace> {
        self.trace.take()
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            now: Duration::from_nanos(self.now),
            hash: self.hash,
            switches: self.switches,
            spawned: self.spawned,
            max_live: self.max_live,
        }
    }
}

/// The text of a panic, if it has one.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
