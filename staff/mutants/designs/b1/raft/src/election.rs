//! Elections (§5.2, §5.4.1).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use labrt::time::Instant;
use raftapi::{LogIndex, ServerId};

use crate::{
    message::{RequestVoteArgs, RequestVoteReply},
    raft::Shared,
    state::{Progress, Role, State},
};

impl Shared {
    /// Asks every other server for its vote, all at once.
    pub(crate) fn campaign(self: &Arc<Self>) {
        let args = self.event(State::become_candidate);
        for peer in self.others() {
            let args = args.clone();
            self.spawn("ask for a vote", move |shared| {
                if let Ok(reply) = shared.peers[peer.0].call(&args)
                    && shared.event(|state| state.on_vote_reply(peer, &args, &reply))
                {
                    shared.send_to_all(); // makes itself known at once
                }
            });
        }
    }
}

impl State {
    pub(crate) fn is_election_due(&self) -> bool {
        !self.is_leader() && Instant::now() >= self.election_due
    }

    pub(crate) fn become_candidate(&mut self) -> RequestVoteArgs {
        self.current_term = self.current_term.next();
        self.voted_for = Some(self.me);
        self.role = Role::Candidate { votes: BTreeSet::from([self.me]) };
        self.persist();
        self.put_off_election();
        if self.majority() == 1 {
            self.become_leader();
        }
        RequestVoteArgs { term: self.current_term, candidate: self.me, last: self.log.last() }
    }

    pub(crate) fn on_request_vote(&mut self, args: &RequestVoteArgs) -> RequestVoteReply {
        self.see_term(args.term);
        let is_free = self.voted_for.is_none_or(|candidate| candidate == args.candidate);
        let vote_granted =
            args.term == self.current_term && is_free && args.last >= self.log.last();
        if vote_granted {
            self.voted_for = Some(args.candidate);
            self.persist();
            self.put_off_election();
        }
        RequestVoteReply { term: self.current_term, vote_granted }
    }

    /// Counts a vote; says whether it was the one that decides.
    pub(crate) fn on_vote_reply(
        &mut self,
        from: ServerId,
        args: &RequestVoteArgs,
        reply: &RequestVoteReply,
    ) -> bool {
        self.see_term(reply.term);
        if args.term != self.current_term || !reply.vote_granted {
            return false;
        }
        let majority = self.majority();
        let Role::Candidate { votes } = &mut self.role else { return false };
        votes.insert(from);
        if votes.len() < majority {
            return false;
        }
        self.become_leader();
        true
    }

    fn become_leader(&mut self) {
        let (next, now) = (self.log.last().index.next(), Instant::now());
        let progress = || Progress { next, matched: LogIndex(0), heard: now, snapshot_sent: None };
        let others = (0..self.servers).map(ServerId).filter(|&server| server != self.me);
        let others: BTreeMap<ServerId, Progress> = others.map(|peer| (peer, progress())).collect();
        self.role = Role::Leader { others, heartbeat_due: now };
    }
}
