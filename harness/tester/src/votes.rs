//! Whom each server has told that it votes for, over all its lives (Raft 5.2; Figure 2, "Persistent
//! state").
//!
//! Nobody looks into messages here. But if a server has worked on one request for votes only, and has a
//! new vote when the reply leaves that it had not when the request came, then the reply has told of it;
//! and a candidate's own request tells of its own vote. From then on the vote is a promise, which a crash
//! does not end. Plain data, like [`crate::elections`].

use labrt::time::Duration;
use raftapi::{RaftView, ServerId, Term};

use crate::report::Failure;
use crate::text::at;

/// The votes that servers have told of.
#[derive(Debug, Clone)]
pub struct Votes {
    servers: Vec<Voter>,
}

#[derive(Debug, Clone, Default)]
struct Voter {
    /// The vote of the newest term of which it has told anybody.
    told: Option<Told>,
    /// Requests for its vote that it works on.
    asked: Vec<Asked>,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    term: Term,
    candidate: ServerId,
    /// Whom it told: a candidate that asked, or everybody.
    own: bool,
    incarnation: u32,
    when: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    call: u64,
    incarnation: u32,
    /// Term and vote when the request came; `None` if they could not be seen.
    before: Option<(Term, Option<ServerId>)>,
    /// No other request for its vote was worked on meanwhile.
    alone: bool,
}

impl Votes {
    /// Nobody has voted yet.
    #[must_use]
    pub fn new(servers: usize) -> Votes {
        Votes { servers: vec![Voter::default(); servers] }
    }

    /// A request for a vote has come.
    pub fn asked(
        &mut self,
        (server, incarnation): (ServerId, u32),
        call: u64,
        view: Option<&RaftView>,
    ) {
        let asked = &mut self.servers[server.0].asked;
        asked.retain(|request| request.incarnation == incarnation);
        for request in asked.iter_mut() {
            request.alone = false;
        }
        let before = view.map(|view| (view.current_term, view.voted_for));
        let alone = asked.is_empty();
        asked.push(Asked { call, incarnation, before, alone });
    }

    /// A request for a vote has come, and the server could not be looked into.
    pub fn asked_unseen(&mut self, server: ServerId, call: u64) {
        let last = self.servers[server.0].asked.last();
        let incarnation = last.map_or(0, |request| request.incarnation);
        self.asked((server, incarnation), call, None);
    }

    /// Its answer goes nowhere.
    pub fn unanswered(&mut self, server: ServerId, call: u64) {
        self.servers[server.0].asked.retain(|request| request.call != call);
    }

    /// Its reply leaves, to `from`.
    ///
    /// # Errors
    ///
    /// If the server has told of another vote in this term.
    pub fn answered(
        &mut self,
        (server, incarnation): (ServerId, u32),
        (call, from): (u64, ServerId),
        view: Option<&RaftView>,
        now: Duration,
    ) -> Result<(), Failure> {
        let voter = &mut self.servers[server.0];
        let place = voter.asked.iter().position(|request| request.call == call);
        let request = place.map(|place| voter.asked.remove(place));
        let (Some(request), Some(view)) = (request, view) else { return Ok(()) };
        let vote = (view.current_term, view.voted_for);
        let granted =
            vote == (view.current_term, Some(from)) && request.before.is_some_and(|it| it != vote);
        if !granted || !request.alone || request.incarnation != incarnation {
            return Ok(());
        }
        self.tells((server, incarnation), (view.current_term, from), false, now)
    }

    /// A request for votes leaves. With it goes the server's own vote, if that is whom it votes for.
    ///
    /// # Errors
    ///
    /// If the server has told of another vote in this term.
    pub fn asks(
        &mut self,
        (server, incarnation): (ServerId, u32),
        view: &RaftView,
        now: Duration,
    ) -> Result<(), Failure> {
        if view.voted_for == Some(server) {
            return self.tells((server, incarnation), (view.current_term, server), true, now);
        }
        Ok(())
    }

    fn tells(
        &mut self,
        (server, incarnation): (ServerId, u32),
        (term, candidate): (Term, ServerId),
        own: bool,
        now: Duration,
    ) -> Result<(), Failure> {
        let told = &mut self.servers[server.0].told;
        match told {
            Some(told) if told.term > term => {}
            Some(told) if told.term == term => {
                if told.candidate != candidate {
                    return Err(two_votes(server, told, (candidate, incarnation), now));
                }
            }
            _ => *told = Some(Told { term, candidate, own, incarnation, when: now }),
        }
        Ok(())
    }

    /// A server shows this while it asks or answers somebody, so that it acts on it.
    ///
    /// # Errors
    ///
    /// If it has forgotten a vote of which an earlier incarnation told.
    pub fn acts_on(
        &self,
        (server, incarnation): (ServerId, u32),
        view: &RaftView,
        now: Duration,
    ) -> Result<(), Failure> {
        match &self.servers[server.0].told {
            Some(told)
                if told.incarnation != incarnation
                    && (view.current_term < told.term
                        || view.current_term == told.term
                            && view.voted_for != Some(told.candidate)) =>
            {
                Err(forgotten(server, told, view, now))
            }
            _ => Ok(()),
        }
    }
}

fn told_whom(server: ServerId, Told { term, candidate, own, when, .. }: &Told) -> String {
    if *own {
        format!("{server} asked for votes in {term}, {}, and so had voted for itself", at(*when))
    } else {
        format!("{server} told {candidate} that it votes for it in {term}, {}", at(*when))
    }
}

fn two_votes(
    server: ServerId,
    told: &Told,
    (candidate, incarnation): (ServerId, u32),
    now: Duration,
) -> Failure {
    let restarted =
        if told.incarnation == incarnation { "" } else { "; it was restarted in between" };
    let whom = if candidate == server { "itself".to_owned() } else { candidate.to_string() };
    Failure::safety("a server voted for two candidates in one term")
        .expected(
            "a server votes at most once in each term, also across a crash (Raft 5.2, Figure 2)",
        )
        .happened(format!(
            "{}; it voted for {whom} in the same term, {}{restarted}",
            told_whom(server, told),
            at(now)
        ))
        .look_at(
            "when a vote is granted; what of it is saved before the reply, and read back at start",
        )
}

fn forgotten(server: ServerId, told: &Told, view: &RaftView, now: Duration) -> Failure {
    let vote = match view.voted_for {
        None => "no vote".to_owned(),
        Some(whom) if whom == server => "a vote for itself".to_owned(),
        Some(whom) => format!("a vote for {whom}"),
    };
    Failure::safety("a vote was forgotten in a crash")
        .expected("whom a server votes for survives a crash, with the term (Raft Figure 2, Persistent state)")
        .happened(format!(
            "{}; restarted, it is in {} with {vote}, {}",
            told_whom(server, told),
            view.current_term,
            at(now)
        ))
        .look_at(
            "what is saved before a vote leaves, and what is read back at start, with a snapshot and \
             without; or view() itself, through which this was seen",
        )
}

#[cfg(test)]
mod tests {
    use raftapi::{EntryId, LogIndex, RoleView};

    use super::*;

    const NOW: Duration = Duration::from_secs(1);
    const S0: ServerId = ServerId(0);
    const S1: ServerId = ServerId(1);
    const S2: ServerId = ServerId(2);

    fn view(term: u64, voted_for: Option<ServerId>) -> RaftView {
        RaftView {
            current_term: Term(term),
            role: RoleView::Follower { leader: None },
            voted_for,
            last_included: EntryId::default(),
            entries: Vec::new(),
            commit_index: LogIndex(0),
            last_applied: LogIndex(0),
            followers: Vec::new(),
        }
    }

    /// S0, in this life, grants S1 its vote in T5.
    fn grants(votes: &mut Votes, incarnation: u32) -> Result<(), Failure> {
        votes.asked((S0, incarnation), 7, Some(&view(4, None)));
        votes.answered((S0, incarnation), (7, S1), Some(&view(5, Some(S1))), NOW)
    }

    #[test]
    fn a_granted_vote_outlives_a_crash() {
        let mut votes = Votes::new(3);
        grants(&mut votes, 1).unwrap();
        votes.acts_on((S0, 2), &view(5, Some(S1)), NOW).unwrap();
        votes.acts_on((S0, 2), &view(6, None), NOW).unwrap();
        for forgot in [view(5, None), view(5, Some(S2)), view(4, None)] {
            let failure = votes.acts_on((S0, 2), &forgot, NOW).unwrap_err();
            assert_eq!(failure.title, "a vote was forgotten in a crash");
        }
    }

    #[test]
    fn a_candidates_own_vote_outlives_a_crash() {
        let mut votes = Votes::new(3);
        votes.asks((S0, 1), &view(5, Some(S0)), NOW).unwrap();
        votes.acts_on((S0, 2), &view(5, None), NOW).unwrap_err();
        let failure = grants(&mut votes, 2).unwrap_err();
        assert_eq!(failure.title, "a server voted for two candidates in one term");
        assert!(failure.happened.contains("restarted in between"), "{}", failure.happened);
    }

    #[test]
    fn what_nobody_was_told_may_be_forgotten() {
        let mut votes = Votes::new(3);
        // It crashed before the reply left.
        votes.asked((S0, 1), 7, Some(&view(4, None)));
        votes.acts_on((S0, 2), &view(4, None), NOW).unwrap();
        // The reply refused: the vote came of another request, whose reply had yet to leave.
        votes.asked((S0, 2), 8, Some(&view(4, None)));
        votes.asked((S0, 2), 9, Some(&view(4, None)));
        votes.answered((S0, 2), (8, S1), Some(&view(5, Some(S1))), NOW).unwrap();
        votes.acts_on((S0, 3), &view(4, None), NOW).unwrap();
        // One that asks whether it would be elected has not voted (dissertation 9.6).
        votes.asks((S2, 1), &view(4, Some(S1)), NOW).unwrap();
        votes.acts_on((S2, 2), &view(3, None), NOW).unwrap();
    }
}
