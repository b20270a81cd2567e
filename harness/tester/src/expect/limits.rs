//! Limits: what a run may spend, above all in silence.

use labrt::sim;
use labrt::time::{self, Duration};

use crate::cluster::Cluster;
use crate::report::Failure;
use crate::text::{at, span};

/// The lab asks for some tens of heartbeats a second at most, and the original lets thirty pass; ten are
/// enough. So a server that sends 25 is well below, and one that sends 50 is well above.
const HEARTBEATS_PER_SECOND: u64 = 30;

impl Cluster {
    /// Waits for a settled leader, and lets so much time pass in silence: the leader must stay, and
    /// send each follower at most 30 requests a second.
    pub fn expect_idle(&self, length: Duration) {
        let _checking = self.recorder().check(format!("heartbeats only, for {}", span(length)));
        let leader = self.expect_settled_leader();
        let before = self.requests_served();
        self.expect_stable(leader, length);
        let followers = self.len() as u64 - 1;
        self.expect_at_most(
            "requests in silence",
            self.requests_served() - before,
            followers * HEARTBEATS_PER_SECOND * length.as_secs(),
            &format!(
                "{followers} followers get {HEARTBEATS_PER_SECOND} heartbeats a second at most, for {}",
                span(length)
            ),
            "the heartbeat interval, and whether what once sent something still does",
        );
    }

    /// Lets so much time pass in silence, which must cost no more bytes than heartbeats do: whoever
    /// holds all entries is sent none again.
    pub fn expect_silence(&self, length: Duration, look_at: &str) {
        const HEARTBEAT_BYTES: u64 = 200;
        let _checking = self.recorder().check(format!("silence, for {}", span(length)));
        let before = self.stats().bytes;
        time::sleep(length);
        let followers = self.len() as u64 - 1;
        let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        self.expect_at_most(
            "bytes in silence",
            self.stats().bytes - before,
            followers * HEARTBEATS_PER_SECOND * millis * HEARTBEAT_BYTES / 1000,
            &format!(
                "{followers} followers, who have everything, get {HEARTBEATS_PER_SECOND} heartbeats \
                 of {HEARTBEAT_BYTES} bytes a second at most, for {}",
                span(length)
            ),
            look_at,
        );
    }

    /// Notes how close the run came to a limit, for its record.
    pub fn spends(&self, what: &str, spent: u64, limit: u64) {
        let mut budgets = self.measures().budgets.lock();
        let closest = budgets.entry(what.to_owned()).or_insert((spent, limit));
        if u128::from(spent) * u128::from(closest.1) > u128::from(closest.0) * u128::from(limit) {
            *closest = (spent, limit);
        }
    }

    /// What the run spent must be at most the limit.
    pub fn expect_at_most(&self, what: &str, spent: u64, limit: u64, why: &str, look_at: &str) {
        self.spends(what, spent, limit);
        if spent > limit {
            Failure::budget(&format!("too many {what}"))
                .expected(format!("at most {limit} {what}: {why}"))
                .happened(format!("{spent}, {}", at(sim::elapsed())))
                .look_at(look_at)
                .raise();
        }
    }
}
