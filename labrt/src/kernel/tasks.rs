//! The tasks of a run, in slots that are used again.

use std::panic::Location;
use std::sync::Arc;

use super::nodes::NodeId;
use super::waits::Key;
use super::{Kernel, Runnable};
use crate::backend::Job;
use crate::sim::TaskInfo;

/// What a task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// No task is in this slot.
    Free,
    /// In the queue (or stalled on a paused node).
    Ready,
    Running,
    /// Waits for a key or a timer.
    Parked,
    /// Its destructors wait for a lock while it unwinds.
    StuckUnwinding,
}

/// A task at one moment of its life: it means nothing once the task has gone on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TaskRef {
    pub(crate) slot: u32,
    pub(crate) epoch: u32,
}

/// A lock that a task holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// Its address, only ever compared for equality.
    pub(crate) lock: usize,
    pub(crate) taken_at: &'static Location<'static>,
}

/// What a task waits for, as begun by [`super::Park`].
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) what: &'static str,
    pub(crate) keys: Vec<Key>,
    pub(crate) since: u64,
    pub(crate) has_deadline: bool,
    pub(crate) location: Option<&'static Location<'static>>,
}

pub(crate) struct Task {
    /// Counts tasks from 0, which is the test's own.
    pub(crate) serial: u64,
    /// Counts what this slot has waited for, so that old wake-ups are told from new ones.
    pub(crate) epoch: u32,
    pub(crate) state: State,
    /// What it will run, until it has started.
    pub(crate) job: Option<Job>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) spawned_at: &'static Location<'static>,
    /// The nodes it works for: the one it lives on, then those it visits, innermost last.
    pub(crate) nodes: Vec<NodeId>,
    pub(crate) wait: Waiting,
    pub(crate) timed_out: bool,
    /// It was woken by a notification, and has not run since.
    pub(crate) notified: bool,
    /// It must unwind until only this many of `nodes` are left; 0 ends it.
    pub(crate) unwind_to: Option<usize>,
    /// A panic, its own or that of being killed, has begun to unwind it.
    pub(crate) unwinding: bool,
    /// How often it was made to unwind and came back: a student's `catch_unwind` swallowed it.
    pub(crate) swallowed: u32,
    pub(crate) held: Vec<Held>,
    /// For [`crate::sim::Schedule::Pct`]: higher goes first.
    pub(crate) priority: u64,
}

impl Task {
    pub(crate) fn reference(&self, slot: u32) -> TaskRef {
        TaskRef { slot, epoch: self.epoch }
    }

    /// The node it works for now.
    pub(crate) fn node(&self) -> NodeId {
        *self.nodes.last().expect("a task lives on a node")
    }
}

impl Kernel {
    /// Makes a task that can run at once. The caller has checked that its node is alive.
    /// Says whether there are still few enough.
    pub(crate) fn add_task(
        &mut self,
        node: NodeId,
        name: Option<Arc<str>>,
        spawned_at: &'static Location<'static>,
        job: Job,
    ) -> bool {
        let serial = self.spawned;
        self.spawned += 1;
        self.live += 1;
        self.max_live = self.max_live.max(self.live);
        let slot = self.free.pop().unwrap_or_else(|| {
            self.tasks.push(Task {
                serial,
                epoch: 0,
                state: State::Free,
                job: None,
                name: None,
                spawned_at,
                nodes: Vec::new(),
                wait: Waiting::default(),
                timed_out: false,
                notified: false,
                unwind_to: None,
                unwinding: false,
                swallowed: 0,
                held: Vec::new(),
                priority: 0,
            });
            u32::try_from(self.tasks.len() - 1).expect("tasks are capped far below 2^32")
        });
        self.beacon.spawned(slot, serial, name.clone(), &self.nodes[node.0].name, spawned_at);
        let priority = self.chooser.priority();
        let task = &mut self.tasks[slot as usize];
        task.priority = priority;
        task.serial = serial;
        task.state = State::Ready;
        task.job = Some(job);
        task.name = name;
        task.spawned_at = spawned_at;
        task.nodes.clear();
        task.nodes.push(node);
        task.unwind_to = None;
        task.unwinding = false;
        task.swallowed = 0;
        task.held.clear();
        task.wait.location = None;
        if self.trace.is_some() {
            let info = self.task_info(slot);
            self.trace.get_or_insert_default().tasks.push(info);
        }
        self.queue.push_back(Runnable::Task(slot));
        if self.live > self.config.max_tasks {
            self.fail_too_many_tasks();
        }
        self.live <= self.config.max_tasks
    }

    /// The task in `slot` has finished. Returns what of it must be dropped outside the kernel.
    pub(crate) fn remove_task(&mut self, slot: u32) -> Option<Job> {
        let task = &mut self.tasks[slot as usize];
        task.state = State::Free;
        task.epoch = task.epoch.wrapping_add(1);
        task.held.clear();
        self.free.push(slot);
        self.live -= 1;
        task.job.take()
    }

    pub(crate) fn task(&self, slot: u32) -> &Task {
        &self.tasks[slot as usize]
    }

    pub(crate) fn task_mut(&mut self, slot: u32) -> &mut Task {
        &mut self.tasks[slot as usize]
    }

    /// The running task, if one runs.
    pub(crate) fn current_mut(&mut self) -> Option<&mut Task> {
        self.current.map(|slot| &mut self.tasks[slot as usize])
    }

    /// The running task at this moment, to be woken later.
    pub(crate) fn current_slot(&self) -> Option<u32> {
        self.current
    }

    /// A reference that wakes the running task from the wait it is about to begin.
    pub(crate) fn next_park_ref(&self) -> Option<TaskRef> {
        self.current.map(|slot| self.tasks[slot as usize].reference(slot))
    }

    /// The running task will not wait after all: what was handed out for it means nothing now.
    pub(crate) fn forget_park_ref(&mut self) {
        if let Some(task) = self.current_mut() {
            task.epoch = task.epoch.wrapping_add(1);
        }
    }

    /// Every task that has not finished, by serial number and slot, oldest first.
    pub(crate) fn live_tasks(&self) -> Vec<(u64, u32)> {
        let mut tasks: Vec<(u64, u32)> = (0..)
            .zip(&self.tasks)
            .filter(|(_, task)| task.state != State::Free)
            .map(|(slot, task)| (task.serial, slot))
            .collect();
        tasks.sort_unstable();
        tasks
    }

    pub(crate) fn task_info(&self, slot: u32) -> TaskInfo {
        let task = &self.tasks[slot as usize];
        TaskInfo {
            serial: task.serial,
            name: task.name.as_deref().map(str::to_owned),
            node: self.nodes[task.node().0].name.to_string(),
            spawned_at: task.spawned_at,
        }
    }
}
