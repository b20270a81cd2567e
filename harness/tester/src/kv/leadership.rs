//! Who led and does not know better, who leads again, and who never will: what clients must not be
//! told there, and must not wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use labrpc::{DelayRange, NetEventKind};
use labrt::event;
use labrt::time::{self, Duration, Instant};
use parking_lot::Mutex;
use raftapi::{ApplyMsg, ServerId};

use super::patience::PATIENCE;
use super::{Begun, KvCluster};
use crate::service::Habits;

/// With a majority that has lost its leader, an operation takes an election, and not much more.
const WITH_AN_ELECTION: Duration = Duration::from_secs(5);

/// In this time a majority as a rule has a leader, though only one of its servers can be elected.
const ELECTED_BY_THEN: Duration = Duration::from_secs(3);

/// Who answers late is late by at least so much: an election is over by then, as a rule.
const LATE: u64 = 3000;

/// A server that still keeps a request by then, though no majority answers, keeps it for ever.
const KEPT_FOR_EVER: Duration = Duration::from_secs(2);

/// A server stands still for so long before and after it would give a request up.
const AROUND: Duration = Duration::from_millis(8);

impl KvCluster {
    /// A clerk that looks for the leader comes to a server that is cut off from all others, and campaigns
    /// in vain: it must be told so, and go on to those who can serve it.
    pub fn expect_an_answer_past_a_candidate(&self) {
        let leader = self.expect_settled_leader();
        let candidate = self.after(leader, 1);
        let majority = self.all_but(&[leader, candidate]);
        let ends: Vec<ServerId> = [&[leader, candidate], &majority[..]].concat();
        let mut client = self.client_with(&ends).with_promise(WITH_AN_ELECTION);
        client.put("candidate", "with the leader");
        client.reach(&ends[1..]);
        self.partition(|server| match server {
            server if server == leader => 1,
            server if server == candidate => 2,
            _ => 0,
        });
        self.sleep(Duration::from_millis(1500)); // by now it campaigns
        client.append("candidate", ", and past a candidate");
        client.expect("candidate", "with the leader, and past a candidate");
        self.heal();
        self.settle();
    }

    /// A leader is cut off while requests wait in it; another one is elected, puts other entries in
    /// the place of theirs, and is lost; and the first one leads again, and executes those. All while the
    /// requests wait: they must not be answered by what came of others.
    pub fn expect_no_answer_of_another_term(&self) {
        const ROUNDS: usize = 3;
        let mut pieces = Vec::new();
        for round in 0..ROUNDS {
            self.lead_twice(round, &mut pieces);
        }
        let value = self.client().get("twice");
        for piece in pieces {
            self.expect_once_and_in_order(&value, std::iter::once(piece));
        }
    }

    fn lead_twice(&self, round: usize, pieces: &mut Vec<String>) {
        /// Entries of either leader: where those of the second one begin is its own affair.
        const ENTRIES: usize = 4;
        let first = self.expect_settled_leader();
        self.partition(|server| usize::from(server == first));
        let Some(second) = self.other_leader(first) else {
            self.heal();
            self.settle();
            return;
        };
        let mut append = |to: ServerId, whose: &str| -> Vec<Begun<()>> {
            let begin = |n| {
                let piece = format!("{whose}.{round}.{n} ");
                pieces.push(piece.clone());
                self.client_of(&[to]).begin(move |client| client.append("twice", &piece))
            };
            (0..ENTRIES).map(begin).collect()
        };
        let mut waiting = append(first, "first");
        self.sleep(Duration::from_millis(5));
        // What the second one says to the first is all that is heard of it.
        self.partition(|server| usize::from(server == first || server == second));
        waiting.extend(append(second, "second"));
        self.sleep(Duration::from_millis(150));
        // Only the first one can be elected here: the others lack what it has.
        let companions = self.all_but(&[first, second]);
        let majority: Vec<ServerId> = [&[first], &companions[..self.len() / 2]].concat();
        self.partition(|server| usize::from(majority.contains(&server)));
        let piece = format!("third.{round} ");
        pieces.push(piece.clone());
        let last = self.client_of(&majority).begin(move |client| client.append("twice", &piece));
        let deadline = Instant::now() + ELECTED_BY_THEN;
        while !last.has_ended() && Instant::now() < deadline {
            self.sleep(Duration::from_millis(10));
        }
        waiting.push(last);
        self.serve_all(waiting);
    }

    /// Requests are given up in the very moment in which their entries are executed, again and again:
    /// servers go on nevertheless.
    ///
    /// When that is, is measured first: followers answer, but late. Then the service is slow, and has the
    /// first entry in hand until that time; and the leader stands still for a moment around it, so
    /// that what it then does about the entry and about the request begins at the same time, in any order.
    pub fn expect_progress_after_abandoned_requests(&self) {
        const ROUNDS: usize = 8;
        if !self.time_is_free() {
            return; // nobody can aim so well
        }
        self.set_patience(PATIENCE);
        let Some(kept) = self.how_long_requests_are_kept() else { return };
        let hand = Arc::new(Hand::default());
        self.set_habits(Box::new(Arc::clone(&hand)));
        for _ in 0..ROUNDS {
            self.abandon(kept, &hand);
        }
        self.settle();
        let mut client = self.client();
        client.put("abandoned", "goes on");
        client.expect("abandoned", "goes on");
    }

    /// How long a leader keeps a request when followers do not answer.
    fn how_long_requests_are_kept(&self) -> Option<Duration> {
        let leader = self.expect_settled_leader();
        let client = self.client_of(&[leader]);
        let times = Arc::new(Mutex::new((None, None)));
        let (name, seen) = (client.name().to_owned(), Arc::clone(&times));
        self.network().observe(move |event| {
            let mut times = seen.lock();
            match event.kind {
                NetEventKind::RequestDelivered if event.from == name && times.0.is_none() => {
                    times.0 = Some(Instant::now());
                }
                NetEventKind::ReplySent if event.from == name && times.1.is_none() => {
                    times.1 = Some(Instant::now());
                }
                _ => {}
            }
        });
        self.disturb();
        self.answer_late(leader, Some(KEPT_FOR_EVER * 2));
        self.sleep(Duration::from_millis(20));
        let put = client.begin(|client| client.put("abandoned", "measured"));
        self.sleep(KEPT_FOR_EVER);
        self.answer_late(leader, None);
        self.serve_all(vec![put]);
        let (came, left) = *times.lock();
        Some(left? - came?)
    }

    fn abandon(&self, kept: Duration, hand: &Hand) {
        const CLIENTS: usize = 8;
        let leader = self.expect_settled_leader();
        let node = self.node(leader);
        self.disturb();
        hand.keep(leader, Instant::now() + kept);
        let puts = (0..CLIENTS)
            .map(|n| {
                let value = n.to_string();
                self.client_of(&[leader]).begin(move |client| client.put("abandoned", &value))
            })
            .collect();
        self.sleep(kept.saturating_sub(AROUND));
        if node.is_alive() {
            node.pause();
            event::after(AROUND * 2, move || node.resume());
        }
        self.sleep(AROUND * 3);
        hand.let_go();
        self.serve_all(puts);
    }

    /// The followers of a leader answer it seconds late. Then it is cut off, and what they said still
    /// arrives: but it is of a time when another leader had not yet done what this one does not know of.
    pub fn expect_nothing_stale_by_late_answers(&self) {
        const READERS: usize = 4;
        let old = self.expect_settled_leader();
        let others = self.all_but(&[old]);
        self.client().put("late", "old");
        self.disturb();
        self.answer_late(old, Some(Duration::from_millis(LATE)));
        let over = Arc::new(AtomicBool::new(false));
        let readers: Vec<Begun<()>> = (0..READERS)
            .map(|_| {
                let over = Arc::clone(&over);
                self.client_of(&[old]).begin(move |client| {
                    while !over.load(Ordering::Relaxed) {
                        client.get("late");
                        time::sleep(Duration::from_millis(10));
                    }
                })
            })
            .collect();
        self.sleep(Duration::from_secs(1));
        self.partition(|server| usize::from(server == old));
        let since = Instant::now();
        let mut writer = self.client_of(&others).with_promise(WITH_AN_ELECTION);
        writer.put("late", "new");
        self.sleep(Duration::from_millis(LATE).saturating_sub(since.elapsed()));
        over.store(true, Ordering::Relaxed);
        self.answer_late(old, None);
        self.serve_all(readers);
    }

    /// All others answer this server so much later from now on, and up to a millisecond more; or in time.
    fn answer_late(&self, leader: ServerId, by: Option<Duration>) {
        for other in self.all_but(&[leader]) {
            let by = by.map(|min| DelayRange { min, max: min + Duration::from_millis(1) });
            self.delay_replies(other, leader, by);
        }
    }

    /// Nothing is in anybody's way any more: all that was begun must end.
    fn serve_all(&self, begun: Vec<Begun<()>>) {
        self.heal();
        self.settle();
        let all: Vec<ServerId> = self.servers().collect();
        for waiting in &begun {
            waiting.reach(&all);
        }
        begun.into_iter().for_each(Begun::wait);
    }

    /// Who leads in place of this one, as soon as somebody does.
    fn other_leader(&self, than: ServerId) -> Option<ServerId> {
        let deadline = Instant::now() + WITH_AN_ELECTION;
        while Instant::now() < deadline {
            if let Some((_, leader)) = self.leader_now().filter(|(_, leader)| *leader != than) {
                return Some(leader);
            }
            self.sleep(Duration::from_millis(5));
        }
        None
    }

    fn all_but(&self, these: &[ServerId]) -> Vec<ServerId> {
        self.servers().filter(|server| !these.contains(server)).collect()
    }
}

/// A service that does nothing about the next command before this instant, and whose it is.
#[derive(Default)]
struct Hand(Mutex<Option<(ServerId, Instant)>>);

impl Hand {
    fn keep(&self, server: ServerId, until: Instant) {
        *self.0.lock() = Some((server, until));
    }

    fn let_go(&self) {
        *self.0.lock() = None;
    }
}

impl Habits for Arc<Hand> {
    fn takes(&self, server: ServerId, message: &ApplyMsg) {
        let is_command = matches!(message, ApplyMsg::Command { .. });
        let kept = self.0.lock().take_if(|(whom, _)| is_command && *whom == server);
        if let Some((_, until)) = kept {
            time::sleep_until(until);
        }
    }
}
