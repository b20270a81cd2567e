//! Agreement: a new command is given to a leader, and so many servers apply it.

use labgob::Bytes;
use labrt::sim;
use labrt::time::{self, Duration, Instant};
use raftapi::{EntryId, LogIndex, ServerId};
use rand::seq::SliceRandom as _;

use super::describe;
use crate::choices::Verb;
use crate::cluster::{Cluster, LEFT_OUT};
use crate::log;
use crate::report::Failure;
use crate::text::{at, command as show, list, span};

/// How long agreement on one command may take, elections and retries included.
pub const AGREEMENT: Duration = Duration::from_secs(10);

/// How long a command that a leader took in may take to be applied.
pub const COMMIT: Duration = Duration::from_secs(2);

/// A call and its answer, on average, on a network that loses messages and makes others late.
const SLOW_ROUND_TRIP: Duration = Duration::from_millis(500);

/// When faults are over for a majority, it has so long to agree on a command: twice as long as anybody
/// may still wait for an answer from the time of the faults, and an election or two.
pub const PROGRESS: Duration = Duration::from_secs(30);

impl Cluster {
    /// Gives a new command to the leader, again to later leaders if need be, until so many servers
    /// have applied it; at most 10 s. Returns its index.
    pub fn expect_agreement(&self, servers: usize) -> LogIndex {
        self.expect_agreement_on(&self.command(), servers, AGREEMENT)
    }

    /// The same for a given command and deadline.
    pub fn expect_agreement_on(
        &self,
        command: &Bytes,
        servers: usize,
        deadline: Duration,
    ) -> LogIndex {
        let _checking = self.recorder().check(format!("agreement on {}", show(command)));
        self.agree(command, servers, true, deadline)
    }

    /// Gives a new command once, to the first server that takes it; so many servers must apply it
    /// within 2 s. Returns its index.
    pub fn expect_agreement_at_once(&self, servers: usize) -> LogIndex {
        self.expect_agreement_at_once_on(&self.command(), servers)
    }

    /// The same for a given command.
    pub fn expect_agreement_at_once_on(&self, command: &Bytes, servers: usize) -> LogIndex {
        let _checking = self.recorder().check(format!("agreement at once on {}", show(command)));
        self.agree(command, servers, false, AGREEMENT)
    }

    fn agree(&self, command: &Bytes, servers: usize, retry: bool, patience: Duration) -> LogIndex {
        let Some(step) = self.choices().command(Verb::Agree) else {
            time::sleep(LEFT_OUT);
            return self.checker().ask(|history| history.applied.highest());
        };
        self.choices().given(step, || format!("{} on {servers} servers", show(command)));
        let began = sim::elapsed();
        let deadline = Instant::now() + patience;
        let mut server = ServerId(0);
        let mut tried: Vec<EntryId> = Vec::new();
        let mut refused: Vec<(ServerId, Duration)> = Vec::new();
        while Instant::now() < deadline {
            let taken = (0..self.len()).find_map(|_| {
                server = self.after(server, 1);
                let taken = self.is_reachable(server).then(|| self.give(server, command))?;
                if taken.is_none() {
                    refused.push((server, sim::elapsed()));
                }
                taken
            });
            let Some(id) = taken else {
                time::sleep(Duration::from_millis(50));
                continue;
            };
            tried.push(id);
            // Another command at the index: this attempt can no longer succeed.
            let lost = |found: Option<&Bytes>| found.is_some_and(|found| found != command);
            self.checker().wait_until(Instant::now() + COMMIT, |history| {
                let applied = &history.applied;
                applied.count(id.index) >= servers || lost(applied.at(id.index))
            });
            let (count, found) = self.checker().ask(|history| {
                (history.applied.count(id.index), history.applied.at(id.index).cloned())
            });
            if count >= servers && found.as_ref() == Some(command) {
                tracing::info!(target: log::TEST, "{} is applied at {}", show(command), id.index);
                return id.index;
            }
            if !retry {
                break;
            }
        }
        if let Some(failure) = self.leader_that_refuses(&refused) {
            failure.raise()
        }
        let once = !retry && !tried.is_empty();
        let patience = if once { Duration::ZERO } else { patience };
        self.no_agreement(command, servers, began, &tried, patience).raise()
    }

    /// The second phase of a test whose first one was full of random faults: from now on some majority,
    /// which the dice of this name choose, is up and connected by a reliable network, and nothing
    /// changes any more. Whoever is not among them stays as it is: down or cut off for ever, or on the
    /// network that loses messages. The majority must elect a leader and agree on a command within
    /// [`PROGRESS`] and the time for [`repairs`](Self::repairs), since its leader may be one of the others;
    /// faults that go on healing at random would hide that it cannot.
    ///
    /// Afterwards the network is what it was, and these servers are still up and connected.
    pub fn expect_progress_of_a_majority(&self, name: &str) {
        let mut servers: Vec<ServerId> = self.servers().collect();
        servers.shuffle(&mut self.dice(name));
        let majority = &servers[..=self.len() / 2];
        tracing::info!(target: log::TEST, "{} must go on", list(majority));
        for server in majority {
            self.restart_if_down(*server);
            self.connect(*server);
        }
        self.spare_links_among(majority, true);
        self.agree(&self.command(), majority.len(), true, PROGRESS + self.repairs());
        self.spare_links_among(majority, false);
    }

    /// How long it may take, on a network that is late and loses messages, until a follower's log is
    /// the leader's: half a second an entry of the longest log. A leader may step back over what a
    /// follower has too much one entry at a time, a round trip each (5.3).
    pub fn repairs(&self) -> Duration {
        let longest = self.checker().ask(|history| history.applied.longest_log());
        SLOW_ROUND_TRIP.saturating_mul(u32::try_from(longest.0).unwrap_or(u32::MAX))
    }

    fn no_agreement(
        &self,
        command: &Bytes,
        servers: usize,
        began: Duration,
        tried: &[EntryId],
        patience: Duration,
    ) -> Failure {
        let connected = self.reachable();
        let result = match tried.last() {
            None => "no server took it".to_owned(),
            Some(id) => self.checker().ask(|history| {
                let applied = &history.applied;
                let times = if tried.len() == 1 {
                    String::new()
                } else {
                    format!(", {} times", tried.len())
                };
                let there = match applied.at(id.index) {
                    None => "nobody applied that index".to_owned(),
                    Some(found) if found == command => {
                        let has = |server: &ServerId| applied.progress(*server) >= Some(id.index);
                        format!(
                            "{} applied it",
                            list(&self.servers().filter(has).collect::<Vec<_>>())
                        )
                    }
                    Some(other) => format!("{} was applied there instead", show(other)),
                };
                format!("it was taken as {id}{times}; {there}")
            }),
        };
        let deadline = if patience.is_zero() {
            format!("within {} of start()", span(COMMIT))
        } else {
            format!("within {}, with retries", span(patience))
        };
        Failure::liveness("no agreement")
            .expected(format!(
                "{servers} servers apply {} {deadline}, with {} connected (Raft 5.3)",
                show(command),
                list(&connected)
            ))
            .happened(format!(
                "{result}, from {} to {}; {}",
                at(began).trim_start_matches("at "),
                at(sim::elapsed()).trim_start_matches("at "),
                describe(&self.states())
            ))
            .look_at("how entries reach a follower that lags or disagrees, what commits them, who tells the followers")
    }
}
