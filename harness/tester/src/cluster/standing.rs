//! Who is up and who is connected: in truth, and as the story believes.

use std::sync::atomic::{AtomicU64, Ordering};

use raftapi::ServerId;

use super::Cluster;

/// Who runs, and who is down only in the story. Not behind the lock of the servers: to look at it
/// must not be a step of the run.
#[derive(Default)]
pub(super) struct Standing {
    /// A bit for each server.
    running: AtomicU64,
    /// They were started, and have not been seen to act since.
    pub(super) new: AtomicU64,
    believed_down: AtomicU64,
}

impl Standing {
    pub(super) fn runs(&self, server: ServerId) -> bool {
        self.running.load(Ordering::Relaxed) & bit(server) != 0
    }

    pub(super) fn set_runs(&self, server: ServerId, runs: bool) {
        set(&self.running, server, runs);
    }

    /// Its crash was left out.
    pub(super) fn only_believed_down(&self, server: ServerId) -> bool {
        self.believed_down.load(Ordering::Relaxed) & bit(server) != 0
    }

    pub(super) fn believe_down(&self, server: ServerId, down: bool) {
        set(&self.believed_down, server, down);
    }
}

pub(super) fn bit(server: ServerId) -> u64 {
    1 << server.0
}

pub(super) fn set(bits: &AtomicU64, server: ServerId, to: bool) {
    if to {
        bits.fetch_or(bit(server), Ordering::Relaxed);
    } else {
        bits.fetch_and(!bit(server), Ordering::Relaxed);
    }
}

#[derive(Clone, Copy)]
pub(super) struct Told {
    pub(super) up: bool,
    pub(super) connected: bool,
}

impl Cluster {
    /// The servers that are connected.
    pub fn connected(&self) -> Vec<ServerId> {
        let servers = self.shared.servers.lock();
        self.servers().filter(|server| servers[server.0].told.connected).collect()
    }

    /// Is this server connected?
    pub fn is_connected(&self, server: ServerId) -> bool {
        self.shared.servers.lock()[server.0].told.connected
    }

    /// Is this server up?
    pub fn is_up(&self, server: ServerId) -> bool {
        self.shared.servers.lock()[server.0].told.up
    }

    /// How many servers are up.
    pub fn count_up(&self) -> usize {
        self.shared.servers.lock().iter().filter(|server| server.told.up).count()
    }

    /// The servers that really are connected, whatever the story believes.
    pub(crate) fn reachable(&self) -> Vec<ServerId> {
        let servers = self.shared.servers.lock();
        self.servers().filter(|server| servers[server.0].connected).collect()
    }

    /// Is this server really connected?
    pub(crate) fn is_reachable(&self, server: ServerId) -> bool {
        self.shared.servers.lock()[server.0].connected
    }

    /// Has the cluster met everything that the story has done to it? If not, a run is being repeated
    /// with faults left out, and nothing may be expected that only they bring about.
    pub fn is_as_told(&self) -> bool {
        self.choices().is_as_told()
    }

    /// Was this server started, and not seen to ask or answer anybody since?
    pub(crate) fn is_new(&self, server: ServerId) -> bool {
        self.shared.standing.new.load(Ordering::Relaxed) & bit(server) != 0
    }

    /// It was seen to do so.
    pub(crate) fn is_new_no_more(&self, server: ServerId) {
        set(&self.shared.standing.new, server, false);
    }
}
