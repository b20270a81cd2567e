//! Elections: timeouts and votes (§5.2), and who may be voted for (§5.4.1).
//!
//! Which messages a new leader sends is decided in replication.rs.

use std::time::Duration;

use raftapi::{ServerId, Term};
use rand::RngExt;
use tracing::debug;

use crate::{
    message::{Call, Request, RequestVoteArgs, RequestVoteReply},
    progress::RETRY_DELAY,
    state::{Role, State, Time},
};

/// An election starts this long after a server last heard from a leader or granted a vote: at
/// least `MIN`, at most `MAX`, drawn anew each time.
///
/// Four heartbeats fit into the shortest wait, so that a leader keeps its office on a network that
/// loses every tenth message. The spread is fifteen times the longest delay of a healthy link, so
/// that two candidates seldom meet (§5.6 asks for broadcast time ≪ election timeout).
const ELECTION_TIMEOUT_MIN: Duration = Duration::from_millis(400);
const ELECTION_TIMEOUT_MAX: Duration = Duration::from_millis(800);

impl State {
    /// When [`State::on_timer`] wants to be called next. It may be called at any time.
    pub(crate) fn deadline(&self) -> Time {
        match &self.role {
            Role::Leader { followers } => {
                followers.values().map(|follower| follower.due).min().unwrap_or(Time::MAX)
            }
            Role::Candidate { ask_again, .. } => self.election_deadline.min(*ask_again),
            Role::Follower { .. } => self.election_deadline,
        }
    }

    /// Does what time asks for: a leader sends heartbeats, the others campaign when they have
    /// waited long enough, and candidates repeat calls that were lost.
    pub(crate) fn on_timer(&mut self, now: Time) -> Vec<Call> {
        if self.is_leader() {
            self.send_due(now)
        } else if now >= self.election_deadline {
            self.campaign(now)
        } else {
            self.ask_again(now)
        }
    }

    /// Puts the next election off. For this there are three reasons and no more: a campaign
    /// begins, a vote was granted, the current leader was heard (Figure 2, "Followers").
    pub(crate) fn reset_election_timer(&mut self, now: Time) {
        let timeout = self.rng.random_range(ELECTION_TIMEOUT_MIN..=ELECTION_TIMEOUT_MAX);
        self.election_deadline = now + timeout;
    }

    /// "To begin an election, a follower increments its current term and transitions to candidate
    /// state. It then votes for itself and issues RequestVote RPCs in parallel to each of the
    /// other servers" (§5.2).
    fn campaign(&mut self, now: Time) -> Vec<Call> {
        self.become_candidate(now);
        self.persist(); // its own vote is one like any other
        if self.majority() == 1 {
            self.become_leader(now);
            return Vec::new(); // there is nobody to tell
        }
        self.request_votes(&self.others)
    }

    fn request_votes(&self, voters: &[ServerId]) -> Vec<Call> {
        let last_log = self.log.last_id();
        let args = RequestVoteArgs { term: self.current_term, candidate_id: self.me, last_log };
        let call = |&to: &ServerId| Call { to, request: Request::Vote(args.clone()) };
        voters.iter().map(call).collect()
    }

    /// The network lost a RequestVote or its reply. It is repeated soon (§5.1): where every vote
    /// counts, an election that is given up for one lost message takes long to win.
    pub(crate) fn on_vote_lost(&mut self, to: ServerId, asked: Term, now: Time) {
        if asked != self.current_term {
            return;
        }
        let Role::Candidate { lost, ask_again, .. } = &mut self.role else { return };
        lost.insert(to);
        *ask_again = (*ask_again).min(now + RETRY_DELAY);
    }

    fn ask_again(&mut self, now: Time) -> Vec<Call> {
        let Role::Candidate { lost, ask_again, .. } = &mut self.role else { return Vec::new() };
        if now < *ask_again {
            return Vec::new();
        }
        *ask_again = Time::MAX;
        let lost: Vec<ServerId> = std::mem::take(lost).into_iter().collect();
        self.request_votes(&lost)
    }

    /// Answers RequestVote. Numbers are the receiver's rules in Figure 2.
    pub(crate) fn on_request_vote(
        &mut self,
        args: &RequestVoteArgs,
        now: Time,
    ) -> RequestVoteReply {
        self.adopt_newer_term(args.term, now);
        let vote_granted = args.term == self.current_term // 1
            && self.voted_for.is_none_or(|candidate| candidate == args.candidate_id) // 2
            && args.last_log >= self.log.last_id(); // 2, "at least as up-to-date" (§5.4.1)
        if vote_granted {
            self.voted_for = Some(args.candidate_id);
            self.reset_election_timer(now);
        }
        // Saved before the reply leaves: a vote forgotten in a crash could be cast twice (§5.2).
        self.persist();
        let answer = if vote_granted { "grants" } else { "refuses" };
        debug!(target: "vote", "{answer} {} {}", args.candidate_id, args.term);
        RequestVoteReply { term: self.current_term, vote_granted }
    }

    /// Counts a vote that was asked for in term `asked`; on a majority, becomes leader (§5.2).
    pub(crate) fn on_vote_reply(
        &mut self,
        from: ServerId,
        asked: Term,
        reply: &RequestVoteReply,
        now: Time,
    ) -> Vec<Call> {
        if self.adopt_newer_term(reply.term, now) {
            self.persist();
            return Vec::new();
        }
        if asked != self.current_term || !reply.vote_granted {
            return Vec::new(); // a vote of an old election counts for nothing now
        }
        let majority = self.majority();
        let Role::Candidate { votes, .. } = &mut self.role else {
            return Vec::new(); // the election is decided already
        };
        votes.insert(from); // the same vote twice is one vote
        if votes.len() < majority {
            return Vec::new();
        }
        self.become_leader(now);
        self.send_due(now) // heartbeats at once, so that nobody else campaigns (§5.2)
    }
}

#[cfg(test)]
mod tests;
