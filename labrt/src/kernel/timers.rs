//! What happens later: tasks to wake and events to run, by virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::tasks::TaskRef;

/// An event: it runs on the scheduler, in no task, and must not block.
pub(crate) type EventFn = Box<dyn FnOnce() + Send>;

/// What a timer does when its time has come.
pub(crate) enum Due {
    /// Wakes a task, if it still waits for this.
    Wake(TaskRef),
    Event(EventFn),
}

#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<Entry>>,
    /// The closures of events, out of the heap so that its entries stay small.
    events: Vec<Option<EventFn>>,
    free: Vec<u32>,
    /// Breaks ties: of equal times, the timer set first is popped first.
    set: u64,
    /// Timers of tasks that were woken earlier by something else, still in the heap.
    stale: usize,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: u64,
    set: u64,
    target: Target,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Task(TaskRef),
    Event(u32),
}

impl Timers {
    pub(crate) fn wake_at(&mut self, at: u64, task: TaskRef) {
        self.push(at, Target::Task(task));
    }

    pub(crate) fn run_at(&mut self, at: u64, event: EventFn) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.events.push(None);
            u32::try_from(self.events.len() - 1).expect("fewer than 2^32 events")
        });
        self.events[place as usize] = Some(event);
        self.push(at, Target::Event(place));
    }

    fn push(&mut self, at: u64, target: Target) {
        self.set += 1;
        self.heap.push(Reverse(Entry { at, set: self.set, target }));
    }

    /// When the next timer fires.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// The next timer that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<Due> {
        if self.next_at()? > now {
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        Some(match entry.target {
            Target::Task(task) => Due::Wake(task),
            Target::Event(place) => {
                self.free.push(place);
                Due::Event(self.events[place as usize].take().expect("an event runs once"))
            }
        })
    }

    /// A task was woken before its timer. `is_live` says of a task whether it still waits.
    ///
    /// Without this, a million calls with a deadline of seconds would leave as many dead entries.
    pub(crate) fn one_more_stale(&mut self, is_live: impl Fn(TaskRef) -> bool) {
        self.stale += 1;
        if self.stale > 64 && self.stale > self.heap.len() / 2 {
            self.heap.retain(|Reverse(entry)| match entry.target {
                Target::Task(task) => is_live(task),
                Target::Event(_) => true,
            });
            self.stale = 0;
        }
    }

    /// A stale timer was popped.
    pub(crate) fn one_less_stale(&mut self) {
        self.stale = self.stale.saturating_sub(1);
    }

    pub(crate) fn take_events(&mut self) -> Vec<EventFn> {
        self.heap.clear();
        std::mem::take(&mut self.events).into_iter().flatten().collect()
    }
}
