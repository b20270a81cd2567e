//! Part 3A: elections (§5.1, §5.2; from part 3B on also §5.4.1).

use std::sync::Arc;

use raftapi::ServerId;

use crate::{
    message::{RequestVoteArgs, RequestVoteReply},
    raft::Shared,
    state::State,
};

impl Shared {
    /// Holds an election: begins a term and asks every other server for its vote, all at once.
    ///
    /// Here is how servers are called; do the same in `replication.rs`. Each call is in a task of its
    /// own, since it may take seconds, and no lock is held meanwhile.
    pub(crate) fn campaign(self: &Arc<Self>) {
        let args = self.event(State::become_candidate);
        for peer in self.others() {
            let args = args.clone();
            self.spawn("ask for a vote", move |shared| {
                if let Ok(reply) = shared.peers[peer.0].call(&args) {
                    shared.event(|state| state.on_vote_reply(peer, &args, &reply));
                }
            });
        }
    }
}

impl State {
    /// Whether this server should stand for election now: it does not lead, and for the time of its
    /// election timeout it has neither heard from the leader of its term nor given its vote away.
    ///
    /// The timeout is drawn anew each time (§5.2), so that servers seldom stand at the same moment:
    /// `labrt::rand::rng().random_range(..)`, with `rand::RngExt` in scope, has the randomness and
    /// `labrt::time::Instant` the time. Choose the range to go with your heartbeats, of which the lab
    /// allows some ten a second: several may be lost, and still a new leader must be there within
    /// five seconds (§5.6).
    pub(crate) fn is_election_due(&self) -> bool {
        todo!("Part 3A: say whether the election timeout is over")
    }

    /// Begins a term of this server's own (Figure 2, Rules for Servers, Candidates).
    pub(crate) fn become_candidate(&mut self) -> RequestVoteArgs {
        let _ = self.me;
        todo!("Part 3A: begin a new term as its candidate, with your own vote")
    }

    /// Answers a candidate (Figure 2, RequestVote RPC, Receiver implementation).
    ///
    /// A newer term comes first: "If RPC request or response contains term T > currentTerm: set
    /// currentTerm = T, convert to follower" (All Servers). Each handler of requests and of replies
    /// begins with it, so write it once. A new term is a new vote.
    ///
    /// Part 3B: the candidate's log must be at least as up-to-date as this one (§5.4.1).
    pub(crate) fn on_request_vote(&mut self, args: &RequestVoteArgs) -> RequestVoteReply {
        let _ = args;
        todo!("Part 3A: give the vote, or refuse it")
    }

    /// Counts a vote, and with a majority takes office (§5.2). A leader makes itself known at once,
    /// before anybody else's time is over.
    ///
    /// `args` is what was asked: a vote for an election that is over counts no more.
    pub(crate) fn on_vote_reply(
        &mut self,
        from: ServerId,
        args: &RequestVoteArgs,
        reply: &RequestVoteReply,
    ) {
        let _ = (from, args, reply, self.majority());
        todo!("Part 3A: count the vote; a majority makes a leader")
    }
}
