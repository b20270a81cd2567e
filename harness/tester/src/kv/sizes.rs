//! How large logs and snapshots become, looked at after every single save.

use std::sync::Arc;

use labrt::sim;
use labrt::time::Duration;
use parking_lot::Mutex;
use raftapi::harness::Disk as _;
use raftapi::{Persister, ServerId};

use super::KvCluster;
use crate::report::Failure;
use crate::text::at;

/// The saved Raft state may become this many times as large as its limit, as in the original (which
/// looks only when a test is over). It is much: what a service that looks at the size now and then
/// lets pass, and what a leader without a majority takes in.
const TIMES_LIMIT: usize = 8;

/// What was saved so far.
pub(crate) struct Sizes {
    /// Of the Raft state, in bytes; `None` if there are to be no snapshots.
    limit: Option<usize>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    state: Peak,
    snapshot: Peak,
}

/// The most of something.
#[derive(Debug, Clone, Copy, Default)]
struct Peak {
    bytes: usize,
    server: ServerId,
    when: Duration,
}

impl Peak {
    fn see(&mut self, bytes: usize, server: ServerId) {
        if bytes > self.bytes {
            *self = Peak { bytes, server, when: sim::elapsed() };
        }
    }
}

impl Sizes {
    pub(crate) fn new(limit: Option<usize>) -> Sizes {
        Sizes { limit, seen: Mutex::new(Seen::default()) }
    }
}

/// Looks at all that this server and its successors save.
pub(crate) fn watch(sizes: &Arc<Sizes>, server: ServerId, persister: &Persister) {
    let sizes = Arc::clone(sizes);
    persister.on_save(move |persister| {
        let mut seen = sizes.seen.lock();
        seen.state.see(persister.raft_state_size(), server);
        seen.snapshot.see(persister.snapshot_size(), server);
    });
}

impl KvCluster {
    /// What has been saved so far is within the limits. Looked at after each operation.
    pub(crate) fn expect_sizes(&self) {
        let seen = *self.shared.sizes.seen.lock();
        match self.shared.sizes.limit {
            None if seen.snapshot.bytes > 0 => needless_snapshot(seen.snapshot).raise(),
            Some(limit) if seen.state.bytes > TIMES_LIMIT * limit => {
                log_too_large(seen.state, limit).raise()
            }
            _ => {}
        }
    }

    /// The Raft state saved by any server so far was not larger than this.
    pub fn expect_state_within(&self, bytes: usize, why: &str) {
        let Peak { bytes: found, server, when } = self.shared.sizes.seen.lock().state;
        if found > bytes {
            Failure::budget("the log is too large")
                .expected(format!("at most {bytes} bytes of Raft state: {why} (Raft 7)"))
                .happened(format!("{server} saved {found} bytes, {}", at(when)))
                .look_at("when the service looks at the size of the Raft state, and what snapshot() leaves of the log")
                .raise();
        }
    }

    /// No snapshot so far was larger than this.
    pub fn expect_snapshots_within(&self, bytes: usize, why: &str) {
        let Peak { bytes: found, server, when } = self.shared.sizes.seen.lock().snapshot;
        if found > bytes {
            Failure::budget("a snapshot is too large")
                .expected(format!("at most {bytes} bytes: {why}"))
                .happened(format!("{server} saved one of {found} bytes, {}", at(when)))
                .look_at("what a snapshot holds besides the keys and their values, and what of that is still needed")
                .raise();
        }
    }

    /// No server has taken more snapshots than this.
    pub fn expect_snapshots_at_most(&self, most: u64, why: &str) {
        for server in self.servers() {
            let found = self.persister(server).snapshots();
            if found > most {
                Failure::budget("too many snapshots")
                    .expected(format!("at most {most} snapshots on each server: {why}"))
                    .happened(format!("{server} saved {found}, {}", at(sim::elapsed())))
                    .look_at("what has to be true of the saved Raft state before a snapshot is worth its price")
                    .raise();
            }
        }
    }

    /// This server holds a snapshot.
    pub fn expect_snapshot_on(&self, server: ServerId, why: &str) {
        if self.persister(server).snapshot_size() == 0 {
            Failure::budget("no snapshot")
                .expected(format!("{server} holds a snapshot: {why}"))
                .happened(format!("its persister holds none, {}", at(sim::elapsed())))
                .look_at("when a server takes a snapshot; how a follower is served whose entries the leader has no more (Raft 7)")
                .raise();
        }
    }
}

fn needless_snapshot(peak: Peak) -> Failure {
    let Peak { bytes, server, when } = peak;
    Failure::budget("a snapshot, though there are to be none")
        .expected("no snapshot is saved when there is no limit of the Raft state")
        .happened(format!("{server} saved one of {bytes} bytes, {}", at(when)))
        .look_at("what `None` for `max_raft_state` means")
}

fn log_too_large(peak: Peak, limit: usize) -> Failure {
    let Peak { bytes, server, when } = peak;
    Failure::budget("the log is too large")
        .expected(format!(
            "the saved Raft state never exceeds {} bytes, {TIMES_LIMIT} times its limit (Raft 7)",
            TIMES_LIMIT * limit
        ))
        .happened(format!("{server} saved {bytes} bytes, {}", at(when)))
        .look_at("when the service looks at the size of the Raft state, and what snapshot() leaves of the log")
}
