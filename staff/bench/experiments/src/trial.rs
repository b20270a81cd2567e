//! One crash of a leader, as in section 9.3 of the paper.
//!
//! ```text
//!   S0 leads; its log is the longest          crash
//!   ──heartbeat──heartbeat──heartbeat──heartb ✗
//!   S1 ..... S4 follow, with logs of four lengths │◀── missed ──▶│ S2 leads
//! ```
//!
//! Two of the four can win: who campaigns with the shortest log or the next gets no majority. To keep
//! the logs apart, no answer to an `AppendEntries` reaches S0; so it learns of no refusal, sends
//! bare heartbeats, and repairs nothing.

use std::{sync::Arc, time::Duration};

use labrpc::{Conditions, DelayRange, Network};
use labrt::{
    channel::{self, Receiver},
    node::Node,
    rand::Rng,
    sim::{self, Config},
    time::sleep,
};
use rand::RngExt as _;
use timed_raft::{ApplyMsg, Persister, Raft, SnapshotWrite, timing};

/// What makes a broadcast, which is over when the last of four answers is there, take 15 ms: the
/// paper gives the sum only, and the two ends of what it may consist of differ much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broadcast {
    /// Each message takes 5 to 8.5 ms on its way.
    Wire,
    /// Messages take 0.1 to 0.5 ms, and an answer waits 13.2 to 14.8 ms for a disk.
    Disk,
}

impl Broadcast {
    fn conditions(self) -> Conditions {
        match self {
            Broadcast::Wire => {
                Conditions { delay: DelayRange::micros(5_000, 8_500), ..Conditions::reliable() }
            }
            Broadcast::Disk => Conditions {
                late_reply: 1.0,
                late_reply_delay: DelayRange::micros(13_800, 15_600),
                ..Conditions::reliable()
            },
        }
    }
}

/// Who has not found a leader by then will not find one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How exactly the time is measured.
const LOOK: Duration = Duration::from_micros(200);

const SERVERS: usize = 5;

/// The range of election timeouts, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeouts {
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl Timeouts {
    fn shortest(self) -> Duration {
        Duration::from_millis(self.min)
    }

    fn longest(self) -> Duration {
        Duration::from_millis(self.max)
    }

    /// "Half of the minimum election timeout for all tests" (section 9.3).
    fn heartbeat(self) -> Duration {
        self.shortest() / 2
    }
}

/// Logs of 1 to 5 entries, as they are saved.
pub(crate) fn saved_logs() -> Vec<Vec<u8>> {
    (1..=SERVERS).map(saved_log).collect()
}

/// What a server without others saves after so many commands, all in term 1.
fn saved_log(commands: usize) -> Vec<u8> {
    let story = move || {
        let network = Network::new();
        let node = Node::new("S0");
        let disk = Arc::new(Persister::new());
        let (apply, _applied) = channel::unbounded();
        let raft = node.run(|| Raft::new(vec![network.end(&node, "S0")], 0, disk.clone(), apply));
        let raft = raft.expect("a new node is alive");
        while !raft.get_state().1 {
            sleep(Duration::from_millis(1));
        }
        for _ in 0..commands {
            raft.start(vec![7; 20]).expect("it is alone");
        }
        sleep(Duration::from_secs(1));
        disk.read_raft_state()
    };
    sim::run(Config::with_seed(1), story).result.expect("a server alone works")
}

/// The time from a leader's crash to the next leader; `None` if there is none within
/// [`PATIENCE`]. `logs` are the [`saved_logs`].
pub(crate) fn downtime(
    timeouts: Timeouts,
    broadcast: Broadcast,
    logs: &[Vec<u8>],
    seed: u64,
) -> Option<Duration> {
    timing::set(timeouts.shortest(), timeouts.longest(), timeouts.heartbeat());
    let logs = logs.to_vec();
    let story = move || {
        let mut dice = Rng::from_seed(seed);
        let mut cluster = Cluster::start(timeouts, broadcast, &logs, &mut dice);
        cluster.keep_leading(timeouts);
        cluster.let_followers_talk(true);
        sleep(timeouts.heartbeat().mul_f64(dice.random()));
        cluster.crash_leader();
        cluster.time_to_leader()
    };
    sim::run(Config::with_seed(seed), story).result.expect("a trial ends well")
}

struct Cluster {
    network: Network,
    broadcast: Broadcast,
    nodes: Vec<Node>,
    rafts: Vec<Raft>,
    /// Nobody reads what is applied, but it must go somewhere.
    applied: Vec<Receiver<ApplyMsg>>,
}

fn name(server: usize) -> String {
    format!("S{server}")
}

impl Cluster {
    /// Servers of which only S0 can be elected: its log is the longest, and the others do not hear
    /// each other yet. It also starts first, so that equal timeouts do not keep it from winning.
    fn start(
        timeouts: Timeouts,
        broadcast: Broadcast,
        logs: &[Vec<u8>],
        dice: &mut Rng,
    ) -> Cluster {
        let network = Network::new();
        network.set_conditions(broadcast.conditions());
        let mut cluster =
            Cluster { network, broadcast, nodes: vec![], rafts: vec![], applied: vec![] };
        cluster.let_followers_talk(false);
        let mut lengths: Vec<usize> = (0..SERVERS - 1).collect();
        for last in (1..lengths.len()).rev() {
            lengths.swap(last, dice.random_range(0..=last));
        }
        cluster.add(&logs[SERVERS - 1]);
        sleep(timeouts.longest() + timeouts.shortest() / 2);
        for length in lengths {
            cluster.add(&logs[length]);
        }
        cluster
    }

    fn add(&mut self, log: &[u8]) {
        let me = self.nodes.len();
        let node = Node::new(&name(me));
        let ends = (0..SERVERS).map(|to| self.network.end(&node, &name(to))).collect();
        let disk = Persister::new();
        disk.save(log.to_vec(), SnapshotWrite::Keep);
        let (apply, applied) = channel::unbounded();
        let raft = node.run(|| Raft::new(ends, me, Arc::new(disk), apply));
        let raft = raft.expect("a new node is alive");
        self.network.serve(&node, raft.service());
        self.nodes.push(node);
        self.rafts.push(raft);
        self.applied.push(applied);
    }

    fn let_followers_talk(&self, up: bool) {
        for from in 1..SERVERS {
            for to in (1..SERVERS).filter(|&to| to != from) {
                self.network.set_link(&name(from), &name(to), up);
            }
        }
    }

    /// Whether what others answer S0 is held back, for longer than a trial lasts.
    fn hold_answers(&self, hold: bool) {
        const LONG: DelayRange = DelayRange::millis(1_000_000, 1_000_000);
        let long =
            Conditions { late_reply: 1.0, late_reply_delay: LONG, ..self.broadcast.conditions() };
        for from in 1..SERVERS {
            self.network.set_link_conditions(&name(from), "S0", hold.then_some(long));
        }
    }

    /// Waits until S0 is elected and has been heard by all for a few timeouts.
    fn keep_leading(&mut self, timeouts: Timeouts) {
        loop {
            while !self.rafts[0].get_state().1 {
                sleep(LOOK / 2);
            }
            self.hold_answers(true);
            let office = self.rafts[0].get_state();
            sleep(3 * timeouts.longest());
            let all_follow = self.rafts.iter().all(|raft| raft.get_state().0 == office.0);
            if all_follow && self.rafts[0].get_state() == office {
                return;
            }
            self.hold_answers(false);
        }
    }

    fn crash_leader(&self) {
        self.nodes[0].kill();
        self.network.remove("S0");
    }

    fn time_to_leader(&self) -> Option<Duration> {
        let crash = sim::elapsed();
        loop {
            let missed = sim::elapsed().saturating_sub(crash);
            if self.rafts[1..].iter().any(|raft| raft.get_state().1) {
                return Some(missed);
            }
            if missed > PATIENCE {
                return None;
            }
            sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use labrpc::{Rpc, Service};
    use serde::{Deserialize, Serialize};

    use super::*;

    /// The times are one setting for the whole process, so all that use them are in one test.
    #[test]
    fn the_logs_stay_apart_and_a_leader_is_replaced() {
        let logs = saved_logs();
        assert!(logs.windows(2).all(|pair| pair[0].len() < pair[1].len()), "{logs:?}");

        let usual = Timeouts { min: 150, max: 300 };
        for (seed, broadcast) in (0..20).zip([Broadcast::Wire, Broadcast::Disk].into_iter().cycle())
        {
            let again = || downtime(usual, broadcast, &logs, seed);
            let missed = again().expect("a leader");
            // The last heartbeat is at most 75 ms old, and votes take a round trip.
            assert!(missed >= Duration::from_millis(75) && missed < PATIENCE, "{missed:?}");
            assert_eq!(again(), Some(missed), "one seed, one run");
        }
        let equal = Timeouts { min: 150, max: 150 };
        let missed = downtime(equal, Broadcast::Wire, &logs, 1);
        assert_eq!(missed, None, "split votes, again and again");
    }

    #[derive(Serialize, Deserialize)]
    struct Ping;

    impl Rpc for Ping {
        const METHOD: &'static str = "Test.Ping";
        type Reply = Ping;
    }

    #[test]
    fn a_broadcast_takes_15_ms() {
        const TIMES: u32 = 500;
        for broadcast in [Broadcast::Wire, Broadcast::Disk] {
            let story = move || {
                let network = Network::new();
                network.set_conditions(broadcast.conditions());
                let nodes: Vec<Node> = (0..SERVERS).map(|me| Node::new(&name(me))).collect();
                for node in &nodes {
                    network.serve(node, Service::new().on(|ping: Ping| ping));
                }
                let ask_all = || {
                    let began = sim::elapsed();
                    let calls: Vec<_> = (1..SERVERS)
                        .map(|to| {
                            let end = network.end(&nodes[0], &name(to));
                            nodes[0].spawn(move || end.call(&Ping).map(drop))
                        })
                        .collect();
                    for call in calls {
                        call.join().expect("it does not panic").expect("it is answered");
                    }
                    sim::elapsed().saturating_sub(began)
                };
                (0..TIMES).map(|_| ask_all()).sum::<Duration>() / TIMES
            };
            let time = sim::run(Config::with_seed(1), story).result.expect("it ends well");
            assert!((14_500..15_500).contains(&time.as_micros()), "{broadcast:?}: {time:?}");
        }
    }
}
