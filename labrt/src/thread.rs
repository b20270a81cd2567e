//! Tasks, under std's names: spawn, join, yield.
//!
//! A task has a stack of [`Config::stack_size`](crate::sim::Config::stack_size), 256 KiB by default, in the
//! simulation and on the real engine alike. That is an eighth of a `std` thread's: keep large arrays on the
//! heap, and recursion shallow. A task that overflows it ends the whole process, with a message that names
//! the task, the run and its seed.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};

use crate::kernel::{self, NodeId};
use crate::mode::{Mode, mode};
use crate::node::Killed;
use crate::oneshot;
use crate::real;
use crate::task;

pub use crate::time::sleep;

/// What [`JoinHandle::join`] gives: what the task returned, or what ended it.
pub type Result<T> = std::result::Result<T, Box<dyn Any + Send>>;

/// Starts a task on the node of the running one.
///
/// A panic in the task fails the whole run; nobody has to join it for that.
///
/// # Panics
///
/// Outside a simulation.
#[track_caller]
pub fn spawn<T, F>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    spawn_on(here(), None, Location::caller(), f)
}

/// Starts tasks with a name, which reports then show.
#[derive(Debug, Default)]
pub struct Builder {
    name: Option<Arc<str>>,
}

impl Builder {
    /// No name yet.
    pub fn new() -> Self {
        Builder::default()
    }

    /// Names the task.
    #[must_use]
    pub fn name(self, name: String) -> Self {
        Builder { name: Some(name.into()) }
    }

    /// As [`spawn`].
    ///
    /// # Errors
    ///
    /// None in a simulation; the type is std's.
    #[track_caller]
    pub fn spawn<T, F>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Ok(spawn_on(here(), self.name, Location::caller(), f))
    }
}

/// The node of the running task.
#[track_caller]
fn here() -> NodeId {
    match mode() {
        Mode::Real => real::current_node(),
        Mode::Simulated | Mode::Observing | Mode::Outside => {
            kernel::with(|kernel| kernel.current_node())
        }
    }
}

pub(crate) fn spawn_on<T, F>(
    node: NodeId,
    name: Option<Arc<str>>,
    at: &'static Location<'static>,
    f: F,
) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let (send, end) = oneshot::channel();
    let ended = Arc::new(AtomicBool::new(false));
    let finish = Finish { send: Some(send), ended: ended.clone() };
    let thread = Thread { name: name.clone() };
    task::spawn_detached(node, name, at, move || finish.with(f()));
    task::preemption_point();
    JoinHandle { end, ended, thread }
}

/// Lets others run first, if any can.
pub fn yield_now() {
    task::yield_now();
}

/// A handle to the running task.
///
/// # Panics
///
/// Outside a simulation.
#[track_caller]
pub fn current() -> Thread {
    let name = match mode() {
        Mode::Real => real::task_name(),
        Mode::Simulated | Mode::Observing | Mode::Outside => {
            kernel::with(|kernel| kernel.current_mut().and_then(|task| task.name.clone()))
        }
    };
    Thread { name }
}

/// What can be told about a task.
#[derive(Debug, Clone)]
pub struct Thread {
    name: Option<Arc<str>>,
}

impl Thread {
    /// The name given to its [`Builder`].
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// Waits for a task. Dropping it lets the task go on alone.
pub struct JoinHandle<T> {
    /// What the task returned, or that it was ended first.
    end: oneshot::Receiver<std::result::Result<T, Killed>>,
    ended: Arc<AtomicBool>,
    thread: Thread,
}

impl<T> JoinHandle<T> {
    /// Blocks until the task has ended.
    ///
    /// # Errors
    ///
    /// [`Killed`], as the payload, if its node was killed first. Also if this task is itself being
    /// unwound.
    #[track_caller]
    pub fn join(self) -> Result<T> {
        let end = self.end.wait_for("a task to end", Location::caller());
        end.unwrap_or(Err(Killed)).map_err(|killed| Box::new(killed) as _)
    }

    /// Has the task ended?
    pub fn is_finished(&self) -> bool {
        self.ended.load(Acquire)
    }

    /// The task.
    pub fn thread(&self) -> &Thread {
        &self.thread
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("thread", &self.thread).finish_non_exhaustive()
    }
}

/// Tells the joiner how the task ended, also if it is dropped without having run.
struct Finish<T> {
    send: Option<oneshot::Sender<std::result::Result<T, Killed>>>,
    ended: Arc<AtomicBool>,
}

impl<T> Finish<T> {
    fn with(mut self, value: T) {
        self.end(Ok(value));
    }

    fn end(&mut self, end: std::result::Result<T, Killed>) {
        if let Some(send) = self.send.take() {
            self.ended.store(true, Release);
            send.send(end);
        }
    }
}

impl<T> Drop for Finish<T> {
    fn drop(&mut self) {
        self.end(Err(Killed));
    }
}
