//! Where everything that is seen of the cluster is brought together and checked at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use labrt::sim;
use labrt::sync::{Condvar, Mutex};
use labrt::time::{Duration, Instant};
use raftapi::{LogIndex, ServerId, Term};

use crate::applied::Applied;
use crate::coverage::Coverage;
use crate::elections::{Elections, Seen};
use crate::inspect::Sight;
use crate::report::Failure;
use crate::views::Views;

/// What is measured of a run; it outlives the run, also one that fails.
#[derive(Debug, Default)]
pub struct Measures {
    /// Requests sent.
    pub rpcs: AtomicU64,
    /// Bytes of requests sent and replies delivered.
    pub bytes: AtomicU64,
    /// Highest index that any server applied.
    pub commands: AtomicU64,
    /// How often a server was started.
    pub lives: AtomicU64,
    /// The first broken rule that a thorough look found, and when.
    pub found: parking_lot::Mutex<Option<(Duration, Failure)>>,
    /// What is to be said besides.
    pub remarks: parking_lot::Mutex<Vec<String>>,
    /// What was spent of each budget, and how much there was; if several times, where that came closest.
    pub budgets: parking_lot::Mutex<BTreeMap<String, (u64, u64)>>,
    /// And what the story says of itself.
    pub notes: parking_lot::Mutex<Vec<String>>,
    /// What the seed has chosen of the world, if that is for it to choose.
    pub environment: parking_lot::Mutex<Option<String>>,
    /// What the run met; while it goes on, only if the story counts that.
    pub coverage: parking_lot::Mutex<Option<Arc<Coverage>>>,
}

impl Measures {
    /// Back to zero, for a second run.
    pub fn reset(&self) {
        for value in [&self.rpcs, &self.bytes, &self.commands, &self.lives] {
            value.store(0, Ordering::Relaxed);
        }
        *self.found.lock() = None;
        self.remarks.lock().clear();
        self.notes.lock().clear();
        self.budgets.lock().clear();
        *self.environment.lock() = None;
        *self.coverage.lock() = None;
    }
}

/// The history of the run. Every task of the tester tells it what it sees, and can wait in it for
/// something to be applied.
///
/// Its lock is held for plain data only: never while a server is called.
pub struct Checker {
    history: Mutex<History>,
    changed: Condvar,
}

/// What happened so far.
pub struct History {
    /// Commands given and applied.
    pub applied: Applied,
    /// Terms and leaders.
    pub elections: Elections,
    /// What servers showed of themselves.
    pub views: Views,
}

impl Checker {
    /// An empty history for so many servers.
    pub fn new(servers: usize) -> Checker {
        let history = History {
            applied: Applied::new(servers),
            elections: Elections::new(servers),
            views: Views::new(servers),
        };
        Checker { history: Mutex::new(history), changed: Condvar::new() }
    }

    /// Looks something up.
    pub fn ask<T>(&self, question: impl FnOnce(&History) -> T) -> T {
        question(&self.history.lock())
    }

    /// Enters something. If it breaks a rule, that ends the run.
    pub fn tell<T>(&self, news: impl FnOnce(&mut History, Duration) -> Result<T, Failure>) -> T {
        let now = sim::elapsed();
        // The lock is open again before anybody is woken, and before a failure is raised.
        let outcome = news(&mut self.history.lock(), now);
        match outcome {
            Ok(value) => value,
            Err(failure) => failure.always().raise(),
        }
    }

    /// Enters something that others may wait for.
    pub fn tell_all(&self, news: impl FnOnce(&mut History, Duration) -> Result<(), Failure>) {
        self.tell(news);
        self.changed.notify_all();
    }

    /// A server showed its term and whether it leads.
    pub fn saw(&self, server: ServerId, incarnation: u32, state: (Term, bool)) -> Seen {
        self.tell(|history, now| history.elections.saw(server, incarnation, state, now))
    }

    /// A server was looked into, if that was possible.
    pub(crate) fn saw_view(&self, server: ServerId, sight: Option<Sight>) {
        self.tell(|history, now| {
            sight.map_or(Ok(()), |sight| saw_view(history, server, sight, now))
        });
    }

    /// The same, by whoever looks on ([`sim::observe`]); not if somebody is at the history just now.
    pub(crate) fn glanced_at_view(&self, server: ServerId, sight: Sight) {
        let now = sim::elapsed();
        let seen = sim::observe(|| saw_view(&mut self.history.lock(), server, sight, now));
        if let Some(Err(failure)) = seen {
            failure.always().raise()
        }
    }

    /// Waits until `condition` holds, and says whether it did before the deadline. It is tried
    /// again after every apply.
    pub fn wait_until(&self, deadline: Instant, condition: impl Fn(&History) -> bool) -> bool {
        let mut history = self.history.lock();
        while !condition(&history) {
            if self.changed.wait_until(&mut history, deadline).timed_out() {
                return condition(&history);
            }
        }
        true
    }

    /// How many servers that are up have applied this index.
    pub fn count(&self, index: LogIndex) -> usize {
        self.ask(|history| history.applied.count(index))
    }
}

fn saw_view(
    History { views, applied, elections }: &mut History,
    server: ServerId,
    Sight { incarnation, state, view, .. }: Sight,
    now: Duration,
) -> Result<(), Failure> {
    let Some(view) = view else {
        views.nothing();
        return Ok(());
    };
    let known = (elections.began(state.0), &*applied);
    views.saw((server, incarnation), state, view, known, now)
}
