//! Nodes: the servers of the cluster, as the harness sees them.
//!
//! A task belongs to the node it was spawned on, as do all that it spawns. Killing a node ends its
//! tasks where they stand; a killed server really is gone.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use crate::kernel::{self, NodeId};
use crate::mode::{Mode, mode};
use crate::observe;
use crate::real;
use crate::sim::TaskInfo;
use crate::task;
use crate::thread::{JoinHandle, spawn_on};

/// One incarnation of a node. A handle: clones mean the same incarnation.
#[derive(Clone)]
pub struct Node {
    id: NodeId,
    name: Arc<str>,
    incarnation: u32,
}

/// A task of a node, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveTask {
    /// Who it is.
    pub info: TaskInfo,
    /// What it waits for; `None` if it can run.
    pub waits_for: Option<&'static str>,
    /// The line where it waits.
    pub at: Option<&'static Location<'static>>,
    /// It will run again whatever others do: it can run now, or has set itself a time.
    pub goes_on: bool,
}

/// The node was killed before the work on it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Killed;

impl fmt::Display for Killed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the node was killed")
    }
}

impl std::error::Error for Killed {}

impl Node {
    /// A new incarnation of the node called `name`: the first has number 0.
    ///
    /// Earlier incarnations of the name are not touched; whoever restarts a server kills it first.
    ///
    /// # Panics
    ///
    /// Outside a simulation.
    #[track_caller]
    pub fn new(name: &str) -> Self {
        Node::of(match mode() {
            Mode::Real => real::add_node(name),
            Mode::Observing => observe::give_up(),
            Mode::Simulated | Mode::Outside => kernel::with(|kernel| kernel.add_node(name)),
        })
    }

    /// The node that the running task works for: `main` for the test's own tasks and for events.
    ///
    /// # Panics
    ///
    /// Outside a simulation.
    #[track_caller]
    pub fn current() -> Self {
        Node::of(match mode() {
            Mode::Real => real::current_node(),
            Mode::Simulated | Mode::Observing | Mode::Outside => {
                kernel::with(|kernel| kernel.current_node())
            }
        })
    }

    fn of(id: NodeId) -> Self {
        let (name, incarnation) = match mode() {
            Mode::Real => real::node_name(id),
            Mode::Simulated | Mode::Observing | Mode::Outside => {
                kernel::with(|kernel| kernel.node_name(id))
            }
        };
        Node { id, name, incarnation }
    }

    /// Its name, as given.
    pub fn name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// How many nodes had this name before.
    pub fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// False once [`kill`](Self::kill) was called.
    pub fn is_alive(&self) -> bool {
        match mode() {
            Mode::Real => real::is_alive(self.id),
            Mode::Simulated | Mode::Observing | Mode::Outside => {
                kernel::with(|kernel| kernel.is_alive(self.id))
            }
        }
    }

    /// The tasks that live on it, oldest first. Nothing is known of them on the real engine.
    pub fn tasks(&self) -> Vec<LiveTask> {
        match mode() {
            Mode::Real => Vec::new(),
            Mode::Simulated | Mode::Observing | Mode::Outside => {
                kernel::with(|kernel| kernel.tasks_of(self.id))
            }
        }
    }

    /// Starts a task on the node. If the node is dead nothing runs, and joining gives an error.
    #[track_caller]
    pub fn spawn<T: Send + 'static>(
        &self,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        spawn_on(self.id, None, Location::caller(), f)
    }

    /// Starts a task on the node that nobody will wait for, with a name and a place for reports: the
    /// line of the lab code on whose behalf the harness starts it. Nothing runs if the node is dead.
    pub fn spawn_detached(
        &self,
        name: Arc<str>,
        at: &'static Location<'static>,
        f: impl FnOnce() + Send + 'static,
    ) {
        task::spawn_detached(self.id, Some(name), at, f);
    }

    /// Lets the running task work for the node while `f` runs: what `f` spawns belongs to the node,
    /// and it sees the node's clock and randomness.
    ///
    /// # Errors
    ///
    /// [`Killed`] if the node is dead, or is killed while `f` waits; then `f` is unwound.
    pub fn run<T>(&self, f: impl FnOnce() -> T) -> Result<T, Killed> {
        task::visit(self.id, f).map_err(|task::NodeIsDead| Killed)
    }

    /// Ends every task of the node where it stands, and every visit to it. Afterwards nothing of it
    /// runs any more. Does nothing if it is dead.
    ///
    /// Each task unwinds at the labrt call in which it waits: its destructors run, its locks open.
    /// If the running task works for the node, it unwinds too. In an event or a destructor the node
    /// ends as soon as that is over.
    pub fn kill(&self) {
        if mode() == Mode::Real {
            return real::kill(self.id);
        }
        let alive = kernel::with(|kernel| {
            let alive = kernel.is_alive(self.id);
            if alive {
                kernel.request_kill(self.id);
            }
            alive
        });
        if alive {
            task::yield_now();
        }
    }

    /// Stops the node's tasks, as a long garbage collection would: none runs until
    /// [`resume`](Self::resume), while its timers and messages pile up.
    pub fn pause(&self) {
        match mode() {
            Mode::Real => real::set_paused(self.id, true),
            Mode::Observing => observe::give_up(),
            Mode::Simulated | Mode::Outside => kernel::with(|kernel| kernel.pause_node(self.id)),
        }
    }

    /// Lets a paused node go on.
    pub fn resume(&self) {
        match mode() {
            Mode::Real => real::set_paused(self.id, false),
            Mode::Observing => observe::give_up(),
            Mode::Simulated | Mode::Outside => kernel::with(|kernel| kernel.resume_node(self.id)),
        }
    }

    /// Lets the node's clock run `rate` times as fast as the true one from now on. Waits that have
    /// begun already end when they would have.
    ///
    /// # Panics
    ///
    /// If `rate` is not a positive number.
    pub fn set_clock_rate(&self, rate: f64) {
        assert!(rate > 0.0 && rate.is_finite(), "a clock cannot run at {rate} times true speed");
        match mode() {
            Mode::Real => real::set_clock_rate(self.id, rate),
            Mode::Observing => observe::give_up(),
            Mode::Simulated | Mode::Outside => {
                kernel::with(|kernel| kernel.set_clock_rate(self.id, rate));
            }
        }
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Node {}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({}, incarnation {})", self.name, self.incarnation)
    }
}
