//! What a test expects of a cluster: each method waits up to a stated deadline, and reports.
//!
//! Deadlines are the original's, exact because time is virtual.

mod accepted;
mod agreement;
mod applied;
mod leaders;
mod limits;

use labrt::time::Duration;
use raftapi::{ServerId, Term};

pub use self::agreement::{AGREEMENT, COMMIT, PROGRESS};
use crate::cluster::Cluster;

/// A generous election timeout: the tester's unit of patience, not the servers' own timeout.
pub const ELECTION_TIMEOUT: Duration = Duration::from_secs(1);

impl Cluster {
    /// The test relies on something having happened that a right server cannot prevent.
    ///
    /// # Panics
    ///
    /// If it did not: then the test is wrong, and says so.
    pub fn relies_on(&self, happened: bool, what: &str) {
        assert!(happened, "the test did not do what it is for: {what}");
    }

    fn states(&self) -> Vec<(ServerId, Term, bool)> {
        let state = |server| self.look(server).map(|(term, leads)| (server, term, leads));
        self.reachable().into_iter().filter_map(state).collect()
    }
}

fn show_state(term: Term, leads: bool) -> String {
    if leads { format!("leader in {term}") } else { format!("in {term}, not leading") }
}

fn describe(states: &[(ServerId, Term, bool)]) -> String {
    let one = |(server, term, leads): &(ServerId, Term, bool)| {
        format!("{server} {}", show_state(*term, *leads))
    };
    states.iter().map(one).collect::<Vec<_>>().join(", ")
}
