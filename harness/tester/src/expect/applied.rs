//! Commands applied: which servers have applied an index, in time or ever.

use labgob::Bytes;
use labrt::sim;
use labrt::time::{Duration, Instant};
use raftapi::{LogIndex, Term};

use crate::cluster::Cluster;
use crate::report::Failure;
use crate::text::{at, command as show, span};

/// How long the original waits for an index to be applied.
const APPLY: Duration = Duration::from_secs(31);

impl Cluster {
    /// Waits until so many servers that are up have applied this index, at most 31 s.
    pub fn expect_applied(&self, index: LogIndex, servers: usize) {
        let _checking = self.recorder().check(format!("{index} on {servers} servers"));
        if !self.applied_within(index, servers, APPLY) {
            let progress: Vec<String> = self
                .servers()
                .map(|server| {
                    let applied = self.checker().ask(|h| h.applied.progress(server));
                    applied.map_or(format!("{server} is down"), |i| format!("{server} {i}"))
                })
                .collect();
            Failure::liveness("a committed command was not applied")
                .expected(format!("{servers} servers apply {index} within {}", span(APPLY)))
                .happened(format!(
                    "{} they have applied: {}",
                    at(sim::elapsed()),
                    progress.join(", ")
                ))
                .look_at(
                    "how a follower that was away learns what it missed, and what is committed",
                )
                .raise();
        }
    }

    /// Waits until so many servers that are up have applied this index, and says if they did.
    pub fn applied_within(&self, index: LogIndex, servers: usize, patience: Duration) -> bool {
        self.checker().wait_until(Instant::now() + patience, |history| {
            history.applied.count(index) >= servers
        })
    }

    /// As [`expect_applied`](Self::expect_applied), but gives up when any server is in a newer term
    /// than `term`: then the entry may be gone, and `None` is returned.
    pub fn expect_applied_in(&self, term: Term, index: LogIndex, servers: usize) -> Option<Bytes> {
        let _checking = self.recorder().check(format!("{index} of {term} on {servers} servers"));
        let deadline = Instant::now() + APPLY;
        while !self.applied_within(index, servers, Duration::from_millis(20)) {
            if self.newest_term() > term {
                return None;
            }
            if Instant::now() >= deadline {
                self.expect_applied(index, servers);
            }
        }
        self.checker().ask(|history| history.applied.at(index).cloned())
    }

    /// Checks that no server ever applied this index.
    pub fn expect_nothing_at(&self, index: LogIndex) {
        let _checking = self.recorder().check(format!("nothing at {index}"));
        if !self.is_as_told() {
            return;
        }
        let first = self.checker().ask(|history| {
            let first = history.applied.first(index);
            first.zip(history.applied.at(index).cloned())
        });
        if let Some(((server, when), command)) = first {
            Failure::safety("a command was applied without a majority")
                .expected(format!("nothing is applied at {index}: no majority can have stored it (Raft 5.3)"))
                .happened(format!("{server} applied {} there {}", show(&command), at(when)))
                .look_at("how many servers must hold an entry before it is committed, and how they are counted")
                .raise();
        }
    }
}
