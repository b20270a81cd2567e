//! What the kernel can tell about a run that went wrong: who waits for what, and who holds it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::Location;
use std::time::Duration;

use super::nodes::NodeId;
use super::tasks::State;
use super::waits::{Key, Kind};
use super::{Kernel, MAX_OPERATIONS};
use crate::node::LiveTask;
use crate::sim::{FailureKind, seconds};

/// More tasks than this are not listed one by one.
const LISTED: usize = 40;

impl Kernel {
    /// The tasks that live on a node, oldest first.
    pub(crate) fn tasks_of(&self, node: NodeId) -> Vec<LiveTask> {
        let live = |(_, slot): (u64, u32)| {
            let task = self.task(slot);
            let waits = task.state == State::Parked;
            LiveTask {
                info: self.task_info(slot),
                waits_for: waits.then_some(task.wait.what),
                at: if waits { task.wait.location } else { None },
                goes_on: !waits || task.wait.has_deadline,
            }
        };
        let lives_here = |(_, slot): &(u64, u32)| self.task(*slot).nodes.first() == Some(&node);
        self.live_tasks().into_iter().filter(lives_here).map(live).collect()
    }

    /// One line for each task: who it is, what it waits for, since when, and where.
    pub(crate) fn describe_tasks(&self) -> String {
        let tasks = self.live_tasks();
        let mut text = String::new();
        for &(_, slot) in tasks.iter().take(LISTED) {
            let _ = write!(text, "\n  {} ", self.task_info(slot));
            let _ = match self.task(slot).state {
                State::Ready | State::Running => write!(text, "can run"),
                State::StuckUnwinding => write!(text, "waits for a lock while it is being ended"),
                State::Free => Ok(()),
                State::Parked => self.describe_wait(slot, &mut text),
            };
        }
        if tasks.len() > LISTED {
            let _ = write!(text, "\n  and {} more", tasks.len() - LISTED);
        }
        text
    }

    fn describe_wait(&self, slot: u32, text: &mut String) -> std::fmt::Result {
        let wait = &self.task(slot).wait;
        write!(
            text,
            "waits for {} since {}",
            wait.what,
            seconds(Duration::from_nanos(wait.since))
        )?;
        if let Some(location) = wait.location {
            write!(text, " at {}", place(location))?;
        }
        Ok(())
    }

    /// Writes who runs now and has overflowed its stack. Allocates nothing: see `overflow`.
    #[cfg(all(coroutines, unix))]
    pub(crate) fn write_overflow(&self, to: &mut dyn std::io::Write) -> std::io::Result<()> {
        let slot = self.current_slot().ok_or(std::io::ErrorKind::NotFound)?;
        let task = self.task(slot);
        write!(
            to,
            "\n[{}.{:06}s] task #{}",
            self.now / 1_000_000_000,
            self.now / 1000 % 1_000_000,
            task.serial
        )?;
        if let Some(name) = &task.name {
            write!(to, " '{name}'")?;
        }
        let (file, line) = (task.spawned_at.file(), task.spawned_at.line());
        let node = &self.nodes[task.node().index()].name;
        let size = self.config.stack_size / 1024;
        writeln!(
            to,
            " ({node}, spawned at {file}:{line}) overflowed its {size} KiB stack: is it an endless recursion?"
        )?;
        let name = if self.config.name.is_empty() { "this run" } else { &self.config.name };
        writeln!(
            to,
            "That was {name} with seed {:#x}. Nothing can go on from there, so that the tests beside it are lost; \
             `cargo nextest run` gives each a process of its own.",
            self.config.seed
        )
    }

    /// Every task waits, and nothing will ever wake one.
    pub(crate) fn fail_deadlock(&mut self) {
        let message = format!("no task can ever run again:{}", self.describe_tasks());
        let failure = self.failure_now(FailureKind::Deadlock, message);
        self.fail(failure);
    }

    pub(super) fn fail_time_limit(&mut self) {
        let limit = self.config.time_limit.unwrap_or_default();
        self.now = self.now.max(super::to_nanos(limit));
        let message = format!(
            "the run was not over after {} of virtual time:{}",
            seconds(limit),
            self.describe_tasks()
        );
        let failure = self.failure_now(FailureKind::TimeLimit, message);
        self.fail(failure);
    }

    pub(super) fn fail_too_many_tasks(&mut self) {
        let message = format!(
            "more than {} tasks are alive; most were spawned at{}",
            self.config.max_tasks,
            self.places_of_tasks()
        );
        let failure = self.failure_now(FailureKind::TooManyTasks, message);
        self.fail(failure);
    }

    /// The system has no stack for another task, though there may be more of them.
    pub(crate) fn fail_no_stack(&mut self, problem: &std::io::Error) {
        let message = format!(
            "the system has no stack for another task ({problem}): {} are alive; most were spawned at{}",
            self.live,
            self.places_of_tasks()
        );
        let failure = self.failure_now(FailureKind::TooManyTasks, message);
        self.fail(failure);
    }

    /// Where most of the tasks were spawned, a line each.
    fn places_of_tasks(&self) -> String {
        let mut places: BTreeMap<(&str, u32), usize> = BTreeMap::new();
        for (_, slot) in self.live_tasks() {
            let at = self.task(slot).spawned_at;
            *places.entry((at.file(), at.line())).or_default() += 1;
        }
        let mut places: Vec<_> = places.into_iter().collect();
        places.sort_by_key(|&(_, tasks)| std::cmp::Reverse(tasks));
        let mut text = String::new();
        for ((file, line), tasks) in places.into_iter().take(5) {
            let _ = write!(text, "\n  {file}:{line} ({tasks})");
        }
        text
    }

    /// The text of the panic that ends a loop which polls without letting time pass.
    pub(crate) fn livelock_message(stuck_at: Duration) -> String {
        format!(
            "livelock: {MAX_OPERATIONS} operations in a row while virtual time stood still at {}; \
             does this loop poll without sleeping or waiting?",
            seconds(stuck_at)
        )
    }

    /// Why the running task must not wait for this lock: it, or a chain of tasks that ends with
    /// it, holds the lock already. `None` if waiting is fine.
    pub(crate) fn lock_trouble(&self, lock: usize, wanted_at: &Location<'_>) -> Option<String> {
        let me = self.current_slot()?;
        if let Some(held) = self.task(me).held.iter().find(|held| held.lock == lock) {
            return Some(format!(
                "deadlock: this task locks at {} what it holds already, since {}",
                place(wanted_at),
                place(held.taken_at)
            ));
        }
        let Some((mut owner, held)) = self.owner_of(lock) else {
            return Some(
                "deadlock: the lock is held from outside this simulation, by another OS thread, \
                 another simulation, or a guard that was forgotten"
                    .to_owned(),
            );
        };
        if self.task(owner).state != State::Parked {
            return None; // nearly always: the owner goes on, and will let go of it
        }
        let mut story = format!(
            "deadlock: tasks wait for each other's locks\n  {} waits at {} for the lock taken at {}",
            self.task_info(me),
            place(wanted_at),
            place(held)
        );
        for _ in 0..self.tasks.len() {
            let wait = &self.task(owner).wait;
            let wanted = self.task(owner).held_by_others(|key| self.lock_behind(key))?;
            let (next, taken_at) =
                if let Some(mine) = self.task(me).held.iter().find(|held| held.lock == wanted) {
                    (me, mine.taken_at)
                } else {
                    self.owner_of(wanted)?
                };
            let _ = write!(story, "\n  {} waits", self.task_info(owner));
            if let Some(location) = wait.location {
                let _ = write!(story, " at {}", place(location));
            }
            let _ = write!(story, " for the lock taken at {}", place(taken_at));
            if next == me {
                return Some(story);
            }
            owner = next;
        }
        None
    }

    /// A task that holds the lock, and where it took it.
    fn owner_of(&self, lock: usize) -> Option<(u32, &'static Location<'static>)> {
        (0..).zip(&self.tasks).find_map(|(slot, task)| {
            let held = task.held.iter().find(|held| held.lock == lock)?;
            Some((slot, held.taken_at))
        })
    }

    /// The address of the lock that somebody who is parked on `key` waits for.
    fn lock_behind(&self, key: Key) -> Option<usize> {
        self.tasks
            .iter()
            .flat_map(|task| &task.held)
            .map(|held| held.lock)
            .find(|&lock| Key::of(lock as *const u8, Kind::Lock) == key)
    }

    /// Remembers which locks the running task holds while it waits for somebody else's answer.
    pub(crate) fn note_locks_held(&mut self, during: &'static str, at: &Location<'_>) {
        let Some(slot) = self.current_slot() else { return };
        for held in self.task(slot).held.clone() {
            self.warnings.insert(format!(
                "the lock taken at {} is held across {during} at {}",
                place(held.taken_at),
                place(at)
            ));
        }
    }
}

impl super::Task {
    /// The lock this task is parked on, if it waits for one.
    fn held_by_others(&self, lock_behind: impl Fn(Key) -> Option<usize>) -> Option<usize> {
        if self.state != State::Parked {
            return None;
        }
        self.wait.keys.first().and_then(|&key| lock_behind(key))
    }
}

/// A source line as students write it: file and line.
pub(crate) fn place(location: &Location<'_>) -> String {
    format!("{}:{}", location.file(), location.line())
}
