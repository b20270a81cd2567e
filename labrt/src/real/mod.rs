//! The real engine: OS threads and the wall clock behind the same names.
//!
//! A task is an OS thread with a [`Context`] in a thread-local. Every wait is a receive on some
//! `crossbeam` channel beside the channels that tell of a kill, so a killed task wakes at once,
//! wherever it waits, and unwinds with the same payload as in a simulation.

mod node;
mod timer;

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, Location};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{
    Receiver, RecvTimeoutError, Select, SelectedOperation, SendTimeoutError, Sender, TryRecvError,
};
use parking_lot::Mutex;

use crate::backend::{Job, Signal};
use crate::kernel::{self, NodeId, to_nanos};
use crate::mode::{Mode, set_mode};
use crate::rand::Rng;
use crate::sim::{Config, Failure, FailureKind, Outcome, Report, TaskInfo, seconds};
use crate::task::Unwinding;

use node::{Node, Nodes};
use timer::Timer;

pub(crate) use node::Never;
pub(crate) use timer::after;

/// One run of the real engine, shared by its threads.
struct Run {
    config: Config,
    started: Instant,
    nodes: Nodes,
    timer: Timer,
    spawned: AtomicU64,
    live: AtomicUsize,
    max_live: AtomicUsize,
    failure: Mutex<Option<Failure>>,
}

/// What a thread knows of the task that it is.
struct Context {
    run: Arc<Run>,
    serial: u64,
    name: Option<Arc<str>>,
    spawned_at: &'static Location<'static>,
    /// The nodes it works for: the one it lives on, then those it visits, innermost last.
    nodes: Vec<Arc<Node>>,
    /// What the panic hook saw of the latest panic.
    last_panic: Option<(String, TaskInfo)>,
}

thread_local! {
    static CONTEXT: RefCell<Option<Context>> = const { RefCell::new(None) };
}

fn with<R>(f: impl FnOnce(&mut Context) -> R) -> R {
    CONTEXT.with_borrow_mut(|context| f(context.as_mut().expect("a task of the real engine")))
}

/// For the panic hook: remembers the message, and says who panicked, and when.
pub(crate) fn note_panic(message: String) -> String {
    with(|context| {
        let info = context.info();
        let line = format!("[{}] {info} panicked:", seconds(context.run.started.elapsed()));
        context.last_panic = Some((message, info));
        line
    })
}

impl Context {
    fn node(&self) -> &Arc<Node> {
        self.nodes.last().expect("a task lives on a node")
    }

    fn info(&self) -> TaskInfo {
        TaskInfo {
            serial: self.serial,
            name: self.name.as_deref().map(str::to_owned),
            node: self.node().name.to_string(),
            spawned_at: self.spawned_at,
        }
    }
}

impl Run {
    fn fail(&self, failure: Failure) {
        self.failure.lock().get_or_insert(failure);
    }
}

/// A killed task goes no further; one on a paused node waits until it goes on.
pub(crate) fn checkpoint() {
    if thread::panicking() {
        return;
    }
    let (killed, paused) = with(|context| {
        let killed = context.nodes.iter().any(|node| !node.is_alive());
        let node = context.node();
        (killed, node.is_paused().then(|| node.clone()))
    });
    if killed {
        panic::resume_unwind(Box::new(Unwinding));
    }
    if let Some(node) = paused {
        node.wait_while_paused();
        checkpoint();
    }
}

/// Lets other threads run.
pub(crate) fn yield_now() {
    checkpoint();
    thread::yield_now();
}

/// What tells this task of a kill: one channel for each node it works for.
pub(crate) fn kills() -> Vec<Receiver<Never>> {
    with(|context| context.nodes.iter().map(|node| node.killed.clone()).collect())
}

/// Waits until one of the operations that `add` adds can go ahead, and selects it; it must then be
/// completed. `None` if the deadline, on the wall clock, comes first. A killed task unwinds from
/// here; one that unwinds already does not wait.
pub(crate) fn select<'s>(
    kills: &'s [Receiver<Never>],
    deadline: Option<Instant>,
    add: impl FnOnce(&mut Select<'s>),
) -> Option<SelectedOperation<'s>> {
    if thread::panicking() {
        return None;
    }
    checkpoint();
    let mut select = Select::new();
    add(&mut select);
    let first_kill = kills.iter().map(|killed| select.recv(killed)).min();
    let chosen = match deadline {
        None => select.select(),
        Some(deadline) => select.select_deadline(deadline).ok()?,
    };
    match first_kill.and_then(|first| chosen.index().checked_sub(first)) {
        None => Some(chosen),
        Some(kill) => {
            let _disconnected = chosen.recv(&kills[kill]);
            checkpoint(); // unwinds
            None
        }
    }
}

/// Waits for a message until the deadline.
pub(crate) fn recv<T>(
    receiver: &Receiver<T>,
    deadline: Option<Instant>,
) -> Result<T, RecvTimeoutError> {
    checkpoint();
    match receiver.try_recv() {
        Ok(message) => return Ok(message),
        Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
        Err(TryRecvError::Empty) => {}
    }
    match select(&kills(), deadline, |select| _ = select.recv(receiver)) {
        Some(chosen) => chosen.recv(receiver).map_err(|_| RecvTimeoutError::Disconnected),
        None => Err(RecvTimeoutError::Timeout),
    }
}

/// Sends, and waits for room until the deadline.
pub(crate) fn send<T>(
    sender: &Sender<T>,
    message: T,
    deadline: Option<Instant>,
) -> Result<(), SendTimeoutError<T>> {
    checkpoint();
    match select(&kills(), deadline, |select| _ = select.send(sender)) {
        Some(chosen) => {
            chosen.send(sender, message).map_err(|e| SendTimeoutError::Disconnected(e.0))
        }
        None => Err(SendTimeoutError::Timeout(message)),
    }
}

/// Waits until the deadline; for ever if there is none.
pub(crate) fn wait_until(deadline: Option<Instant>) {
    select(&kills(), deadline, |_| ());
}

/// Time since the run began, in nanoseconds.
pub(crate) fn now() -> u64 {
    with(|context| to_nanos(context.run.started.elapsed()))
}

/// What the clock of the node shows for which this task works, in nanoseconds.
pub(crate) fn local_now() -> u64 {
    with(|context| context.node().local_at(to_nanos(context.run.started.elapsed())))
}

/// When that clock will show `local`, on the wall clock.
pub(crate) fn to_wall(local: u64) -> Instant {
    with(|context| context.run.started + Duration::from_nanos(context.node().true_at(local)))
}

pub(crate) fn seed() -> u64 {
    with(|context| context.run.config.seed)
}

pub(crate) fn with_node_rng<R>(f: impl FnOnce(&mut Rng) -> R) -> R {
    let node = with(|context| context.node().clone());
    f(&mut node.rng.lock())
}

/// The name of this task.
pub(crate) fn task_name() -> Option<Arc<str>> {
    with(|context| context.name.clone())
}

/// The node this task works for.
pub(crate) fn current_node() -> NodeId {
    with(|context| context.node().id)
}

/// A new incarnation of the node called `name`.
pub(crate) fn add_node(name: &str) -> NodeId {
    with(|context| context.run.nodes.add(context.run.config.seed, name))
}

/// Name and incarnation of a node.
pub(crate) fn node_name(node: NodeId) -> (Arc<str>, u32) {
    let node = with(|context| context.run.nodes.get(node));
    (node.name.clone(), node.incarnation)
}

pub(crate) fn is_alive(node: NodeId) -> bool {
    with(|context| context.run.nodes.get(node)).is_alive()
}

pub(crate) fn set_paused(node: NodeId, paused: bool) {
    with(|context| context.run.nodes.get(node)).set_paused(paused);
}

pub(crate) fn set_clock_rate(node: NodeId, rate: f64) {
    let now = now();
    with(|context| context.run.nodes.get(node)).set_clock_rate(now, rate);
}

/// How long [`kill`] waits for the tasks of a node to end.
const KILL_PATIENCE: Duration = Duration::from_millis(500);

/// Ends the tasks of a node: those that wait wake at once and unwind, others unwind at their next
/// labrt operation. Waits for a while until they have.
pub(crate) fn kill(node: NodeId) {
    let (node, own) = with(|context| {
        let node = context.run.nodes.get(node);
        let own = context.nodes.iter().any(|visited| visited.id == node.id);
        (node, own)
    });
    node.mark_dead();
    if !own && !thread::panicking() {
        node.wait_until_empty(KILL_PATIENCE);
    }
    checkpoint();
}

/// Runs `f` on behalf of a node. `None` if the node is dead, or died while `f` ran.
pub(crate) fn visit<T>(node: NodeId, f: impl FnOnce() -> T) -> Option<T> {
    let node = with(|context| context.run.nodes.get(node));
    if !node.enter() {
        return None;
    }
    with(|context| context.nodes.push(node.clone()));
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        checkpoint();
        f()
    }));
    with(|context| context.nodes.pop());
    node.leave();
    match result {
        Ok(value) => Some(value),
        Err(payload) if payload.is::<Unwinding>() && !node.is_alive() => {
            checkpoint(); // an outer node may be dead as well
            None
        }
        Err(payload) => panic::resume_unwind(payload),
    }
}

/// Starts a task. Nothing happens if the node is dead.
pub(crate) fn spawn(
    node: NodeId,
    name: Option<Arc<str>>,
    spawned_at: &'static Location<'static>,
    job: Job,
) {
    let run = with(|context| context.run.clone());
    let node = run.nodes.get(node);
    if node.enter() {
        start(run, node, name, spawned_at, job);
    }
}

/// Starts the thread of a task that has been counted among those of its node.
fn start(
    run: Arc<Run>,
    home: Arc<Node>,
    name: Option<Arc<str>>,
    spawned_at: &'static Location<'static>,
    job: Job,
) {
    let serial = run.spawned.fetch_add(1, Relaxed);
    let live = run.live.fetch_add(1, SeqCst) + 1;
    run.max_live.fetch_max(live, Relaxed);
    let stack_size = run.config.stack_size;
    let thread_name = name.as_deref().unwrap_or("task").to_owned();
    let body = move || {
        set_mode(Mode::Real);
        let context =
            Context { run, serial, name, spawned_at, nodes: vec![home.clone()], last_panic: None };
        CONTEXT.set(Some(context));
        home.wait_while_paused();
        job(if home.is_alive() { Signal::Run } else { Signal::Kill });
        let run = with(|context| context.run.clone());
        CONTEXT.set(None);
        set_mode(Mode::Outside);
        run.live.fetch_sub(1, SeqCst);
        home.leave();
    };
    thread::Builder::new()
        .name(thread_name)
        .stack_size(stack_size)
        .spawn(body)
        .expect("the system has room for another thread");
}

/// This task panicked with `payload`: the run is over.
pub(crate) fn fail_with_panic(payload: Box<dyn Any + Send>) {
    with(|context| {
        let noted = context.last_panic.take();
        let (message, task) =
            noted.unwrap_or_else(|| (kernel::panic_message(&*payload), context.info()));
        let failure = Failure {
            kind: FailureKind::Panic,
            at: context.run.started.elapsed(),
            task: Some(task),
            message,
            payload: Some(payload),
        };
        context.run.fail(failure);
        context.run.nodes.main().mark_dead(); // the supervisor waits for that
    });
}

/// How long the tasks of a run may take to end when it is over, before they are left alone.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// Runs `main` as the first task, to its end.
pub(crate) fn run<T: Send + 'static>(
    config: Config,
    started_at: &'static Location<'static>,
    main: impl FnOnce() -> T + Send + 'static,
) -> Outcome<T> {
    let time_limit = config.time_limit;
    let nodes = Nodes::new(config.seed);
    let (timer, timer_thread) = Timer::new();
    let run = Arc::new(Run {
        config,
        started: Instant::now(),
        nodes,
        timer,
        spawned: AtomicU64::new(0),
        live: AtomicUsize::new(0),
        max_live: AtomicUsize::new(0),
        failure: Mutex::new(None),
    });
    let timer_ended = timer_thread.start(&run);
    let main_node = run.nodes.main();
    let (done, finished) = crossbeam_channel::bounded(1);
    let body = move || {
        let _ = done.send(main()); // the supervisor may have given up
    };
    main_node.enter();
    let job = crate::task::job(body);
    start(run.clone(), main_node.clone(), Some("main".into()), started_at, job);

    let deadline = time_limit.map(|limit| run.started + limit);
    let returned = supervise(&finished, &main_node.killed, deadline);
    let virtual_time = run.started.elapsed();
    if returned.is_none() && run.failure.lock().is_none() {
        run.fail(Failure {
            kind: FailureKind::TimeLimit,
            at: virtual_time,
            task: None,
            message: format!(
                "the run was not over after {}; {} tasks were alive",
                seconds(virtual_time),
                run.live.load(SeqCst)
            ),
            payload: None,
        });
    }
    run.nodes.end_all(END_PATIENCE);
    run.timer.stop();
    let _disconnected = timer_ended.recv_timeout(END_PATIENCE);
    let mut warnings = Vec::new();
    let left = run.live.load(SeqCst);
    if left > 0 {
        warnings.push(format!(
            "{left} tasks did not end with the run: they make no labrt call, and go on using the machine"
        ));
    }
    let report = Report {
        virtual_time,
        switches: 0,
        tasks: run.spawned.load(Relaxed),
        max_live: run.max_live.load(Relaxed),
        trace_hash: 0,
        warnings,
    };
    let failure = run.failure.lock().take();
    let result = match (failure, returned) {
        (Some(failure), _) => Err(failure),
        (None, Some(value)) => Ok(value),
        (None, None) => unreachable!("a run that does not return has failed"),
    };
    Outcome { result, report, cpu: None }
}

/// Waits for the main task: its value, or `None` if it was ended or the deadline has passed.
fn supervise<T>(
    finished: &Receiver<T>,
    ended: &Receiver<Never>,
    deadline: Option<Instant>,
) -> Option<T> {
    let timeout = deadline.map_or_else(crossbeam_channel::never, crossbeam_channel::at);
    crossbeam_channel::select! {
        recv(finished) -> value => value.ok().or_else(|| {
            // The main task unwinds: what ended it is on record when its node has been marked dead.
            crossbeam_channel::select! {
                recv(ended) -> _ => None,
                recv(timeout) -> _ => None,
            }
        }),
        recv(ended) -> _ => None,
        recv(timeout) -> _ => None,
    }
}
