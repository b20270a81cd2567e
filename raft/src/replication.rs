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
pub(crate) const RETRY_DELAY: Duration = Duration::from_millis(20);

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
    /// Index of the last entry. When that is known to be stored, the load has arrived.
    end: LogIndex,
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

    /// A call is made, with this load or none.
    fn sent(&mut self, load: Option<Load>, now: Time) {
        self.due = now + HEARTBEAT_INTERVAL;
        if load.is_some() {
            self.on_the_way = load;
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
        if self.on_the_way.as_ref().is_some_and(|load| load.end <= self.match_index) {
            self.on_the_way = None;
        }
    }
}

impl State {
    /// Appends a command of this leader's service to its own log (§5.3), and returns at once.
    ///
    /// The caller sees to it that [`State::replicate`] runs soon.
    pub(crate) fn start(&mut self, command: Bytes) -> Result<EntryId, NotLeader> {
        if !self.is_leader() {
            return Err(NotLeader { leader: self.leader() });
        }
        let id = self.log.append(Entry { term: self.term, command });
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
            let lost_at = now + SNAPSHOT_RESEND_AFTER;
            follower.sent(Some(Load { start: base.index, end: base.index, lost_at }), now);
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
        let (end, lost_at) = (args.last_index(), now + HEARTBEAT_INTERVAL);
        follower.sent(args.load().map(|start| Load { start, end, lost_at }), now);
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
    /// follower seems to be down.
    pub(crate) fn on_no_reply(&mut self, to: ServerId, asked: &Request, now: Time) {
        let (term, load) = match asked {
            Request::Vote(args) => return self.on_vote_lost(to, args.term, now),
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

#[cfg(test)]
mod tests {
    use raftapi::harness::Disk as _;

    use super::*;
    use crate::testing::{
        self, NOW, S0, S1, S2, accepted, append, append_to, elect, entries, follower,
        follower_with, id, leader, log, refused, restart, terms,
    };

    fn progress(state: &State, of: ServerId) -> (u64, u64) {
        let Role::Leader { followers } = &state.role else { panic!("{} does not lead", state.me) };
        (followers[&of].match_index.0, followers[&of].next_index.0)
    }

    /// A leader both of whose followers have just said that they hold its whole log.
    fn settled_leader(term: u64, terms: &[u64]) -> State {
        let (mut state, calls) = elect(follower(3, term - 1, terms));
        for peer in [S1, S2] {
            let reply = accepted(term);
            assert_eq!(state.on_append_reply(peer, &append_to(&calls, peer), &reply, NOW), []);
        }
        state
    }

    /// Has the leader take in a command, and gives what it sends for it.
    fn send(state: &mut State, command: &str, now: Time) -> Vec<Call> {
        state.start(Bytes::from(command.as_bytes())).unwrap();
        state.replicate(now)
    }

    // What a follower does.

    #[test]
    fn a_leader_of_an_old_term_is_refused_and_not_followed() {
        let mut state = follower(3, 5, &[1]);
        let deadline = state.deadline();
        let reply = state.on_append_entries(append(4, id(1, 1), &[4], 2), NOW);
        assert_eq!(reply, AppendEntriesReply { term: Term(5), outcome: AppendOutcome::Stale });
        assert_eq!((terms(&state), state.leader(), state.deadline()), (vec![1], None, deadline));
    }

    #[test]
    fn a_leader_that_is_heard_is_followed_and_puts_off_the_election() {
        let mut state = follower(3, 2, &[]);
        state.on_append_entries(append(2, id(0, 0), &[], 0), NOW);
        assert_eq!(state.leader(), Some(S1));
        assert!(state.deadline() > NOW);
        assert_eq!(state.start(Bytes::from(b"no")), Err(NotLeader { leader: Some(S1) }));
    }

    #[test]
    fn a_candidate_gives_way_to_the_leader_of_its_term() {
        let mut state = follower(3, 1, &[]);
        let deadline = state.deadline();
        state.on_timer(deadline);
        state.on_append_entries(append(2, id(0, 0), &[], 0), NOW);
        assert_eq!((state.leader(), state.term), (Some(S1), Term(2)));
        assert_eq!(state.voted_for, Some(S0), "the vote of this term stays cast");
    }

    #[test]
    fn entries_need_the_one_before_them() {
        let mut state = follower(3, 3, &[1, 1]);
        for prev in [id(1, 3), id(2, 2)] {
            let reply = state.on_append_entries(append(3, prev, &[3], 9), NOW);
            assert!(matches!(reply.outcome, AppendOutcome::Refused { .. }), "{prev}");
            assert_eq!((terms(&state), state.commit), (vec![1, 1], LogIndex(0)));
        }
    }

    #[test]
    fn what_is_acknowledged_is_on_the_disk() {
        let mut state = follower(3, 3, &[1, 1]);
        assert_eq!(state.on_append_entries(append(3, id(1, 2), &[2, 3], 0), NOW), accepted(3));
        assert_eq!(terms(&restart(&state)), [1, 1, 2, 3]);
    }

    #[test]
    fn a_conflicting_entry_goes_with_all_that_follow_it() {
        let mut state = follower(3, 3, &[1, 1, 2, 2, 2]);
        state.on_append_entries(append(3, id(1, 2), &[3], 0), NOW);
        assert_eq!(terms(&state), [1, 1, 3]);
        assert_eq!(terms(&restart(&state)), [1, 1, 3]);
    }

    #[test]
    fn an_old_message_takes_nothing_away() {
        let mut state = follower(3, 3, &[1]);
        let early = append(3, id(1, 1), &[3], 0);
        let late = append(3, id(1, 1), &[3, 3, 3], 0);
        state.on_append_entries(late.clone(), NOW);
        for message in [early, append(3, id(1, 1), &[], 0), late] {
            assert_eq!(state.on_append_entries(message, NOW), accepted(3));
            assert_eq!(terms(&state), [1, 3, 3, 3]);
        }
    }

    #[test]
    fn nothing_is_saved_when_nothing_is_new() {
        let mut state = follower(3, 3, &[1]);
        state.on_append_entries(append(3, id(1, 1), &[3], 0), NOW);
        let saves = state.disk.persister().saves();
        state.on_append_entries(append(3, id(1, 1), &[3], 1), NOW);
        state.on_append_entries(append(3, id(3, 2), &[], 2), NOW);
        assert_eq!(state.disk.persister().saves(), saves);
    }

    #[test]
    fn a_heartbeat_tells_what_is_committed() {
        let mut state = follower(3, 3, &[1, 3]);
        state.on_append_entries(append(3, id(3, 2), &[], 1), NOW);
        assert_eq!(state.commit, LogIndex(1));
        assert_eq!(state.take_deliveries().len(), 1);
        assert!(!state.has_deliveries());
    }

    /// The stale tail beyond the last new entry may differ from what the leader committed there.
    #[test]
    fn nothing_is_committed_beyond_what_the_message_vouches_for() {
        let mut state = follower(3, 3, &[1, 1, 1, 1]);
        state.on_append_entries(append(3, id(1, 2), &[], 4), NOW);
        assert_eq!(state.commit, LogIndex(2));
        state.on_append_entries(append(3, id(1, 2), &[3], 4), NOW);
        assert_eq!((state.commit, terms(&state)), (LogIndex(3), vec![1, 1, 3]));
    }

    #[test]
    fn the_commit_index_never_goes_back() {
        let mut state = follower(3, 3, &[1, 3]);
        state.on_append_entries(append(3, id(3, 2), &[], 2), NOW);
        state.on_append_entries(append(3, id(3, 2), &[], 1), NOW);
        state.on_append_entries(append(4, id(1, 1), &[], 0), NOW);
        assert_eq!(state.commit, LogIndex(2));
    }

    #[test]
    #[should_panic(expected = "the leader contradicts i2; i2 is committed")]
    fn a_leader_that_contradicts_what_is_committed_is_no_raft() {
        let mut state = follower(3, 3, &[1, 1]);
        state.on_append_entries(append(3, id(1, 2), &[], 2), NOW);
        state.on_append_entries(append(4, id(1, 1), &[4], 2), NOW);
    }

    #[test]
    fn an_append_from_below_the_snapshot_adds_only_what_is_beyond_the_log() {
        let mut state = follower_with(3, 3, &log(id(2, 8), &[2]));
        let old = append(3, id(1, 5), &[1, 2, 2], 5); // 6 to 8, all in the snapshot
        assert_eq!(state.on_append_entries(old, NOW), accepted(3));
        assert_eq!(terms(&state), [2]);
        let longer = append(3, id(1, 5), &[1, 2, 2, 2, 3], 5); // 6 to 10
        assert_eq!(state.on_append_entries(longer, NOW), accepted(3));
        assert_eq!((terms(&state), state.commit), (vec![2, 3], LogIndex(8)));
    }

    // What a leader sends.

    #[test]
    fn a_refused_command_is_in_no_log() {
        let mut state = follower(3, 3, &[1]);
        assert_eq!(state.start(Bytes::from(b"no")), Err(NotLeader { leader: None }));
        assert_eq!(terms(&state), [1]);
    }

    #[test]
    fn commands_get_consecutive_indices_and_no_election_takes_one() {
        let mut state = leader(3, 2, &[1]);
        assert_eq!(state.start(Bytes::from(b"a")), Ok(id(2, 2)));
        assert_eq!(state.start(Bytes::from(b"b")), Ok(id(2, 3)));
    }

    #[test]
    fn a_command_leaves_at_once_and_is_saved_before() {
        let mut state = settled_leader(2, &[1]);
        let calls = send(&mut state, "T2:i2", NOW);
        for peer in [S1, S2] {
            let args = append_to(&calls, peer);
            assert_eq!((args.prev, args.entries), (id(1, 1), entries(2, &[2])));
        }
        assert_eq!(terms(&restart(&state)), [1, 2]);
    }

    #[test]
    fn commands_that_come_during_a_call_go_together_after_it() {
        let mut state = settled_leader(2, &[1]);
        let first = send(&mut state, "a", NOW);
        assert_eq!(send(&mut state, "b", NOW), []);
        assert_eq!(send(&mut state, "c", NOW), []);
        let calls = state.on_append_reply(S1, &append_to(&first, S1), &accepted(2), NOW);
        assert_eq!(calls.len(), 1, "the other follower has not answered yet");
        let args = append_to(&calls, S1);
        assert_eq!((args.prev, args.entries.len()), (id(2, 2), 2));
    }

    #[test]
    fn what_is_not_answered_is_sent_again_with_the_next_heartbeat() {
        let mut state = settled_leader(2, &[1]);
        let first = send(&mut state, "a", NOW);
        let later = state.deadline();
        assert_eq!(later, NOW + HEARTBEAT_INTERVAL);
        assert_eq!(state.on_timer(later), first);
    }

    #[test]
    fn a_lost_call_is_made_again_soon() {
        let mut state = settled_leader(2, &[1]);
        let first = send(&mut state, "a", NOW);
        state.on_no_reply(S1, &first[0].request, NOW);
        assert_eq!(state.deadline(), NOW + RETRY_DELAY);
        assert_eq!(state.on_timer(NOW + RETRY_DELAY), first[..1]);
    }

    #[test]
    fn a_silent_follower_gets_bare_heartbeats_until_it_answers() {
        let mut state = settled_leader(2, &[1]);
        send(&mut state, "a", NOW);
        let later = NOW + SILENT_AFTER;
        let heartbeat = append_to(&state.on_timer(later), S1);
        assert_eq!((heartbeat.prev, heartbeat.entries.len()), (id(1, 1), 0));
        assert_eq!(send(&mut state, "b", later), []);

        let calls = state.on_append_reply(S1, &heartbeat, &accepted(2), later);
        assert_eq!(append_to(&calls, S1).entries.len(), 2);
    }

    #[test]
    fn a_heartbeats_answer_does_not_send_again_what_is_on_the_way() {
        let mut state = settled_leader(2, &[1]);
        let heartbeat = append_to(&state.on_timer(NOW + HEARTBEAT_INTERVAL), S1);
        send(&mut state, "a", NOW + HEARTBEAT_INTERVAL);
        let calls = state.on_append_reply(S1, &heartbeat, &accepted(2), NOW + HEARTBEAT_INTERVAL);
        assert_eq!(calls, []);
    }

    #[test]
    fn followers_hear_soon_what_is_committed() {
        let mut state = settled_leader(2, &[1]);
        let calls = send(&mut state, "a", NOW);
        for peer in [S1, S2] {
            state.on_append_reply(peer, &append_to(&calls, peer), &accepted(2), NOW);
        }
        let later = NOW + COMMIT_NOTICE_DELAY;
        assert_eq!(state.deadline(), later);
        let notices = state.on_timer(later);
        assert_eq!(append_to(&notices, S1).leader_commit, LogIndex(2));
        assert_eq!(notices.len(), 2);
        assert_eq!(state.deadline(), later + HEARTBEAT_INTERVAL);
    }

    // What a leader learns.

    #[test]
    fn a_command_is_committed_when_a_majority_stores_it() {
        for servers in 2..=5 {
            let mut state = leader(servers, 2, &[]);
            let calls = send(&mut state, "a", NOW);
            for (answers, peer) in (2..).zip(state.others.clone()) {
                assert_eq!(state.commit.0, u64::from(2 * (answers - 1) > servers));
                state.on_append_reply(peer, &append_to(&calls, peer), &accepted(2), NOW);
            }
            assert_eq!(state.commit, LogIndex(1));
        }
    }

    #[test]
    fn a_server_alone_commits_by_itself() {
        let mut state = leader(1, 2, &[]);
        assert_eq!(send(&mut state, "a", NOW), []);
        assert_eq!(state.commit, LogIndex(1));
        assert_eq!(terms(&restart(&state)), [2]);
    }

    #[test]
    fn an_answer_counts_for_what_was_asked_and_not_for_what_came_since() {
        let mut state = settled_leader(2, &[1]);
        let calls = send(&mut state, "a", NOW);
        send(&mut state, "b", NOW);
        state.on_append_reply(S1, &append_to(&calls, S1), &accepted(2), NOW);
        assert_eq!((state.commit, progress(&state, S1)), (LogIndex(2), (2, 3)));
    }

    #[test]
    fn late_and_repeated_acceptances_move_nothing_back() {
        let mut state = settled_leader(2, &[1]);
        let first = append_to(&send(&mut state, "a", NOW), S1);
        send(&mut state, "b", NOW);
        let second = append_to(&state.on_append_reply(S1, &first, &accepted(2), NOW), S1);
        state.on_append_reply(S1, &second, &accepted(2), NOW);
        let known = progress(&state, S1);
        state.on_append_reply(S1, &first, &accepted(2), NOW);
        assert_eq!(progress(&state, S1), known);
    }

    #[test]
    fn a_refusal_that_came_late_changes_nothing() {
        let mut state = leader(3, 4, &[1, 1, 2, 2]);
        let probe = append(4, id(2, 4), &[], 0);
        state.on_append_reply(S1, &probe, &refused(4, id(1, 2)), NOW);
        assert_eq!(progress(&state, S1), (0, 3));
        // The same again, twice: about a place that is not asked about any more.
        assert_eq!(state.on_append_reply(S1, &probe, &refused(4, id(1, 1)), NOW), []);
        assert_eq!(progress(&state, S1), (0, 3));

        let rest = append(4, id(1, 2), &[2, 2], 0);
        state.on_append_reply(S1, &rest, &accepted(4), NOW);
        assert_eq!(progress(&state, S1), (4, 5));
        // And one that denies what was acknowledged since.
        assert_eq!(state.on_append_reply(S1, &probe, &refused(4, id(1, 1)), NOW), []);
        assert_eq!(progress(&state, S1), (4, 5));
    }

    #[test]
    fn a_refusal_is_no_reason_to_step_down() {
        let mut state = leader(3, 4, &[1, 2]);
        let probe = append(4, id(2, 2), &[], 0);
        let calls = state.on_append_reply(S1, &probe, &refused(4, id(1, 1)), NOW);
        assert!(state.is_leader());
        assert_eq!(append_to(&calls, S1).prev, id(1, 1));
    }

    #[test]
    fn a_reply_of_an_earlier_leadership_counts_for_nothing() {
        let mut state = leader(3, 2, &[1]);
        let old = append_to(&send(&mut state, "a", NOW), S1);
        state.on_append_entries(append(3, id(1, 1), &[3], 0), NOW); // the entry is gone
        let (mut state, _) = elect(state); // T4
        state.on_append_reply(S1, &old, &accepted(2), NOW);
        assert_eq!(progress(&state, S1), (0, 3));
        state.on_no_reply(S1, &Request::Append(old), NOW);
        assert_eq!(state.deadline(), NOW + HEARTBEAT_INTERVAL);
    }

    #[test]
    fn a_newer_term_in_a_reply_ends_the_leadership() {
        let mut state = settled_leader(2, &[1]);
        let args = append_to(&send(&mut state, "a", NOW), S1);
        let reply = AppendEntriesReply { term: Term(7), outcome: AppendOutcome::Stale };
        assert_eq!(state.on_append_reply(S1, &args, &reply, NOW), []);
        assert_eq!((state.is_leader(), restart(&state).term), (false, Term(7)));
    }

    /// Lets a leader and one follower exchange messages until the leader has nothing to say. Gives
    /// the number of round trips.
    fn bring_in_line(leader: &mut State, follower: &mut State, mut calls: Vec<Call>) -> usize {
        let mut round_trips = 0;
        while let Some(call) = calls.iter().find(|call| call.to == S1).cloned() {
            round_trips += 1;
            calls = match call.request {
                Request::Append(args) => {
                    let reply = follower.on_append_entries(args.clone(), NOW);
                    leader.on_append_reply(S1, &args, &reply, NOW)
                }
                Request::Install(args) => {
                    let reply = follower.on_install_snapshot(&args, NOW);
                    leader.on_install_reply(S1, &args, &reply, NOW)
                }
                Request::Vote(_) => unreachable!("the leader is elected"),
            };
        }
        round_trips
    }

    /// Figure 7: whatever a follower's log, the leader of T8 makes it like its own.
    #[test]
    fn the_followers_of_figure_7_are_brought_in_line() {
        let leader_log = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
        let followers: [(&str, &[u64]); 6] = [
            ("a", &[1, 1, 1, 4, 4, 5, 5, 6, 6]),
            ("b", &[1, 1, 1, 4]),
            ("c", &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]),
            ("d", &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]),
            ("e", &[1, 1, 1, 4, 4, 4, 4]),
            ("f", &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]),
        ];
        for (name, log) in followers {
            let mut follower = follower(7, 7, log);
            let (mut leader, calls) = elect(testing::follower(7, 7, &leader_log));
            let round_trips = bring_in_line(&mut leader, &mut follower, calls);
            assert!(round_trips <= 3, "({name}) took {round_trips} round trips");
            assert_eq!(terms(&follower)[..10], leader_log, "({name})");

            // The extra entries of (c) and (d) go when something else takes their place.
            let calls = send(&mut leader, "new", NOW);
            bring_in_line(&mut leader, &mut follower, calls);
            assert_eq!(follower.log, leader.log, "({name})");
            assert_eq!(restart(&follower).log, leader.log, "({name})");
        }
    }

    /// §5.3: one round trip for each conflicting term, not for each entry; here, for each two.
    #[test]
    fn backing_up_steps_over_whole_terms() {
        let alternating: Vec<u64> = (0..60).map(|index| 2 + 2 * (index / 6)).collect();
        let others: Vec<u64> = (0..60).map(|index| 1 + 2 * (index / 6)).collect();
        let mut follower = follower(3, 40, &others);
        let (mut leader, calls) = elect(testing::follower(3, 40, &alternating));
        let round_trips = bring_in_line(&mut leader, &mut follower, calls);
        assert!(round_trips <= 12, "10 terms took {round_trips} round trips");
        assert_eq!(follower.log, leader.log);
    }

    /// A follower whose log begins with a snapshot, behind a leader whose log does not, and the
    /// other way round.
    #[test]
    fn logs_meet_though_one_of_them_is_compacted() {
        let whole = log(id(0, 0), &[1, 1, 2, 2, 3]);
        let compacted = log(id(2, 3), &[2]);
        for (leader_log, follower_log) in
            [(whole.clone(), compacted.clone()), (compacted, log(id(0, 0), &[1, 1, 2]))]
        {
            let mut follower = follower_with(3, 4, &follower_log);
            let (mut leader, calls) = elect(follower_with(3, 4, &leader_log));
            bring_in_line(&mut leader, &mut follower, calls);
            assert_eq!(follower.log.last_id(), leader.log.last_id());
        }
    }

    /// Figure 8: S0, leader of T2 and then of T4, has an entry of T2 on three of five servers. That
    /// does not commit it, for in (d) it is erased. An entry of T4 on top of it does, as in (e).
    #[test]
    fn figure_8_an_old_entry_on_a_majority_commits_only_under_a_newer_one() {
        let mut state = leader(5, 4, &[1, 2]);
        for peer in [S1, S2] {
            state.on_append_reply(peer, &append(4, id(1, 1), &[2], 0), &accepted(4), NOW);
        }
        assert_eq!(progress(&state, S2), (2, 3));
        assert_eq!(state.commit, LogIndex(0), "(c): stored by three, and not committed");

        let calls = send(&mut state, "of T4", NOW);
        state.on_append_reply(S1, &append_to(&calls, S1), &accepted(4), NOW);
        assert_eq!(state.commit, LogIndex(0));
        state.on_append_reply(S2, &append_to(&calls, S2), &accepted(4), NOW);
        assert_eq!(state.commit, LogIndex(3), "(e): both are committed");
        assert_eq!(state.take_deliveries().len(), 3);
    }

    #[test]
    fn a_new_leader_knows_nothing_of_its_followers_from_before() {
        let mut state = settled_leader(2, &[1, 1]);
        assert_eq!(progress(&state, S1), (2, 3));
        state.on_append_entries(append(3, id(1, 1), &[3, 3], 0), NOW);
        let (state, _) = elect(state);
        assert_eq!(progress(&state, S1), (0, 4));
    }
}
