//! The walk through the tree of choices. It knows no cluster: whoever walks runs what
//! [`Walk::next`] says, and tells what it met.
//!
//! ```text
//!  ─●──●──●──●──●──▶            0 deviations: the usual run, with five points
//!   │  │  │  │  └──●──▶         1: something else at one of them; what comes after it may differ
//!   │  │  │  └──●──●──▶
//!   :  :  └──●──●──▶
//!              └──▶             2: and something else once more, after that
//! ```
//!
//! First the run without deviations, then all with one, then all with two, and so on up to the bound: so
//! the first run that fails has as few deviations as any. Each run is made anew from its beginning.
//!
//! A choice is tried once in each state: where the cluster looks the same, and the choice is about the
//! same thing, what follows was seen already, after no more deviations.

use std::collections::VecDeque;

use labrt::collections::HashSet;

use super::choice::{Choice, Deviation, Point};

/// How far a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Runs, at most.
    pub runs: u64,
    /// Deviations in one run, at most.
    pub deviations: usize,
}

/// A walk through the tree of choices.
#[derive(Debug)]
pub struct Walk {
    limits: Limits,
    /// Of `depth` deviations each.
    now: VecDeque<Vec<Deviation>>,
    /// Of one more.
    next: VecDeque<Vec<Deviation>>,
    depth: usize,
    /// What was tried, or will be.
    tried: HashSet<(u64, Choice)>,
    states: HashSet<u64>,
    levels: Vec<Level>,
}

/// What was met in the runs with one number of deviations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Level {
    /// Runs.
    pub runs: u64,
    /// Points after their last deviation.
    pub points: u64,
    /// Choices there.
    pub choices: u64,
    /// Those of them that had been tried in the same state.
    pub repeated: u64,
}

impl Walk {
    /// At its beginning.
    #[must_use]
    pub fn new(limits: Limits) -> Walk {
        Walk {
            limits,
            now: VecDeque::from([Vec::new()]),
            next: VecDeque::new(),
            depth: 0,
            tried: HashSet::default(),
            states: HashSet::default(),
            levels: vec![Level::default()],
        }
    }

    /// The deviations of the next run; `None` if the walk is over.
    #[expect(clippy::should_implement_trait, reason = "each run decides what follows")]
    pub fn next(&mut self) -> Option<Vec<Deviation>> {
        if self.runs() >= self.limits.runs {
            return None;
        }
        if self.now.is_empty() {
            std::mem::swap(&mut self.now, &mut self.next);
            self.depth += 1;
            if !self.now.is_empty() {
                self.levels.push(Level::default());
            }
        }
        let run = self.now.pop_front()?;
        self.levels[self.depth].runs += 1;
        Some(run)
    }

    /// The run with these deviations met these points, from its beginning on.
    pub fn met(&mut self, run: &[Deviation], points: &[Point]) {
        let after = run.last().map_or(0, |last| last.point);
        let level = &mut self.levels[self.depth];
        let numbered = (1..).zip(points).filter(|(number, _)| *number > after);
        // The latest first, as whoever goes back in a tree has it.
        for (point, Point { state, choices, .. }) in numbered.collect::<Vec<_>>().into_iter().rev()
        {
            level.points += 1;
            self.states.insert(*state);
            for choice in *choices {
                level.choices += 1;
                if !self.tried.insert((*state, *choice)) {
                    level.repeated += 1;
                } else if run.len() < self.limits.deviations {
                    let next = Deviation { point, choice: *choice };
                    self.next.push_back(run.iter().copied().chain([next]).collect());
                }
            }
        }
    }

    /// Runs so far.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.levels.iter().map(|level| level.runs).sum()
    }

    /// States so far that were not equal.
    #[must_use]
    pub fn states(&self) -> usize {
        self.states.len()
    }

    /// What was met, by the number of deviations.
    #[must_use]
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// So many deviations or fewer have all been tried; `None` if not even the usual run has.
    #[must_use]
    pub fn exhausted(&self) -> Option<usize> {
        match (self.now.is_empty(), self.next.is_empty()) {
            (true, true) => Some(self.limits.deviations),
            (true, false) => Some(self.depth),
            (false, _) => self.depth.checked_sub(1),
        }
    }
}
