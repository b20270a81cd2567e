//! Who runs next, and where a running task gives way: the choices that make one interleaving.

use std::collections::{BTreeSet, VecDeque};

use rand::RngExt as _;

use super::Runnable;
use crate::rand::{Rng, Stream};
use crate::sim::{Config, Preempt, Schedule};

/// Decides by its own stream of the seed.
pub(super) struct Chooser {
    rng: Rng,
    policy: Policy,
}

enum Policy {
    /// Any of those that can run; the running one gives way with a probability.
    Random { preempt_below: u64 },
    /// The one that could run first.
    Fifo { preempt_below: u64 },
    /// Always the one of highest priority, see [`Schedule::Pct`].
    Pct {
        /// At these operations, counted over the run, the running task becomes the last of all.
        changes: BTreeSet<u64>,
        operations: u64,
        /// The next lowest priority: below all that were given before.
        lowest: u64,
    },
}

/// Priorities of new tasks are above this, those of tasks that gave way below.
const NEW: u64 = 1 << 32;

impl Chooser {
    pub(super) fn new(config: &Config) -> Self {
        let mut rng = Stream::new(config.seed, "schedule").rng();
        let preempt_below = threshold(config);
        let policy = match config.schedule {
            Schedule::Random => Policy::Random { preempt_below },
            Schedule::Fifo => Policy::Fifo { preempt_below },
            Schedule::Pct { changes, length } => Policy::Pct {
                changes: (0..changes).map(|_| rng.random_range(0..length.max(1))).collect(),
                operations: 0,
                lowest: NEW,
            },
        };
        Chooser { rng, policy }
    }

    /// One of `n`.
    pub(super) fn one_of(&mut self, n: usize) -> usize {
        if n > 1 { self.rng.random_range(0..n) } else { 0 }
    }

    /// The priority of a new task.
    pub(super) fn priority(&mut self) -> u64 {
        match self.policy {
            Policy::Pct { .. } => NEW + u64::from(self.rng.random::<u32>()),
            Policy::Random { .. } | Policy::Fifo { .. } => 0,
        }
    }

    /// The priority of a task that lets others run first of its own will.
    pub(super) fn priority_after_yield(&mut self) -> u64 {
        match &mut self.policy {
            Policy::Pct { lowest, .. } => {
                *lowest -= 1;
                *lowest
            }
            Policy::Random { .. } | Policy::Fifo { .. } => 0,
        }
    }

    /// Takes the next one out of the queue.
    pub(super) fn pick(
        &mut self,
        queue: &mut VecDeque<Runnable>,
        priority: impl Fn(u32) -> u64,
    ) -> Option<Runnable> {
        match (queue.len(), &self.policy) {
            (0, _) => None,
            (1, _) | (_, Policy::Fifo { .. }) => queue.pop_front(),
            (n, Policy::Random { .. }) => queue.swap_remove_back(self.rng.random_range(0..n)),
            (_, Policy::Pct { .. }) => {
                let (_, place) = (0..)
                    .zip(&*queue)
                    .map(|(place, next)| (priority_of(next, &priority), place))
                    .max_by_key(|&(priority, place)| (priority, std::cmp::Reverse(place)))?;
                queue.remove(place)
            }
        }
    }

    /// The running task is at an operation: must it give way to one of the queue? Says so, and with
    /// which priority from then on, if that changes.
    pub(super) fn at_operation(
        &mut self,
        queue: &VecDeque<Runnable>,
        own_priority: u64,
        priority: impl Fn(u32) -> u64,
    ) -> (bool, Option<u64>) {
        match &mut self.policy {
            Policy::Random { preempt_below } | Policy::Fifo { preempt_below } => {
                let give_way = *preempt_below > 0
                    && !queue.is_empty()
                    && u64::from(self.rng.random::<u32>()) < *preempt_below;
                (give_way, None)
            }
            Policy::Pct { changes, operations, lowest } => {
                let changed = changes.contains(operations).then(|| {
                    *lowest -= 1;
                    *lowest
                });
                *operations += 1;
                let own = changed.unwrap_or(own_priority);
                (queue.iter().any(|next| priority_of(next, &priority) > own), changed)
            }
        }
    }
}

/// Events are not ordered by priority: what is due comes first.
fn priority_of(next: &Runnable, priority: impl Fn(u32) -> u64) -> u64 {
    match next {
        Runnable::Event(_) => u64::MAX,
        Runnable::Task(slot) => priority(*slot),
    }
}

/// A task gives way if 32 random bits are below this.
fn threshold(config: &Config) -> u64 {
    let probability = match config.preempt {
        Preempt::BySeed => {
            let mut choice = Stream::new(config.seed, "schedule/preempt").rng();
            [0.0, 0.01, 0.1, 0.5][choice.random_range(0..4)]
        }
        Preempt::Probability(p) => p.clamp(0.0, 1.0),
    };
    #[expect(clippy::cast_possible_truncation, reason = "at most 2^32")]
    #[expect(clippy::cast_sign_loss, reason = "a probability is not negative")]
    let threshold = (probability * f64::from(u32::MAX)).ceil() as u64;
    threshold
}
