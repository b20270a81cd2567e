//! Replication (§5.3, §5.4.2).

use std::sync::Arc;

use labgob::Bytes;
use labrt::time::{Duration, Instant};
use raftapi::{EntryId, LogIndex, NotLeader, ServerId};

use crate::{
    log::Entry,
    message::{AppendEntriesArgs, AppendEntriesReply, Conflict, InstallSnapshotArgs},
    raft::Shared,
    state::{Role, State},
};

const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(100);

/// Who has not answered for so long is sent bare heartbeats: entries would be a waste.
const SILENT_AFTER: Duration = Duration::from_secs(1);

/// A snapshot is large. It is sent again only after this time.
const SNAPSHOT_RESEND_AFTER: Duration = Duration::from_millis(500);

/// What a follower is sent.
pub(crate) enum Message {
    Append(AppendEntriesArgs),
    Install(InstallSnapshotArgs),
}

impl Shared {
    pub(crate) fn send_heartbeats_if_due(self: &Arc<Self>) {
        if self.event(State::is_heartbeat_due) {
            self.send_to_all();
        }
    }

    /// Sends every follower what it lacks, if this server leads.
    pub(crate) fn send_to_all(self: &Arc<Self>) {
        for peer in self.others() {
            self.send(peer);
        }
    }

    /// The call is in a task of its own, whatever else is on the way.
    fn send(self: &Arc<Self>, peer: ServerId) {
        let Some(message) = self.event(|state| state.message_to(peer)) else { return };
        self.spawn("send", move |shared| {
            let end = &shared.peers[peer.0];
            let again = match message {
                Message::Append(args) => end.call(&args).is_ok_and(|reply| {
                    shared.event(|state| state.on_append_reply(peer, &args, &reply))
                }),
                Message::Install(args) => end.call(&args).is_ok_and(|reply| {
                    shared.event(|state| state.on_install_reply(peer, &args, &reply))
                }),
            };
            if again {
                shared.send(peer);
            }
        });
    }
}

impl State {
    pub(crate) fn start(&mut self, command: Vec<u8>) -> Result<EntryId, NotLeader> {
        if !self.is_leader() {
            return Err(NotLeader { leader: self.leader() });
        }
        let entry = Entry { term: self.current_term, command: Bytes::from(command) };
        let id = self.log.push(entry);
        self.persist();
        self.advance_commit_index(); // a server alone is a majority
        Ok(id)
    }

    /// Whether a heartbeat is due; the next one then is an interval later.
    fn is_heartbeat_due(&mut self) -> bool {
        let now = Instant::now();
        let Role::Leader { heartbeat_due, .. } = &mut self.role else { return false };
        let is_due = now >= *heartbeat_due;
        if is_due {
            *heartbeat_due = now + HEARTBEAT_INTERVAL;
        }
        is_due
    }

    /// All that a follower is not known to have.
    fn message_to(&mut self, peer: ServerId) -> Option<Message> {
        let (term, leader, base) = (self.current_term, self.me, self.log.base());
        let Role::Leader { others, .. } = &mut self.role else { return None };
        let progress = others.get_mut(&peer).expect("one for each other server");
        let now = Instant::now();
        let is_silent = now >= progress.heard + SILENT_AFTER;
        let mut prev = progress.next.prev();
        if prev < base.index {
            let is_under_way =
                progress.snapshot_sent.is_some_and(|sent| now < sent + SNAPSHOT_RESEND_AFTER);
            if !is_silent && !is_under_way {
                progress.snapshot_sent = Some(now);
                let data = self.snapshot.clone();
                let args = InstallSnapshotArgs { term, leader, last_included: base, data };
                return Some(Message::Install(args));
            }
            prev = base.index;
        }
        let is_bare = is_silent || progress.next <= base.index;
        let entries = if is_bare { Vec::new() } else { self.log.after(prev).to_vec() };
        let prev_term = self.log.term_at(prev).expect("not below the base");
        Some(Message::Append(AppendEntriesArgs {
            term,
            leader,
            prev: EntryId { term: prev_term, index: prev },
            entries,
            leader_commit: self.commit_index,
        }))
    }

    /// Numbers are the receiver's rules in Figure 2.
    pub(crate) fn on_append_entries(&mut self, args: &AppendEntriesArgs) -> AppendEntriesReply {
        self.see_term(args.term);
        let term = self.current_term;
        if args.term < term {
            let index = self.log.last().index.next();
            return AppendEntriesReply { term, conflict: Some(Conflict { term: None, index }) }; // 1
        }
        self.heed(args.leader);
        if let Some(conflict) = self.conflict_at(args.prev) {
            return AppendEntriesReply { term, conflict: Some(conflict) }; // 2
        }
        self.take_in(args); // 3, 4
        let commit = args.leader_commit.min(args.last_new());
        self.commit_index = self.commit_index.max(commit); // 5
        AppendEntriesReply { term, conflict: None }
    }

    /// What this log has in place of `prev`; `None` if it has that entry. What is in the snapshot is
    /// committed, so the leader has it, too.
    fn conflict_at(&self, prev: EntryId) -> Option<Conflict> {
        if prev.index < self.log.base().index {
            return None;
        }
        match self.log.term_at(prev.index) {
            Some(term) if term == prev.term => None,
            Some(term) => {
                let index = self.log.first_of_term_at(prev.index);
                Some(Conflict { term: Some(term), index })
            }
            None => Some(Conflict { term: None, index: self.log.last().index.next() }),
        }
    }

    /// Rules 3 and 4: an entry of another term goes, with all after it, and what is missing is added.
    /// The rest stays: the message may be old, and this log longer by now.
    fn take_in(&mut self, args: &AppendEntriesArgs) {
        let mut changed = false;
        let mut index = args.prev.index;
        for entry in &args.entries {
            index = index.next();
            if index <= self.log.base().index {
                continue; // in the snapshot
            }
            match self.log.term_at(index) {
                Some(term) if term == entry.term => continue,
                Some(_) => self.log.truncate(index),
                None => {}
            }
            self.log.push(entry.clone());
            changed = true;
        }
        if changed {
            self.persist();
        }
    }

    /// Says whether the follower should be sent something at once.
    fn on_append_reply(
        &mut self,
        from: ServerId,
        args: &AppendEntriesArgs,
        reply: &AppendEntriesReply,
    ) -> bool {
        match &reply.conflict {
            _ if !self.is_answer(from, args.term, reply.term) => false,
            None => {
                self.note_matched(from, args.last_new());
                false
            }
            Some(conflict) => self.back_up(from, args.prev.index, conflict),
        }
    }

    /// Is it an answer to this leader? Then the follower was heard.
    pub(crate) fn is_answer(
        &mut self,
        from: ServerId,
        asked: raftapi::Term,
        replied: raftapi::Term,
    ) -> bool {
        self.see_term(replied);
        if asked != self.current_term {
            return false;
        }
        let Role::Leader { others, .. } = &mut self.role else { return false };
        others.get_mut(&from).expect("one for each other server").heard = Instant::now();
        true
    }

    /// A follower has all up to `index`. Answers overtake each other: nothing goes back.
    pub(crate) fn note_matched(&mut self, from: ServerId, index: LogIndex) {
        let Role::Leader { others, .. } = &mut self.role else { return };
        let progress = others.get_mut(&from).expect("one for each other server");
        progress.matched = progress.matched.max(index);
        progress.next = progress.next.max(progress.matched.next());
        self.advance_commit_index();
    }

    /// Steps back over a whole term (§5.3); says whether it did. A refusal of what was sent with
    /// another `next`, or of what the follower has acknowledged, is an old one.
    fn back_up(&mut self, from: ServerId, prev: LogIndex, conflict: &Conflict) -> bool {
        let shared = conflict.term.and_then(|term| self.log.last_of_term(term));
        let next = shared.map_or(conflict.index, LogIndex::next);
        let Role::Leader { others, .. } = &mut self.role else { return false };
        let progress = others.get_mut(&from).expect("one for each other server");
        if prev != progress.next.prev() || prev <= progress.matched {
            return false;
        }
        progress.next = next.clamp(progress.matched.next(), prev);
        true
    }

    /// Commits what a majority has, if it is of this term (§5.4.2, Figure 8).
    fn advance_commit_index(&mut self) {
        let Role::Leader { others, .. } = &self.role else { return };
        let own = self.log.last().index;
        let mut matched: Vec<LogIndex> =
            others.values().map(|progress| progress.matched).chain([own]).collect();
        matched.sort_unstable();
        let on_majority = matched[matched.len() - self.majority()];
        if on_majority > self.commit_index
            && self.log.term_at(on_majority) == Some(self.current_term)
        {
            self.commit_index = on_majority;
        }
    }
}
