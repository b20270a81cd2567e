//! What has been counted so far: messages, bytes, snapshots, and the sizes of what servers have saved.

use labrpc::Stats;
use labrt::time::Duration;
use raftapi::ServerId;

use super::Cluster;

impl Cluster {
    /// What the network has carried so far.
    pub fn stats(&self) -> Stats {
        self.shared.network.stats()
    }

    /// Requests that the servers' handlers have executed so far.
    pub fn requests_served(&self) -> u64 {
        let served = |server: ServerId| self.shared.network.requests_served(&server.to_string());
        self.servers().map(served).sum()
    }

    /// When this server called others as their leader, from `from` on.
    pub(crate) fn calls_since(&self, server: ServerId, from: Duration) -> Vec<Duration> {
        self.shared.calls.since(server, from)
    }

    /// Bytes of the requests that one server has sent another so far.
    pub fn bytes_sent(&self, from: ServerId, to: ServerId) -> u64 {
        self.shared.calls.bytes(from, to)
    }

    /// How many snapshots one server has sent another since then.
    pub fn snapshots_sent(&self, from: ServerId, to: ServerId, since: Duration) -> u64 {
        self.shared.calls.snapshots(from, to, since)
    }

    /// Largest Raft state that any persister holds, in bytes, snapshots not included; and whose.
    pub fn largest_state(&self) -> (usize, ServerId) {
        let servers = self.shared.servers.lock();
        let size = |server: ServerId| (servers[server.0].persister.raft_state_size(), server);
        self.servers().map(size).max().unwrap_or_default()
    }
}
