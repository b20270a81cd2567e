//! What a leader knows of each follower, and what it sends to it when.
//!
//! - Something at least every [`HEARTBEAT_INTERVAL`].
//! - New entries at once, but only one load (entries, or a snapshot) is on the way to a follower
//!   at a time. Commands that arrive meanwhile go together when it is answered.
//! - A load that stays unanswered is sent again with the next heartbeat. Calls may hang for
//!   seconds; nothing here waits for one to end.
//! - A follower that has been silent for [`SILENT_AFTER`] gets bare heartbeats. Whatever it
//!   answers, it is sent what it lacks.
//!
//! When a follower needs a snapshot instead is decided here; what becomes of it, in snapshot.rs.

use std::time::Duration;

use raftapi::{LogIndex, ServerId};
use tracing::debug;

use crate::{
    message::{AppendEntriesArgs, Call, Request},
    snapshot::SNAPSHOT_RESEND_AFTER,
    state::{Role, State, Time},
};

/// The lab wants no more than some ten heartbeats a second, and no election timeout is less than
/// four of these.
pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(100);

/// Followers learn what is committed from the next append. If none comes this soon, they are sent
/// a heartbeat early, and apply without waiting for the regular one.
pub(crate) const COMMIT_NOTICE_DELAY: Duration = Duration::from_millis(10);

/// A call that the network reported lost is made again after this time, not at once: the network
/// may report immediately, and again and again.
pub(crate) const RETRY_DELAY: Duration = Duration::from_millis(20);

/// Heartbeats that are due so soon leave together with those that are due now.
const TOGETHER: Duration = Duration::from_millis(5);

/// Without an answer for so long, a follower is taken to be down or cut off, and sending it
/// entries to be a waste. It is several times the usual life of a call, so that a network with
/// many late replies is not taken for a dead one.
pub(crate) const SILENT_AFTER: Duration = Duration::from_secs(1);

/// How much of one follower's log the leader knows. Invariant: `match_index < next_index`.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Highest index known to be stored there; 0 while nothing is known. Never decreases.
    pub(crate) match_index: LogIndex,
    /// Index of the next entry to send; if the snapshot includes it, that is sent instead. Falls
    /// when the follower refuses an append.
    pub(crate) next_index: LogIndex,
    /// The latest load, until it is answered or lost.
    pub(crate) in_flight: Option<Load>,
    /// When the follower must be sent something, at the latest.
    pub(crate) due: Time,
    /// When it last answered; at first, when this leader was elected.
    pub(crate) heard: Time,
    /// Highest index that it has been told is committed.
    commit_told: LogIndex,
}

/// Entries or a snapshot under way to a follower.
#[derive(Debug)]
pub(crate) struct Load {
    /// Index of the first entry, or of the snapshot's last. Tells one load from another.
    pub(crate) start: LogIndex,
    /// Index of the last entry. When that is known to be stored, the load has arrived.
    pub(crate) end: LogIndex,
    /// From then on it counts as lost.
    lost_at: Time,
}

impl Progress {
    /// At the start of a leadership: nothing is known, the logs may well be equal, and a first
    /// heartbeat is due.
    pub(crate) fn new(next_index: LogIndex, now: Time) -> Progress {
        Progress {
            match_index: LogIndex(0),
            next_index,
            in_flight: None,
            due: now,
            heard: now,
            commit_told: LogIndex(0),
        }
    }

    fn is_silent(&self, now: Time) -> bool {
        now >= self.heard + SILENT_AFTER
    }

    /// Whether it may be sent entries or a snapshot now, and not only a heartbeat.
    fn may_be_loaded(&self, now: Time) -> bool {
        let is_lost = |load: &Load| load.lost_at <= now + TOGETHER;
        !self.is_silent(now) && self.in_flight.as_ref().is_none_or(is_lost)
    }

    /// A call is made, with this load or none.
    fn sent(&mut self, load: Option<Load>, now: Time) {
        self.due = now + HEARTBEAT_INTERVAL;
        if load.is_some() {
            self.in_flight = load;
        }
    }

    /// The call that carried this load has ended. Nothing changes if the call was a bare heartbeat
    /// (`None`), or if its load was given up and another one is on the way.
    pub(crate) fn call_ended(&mut self, load: Option<LogIndex>) {
        if self.in_flight.as_ref().is_some_and(|latest| load == Some(latest.start)) {
            self.in_flight = None;
        }
    }

    /// The follower's log agrees with the leader's up to `index`. A late reply may say less than
    /// is known already; nothing goes back.
    pub(crate) fn stored(&mut self, index: LogIndex) {
        self.match_index = self.match_index.max(index);
        self.next_index = self.next_index.max(self.match_index.next());
        if self.in_flight.as_ref().is_some_and(|load| load.end <= self.match_index) {
            self.in_flight = None;
        }
    }
}

impl State {
    /// Sends every follower what it lacks, unless a load is on the way to it already.
    pub(crate) fn replicate(&mut self, now: Time) -> Vec<Call> {
        let Role::Leader { followers } = &self.role else { return Vec::new() };
        let last = self.log.last_id().index;
        let lacks =
            |follower: &Progress| follower.next_index <= last && follower.may_be_loaded(now);
        let behind: Vec<ServerId> = followers
            .iter()
            .filter(|(_, follower)| lacks(follower))
            .map(|(&peer, _)| peer)
            .collect();
        if self.others.is_empty() {
            self.persist();
            self.advance_commit(); // this server alone is the majority
        }
        self.send_to(&behind, now)
    }

    /// Sends the followers that are due their heartbeat, with what they lack.
    pub(crate) fn send_due(&mut self, now: Time) -> Vec<Call> {
        let Role::Leader { followers } = &self.role else { return Vec::new() };
        let due: Vec<ServerId> = followers
            .iter()
            .filter(|(_, follower)| follower.due <= now + TOGETHER)
            .map(|(&peer, _)| peer)
            .collect();
        self.send_to(&due, now)
    }

    fn send_to(&mut self, peers: &[ServerId], now: Time) -> Vec<Call> {
        if peers.is_empty() {
            return Vec::new();
        }
        // Before entries leave, and so before an answer can make this server count its own copy.
        self.persist();
        peers.iter().map(|&to| Call { to, request: self.next_request(to, now) }).collect()
    }

    /// The request that serves this follower best now: what it lacks, or a bare heartbeat.
    fn next_request(&mut self, to: ServerId, now: Time) -> Request {
        let base = self.log.last_included();
        let Role::Leader { followers } = &mut self.role else {
            unreachable!("only a leader makes requests to its followers")
        };
        let follower = followers.get_mut(&to).expect("each other server has its progress");
        let load = follower.may_be_loaded(now);
        if load && follower.next_index <= base.index {
            let lost_at = now + SNAPSHOT_RESEND_AFTER;
            follower.sent(Some(Load { start: base.index, end: base.index, lost_at }), now);
            debug!(target: "snap", "sends {base} to {to}");
            return Request::Install(self.install_snapshot_args());
        }
        // While a snapshot is under way, the entry to compare is the one that it ends with.
        let prev_log = self.log.id_at(follower.next_index.prev()).unwrap_or(base);
        let first = prev_log.index.next();
        let entries = if load { self.log.entries_from(first).to_vec() } else { Vec::new() };
        if !entries.is_empty() {
            debug!(target: "log", "sends {first}..={} to {to}", self.log.last_id().index);
        }
        let args = AppendEntriesArgs {
            term: self.current_term,
            leader_id: self.me,
            prev_log,
            entries,
            leader_commit: self.commit_index,
        };
        let (end, lost_at) = (args.last_index(), now + HEARTBEAT_INTERVAL);
        follower.sent(args.load().map(|start| Load { start, end, lost_at }), now);
        follower.commit_told = follower.commit_told.max(self.commit_index.min(args.last_index()));
        Request::Append(args)
    }

    /// The network lost a request or its reply. What it was about is sent again soon, unless the
    /// follower seems to be down.
    pub(crate) fn on_no_reply(&mut self, to: ServerId, asked: &Request, now: Time) {
        let (term, load) = match asked {
            Request::Vote(args) => return self.on_vote_lost(to, args.term, now),
            Request::Append(args) => (args.term, args.load()),
            Request::Install(args) => (args.term, Some(args.last_included.index)),
        };
        if term != self.current_term {
            return;
        }
        let Role::Leader { followers } = &mut self.role else { return };
        let follower = followers.get_mut(&to).expect("each other server has its progress");
        follower.call_ended(load);
        if !follower.is_silent(now) {
            follower.due = follower.due.min(now + RETRY_DELAY);
        }
    }

    /// Sees to it that followers hear soon of the entries they store and may now apply.
    pub(crate) fn schedule_commit_notices(&mut self, now: Time) {
        let commit = self.commit_index;
        let Role::Leader { followers } = &mut self.role else { return };
        for follower in followers.values_mut() {
            let could_apply = commit.min(follower.match_index);
            if follower.commit_told < could_apply && !follower.is_silent(now) {
                follower.due = follower.due.min(now + COMMIT_NOTICE_DELAY);
            }
        }
    }
}
