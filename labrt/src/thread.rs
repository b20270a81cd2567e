//! Tasks, under std's names: spawn, join, yield.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::kernel::{self, NodeId, Park, TaskRef};
use crate::node::Killed;
use crate::task::{self, Woken, park};

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
    let node = kernel::with(|kernel| kernel.current_node());
    spawn_on(node, None, Location::caller(), f)
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
        let node = kernel::with(|kernel| kernel.current_node());
        Ok(spawn_on(node, self.name, Location::caller(), f))
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
    let packet = Arc::new(Mutex::new(Packet { end: None, waiter: None }));
    let finish = Finish { packet: packet.clone() };
    let thread = Thread { name: name.clone() };
    task::spawn_detached(node, name, at, Box::new(move || finish.with(f())));
    task::preemption_point();
    JoinHandle { packet, thread }
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
    Thread { name: kernel::with(|kernel| kernel.current_mut().and_then(|task| task.name.clone())) }
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
    packet: Arc<Mutex<Packet<T>>>,
    thread: Thread,
}

struct Packet<T> {
    /// What the task returned, or that it was ended first.
    end: Option<std::result::Result<T, Killed>>,
    waiter: Option<TaskRef>,
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
        let location = Location::caller();
        loop {
            let mut packet = self.packet.lock();
            if let Some(end) = packet.end.take() {
                return end.map_err(|killed| Box::new(killed) as _);
            }
            packet.waiter = kernel::with(|kernel| kernel.next_park_ref());
            drop(packet);
            let what = "a task to end";
            if park(&Park { what, keys: &[], deadline: None, location }) == Woken::Refused {
                return Err(Box::new(Killed));
            }
        }
    }

    /// Has the task ended?
    pub fn is_finished(&self) -> bool {
        self.packet.lock().end.is_some()
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
    packet: Arc<Mutex<Packet<T>>>,
}

impl<T> Finish<T> {
    fn with(self, value: T) {
        self.packet.lock().end = Some(Ok(value));
    }
}

impl<T> Drop for Finish<T> {
    fn drop(&mut self) {
        let mut packet = self.packet.lock();
        packet.end.get_or_insert(Err(Killed));
        let waiter = packet.waiter.take();
        drop(packet);
        if let Some(waiter) = waiter {
            kernel::try_with(|kernel| kernel.wake(waiter, false));
        }
    }
}
