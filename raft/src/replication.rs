//! Replication: appends, backing up, the commit rule (§5.3, §5.4.2, Figure 8).
//!
//! What a leader sends to a follower, and when:
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

use labgob::Bytes;
use raftapi::{EntryId, LogIndex, NotLeader, ServerId, Term};
use tracing::debug;

use crate::{
    log::Entry,
    message::{AppendEntriesArgs, AppendEntriesReply, AppendOutcome, Call, Request},
    snapshot::SNAPSHOT_RESEND_AFTER,
    state::{Role, State, Time},
};

/// The lab wants no more than some ten heartbeats a second, and no election timeout is less than
/// four of these.
pub(crate) const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(100);

/// Followers learn what is committed from the next append. If none comes this soon, they are sent
/// a heartbeat early, and apply without waiting for the regular one.
const COMMIT_NOTICE_DELAY: Duration = Duration::from_millis(10);

/// A call that the network reported lost is made again after this time, not at once: the network
/// may report immediately, and again and again.
const RETRY_DELAY: Duration = Duration::from_millis(20);

/// Heartbeats that are due so soon leave together with those that are due now.
const TOGETHER: Duration = Duration::from_millis(5);

/// Without an answer for so long, a follower is taken to be down or cut off, and sending it
/// entries to be a waste. It is several times the usual life of a call, so that a network with
/// many late replies is not taken for a dead one.
const SILENT_AFTER: Duration = Duration::from_secs(1);

/// How much of one follower's log the leader knows. Invariant: `match_index < next_index`.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Highest index known to be stored there; 0 while nothing is known. Never decreases.
    pub(crate) match_index: LogIndex,
    /// Index of the next entry to send; up to the log's base, a snapshot is sent instead. Falls
    /// when the follower refuses an append.
    pub(crate) next_index: LogIndex,
    /// The latest load, until it is answered or lost.
    on_the_way: Option<Load>,
    /// When the follower must be sent something, at the latest.
    pub(crate) due: Time,
    /// When it last answered; at first, when this leader was elected.
    heard: Time,
    /// Highest index that it has been told is committed.
    commit_told: LogIndex,
}

/// Entries or a snapshot under way to a follower.
#[derive(Debug)]
struct Load {
    /// Index of the first entry, or of the snapshot's last. Tells one load from another.
    start: LogIndex,
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
            on_the_way: None,
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
        !self.is_silent(now) && self.on_the_way.as_ref().is_none_or(is_lost)
    }

    /// A call was made. `load` is where its load starts, if it has one.
    fn sent(&mut self, load: Option<LogIndex>, resend_after: Duration, now: Time) {
        self.due = now + HEARTBEAT_INTERVAL;
        if let Some(start) = load {
            self.on_the_way = Some(Load { start, lost_at: now + resend_after });
        }
    }

    /// The call that carried this load has ended. Nothing changes if the call was a bare heartbeat
    /// (`None`), or if its load was given up and another one is on the way.
    fn call_ended(&mut self, load: Option<LogIndex>) {
        if self.on_the_way.as_ref().is_some_and(|latest| load == Some(latest.start)) {
            self.on_the_way = None;
        }
    }

    /// The follower's log agrees with the leader's up to `index`. A late reply may say less than
    /// is known already; nothing goes back.
    fn stored(&mut self, index: LogIndex) {
        self.match_index = self.match_index.max(index);
        self.next_index = self.next_index.max(self.match_index.next());
    }
}

impl State {
    /// Appends a command of this leader's service to its own log (§5.3), and returns at once.
    ///
    /// The caller sees to it that [`State::replicate`] runs soon.
    pub(crate) fn start(&mut self, command: &[u8]) -> Result<EntryId, NotLeader> {
        if !self.is_leader() {
            return Err(NotLeader { leader: self.leader() });
        }
        let id = self.log.append(Entry { term: self.term, command: Bytes::from(command) });
        debug!(target: "log", "starts {id}");
        Ok(id)
    }

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
        let base = self.log.base();
        let Role::Leader { followers } = &mut self.role else {
            unreachable!("only a leader makes requests to its followers")
        };
        let follower = followers.get_mut(&to).expect("each other server has its progress");
        let load = follower.may_be_loaded(now);
        if load && follower.next_index <= base.index {
            follower.sent(Some(base.index), SNAPSHOT_RESEND_AFTER, now);
            debug!(target: "snap", "sends {base} to {to}");
            return Request::Install(self.install_snapshot_args());
        }
        // While a snapshot is under way, the entry to compare is the one that it ends with.
        let prev = self.log.id_at(follower.next_index.prev()).unwrap_or(base);
        let first = prev.index.next();
        let entries = if load { self.log.entries_from(first).to_vec() } else { Vec::new() };
        if !entries.is_empty() {
            debug!(target: "log", "sends {first}..={} to {to}", self.log.last_id().index);
        }
        let args = AppendEntriesArgs {
            term: self.term,
            leader: self.me,
            prev,
            entries,
            leader_commit: self.commit,
        };
        follower.sent(args.load(), HEARTBEAT_INTERVAL, now);
        follower.commit_told = follower.commit_told.max(self.commit.min(args.last_index()));
        Request::Append(args)
    }

    /// Answers AppendEntries. Numbers are the receiver's rules in Figure 2.
    pub(crate) fn on_append_entries(
        &mut self,
        args: AppendEntriesArgs,
        now: Time,
    ) -> AppendEntriesReply {
        if args.term < self.term {
            return AppendEntriesReply { term: self.term, outcome: AppendOutcome::Stale }; // 1
        }
        self.follow(args.leader, args.term, now);
        let outcome = if self.log.contains(args.prev) {
            let last_new = args.last_index();
            self.take_in(args.prev, args.entries); // 3, 4
            self.commit_up_to(args.leader_commit.min(last_new)); // 5
            AppendOutcome::Accepted
        } else {
            AppendOutcome::Refused { newest: self.newest_shared(args.prev) } // 2
        };
        // Saved before the reply leaves: the leader counts this copy (§5.3).
        self.persist();
        AppendEntriesReply { term: self.term, outcome }
    }

    /// Rules 3 and 4: deletes what contradicts the leader's `entries` after `prev`, and adds what
    /// is missing. Without a contradiction nothing is deleted: the message may be old, and entries
    /// beyond its end acknowledged since.
    fn take_in(&mut self, prev: EntryId, entries: Vec<Entry>) {
        if let Some(conflict) = self.log.conflict(prev, &entries) {
            let commit = self.commit;
            assert!(conflict > commit, "the leader contradicts {conflict}; {commit} is committed");
            debug!(target: "log", "drops {conflict}..={}", self.log.last_id().index);
            self.log.truncate_from(conflict);
        }
        if self.log.append_missing(prev, entries) > 0 {
            debug!(target: "log", "now ends with {}", self.log.last_id());
        }
    }

    /// For a refusal: the newest entry that both logs could hold, this one lacking `prev` (§5.3).
    fn newest_shared(&self, prev: EntryId) -> EntryId {
        let newest = self.log.newest_within(prev).expect("prev is above the base, or it matches");
        debug!(target: "log", "lacks {prev}, may share {newest}");
        newest
    }

    /// Handles the reply to `asked`, and sends what the follower needs next.
    pub(crate) fn on_append_reply(
        &mut self,
        from: ServerId,
        asked: &AppendEntriesArgs,
        reply: &AppendEntriesReply,
        now: Time,
    ) -> Vec<Call> {
        if !self.take_answer(from, asked.term, reply.term, asked.load(), now) {
            return Vec::new();
        }
        match reply.outcome {
            AppendOutcome::Accepted => self.note_stored(from, asked.last_index(), now),
            AppendOutcome::Refused { newest } => {
                if !self.back_up(from, asked.prev, newest) {
                    return Vec::new(); // old news; what it asks for was sent meanwhile
                }
            }
            AppendOutcome::Stale => return Vec::new(),
        }
        self.replicate(now)
    }

    /// The network lost a request or its reply. What it was about is sent again soon, unless the
    /// follower seems to be down. A lost RequestVote is left to the next election.
    pub(crate) fn on_no_reply(&mut self, to: ServerId, asked: &Request, now: Time) {
        let (term, load) = match asked {
            Request::Vote(_) => return,
            Request::Append(args) => (args.term, args.load()),
            Request::Install(args) => (args.term, Some(args.last_included.index)),
        };
        if term != self.term {
            return;
        }
        let Role::Leader { followers } = &mut self.role else { return };
        let follower = followers.get_mut(&to).expect("each other server has its progress");
        follower.call_ended(load);
        if !follower.is_silent(now) {
            follower.due = follower.due.min(now + RETRY_DELAY);
        }
    }

    /// Whether a reply to this leader still matters: neither did the term move on during the call,
    /// nor does the reply end it. If so, notes that the follower answered a call with this load.
    pub(crate) fn take_answer(
        &mut self,
        from: ServerId,
        asked: Term,
        replied: Term,
        load: Option<LogIndex>,
        now: Time,
    ) -> bool {
        if self.adopt_newer_term(replied, now) {
            self.persist();
            return false;
        }
        if asked != self.term {
            return false;
        }
        // Whoever asked in this term as its leader leads it still: a term has one leader, and
        // nothing but a newer term ends its office.
        let Role::Leader { followers } = &mut self.role else { return false };
        let follower = followers.get_mut(&from).expect("each other server has its progress");
        follower.heard = now;
        follower.call_ended(load);
        true
    }

    /// A follower's log agrees with this one up to `index`.
    pub(crate) fn note_stored(&mut self, from: ServerId, index: LogIndex, now: Time) {
        let Role::Leader { followers } = &mut self.role else { return };
        followers.get_mut(&from).expect("each other server has its progress").stored(index);
        self.advance_commit();
        self.schedule_commit_notices(now);
    }

    /// A follower refused an append after `prev`, and holds nothing newer than `newest` that both
    /// could share. Steps back to where the logs may meet (§5.3); says whether it did.
    ///
    /// Replies come late and out of order. One that is not about the current `next_index`, or
    /// denies what the follower has acknowledged, says nothing about now.
    fn back_up(&mut self, from: ServerId, prev: EntryId, newest: EntryId) -> bool {
        let Role::Leader { followers } = &mut self.role else { return false };
        let follower = followers.get_mut(&from).expect("each other server has its progress");
        if prev.index.next() != follower.next_index || prev.index <= follower.match_index {
            return false;
        }
        // Of the entries that both could hold, the newest one here. If it is in the snapshot
        // already, this leads below the base, and the snapshot will be sent.
        let shared = self.log.newest_within(newest).map_or(newest.index, |id| id.index);
        let lowest = follower.match_index.next();
        follower.next_index = shared.next().clamp(lowest, prev.index);
        follower.on_the_way = None; // it was built on `prev`, too, and will be refused as well
        debug!(target: "log", "backs up to {} for {from}", follower.next_index);
        true
    }

    /// Commits up to the newest entry a majority stores, if it is of this term.
    ///
    /// Counting copies is safe for the current term only: in Figure 8(c) an older entry sits on a
    /// majority and is erased in 8(d). Older entries commit by riding under a newer one (§5.4.2).
    fn advance_commit(&mut self) {
        let Role::Leader { followers } = &self.role else { return };
        let own = self.log.last_id().index; // saved before it was sent, and so before any answer
        let mut stored: Vec<LogIndex> =
            followers.values().map(|follower| follower.match_index).chain([own]).collect();
        stored.sort_unstable();
        let on_majority = stored[stored.len() - self.majority()];
        if self.log.term_at(on_majority) == Some(self.term) {
            self.commit_up_to(on_majority);
        }
    }

    /// Raises the commit index; it never goes back.
    fn commit_up_to(&mut self, index: LogIndex) {
        if index > self.commit {
            self.commit = index;
            debug!(target: "commit", "{index}");
        }
    }

    /// Sees to it that followers hear soon of the entries they store and may now apply.
    fn schedule_commit_notices(&mut self, now: Time) {
        let commit = self.commit;
        let Role::Leader { followers } = &mut self.role else { return };
        for follower in followers.values_mut() {
            let could_apply = commit.min(follower.match_index);
            if follower.commit_told < could_apply && !follower.is_silent(now) {
                follower.due = follower.due.min(now + COMMIT_NOTICE_DELAY);
            }
        }
    }
}
