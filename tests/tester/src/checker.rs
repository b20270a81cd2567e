//! Where everything that is seen of the cluster is brought together and checked at once.

use std::sync::atomic::{AtomicU64, Ordering};

use labrt::sim;
use labrt::sync::{Condvar, Mutex};
use labrt::time::{Duration, Instant};
use raftapi::{LogIndex, RaftView, ServerId, Term};

use crate::applied::Applied;
use crate::elections::Elections;
use crate::log;
use crate::logs::Logs;
use crate::report::Failure;

/// What is measured of a run; it outlives the run, also one that fails.
#[derive(Debug, Default)]
pub struct Measures {
    /// Requests sent.
    pub rpcs: AtomicU64,
    /// Bytes of requests sent and replies delivered.
    pub bytes: AtomicU64,
    /// Highest index that any server applied.
    pub commands: AtomicU64,
}

impl Measures {
    /// Back to zero, for a second run.
    pub fn reset(&self) {
        for value in [&self.rpcs, &self.bytes, &self.commands] {
            value.store(0, Ordering::Relaxed);
        }
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
    /// What servers showed of their logs.
    pub logs: Logs,
}

impl Checker {
    /// An empty history for so many servers.
    pub fn new(servers: usize) -> Checker {
        let history = History {
            applied: Applied::new(servers),
            elections: Elections::new(servers),
            logs: Logs::default(),
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
            Err(failure) => failure.raise(),
        }
    }

    /// Enters something that others may wait for.
    pub fn tell_all(&self, news: impl FnOnce(&mut History, Duration) -> Result<(), Failure>) {
        self.tell(news);
        self.changed.notify_all();
    }

    /// A server showed its term and whether it leads.
    pub fn saw(&self, server: ServerId, incarnation: u32, state: (Term, bool)) {
        let seen = self.tell(|history, now| history.elections.saw(server, incarnation, state, now));
        if seen.new_leader {
            tracing::info!(target: log::TEST, "{server} leads {}", state.0);
        }
    }

    /// A server showed its log.
    pub fn saw_log(&self, server: ServerId, view: &RaftView) {
        self.tell(|History { logs, applied, .. }, now| logs.saw(server, view, applied, now));
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
