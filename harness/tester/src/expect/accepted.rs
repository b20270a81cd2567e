//! Commands taken in: a leader takes what it is given, at the index that is next.

use labrt::sim;
use labrt::time::Duration;
use raftapi::{EntryId, LogIndex, ServerId, Term};

use super::show_state;
use crate::cluster::Cluster;
use crate::report::Failure;
use crate::text::at;

/// A leader that refuses a command so often does not just find out that it leads.
const REFUSALS: usize = 10;

impl Cluster {
    /// A server must take a new command.
    pub fn expect_accepted(&self, server: ServerId) -> EntryId {
        let _checking = self.recorder().check(format!("{server} takes a command"));
        self.give(server, &self.command()).unwrap_or_else(|| {
            let state = self.look(server);
            Failure::liveness("a leader refused a command")
                .expected("the leader takes every command that start() is given (Raft 5.3)")
                .happened(format!(
                    "{server} led a moment ago; {} it refused, and is {}",
                    at(sim::elapsed()),
                    state.map_or("down".to_owned(), |(term, leads)| show_state(term, leads)),
                ))
                .look_at("when start() says that this server does not lead")
                .raise()
        })
    }

    /// As [`expect_accepted`](Self::expect_accepted), but gives up when any server is in a newer term
    /// than `term`: then the server need not lead, and `None` is returned.
    pub fn expect_accepted_in(&self, term: Term, server: ServerId) -> Option<EntryId> {
        let taken = self.give(server, &self.command());
        if taken.is_none() && self.newest_term() > term {
            return None;
        }
        Some(taken.unwrap_or_else(|| self.expect_accepted(server)))
    }

    /// An index must be the one that the test knows the command must get.
    pub fn expect_index(&self, index: LogIndex, expected: LogIndex) {
        if index != expected {
            Failure::safety("a command got a wrong index")
                .expected(format!("the command gets {expected}: indexes count commands from 1, without a gap (Raft API)"))
                .happened(format!("it got {index}, {}", at(sim::elapsed())))
                .look_at("which entries take an index; and whether a command was taken in twice")
                .raise();
        }
    }

    /// A server that leads, and to which `start()` said again and again that it does not.
    pub(super) fn leader_that_refuses(&self, refused: &[(ServerId, Duration)]) -> Option<Failure> {
        let states = self.states();
        let leaders = states.iter().filter(|(.., leads)| *leads);
        let (leader, term, _) = *leaders.max_by_key(|(_, term, _)| *term)?;
        let (since, before) = self.checker().ask(|history| {
            let elections = &history.elections;
            (elections.led_since(term), elections.led_before(leader, term))
        });
        let since = since?;
        let times = refused.iter().filter(|(who, when)| *who == leader && *when > since).count();
        if times < REFUSALS {
            return None;
        }
        let (earlier, look_at) = match before {
            Some(before) => (
                format!("; it led {before} before"),
                "when start() says that this server does not lead, and what is left of an earlier \
                 leadership when a server is elected again",
            ),
            None => (String::new(), "when start() says that this server does not lead"),
        };
        Some(
            Failure::liveness("a leader refused a command")
                .expected("the leader takes every command that start() is given (Raft 5.3)")
                .happened(format!(
                    "{leader} has led {term} since {}; start() said {times} times up to {} that it does \
                     not lead{earlier}",
                    at(since).trim_start_matches("at "),
                    at(sim::elapsed()).trim_start_matches("at "),
                ))
                .look_at(look_at),
        )
    }
}
