//! Running a closure, and all that it spawns, as one deterministic simulation in virtual time.

use std::any::Any;
use std::fmt;
use std::panic::{self, Location};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

use crate::backend;
pub use crate::channel::tap::tap;
use crate::cpu;
use crate::kernel::{self, Kernel, Trace};
use crate::mode::{Mode, mode};
use crate::real;
use crate::scheduler::Scheduler;
use crate::watchdog::{Beacon, Watchdog};

pub use crate::observe::observe;

/// How to run a simulation. Take [`Config::with_seed`] and change what you need.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Decides every choice of the run.
    pub seed: u64,
    /// Virtual time after which the run fails; `None` for no limit.
    pub time_limit: Option<Duration>,
    /// What to call this run if the whole process has to end, such as the name of a test.
    pub name: String,
    /// So many tasks may be alive at once. Default: 10,000.
    pub max_tasks: usize,
    /// Address space for each task's stack, in bytes; only what is touched uses memory.
    /// Default: 256 KiB.
    pub stack_size: usize,
    /// Keep every step, for [`check_determinism`]. Costs 32 bytes a step.
    pub record: bool,
    /// How often a task is preempted at a lock or channel operation.
    pub preempt: Preempt,
    /// Who runs next, of those that can.
    pub schedule: Schedule,
    /// What tasks are made of. It makes no difference to what happens.
    pub backend: Backend,
    /// A simulation, or the machine's own threads and clock.
    pub engine: Engine,
    /// Virtual time that each switch takes, so that a loop which polls and yields makes time pass.
    /// Default: 1 microsecond.
    pub switch_cost: Duration,
    /// A task that uses so much CPU time (or blocks for so long outside labrt) in one step is
    /// given up. Where the system does not say how much CPU time that was (all but Linux), it is given up
    /// after six times as long on the wall clock. Default: 10 s.
    pub patience: Duration,
    /// A panic prints nothing; its message is in the [`Failure`]. For a run whose failure is known.
    pub quiet: bool,
}

impl Config {
    /// The defaults, with this seed.
    pub fn with_seed(seed: u64) -> Self {
        Config {
            seed,
            time_limit: None,
            name: String::new(),
            max_tasks: 10_000,
            stack_size: backend::DEFAULT_STACK_SIZE,
            record: false,
            preempt: Preempt::BySeed,
            schedule: Schedule::Random,
            backend: Backend::Coroutines,
            engine: Engine::Simulated,
            switch_cost: Duration::from_micros(1),
            patience: Duration::from_secs(10),
            quiet: false,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config::with_seed(0)
    }
}

/// How often a task is preempted at a lock or channel operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Preempt {
    /// The seed chooses between never, 1 %, 10 % and 50 %: some bugs need many switches, others few.
    BySeed,
    /// At each operation with this probability, 0 to 1.
    Probability(f64),
}

/// Who runs next, of those that can.
///
/// Which seeds of 1,000 find three planted bugs (`labrt/examples/exploration.rs` makes the table):
/// an update lost if a switch falls between two of some sixty operations, two locks taken in the
/// wrong order once in thirty rounds, and a notification that comes before the wait. No setting is
/// best for all, which is why by default the seed chooses among them.
///
/// | schedule, preemption | lost update | lock-order inversion | lost wake-up |
/// | --- | --- | --- | --- |
/// | random, never preempted | 0 of 1000, never | 0 of 1000, never | 0 of 1000, never |
/// | random, 1 % | 6 of 1000, first 175 | 1 of 1000, first 553 | 0 of 1000, never |
/// | random, 10 % | 3 of 1000, first 91 | 64 of 1000, first 20 | 6 of 1000, first 317 |
/// | random, 50 % | 0 of 1000, never | 393 of 1000, first 0 | 86 of 1000, first 1 |
/// | random, by seed (the default) | 2 of 1000, first 91 | 119 of 1000, first 2 | 25 of 1000, first 1 |
/// | fifo, by seed | 4 of 1000, first 151 | 158 of 1000, first 22 | 52 of 1000, first 2 |
/// | PCT, 1 change | 11 of 1000, first 71 | 4 of 1000, first 61 | 8 of 1000, first 122 |
/// | PCT, 3 changes | 21 of 1000, first 71 | 16 of 1000, first 164 | 26 of 1000, first 90 |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// Any of them, by the seed.
    Random,
    /// The one that has been able to for longest.
    Fifo,
    /// Priorities with change points (PCT: Burckhardt and others, ASPLOS 2010): every task has a
    /// random priority and runs until it waits or one of higher priority can run; at `changes`
    /// operations, chosen at random among the first `length` of the run, the running task becomes
    /// the last of all. Finds bugs that need few but well placed switches. [`Config::preempt`] is
    /// not used.
    Pct {
        /// How many change points: one less than the depth of the bugs looked for.
        changes: u32,
        /// Lock and channel operations of a run, roughly.
        length: u64,
    },
}

/// What a run runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Virtual time, one task at a time, every choice by the seed.
    Simulated,
    /// OS threads and the wall clock. The seed decides only what [`crate::rand`] gives; of the rest
    /// of [`Config`] only `time_limit` is used, and a task that never comes back to labrt is not
    /// noticed before that.
    Real,
}

/// What tasks are made of. One seed has one trace on both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Coroutines on one OS thread, the default; on platforms without them, as `Threads`.
    Coroutines,
    /// OS threads of which one runs at a time: slower, and all safe Rust.
    Threads,
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome<T> {
    /// What the main closure returned, or what ended the run before it did.
    pub result: Result<T, Failure>,
    /// Measurements of the run, whether it failed or not.
    pub report: Report,
    /// CPU time that the run took; it is another one each time. `None` unless all tasks were coroutines
    /// on one thread, or where the system does not tell.
    pub cpu: Option<Duration>,
}

/// Measurements of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// How long the run took on its own clock.
    pub virtual_time: Duration,
    /// Steps: a task or an event that ran.
    pub switches: u64,
    /// Tasks ever spawned, the main one included.
    pub tasks: u64,
    /// The most tasks that were alive at once.
    pub max_live: usize,
    /// Equal for two runs only if (with near certainty) they took the same steps at the same times.
    pub trace_hash: u64,
    /// What was seen that is no failure but deserves a look, each once, in alphabetical order.
    pub warnings: Vec<String>,
}

/// What ended a run before its main closure returned.
pub struct Failure {
    /// What sort of end.
    pub kind: FailureKind,
    /// When, in virtual time since the run began.
    pub at: Duration,
    /// The task that was running, where one can be named.
    pub task: Option<TaskInfo>,
    /// What happened, for people.
    pub message: String,
    /// What the task panicked with, if it panicked.
    pub payload: Option<Box<dyn Any + Send>>,
}

/// The ways in which a run can end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// A task panicked.
    Panic,
    /// Every task waits, and no timer is set.
    Deadlock,
    /// A task never came back to labrt: an endless loop, or blocked in something foreign.
    Stuck,
    /// [`Config::time_limit`] passed.
    TimeLimit,
    /// More than [`Config::max_tasks`] were alive, or more than the system has stacks for.
    TooManyTasks,
}

/// Who a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskInfo {
    /// Counts the tasks of a run from 0, the main one.
    pub serial: u64,
    /// As given to [`crate::thread::Builder::name`].
    pub name: Option<String>,
    /// The node it works for.
    pub node: String,
    /// The line that spawned it.
    pub spawned_at: &'static Location<'static>,
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task #{}", self.serial)?;
        if let Some(name) = &self.name {
            write!(f, " '{name}'")?;
        }
        write!(f, " ({}, spawned at {})", self.node, kernel::place(self.spawned_at))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] ", seconds(self.at))?;
        match (self.kind, &self.task) {
            (FailureKind::Panic, Some(task)) => write!(f, "{task} panicked: {}", self.message),
            _ => f.write_str(&self.message),
        }
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("kind", &self.kind)
            .field("at", &self.at)
            .field("task", &self.task)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

/// A virtual time as people read it: seconds with microseconds.
pub(crate) fn seconds(time: Duration) -> String {
    format!("{}.{:06}s", time.as_secs(), time.subsec_micros())
}

/// Runs `main` as the first task of a new run, on an OS thread of its own, to its end: in a
/// simulation, unless [`Config::engine`] says otherwise.
///
/// The run is over when `main` returns, or at the first failure: every other task is then unwound
/// where it stands, oldest first, and what has not happened yet never will.
///
/// Blocks the calling thread in real time. May be called by several threads at once; each has a
/// simulation of its own.
///
/// # Panics
///
/// If the system cannot start a thread.
#[track_caller]
pub fn run<T: Send + 'static>(
    config: Config,
    main: impl FnOnce() -> T + Send + 'static,
) -> Outcome<T> {
    let (outcome, _trace) = run_traced(config, main);
    outcome
}

#[track_caller]
fn run_traced<T: Send + 'static>(
    config: Config,
    main: impl FnOnce() -> T + Send + 'static,
) -> (Outcome<T>, Trace) {
    crate::hook::install();
    let started_at = Location::caller();
    if config.engine == Engine::Real {
        return (real::run(config, started_at, main), Trace::default());
    }
    let beacon = Arc::new(Beacon::default());
    let mut watchdog = Watchdog::new(beacon.clone(), config.patience);
    let (done, finished) = mpsc::channel();
    let on_one_thread = config.backend == Backend::Coroutines;
    let simulation = move || {
        beacon.attach();
        let returned = Arc::new(Mutex::new(None));
        let slot = returned.clone();
        let body = move || *slot.lock() = Some(main());
        let end = Scheduler::run(Kernel::new(config, beacon), body, started_at);
        let returned = returned.lock().take();
        let result = match end.failure {
            Some(failure) => Err(failure),
            None => Ok(returned.expect("a run without a failure ends when main returns")),
        };
        // The receiver is gone if the watchdog has given this run up.
        let cpu = cpu::of_this_thread().filter(|_| on_one_thread);
        let _ = done.send((Outcome { result, report: end.report, cpu }, end.trace));
    };
    let thread = thread::Builder::new()
        .name("simulation".to_owned())
        .stack_size(4 << 20)
        .spawn(simulation)
        .expect("the system can start a thread");
    loop {
        match finished.recv_timeout(Duration::from_millis(250)) {
            Ok(end) => {
                let _ = thread.join(); // so that its thread-locals are gone when we return
                return end;
            }
            Err(RecvTimeoutError::Timeout) => {
                let Some(stuck) = watchdog.look() else { continue };
                let failure = Failure {
                    kind: FailureKind::Stuck,
                    at: stuck.at,
                    task: stuck.task,
                    message: stuck.message,
                    payload: None,
                };
                return (
                    Outcome { result: Err(failure), report: Report::default(), cpu: None },
                    Trace::default(),
                );
            }
            Err(RecvTimeoutError::Disconnected) => {
                let panic = thread.join().expect_err("it would have sent its outcome");
                panic::resume_unwind(panic) // a bug in the scheduler itself
            }
        }
    }
}

/// The first step at which two runs of one seed differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How many steps the runs have in common.
    pub step: usize,
    /// What the first run did next.
    pub first: String,
    /// What the second run did next.
    pub second: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "two runs of one seed differ after {} equal steps\n  first run   {}\n  second run  {}",
            self.step, self.first, self.second
        )
    }
}

/// Runs `main` twice with the same seed and compares every step.
///
/// # Errors
///
/// The first step that differs: lab code used something that no seed decides, such as the system's
/// clock or randomness, std's hash order, an OS thread, or a static that an earlier run changed.
#[track_caller]
pub fn check_determinism<T: Send + 'static>(
    config: &Config,
    main: impl Fn() -> T + Send + Sync + 'static,
) -> Result<Outcome<T>, Difference> {
    let main = Arc::new(main);
    let again = main.clone();
    let config = Config { record: true, ..config.clone() };
    let (first, first_trace) = run_traced(config.clone(), move || main());
    let (second, second_trace) = run_traced(config, move || again());
    let pairs = first_trace.steps.iter().zip(&second_trace.steps);
    let step = pairs.take_while(|(a, b)| a == b).count();
    let both_over = step == first_trace.steps.len() && step == second_trace.steps.len();
    if both_over && first.report.trace_hash == second.report.trace_hash {
        return Ok(second);
    }
    Err(Difference { step, first: first_trace.describe(step), second: second_trace.describe(step) })
}

/// Is this thread inside a simulation?
pub fn active() -> bool {
    mode() == Mode::Simulated
}

/// How many things to wait for exist now, in the whole simulation: channels, and condition variables
/// that a task has waited on. A server that forgets to drop what its requests waited on has ever more
/// of them. `None` outside a simulation.
pub fn waitables() -> Option<usize> {
    kernel::try_with(|kernel| kernel.waitables)
}

/// Virtual time since the run began: the true one, whatever a node's own clock shows.
///
/// # Panics
///
/// Outside a simulation.
#[track_caller]
pub fn elapsed() -> Duration {
    Duration::from_nanos(match mode() {
        Mode::Real => real::now(),
        Mode::Simulated | Mode::Observing | Mode::Outside => kernel::with(|kernel| kernel.now()),
    })
}
