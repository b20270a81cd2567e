//! How leaders take office, and how they leave it (Raft 5.2, Figures 2 and 4).
//!
//! What costs a right cluster no more than a needless round now and then is no error by itself. So
//! these expectations are of many elections together, or of what no right server does.

use std::sync::Arc;

use labrpc::NetEventKind;
use labrt::sim;
use labrt::time::Duration;
use parking_lot::Mutex;
use raftapi::{ServerId, Term};

use crate::cluster::Cluster;
use crate::nemesis;
use crate::report::Failure;
use crate::text::{at, span};

/// New leaders must be heard in this time, on average. With a heartbeat at once it is nothing; one
/// that comes with the next tick comes half a heartbeat interval late, or a whole one.
const HEARD_WITHIN: Duration = Duration::from_millis(40);

/// So long after its election a leader's calls are counted.
const AT_ONCE: Duration = Duration::from_millis(40);

/// Calls to each follower that a new leader may make at once. One is needed.
const CALLS_AT_ONCE: usize = 3;

/// The longest that a call to nowhere hangs, and time for another one.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// Who has decided to campaign does so within this time, whatever it hears meanwhile.
const DECIDED: Duration = Duration::from_millis(10);

/// No election timeout is shorter than this.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);

/// As for any first leader.
const ELECTED_WITHIN: Duration = Duration::from_secs(5);

impl Cluster {
    /// Checks all leaders so far that led for a while: on average they called a follower at once,
    /// and none called them all again and again.
    pub fn expect_prompt_leaders(&self) {
        let leaders = self.checker().ask(|history| history.elections.leaders());
        let (mut waited, mut count) = (Duration::ZERO, 0);
        for (term, leader, since) in leaders {
            if since + 3 * AT_ONCE > sim::elapsed() {
                continue;
            }
            // It is seen to lead a moment after it began to.
            let calls = self.calls_since(leader, since.saturating_sub(Duration::from_millis(1)));
            let Some(first) = calls.first() else { continue };
            waited += first.saturating_sub(since);
            count += 1;
            let at_once = calls.iter().filter(|time| **time < since + AT_ONCE).count();
            let limit = CALLS_AT_ONCE * (self.len() - 1);
            self.spends("calls upon an election", at_once as u64, limit as u64);
            if at_once > limit {
                self.too_many_calls(term, leader, since, at_once).raise();
            }
        }
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.spends(
            "us until a new leader is heard",
            micros(waited / count.max(1)),
            micros(HEARD_WITHIN),
        );
        if count > 0 && waited / count > HEARD_WITHIN {
            Failure::liveness("new leaders keep silent")
                .expected(format!(
                    "upon election a leader sends heartbeats at once, so that nobody else campaigns \
                     (Raft 5.2, Figure 2): within {} on average",
                    span(HEARD_WITHIN)
                ))
                .happened(format!(
                    "{count} leaders made their first call {} ms after their election, on average",
                    (waited / count).as_millis()
                ))
                .look_at("what a server sends when it has won an election, and when")
                .raise();
        }
    }

    fn too_many_calls(
        &self,
        term: Term,
        leader: ServerId,
        since: Duration,
        calls: usize,
    ) -> Failure {
        Failure::budget("too many requests after an election")
            .expected(format!(
                "a new leader of {} servers makes {} calls in its first {}, votes not counted: a \
                 heartbeat to each of the others, and twice that again is margin",
                self.len(),
                CALLS_AT_ONCE * (self.len() - 1),
                span(AT_ONCE)
            ))
            .happened(format!("{leader} led {term} since {}, and made {calls}", at(since)))
            .look_at("what a vote does that arrives when the election is won")
    }

    /// Checks that no server but this one gave up the office of a term that it was still in, since
    /// then. Only for times in which every other one could reach a majority.
    pub fn expect_no_resignation(&self, except: ServerId, since: Duration) {
        let resigned = self.checker().ask(|history| history.elections.resigned());
        let found = resigned.into_iter().find(|(who, _, when)| *who != except && *when >= since);
        if let Some((who, term, when)) = found {
            Failure::liveness("a leader stepped down in its own term")
                .expected("a leader that reaches a majority leads until it learns of a newer term (Raft 5.1, Figure 4)")
                .happened(format!("{who} led {term}; {} it was still in {term}, and did not lead", at(when)))
                .look_at("what a leader does when it is asked for a vote in its own term, or when it is refused something")
                .raise();
        }
    }

    /// Waits until this server leads no longer, at most 10 s: calls that it made while it was cut
    /// off may hang for 7 s. Only for a leader that can call servers which are in a newer term.
    pub fn expect_to_step_down(&self, old: ServerId) {
        if !self.is_as_told() {
            return; // it may not be old
        }
        let Some((term, true)) = self.look(old) else { return };
        let deadline = sim::elapsed() + ANSWERED_WITHIN;
        while self.look(old) == Some((term, true)) {
            if sim::elapsed() >= deadline {
                Failure::liveness("an old leader leads on")
                    .expected("a server that learns of a newer term is a follower from then on; each answer to its own calls tells the term (Raft 5.1)")
                    .happened(format!("{old} led {term}, and still does {}", at(sim::elapsed())))
                    .look_at("what is done with the term in a reply (Figure 2, All Servers)")
                    .raise();
            }
            self.sleep(Duration::from_millis(20));
        }
    }

    /// Waits until a connected server leads a term after this one, at most 5 s, or until `old` has
    /// given up the older term that it leads, and so may campaign.
    pub fn expect_newer_leader(&self, than: Term, old: ServerId) {
        if !self.is_as_told() {
            return; // it may not be newer, or hear of everything
        }
        let office = self.look(old);
        let deadline = sim::elapsed() + ELECTED_WITHIN;
        while self.leader_now().is_none_or(|(term, _)| term <= than) && self.look(old) == office {
            if sim::elapsed() >= deadline {
                Failure::liveness("no leader while an old one goes on")
                    .expected(format!(
                        "{} of {} servers, who know of {than} and can reach each other, elect a \
                         leader within {} (Raft 5.2)",
                        self.connected().len() - 1,
                        self.len(),
                        span(ELECTED_WITHIN)
                    ))
                    .happened(format!(
                        "{}: nobody leads but {old}, in an older term, which hears nothing",
                        at(sim::elapsed())
                    ))
                    .look_at("what resets the election timer: a heartbeat of an old term may not (Figure 2, AppendEntries 1)")
                    .raise();
            }
            self.sleep(Duration::from_millis(50));
        }
    }

    /// Lets so much time pass, in which this follower must not campaign soon after it has answered a
    /// request of its leader. A request may reach a server that has just decided to campaign, or wait
    /// there for its lock, so what counts is the answer, and not in the very next moment. Whoever does
    /// not heed its leader has answered several requests by the time it campaigns.
    pub fn expect_to_follow(&self, follower: ServerId, leader: ServerId, length: Duration) {
        #[derive(Default)]
        struct Seen {
            over: bool,
            heard: Vec<Duration>,
            campaigned: Option<(Duration, Duration)>,
        }
        let seen = Arc::new(Mutex::new(Seen::default()));
        let watched = Arc::clone(&seen);
        self.network().observe(move |event| {
            let [from, to] = [event.from, event.to].map(nemesis::server);
            let is_vote = event.method == "Raft.RequestVote";
            let mut seen = watched.lock();
            if seen.over {
            } else if event.kind == NetEventKind::ReplySent {
                if !is_vote && (from, to) == (Some(leader), Some(follower)) {
                    seen.heard.push(event.at);
                }
            } else if event.kind == NetEventKind::RequestSent
                && is_vote
                && from == Some(follower)
                && let Some(heard) = seen.heard.iter().copied().find(|heard| {
                    heard.saturating_add(DECIDED) < event.at
                        && event.at < heard.saturating_add(SHORTEST_TIMEOUT)
                })
            {
                seen.campaigned.get_or_insert((heard, event.at));
            }
        });
        self.sleep(length);
        let mut seen = seen.lock();
        seen.over = true;
        if let Some((heard, when)) = seen.campaigned {
            Failure::liveness("a server campaigned although it heard its leader")
                .expected(format!(
                    "whatever the leader of its term sends, a snapshot too, puts off a server's own \
                     election, for {} at least (Raft 5.2)",
                    span(SHORTEST_TIMEOUT)
                ))
                .happened(format!(
                    "{follower} answered a request of {leader} {}, and campaigned {}",
                    at(heard),
                    at(when)
                ))
                .look_at("what resets the election timer: AppendEntries and InstallSnapshot of the present leader")
                .raise();
        }
    }
}
