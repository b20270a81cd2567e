//! Replication: appends, backing up, the commit rule (§5.3, §5.4.2, Figure 8).
//!
//! What is sent to a follower, and when, is in progress.rs.

use labgob::Bytes;
use raftapi::{EntryId, LogIndex, NotLeader, ServerId, Term};
use tracing::debug;

use crate::{
    log::Entry,
    message::{AppendEntriesArgs, AppendEntriesReply, AppendOutcome, Call},
    state::{Role, State, Time},
};

impl State {
    /// Appends a command of this leader's service to its own log (§5.3), and returns at once.
    ///
    /// The caller sees to it that [`State::replicate`] runs soon.
    pub(crate) fn start(&mut self, command: Bytes) -> Result<EntryId, NotLeader> {
        if !self.is_leader() {
            return Err(NotLeader { leader: self.leader() });
        }
        let id = self.log.append(Entry { term: self.current_term, command });
        debug!(target: "log", "starts {id}");
        Ok(id)
    }

    /// Answers AppendEntries. Numbers are the receiver's rules in Figure 2.
    pub(crate) fn on_append_entries(
        &mut self,
        args: AppendEntriesArgs,
        now: Time,
    ) -> AppendEntriesReply {
        if args.term < self.current_term {
            return AppendEntriesReply { term: self.current_term, outcome: AppendOutcome::Stale }; // 1
        }
        self.follow(args.leader_id, args.term, now);
        let outcome = if self.log.contains(args.prev_log) {
            let last_new = args.last_index();
            self.take_in(args.prev_log, args.entries); // 3, 4
            self.commit_up_to(args.leader_commit.min(last_new)); // 5
            AppendOutcome::Accepted
        } else {
            AppendOutcome::Refused { newest: self.newest_shared(args.prev_log) } // 2
        };
        // Saved before the reply leaves: the leader counts this copy (§5.3).
        self.persist();
        AppendEntriesReply { term: self.current_term, outcome }
    }

    /// Rules 3 and 4: deletes what contradicts the leader's `entries` after `prev`, and adds what
    /// is missing. Without a contradiction nothing is deleted: the message may be old, and entries
    /// beyond its end acknowledged since.
    fn take_in(&mut self, prev: EntryId, entries: Vec<Entry>) {
        if let Some(conflict) = self.log.conflict(prev, &entries) {
            let commit = self.commit_index;
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
        let newest = self.log.newest_within(prev).expect("the snapshot ends before prev");
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
                if !self.back_up(from, asked.prev_log, newest) {
                    return Vec::new(); // old news; what it asks for was sent meanwhile
                }
            }
            AppendOutcome::Stale => return Vec::new(),
        }
        self.replicate(now)
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
        if asked != self.current_term {
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
        // already, this leads into the snapshot, and the snapshot will be sent.
        let shared = self.log.newest_within(newest).map_or(newest.index, |id| id.index);
        let lowest = follower.match_index.next();
        follower.next_index = shared.next().clamp(lowest, prev.index);
        follower.in_flight = None; // it was built on `prev`, too, and will be refused as well
        debug!(target: "log", "backs up to {} for {from}", follower.next_index);
        true
    }

    /// Commits up to the newest entry a majority stores, if it is of this term.
    ///
    /// Counting copies is safe for the current term only: in Figure 8(c) an older entry sits on a
    /// majority and is erased in 8(d). Older entries commit by riding under a newer one (§5.4.2).
    pub(crate) fn advance_commit(&mut self) {
        let Role::Leader { followers } = &self.role else { return };
        let own = self.log.last_id().index; // saved before it was sent, and so before any answer
        let mut stored: Vec<LogIndex> =
            followers.values().map(|follower| follower.match_index).chain([own]).collect();
        stored.sort_unstable();
        let on_majority = stored[stored.len() - self.majority()];
        if self.log.term_at(on_majority) == Some(self.current_term) {
            self.commit_up_to(on_majority);
        }
    }

    /// Raises the commit index; it never goes back.
    fn commit_up_to(&mut self, index: LogIndex) {
        if index > self.commit_index {
            self.commit_index = index;
            debug!(target: "commit", "{index}");
        }
    }
}

#[cfg(test)]
mod tests;
