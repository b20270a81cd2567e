//! What a test expects of a cluster: each method waits up to a stated deadline, and reports.
//!
//! Deadlines are the original's, exact because time is virtual.

use labgob::Bytes;
use labrt::rand::stream;
use labrt::sim;
use labrt::time::{self, Duration, Instant};
use raftapi::{EntryId, LogIndex, ServerId, Term};
use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use crate::choices::Verb;
use crate::cluster::{Cluster, LEFT_OUT};
use crate::log;
use crate::report::Failure;
use crate::text::{at, command as show, list, span};

/// A generous election timeout: the tester's unit of patience, not the servers' own timeout.
pub const ELECTION_TIMEOUT: Duration = Duration::from_secs(1);

/// How often a leader is looked for, about half a second apart, before the search is given up.
const LEADER_ROUNDS: u32 = 10;

/// How long agreement on one command may take, elections and retries included.
pub const AGREEMENT: Duration = Duration::from_secs(10);

/// How long a command that a leader took in may take to be applied.
pub const COMMIT: Duration = Duration::from_secs(2);

/// A call and its answer, on average, on a network that loses messages and makes others late.
const SLOW_ROUND_TRIP: Duration = Duration::from_millis(500);

/// The only server that can win has been elected by then: the others' candidacies may be in its way.
const ONLY_WINNER: Duration = Duration::from_secs(30);

/// When faults are over for a majority, it has so long to agree on a command: twice as long as anybody
/// may still wait for an answer from the time of the faults, and an election or two.
pub const PROGRESS: Duration = Duration::from_secs(30);

/// The lab asks for some tens of heartbeats a second at most, and the original lets thirty pass; ten are
/// enough. So a server that sends 25 is well below, and one that sends 50 is well above.
const HEARTBEATS_PER_SECOND: u64 = 30;

/// A leader that refuses a command so often does not just find out that it leads.
const REFUSALS: usize = 10;

/// How long the original waits for an index to be applied.
const APPLY: Duration = Duration::from_secs(31);

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

    /// Waits for a settled leader, and lets so much time pass in silence: the leader must stay, and
    /// send each follower at most 30 requests a second.
    pub fn expect_idle(&self, length: Duration) {
        let _checking = self.recorder().check(format!("heartbeats only, for {}", span(length)));
        let leader = self.expect_settled_leader();
        let before = self.requests_served();
        self.expect_stable(leader, length);
        let followers = self.len() as u64 - 1;
        self.expect_at_most(
            "requests in silence",
            self.requests_served() - before,
            followers * HEARTBEATS_PER_SECOND * length.as_secs(),
            &format!(
                "{followers} followers get {HEARTBEATS_PER_SECOND} heartbeats a second at most, for {}",
                span(length)
            ),
            "the heartbeat interval, and whether what once sent something still does",
        );
    }

    /// Lets so much time pass in silence, which must cost no more bytes than heartbeats do: whoever
    /// holds all entries is sent none again.
    pub fn expect_silence(&self, length: Duration, look_at: &str) {
        const HEARTBEAT_BYTES: u64 = 200;
        let _checking = self.recorder().check(format!("silence, for {}", span(length)));
        let before = self.stats().bytes;
        time::sleep(length);
        let followers = self.len() as u64 - 1;
        let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        self.expect_at_most(
            "bytes in silence",
            self.stats().bytes - before,
            followers * HEARTBEATS_PER_SECOND * millis * HEARTBEAT_BYTES / 1000,
            &format!(
                "{followers} followers, who have everything, get {HEARTBEATS_PER_SECOND} heartbeats \
                 of {HEARTBEAT_BYTES} bytes a second at most, for {}",
                span(length)
            ),
            look_at,
        );
    }

    /// Checks that no server ever applied this index.
    pub fn expect_nothing_at(&self, index: LogIndex) {
        let _checking = self.recorder().check(format!("nothing at {index}"));
        if !self.is_as_told() {
            return;
        }
        let first = self.checker().ask(|history| {
            let first = history.applied.first(index);
            first.zip(history.applied.at(index).cloned())
        });
        if let Some(((server, when), command)) = first {
            Failure::safety("a command was applied without a majority")
                .expected(format!("nothing is applied at {index}: no majority can have stored it (Raft 5.3)"))
                .happened(format!("{server} applied {} there {}", show(&command), at(when)))
                .look_at("how many servers must hold an entry before it is committed, and how they are counted")
                .raise();
        }
    }

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

    /// Waits until so many servers that are up have applied this index, at most 31 s.
    pub fn expect_applied(&self, index: LogIndex, servers: usize) {
        let _checking = self.recorder().check(format!("{index} on {servers} servers"));
        if !self.applied_within(index, servers, APPLY) {
            let progress: Vec<String> = self
                .servers()
                .map(|server| {
                    let applied = self.checker().ask(|h| h.applied.progress(server));
                    applied.map_or(format!("{server} is down"), |i| format!("{server} {i}"))
                })
                .collect();
            Failure::liveness("a committed command was not applied")
                .expected(format!("{servers} servers apply {index} within {}", span(APPLY)))
                .happened(format!(
                    "{} they have applied: {}",
                    at(sim::elapsed()),
                    progress.join(", ")
                ))
                .look_at(
                    "how a follower that was away learns what it missed, and what is committed",
                )
                .raise();
        }
    }

    /// Waits until so many servers that are up have applied this index, and says if they did.
    pub fn applied_within(&self, index: LogIndex, servers: usize, patience: Duration) -> bool {
        self.checker().wait_until(Instant::now() + patience, |history| {
            history.applied.count(index) >= servers
        })
    }

    /// As [`expect_applied`](Self::expect_applied), but gives up when any server is in a newer term
    /// than `term`: then the entry may be gone, and `None` is returned.
    pub fn expect_applied_in(&self, term: Term, index: LogIndex, servers: usize) -> Option<Bytes> {
        let _checking = self.recorder().check(format!("{index} of {term} on {servers} servers"));
        let deadline = Instant::now() + APPLY;
        while !self.applied_within(index, servers, Duration::from_millis(20)) {
            if self.newest_term() > term {
                return None;
            }
            if Instant::now() >= deadline {
                self.expect_applied(index, servers);
            }
        }
        self.checker().ask(|history| history.applied.at(index).cloned())
    }

    /// The newest term that any server is in.
    pub fn newest_term(&self) -> Term {
        for server in self.servers() {
            self.look(server);
        }
        self.checker().ask(|history| history.elections.newest_term())
    }

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

    /// Notes how close the run came to a limit, for its record.
    pub fn spends(&self, what: &str, spent: u64, limit: u64) {
        let mut budgets = self.measures().budgets.lock();
        let closest = budgets.entry(what.to_owned()).or_insert((spent, limit));
        if u128::from(spent) * u128::from(closest.1) > u128::from(closest.0) * u128::from(limit) {
            *closest = (spent, limit);
        }
    }

    /// What the run spent must be at most the limit.
    pub fn expect_at_most(&self, what: &str, spent: u64, limit: u64, why: &str, look_at: &str) {
        self.spends(what, spent, limit);
        if spent > limit {
            Failure::budget(&format!("too many {what}"))
                .expected(format!("at most {limit} {what}: {why}"))
                .happened(format!("{spent}, {}", at(sim::elapsed())))
                .look_at(look_at)
                .raise();
        }
    }

    /// The test relies on something having happened that a right server cannot prevent.
    ///
    /// # Panics
    ///
    /// If it did not: then the test is wrong, and says so.
    pub fn relies_on(&self, happened: bool, what: &str) {
        assert!(happened, "the test did not do what it is for: {what}");
    }

    fn states(&self) -> Vec<(ServerId, Term, bool)> {
        let state = |server| self.look(server).map(|(term, leads)| (server, term, leads));
        self.reachable().into_iter().filter_map(state).collect()
    }

    fn no_leader(&self) -> Failure {
        let states = self.states();
        let servers: Vec<ServerId> = states.iter().map(|(server, ..)| *server).collect();
        Failure::liveness("no leader")
            .expected(format!("one of {} leads within about 5 s (Raft 5.2)", list(&servers)))
            .happened(format!("{}: {}", at(sim::elapsed()), describe(&states)))
            .look_at("election timeouts: how they are drawn, what resets them, what a candidate does when its time is over")
    }

    /// A server that leads, and to which `start()` said again and again that it does not.
    fn leader_that_refuses(&self, refused: &[(ServerId, Duration)]) -> Option<Failure> {
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

fn show_state(term: Term, leads: bool) -> String {
    if leads { format!("leader in {term}") } else { format!("in {term}, not leading") }
}

fn describe(states: &[(ServerId, Term, bool)]) -> String {
    let one = |(server, term, leads): &(ServerId, Term, bool)| {
        format!("{server} {}", show_state(*term, *leads))
    };
    states.iter().map(one).collect::<Vec<_>>().join(", ")
}
