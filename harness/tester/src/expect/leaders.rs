//! Leaders: that one is elected, that it stays, and what terms the servers are in.

use labrt::rand::stream;
use labrt::sim;
use labrt::time::{self, Duration, Instant};
use raftapi::{ServerId, Term};
use rand::RngExt as _;

use super::describe;
use crate::cluster::Cluster;
use crate::log;
use crate::report::Failure;
use crate::text::{at, list, span};

/// How often a leader is looked for, about half a second apart, before the search is given up.
const LEADER_ROUNDS: u32 = 10;

/// The only server that can win has been elected by then: the others' candidacies may be in its way.
const ONLY_WINNER: Duration = Duration::from_secs(30);

impl Cluster {
    /// Waits, at most about 5 s, until a connected server leads, and returns the leader of the
    /// newest term. The first look comes after half a second: time for an old leader to be deposed.
    pub fn expect_one_leader(&self) -> ServerId {
        let _checking = self.recorder().check("one leader");
        for _ in 0..LEADER_ROUNDS {
            let now = u64::try_from(sim::elapsed().as_nanos()).unwrap_or(u64::MAX);
            let half_a_second = stream("test/leader").at(now).random_range(450..550);
            time::sleep(Duration::from_millis(half_a_second));
            if let Some((term, leader)) = self.leader_now() {
                tracing::info!(target: log::TEST, "{leader} is the leader, in {term}");
                return leader;
            }
        }
        self.no_leader().raise()
    }

    /// Waits until a leader has led for so long that every message of its election has arrived, at
    /// most about 6 s. From then on a right leader stays for as long as nothing fails.
    pub fn expect_settled_leader(&self) -> ServerId {
        let _checking = self.recorder().check("a leader that stays");
        for _ in 0..LEADER_ROUNDS {
            let leader = self.expect_one_leader();
            let before = self.leader_now();
            time::sleep(Duration::from_millis(50));
            if before == self.leader_now() && before.is_some_and(|(_, who)| who == leader) {
                return leader;
            }
        }
        self.no_leader().raise()
    }

    /// The connected server that leads now, and its term; of the newest term if there are several.
    pub fn leader_now(&self) -> Option<(Term, ServerId)> {
        let leads = |server| match self.look(server) {
            Some((term, true)) => Some((term, server)),
            _ => None,
        };
        self.reachable().into_iter().filter_map(leads).max()
    }

    /// These three are connected and nobody else is; the first has entries that the others lack, and so must
    /// win. Returns as soon as it leads, before it can tell them of any entry.
    pub fn expect_the_first_to_win(&self, [first, second, third]: [ServerId; 3]) {
        let _checking = self.recorder().check(format!("{first} is elected"));
        let parts = [first, second, third];
        let rest: Vec<ServerId> = self.servers().filter(|server| !parts.contains(server)).collect();
        self.disconnect_each(&rest);
        self.connect_each(&parts);
        let step = Duration::from_micros(100);
        let leads = || self.look(first).is_some_and(|(_, leads)| leads);
        for _ in 0..ONLY_WINNER.as_micros() / step.as_micros() {
            if leads() {
                return;
            }
            self.sleep(step);
        }
        if self.is_as_told() {
            Failure::liveness("the only server that can win is not elected")
            .expected(
                "a server whose log is as up-to-date as those of a majority wins when it stands often \
                 enough, and the others cannot (Raft 5.4.1, 5.2)",
            )
            .happened(format!(
                "{first}, {second} and {third} were connected for {} s, and {first} has entries that the \
                 others lack",
                ONLY_WINNER.as_secs()
            ))
            .look_at("to whom a vote is granted, and what resets the election timer")
            .raise();
        }
    }

    /// Checks that no connected server claims to lead: they must be too few.
    pub fn expect_no_leader(&self) {
        let _checking = self.recorder().check("no leader");
        if let Some((term, leader)) = self.leader_now() {
            let connected = self.reachable();
            if connected.len() > self.len() / 2 {
                return; // some of them were cut off in the story only
            }
            Failure::safety("a leader without a majority")
                .expected("a server leads only with the votes of a majority (Raft 5.2)")
                .happened(format!(
                    "{leader} leads {term} {}, while only {} of {} servers can be reached",
                    at(sim::elapsed()),
                    connected.len(),
                    self.len()
                ))
                .look_at("how many votes make a leader, and of which term they must be")
                .raise();
        }
    }

    /// Checks that all connected servers are in one term, and returns it.
    pub fn expect_same_term(&self) -> Term {
        let _checking = self.recorder().check("all in one term");
        let states = self.states();
        let mut terms: Vec<Term> = states.iter().map(|(_, term, _)| *term).collect();
        terms.dedup();
        let [term] = terms[..] else {
            Failure::liveness("servers disagree on the term")
                .expected("with a leader and no failures, all servers are in the leader's term (Raft 5.1)")
                .happened(format!("{}: {}", at(sim::elapsed()), describe(&states)))
                .look_at("what a server does with a newer term in a request or a reply (Figure 2, All Servers)")
                .raise()
        };
        term
    }

    /// Lets so much time pass, in which the leader and the term must stay as they are.
    pub fn expect_stable(&self, leader: ServerId, length: Duration) {
        let _checking = self.recorder().check(format!("{leader} leads for {}", span(length)));
        let before = self.expect_same_term();
        let newest = |cluster: &Cluster| cluster.checker().ask(|h| h.elections.newest_term());
        let deadline = Instant::now() + length;
        loop {
            let now_led = self.look(leader).is_some_and(|(_, leads)| leads);
            if newest(self) > before || !now_led {
                Failure::liveness("a needless election")
                    .expected(format!(
                        "a leader stays for {} while nothing fails (Raft 5.2)",
                        span(length)
                    ))
                    .happened(format!(
                        "{leader} led {before}; {} the servers are: {}",
                        at(sim::elapsed()),
                        describe(&self.states())
                    ))
                    .look_at("heartbeats against election timeouts: what resets the timer, and how soon a new leader is heard")
                    .raise();
            }
            if Instant::now() >= deadline {
                return;
            }
            time::sleep(Duration::from_millis(50).min(deadline - Instant::now()));
        }
    }

    /// The newest term that any server is in.
    pub fn newest_term(&self) -> Term {
        for server in self.servers() {
            self.look(server);
        }
        self.checker().ask(|history| history.elections.newest_term())
    }

    /// What comes of an attempt in which the leader stays. Under load an election now and then is no error,
    /// so there are five of them.
    pub fn in_one_term<T>(&self, what: &str, attempt: fn(&Cluster) -> Option<T>) -> T {
        for n in 0..5 {
            if n > 0 {
                self.sleep(Duration::from_secs(3));
            }
            if let Some(found) = attempt(self) {
                return found;
            }
        }
        Failure::liveness("the term keeps changing")
            .expected(format!("in one of five attempts the leader stays while {what}"))
            .happened("each time the term changed")
            .look_at("heartbeats against election timeouts; what resets the timer")
            .raise()
    }

    fn no_leader(&self) -> Failure {
        let states = self.states();
        let servers: Vec<ServerId> = states.iter().map(|(server, ..)| *server).collect();
        Failure::liveness("no leader")
            .expected(format!("one of {} leads within about 5 s (Raft 5.2)", list(&servers)))
            .happened(format!("{}: {}", at(sim::elapsed()), describe(&states)))
            .look_at("election timeouts: how they are drawn, what resets them, what a candidate does when its time is over")
    }
}
