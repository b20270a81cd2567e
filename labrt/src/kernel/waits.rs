//! The one primitive under every lock, channel and join: tasks parked on keys.
//!
//! A [`Key`] is the address of the thing waited for and a kind. Keys are only ever looked up, never
//! put in order, so that addresses cannot influence a run.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::Location;

use super::Kernel;
use super::tasks::{State, TaskRef};

/// What a task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

/// The kinds of waiting that one address can stand for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Lock = 0,
    Condvar = 1,
    Receive = 2,
    Send = 3,
}

impl Key {
    /// `address` must be that of something that outlives the wait, and is not zero-sized.
    pub(crate) fn of<T: ?Sized>(address: *const T, kind: Kind) -> Self {
        Key(((address.cast::<()>() as u64) << 2) | kind as u64)
    }
}

/// A wait: for any of the keys, or until the deadline.
pub(crate) struct Park<'a> {
    /// Finishes "waits for", in reports.
    pub(crate) what: &'static str,
    pub(crate) keys: &'a [Key],
    /// In nanoseconds of virtual time.
    pub(crate) deadline: Option<u64>,
    /// The student's line.
    pub(crate) location: &'static Location<'static>,
}

/// Tasks by the keys they are parked on. Entries of tasks that were woken otherwise are removed.
#[derive(Default)]
pub(crate) struct Waits {
    lists: HashMap<Key, Waiters, BuildHasherDefault<KeyHasher>>,
}

/// Nearly always one, so that needs no allocation.
enum Waiters {
    One(TaskRef),
    Many(Vec<TaskRef>),
}

/// A key is an address: spreading its bits is all the hashing it needs.
#[derive(Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, _: &[u8]) {
        unreachable!("a key is hashed as one u64");
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(20);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Waits {
    pub(super) fn add(&mut self, key: Key, task: TaskRef) {
        self.lists
            .entry(key)
            .and_modify(|waiters| match waiters {
                Waiters::One(first) => *waiters = Waiters::Many(vec![*first, task]),
                Waiters::Many(tasks) => tasks.push(task),
            })
            .or_insert(Waiters::One(task));
    }

    pub(super) fn remove(&mut self, key: Key, task: TaskRef) {
        let Some(waiters) = self.lists.get_mut(&key) else { return };
        let empty = match waiters {
            Waiters::One(waiter) => *waiter == task,
            Waiters::Many(tasks) => {
                tasks.retain(|waiter| *waiter != task);
                tasks.is_empty()
            }
        };
        if empty {
            self.lists.remove(&key);
        }
    }

    fn count(&self, key: Key) -> usize {
        match self.lists.get(&key) {
            None => 0,
            Some(Waiters::One(_)) => 1,
            Some(Waiters::Many(tasks)) => tasks.len(),
        }
    }

    fn nth(&self, key: Key, n: usize) -> Option<TaskRef> {
        match self.lists.get(&key)? {
            Waiters::One(task) => Some(*task),
            Waiters::Many(tasks) => tasks.get(n).copied(),
        }
    }
}

impl Kernel {
    /// Marks the running task as waiting. It must suspend right after.
    pub(crate) fn begin_park(&mut self, park: &Park<'_>) {
        let slot = self.current.expect("only a task can wait");
        let now = self.now;
        let task = &mut self.tasks[slot as usize];
        task.state = State::Parked;
        task.timed_out = false;
        task.wait.what = park.what;
        task.wait.since = now;
        task.wait.location = Some(park.location);
        task.wait.has_deadline = park.deadline.is_some();
        task.wait.keys.clear();
        task.wait.keys.extend_from_slice(park.keys);
        let reference = task.reference(slot);
        for key in park.keys {
            self.waits.add(*key, reference);
        }
        if let Some(deadline) = park.deadline {
            self.timers.wake_at(deadline, reference);
        }
    }

    /// Makes a parked task able to run; nothing if it no longer waits for what `task` stands for.
    pub(crate) fn wake(&mut self, task: TaskRef, by_timer: bool) {
        if !self.is_waiting(task) {
            if by_timer {
                self.timers.one_less_stale();
            }
            return;
        }
        self.unlink(task.slot, by_timer);
        let woken = &mut self.tasks[task.slot as usize];
        woken.timed_out = by_timer;
        woken.notified = !by_timer;
        woken.state = State::Ready;
        self.queue.push_back(super::Runnable::Task(task.slot));
    }

    /// Wakes one task that waits for `key`; which one is the schedule's choice.
    pub(crate) fn wake_one(&mut self, key: Key) -> bool {
        let waiting = self.waits.count(key);
        let chosen = self.chooser.one_of(waiting);
        let Some(task) = self.waits.nth(key, chosen) else { return false };
        self.wake(task, false);
        true
    }

    /// A task that was notified is killed before it could run: for each thing that it waited for, the
    /// first of the others that are not being killed, too, is notified in its place.
    pub(super) fn pass_on(&mut self, slot: u32) {
        let keys = std::mem::take(&mut self.tasks[slot as usize].wait.keys);
        for &key in &keys {
            let lives = |task: &TaskRef| self.tasks[task.slot as usize].unwind_to.is_none();
            let mut waiting = (0..self.waits.count(key)).filter_map(|n| self.waits.nth(key, n));
            if let Some(task) = waiting.find(lives) {
                self.wake(task, false);
            }
        }
        self.tasks[slot as usize].wait.keys = keys;
    }

    /// Wakes all tasks that wait for `key`, and says how many.
    pub(crate) fn wake_all(&mut self, key: Key) -> usize {
        let waiting = self.waits.count(key);
        for _ in 0..waiting {
            if let Some(task) = self.waits.nth(key, 0) {
                self.wake(task, false);
            }
        }
        waiting
    }

    /// Does any task wait for `key`?
    pub(crate) fn is_waited_for(&self, key: Key) -> bool {
        self.waits.count(key) > 0
    }

    pub(super) fn is_waiting(&self, task: TaskRef) -> bool {
        let found = &self.tasks[task.slot as usize];
        found.epoch == task.epoch && found.state == State::Parked
    }

    /// Takes a task that waits off every list; from here on old references to it mean nothing.
    pub(super) fn unlink(&mut self, slot: u32, by_timer: bool) {
        let task = &mut self.tasks[slot as usize];
        let reference = task.reference(slot);
        let keys = std::mem::take(&mut task.wait.keys);
        task.epoch = task.epoch.wrapping_add(1);
        let stale_timer = task.wait.has_deadline && !by_timer;
        for key in &keys {
            self.waits.remove(*key, reference);
        }
        self.tasks[slot as usize].wait.keys = keys; // its memory is used again
        if stale_timer {
            let tasks = &self.tasks;
            self.timers.one_more_stale(|task| tasks[task.slot as usize].epoch == task.epoch);
        }
    }
}
