//! Whether followers follow: a leader that a server has just answered puts off that server's own
//! election (Raft 5.2; Figure 2, "Followers").
//!
//! Nobody looks into messages here. That an answer went to the leader of the server's own term is known
//! from the terms in which both are when it leaves, and from when the leader began to call as such. Plain
//! data, like [`crate::elections`].

use labrt::time::Duration;
use raftapi::{ServerId, Term};

use crate::report::Failure;
use crate::text::{at, span};

/// No election timeout is shorter than this.
pub const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);

/// A server may have decided to campaign, and answer its leader while it waits for its lock. That takes
/// less than this.
const DECIDED: Duration = Duration::from_millis(20);

/// A server's term is looked up again after this time.
const AGAIN: Duration = Duration::from_millis(10);

/// Who called as a leader, and whom each server has answered.
#[derive(Debug, Clone)]
pub struct Following {
    servers: Vec<Server>,
}

#[derive(Debug, Clone, Default)]
struct Server {
    /// The term that it leads, the first call that it surely made as its leader, and when it was last
    /// seen to lead.
    leads: Option<(Term, u64, Duration)>,
    /// When it last got or answered anything that leaders send, also what nobody waits for any more.
    busy: Option<Duration>,
    /// When it last surely answered the leader of its own term, who that was, and the term.
    followed: Option<(Term, ServerId, Duration)>,
    /// The newest term in which it asked for votes.
    campaigned: Option<Term>,
}

impl Following {
    /// Nobody has called anybody yet.
    #[must_use]
    pub fn new(servers: usize) -> Following {
        Following { servers: vec![Server::default(); servers] }
    }

    /// A server sends AppendEntries. `state` looks up its term, and whether it leads; that is not
    /// always possible.
    pub fn calls(
        &mut self,
        server: ServerId,
        call: u64,
        state: impl FnOnce(ServerId) -> Option<(Term, bool)>,
        now: Duration,
    ) {
        let leads = &mut self.servers[server.0].leads;
        if leads.is_some_and(|(_, _, seen)| now < seen + AGAIN) {
            return;
        }
        *leads = match (state(server), *leads) {
            (Some((term, true)), Some((led, first, _))) if led == term => Some((term, first, now)),
            (Some((term, true)), _) => Some((term, call, now)),
            (Some((_, false)), _) => None,
            (None, known) => known,
        };
    }

    /// A server gets something that leaders send, or is done with it.
    pub fn is_busy(&mut self, server: ServerId, now: Duration) {
        self.servers[server.0].busy = Some(now);
    }

    /// A server's answer to AppendEntries leaves.
    pub fn answers(
        &mut self,
        server: ServerId,
        (call, leader): (u64, ServerId),
        state: impl Fn(ServerId) -> Option<(Term, bool)>,
        now: Duration,
    ) {
        let leads = self.servers[leader.0].leads;
        let follower = &mut self.servers[server.0];
        follower.busy = Some(now);
        let Some((term, first, _)) = leads else { return };
        let is_known = follower
            .followed
            .is_some_and(|(of, whom, when)| (of, whom) == (term, leader) && now < when + AGAIN);
        // A leader stays one until its term is over. So if it leads this one now, it led it when it called.
        if call >= first
            && !is_known
            && state(server) == Some((term, false))
            && state(leader) == Some((term, true))
        {
            follower.followed = Some((term, leader, now));
        }
    }

    /// A server asks for votes, and its term is not known. If it asks again, it may have decided long ago.
    pub fn campaigns_unseen(&mut self, server: ServerId) {
        self.servers[server.0].followed = None;
    }

    /// A server asks for votes, and is in this term now.
    ///
    /// # Errors
    ///
    /// If it has just followed a leader of this term, or of the one before.
    pub fn campaigns(
        &mut self,
        server: ServerId,
        term: Term,
        now: Duration,
    ) -> Result<(), Failure> {
        let it = &mut self.servers[server.0];
        let again = it.campaigned.replace(term) == Some(term);
        let Some((followed, leader, when)) = it.followed else { return Ok(()) };
        let at_once = it.busy.is_some_and(|when| now < when + DECIDED);
        let of_this_term = term == followed || term == followed.next();
        if again || at_once || !of_this_term || now >= when + SHORTEST_TIMEOUT {
            return Ok(());
        }
        Err(Failure::liveness("a server campaigned although it follows a leader")
            .expected(format!(
                "whatever the leader of its term sends puts off a server's own election, for {} at \
                 least (Raft 5.2, Figure 2, Followers)",
                span(SHORTEST_TIMEOUT)
            ))
            .happened(format!(
                "{server} answered {leader}, which leads {followed}, {}; it asked for votes in {term}, {}",
                at(when),
                at(now)
            ))
            .look_at("what resets the election timer: any AppendEntries of the current term, whoever had \
                      this server's vote, and whether its entries fit or not"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S0: ServerId = ServerId(0);
    const S1: ServerId = ServerId(1);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// S0 leads T4, S1 is in it.
    #[expect(clippy::unnecessary_wraps, reason = "not every look succeeds")]
    fn in_t4(server: ServerId) -> Option<(Term, bool)> {
        Some((Term(4), server == S0))
    }

    /// S1 has answered the leader of T4 at 1 s and at 1.1 s.
    fn followed() -> Following {
        let mut following = Following::new(2);
        for (call, when) in [(7, 1000), (8, 1100)] {
            following.calls(S0, call, in_t4, ms(when));
            following.answers(S1, (call, S0), in_t4, ms(when));
        }
        following
    }

    #[test]
    fn who_follows_does_not_campaign() {
        let failure = followed().campaigns(S1, Term(5), ms(1150)).unwrap_err();
        assert_eq!(failure.title, "a server campaigned although it follows a leader");
        // Nor does it ask whether it would be elected.
        followed().campaigns(S1, Term(4), ms(1150)).unwrap_err();
    }

    #[test]
    fn who_has_waited_may_campaign() {
        followed().campaigns(S1, Term(5), ms(1200)).unwrap();
    }

    #[test]
    fn who_has_decided_before_it_answered_may_campaign() {
        followed().campaigns(S1, Term(5), ms(1101)).unwrap();
    }

    #[test]
    fn who_asks_again_has_decided_before() {
        let mut following = followed();
        following.campaigns(S1, Term(5), ms(1101)).unwrap();
        following.campaigns(S1, Term(5), ms(1121)).unwrap();
        let mut following = followed();
        following.campaigns_unseen(S1);
        following.campaigns(S1, Term(5), ms(1121)).unwrap();
    }

    #[test]
    fn who_decides_over_a_second_copy_may_campaign() {
        let mut following = followed();
        following.is_busy(S1, ms(1140));
        following.campaigns(S1, Term(5), ms(1141)).unwrap();
    }

    #[test]
    fn an_answer_in_a_newer_term_follows_nobody() {
        let mut following = Following::new(2);
        following.calls(S0, 7, in_t4, ms(1000));
        let in_t5 = |server| Some(if server == S1 { (Term(5), false) } else { (Term(4), true) });
        following.answers(S1, (7, S0), in_t5, ms(1000));
        following.campaigns(S1, Term(6), ms(1050)).unwrap();
    }

    #[test]
    fn an_answer_to_an_earlier_leadership_follows_nobody() {
        let mut following = Following::new(2);
        following.calls(S0, 7, in_t4, ms(1000));
        following.answers(S1, (6, S0), in_t4, ms(1000));
        following.campaigns(S1, Term(5), ms(1050)).unwrap();
    }
}
