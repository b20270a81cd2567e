//! Whole clusters on a simulated network: elections, agreement, crashes, snapshots, over many seeds.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use labrpc::{Conditions, Network};
use labrt::{
    channel,
    node::Node,
    sim::{self, Config},
    sync::Mutex,
    time::sleep,
};
use raft::harness::Disk as _;
use raft::{ApplyMsg, LogIndex, Persister, Raft};

/// Seeds of each test; some minutes of virtual time together.
const SEEDS: u64 = 40;

/// Runs a story on many seeds.
fn on_many_seeds(story: fn()) {
    for seed in 0..SEEDS {
        let config = Config { time_limit: Some(Duration::from_mins(5)), ..Config::with_seed(seed) };
        if let Err(failure) = sim::run(config, story).result {
            panic!("seed {seed}: {failure:?}");
        }
    }
}

/// What the servers applied, by index; the same on all of them, or the run ends.
#[derive(Default)]
struct Applied {
    commands: BTreeMap<u64, Vec<u8>>,
    /// For each server, the last index that it applied.
    last: Vec<u64>,
    snapshots_installed: usize,
}

struct Server {
    node: Node,
    raft: Raft,
}

/// Servers `S0`, `S1`, ... on one network, each with a service that records what it applies.
struct Cluster {
    network: Network,
    disks: Vec<Arc<Persister>>,
    servers: Vec<Option<Server>>,
    applied: Arc<Mutex<Applied>>,
    /// A service takes a snapshot when so many entries came since the last one.
    snapshot_every: Option<u64>,
}

impl Cluster {
    fn of(servers: usize) -> Cluster {
        Cluster::with_snapshots(servers, None)
    }

    fn with_snapshots(servers: usize, snapshot_every: Option<u64>) -> Cluster {
        let network = Network::new();
        network.set_conditions(Conditions::reliable().with_long_delays());
        let applied = Applied { last: vec![0; servers], ..Applied::default() };
        let mut cluster = Cluster {
            network,
            disks: (0..servers).map(|_| Arc::new(Persister::new())).collect(),
            servers: (0..servers).map(|_| None).collect(),
            applied: Arc::new(Mutex::new(applied)),
            snapshot_every,
        };
        for server in 0..servers {
            cluster.start(server);
        }
        cluster
    }

    fn start(&mut self, me: usize) {
        let node = Node::new(&format!("S{me}"));
        let count = self.servers.len();
        let ends = (0..count).map(|peer| self.network.end(&node, &format!("S{peer}"))).collect();
        let (sender, receiver) = channel::unbounded();
        let disk = Arc::clone(&self.disks[me]);
        let raft = node.run(|| Raft::new(ends, me, disk, sender)).expect("a new node is alive");
        self.network.serve(&node, raft.service());

        // A restarted service begins with its snapshot, as an index in decimal.
        let snapshot = self.disks[me].read_snapshot();
        let text = std::str::from_utf8(&snapshot).expect("decimal");
        let from = if text.is_empty() { 0 } else { text.parse().expect("decimal") };
        self.applied.lock().last[me] = from;
        let service = SimpleService {
            me,
            raft: raft.clone(),
            applied: Arc::clone(&self.applied),
            snapshot_every: self.snapshot_every,
            snapshot_at: from,
        };
        node.spawn(move || service.run(&receiver));
        self.servers[me] = Some(Server { node, raft });
    }

    fn crash(&mut self, me: usize) {
        self.network.remove(&format!("S{me}"));
        self.disks[me] = Arc::new(self.disks[me].copy());
        let server = self.servers[me].take().expect("a running server");
        server.node.kill();
    }

    fn set_connected(&self, me: usize, up: bool) {
        for peer in 0..self.servers.len() {
            self.network.set_link(&format!("S{me}"), &format!("S{peer}"), up);
            self.network.set_link(&format!("S{peer}"), &format!("S{me}"), up);
        }
    }

    /// Waits until one of these servers leads a term that none of them is beyond.
    fn expect_leader_among(&self, servers: &[usize]) -> usize {
        for _ in 0..500 {
            let states = servers.iter().filter_map(|&server| {
                let (term, leads) = self.servers[server].as_ref()?.raft.get_state();
                Some((term, leads, server))
            });
            if let Some((_, true, leader)) = states.max() {
                return leader;
            }
            sleep(Duration::from_millis(10));
        }
        panic!("no leader among {servers:?} within 5 s");
    }

    fn expect_leader(&self) -> usize {
        self.expect_leader_among(&(0..self.servers.len()).collect::<Vec<_>>())
    }

    /// Has a command applied on all of these servers, within 10 s.
    fn expect_agreement_among(&self, servers: &[usize], command: &str) -> u64 {
        for _ in 0..5 {
            let leader = self.expect_leader_among(servers);
            let raft = &self.servers[leader].as_ref().expect("a running server").raft;
            let Ok(id) = raft.start(command.into()) else { continue };
            for _ in 0..200 {
                let applied = self.applied.lock();
                let here = servers.iter().filter(|&&server| applied.last[server] >= id.index.0);
                if here.count() == servers.len() {
                    if applied.commands[&id.index.0] == command.as_bytes() {
                        return id.index.0;
                    }
                    break; // another leader's command took its place
                }
                drop(applied);
                sleep(Duration::from_millis(10));
            }
        }
        panic!("no agreement among {servers:?} on {command:?}");
    }

    fn expect_agreement(&self, command: &str) -> u64 {
        self.expect_agreement_among(&(0..self.servers.len()).collect::<Vec<_>>(), command)
    }
}

/// Applies by writing down, and takes a snapshot now and then.
struct SimpleService {
    me: usize,
    raft: Raft,
    applied: Arc<Mutex<Applied>>,
    snapshot_every: Option<u64>,
    snapshot_at: u64,
}

impl SimpleService {
    fn run(mut self, receiver: &channel::Receiver<ApplyMsg>) {
        for message in receiver {
            let index = self.record(message);
            if self.snapshot_every.is_some_and(|every| index >= self.snapshot_at + every) {
                self.raft.snapshot(LogIndex(index), index.to_string().into_bytes());
                self.snapshot_at = index;
            }
        }
    }

    fn record(&self, message: ApplyMsg) -> u64 {
        let mut applied = self.applied.lock();
        let last = applied.last[self.me];
        let index = match message {
            ApplyMsg::Command { index, command, .. } => {
                assert_eq!(index.0, last + 1, "S{} applies out of order", self.me);
                let first = applied.commands.entry(index.0).or_insert_with(|| command.clone());
                assert_eq!(*first, command, "S{} applies something else at {index}", self.me);
                index.0
            }
            ApplyMsg::Snapshot { index, data, .. } => {
                assert!(index.0 > last, "S{} goes back to a snapshot at {index}", self.me);
                assert_eq!(data, index.0.to_string().into_bytes());
                applied.snapshots_installed += 1;
                index.0
            }
        };
        applied.last[self.me] = index;
        index
    }
}

#[test]
fn servers_elect_one_leader_and_keep_it() {
    on_many_seeds(|| {
        for servers in [1, 2, 3, 5, 7] {
            let cluster = Cluster::of(servers);
            let leader = cluster.expect_leader();
            let (term, _) = cluster.servers[leader].as_ref().unwrap().raft.get_state();
            sleep(Duration::from_secs(3));
            let states: Vec<_> =
                cluster.servers.iter().flatten().map(|server| server.raft.get_state()).collect();
            assert!(states.iter().all(|state| state.0 == term), "another election: {states:?}");
            assert_eq!(states.iter().filter(|state| state.1).count(), 1);
        }
    });
}

#[test]
fn servers_agree_on_commands_with_a_minority_down() {
    on_many_seeds(|| {
        for servers in [1, 3, 5] {
            let mut cluster = Cluster::of(servers);
            assert_eq!(cluster.expect_agreement("first"), 1);
            assert_eq!(cluster.expect_agreement("second"), 2);
            let up: Vec<usize> = (servers / 2..servers).collect();
            for down in 0..servers / 2 {
                cluster.crash(down);
            }
            cluster.expect_agreement_among(&up, "without some");
            for down in 0..servers / 2 {
                cluster.start(down);
            }
            cluster.expect_agreement("with all");
        }
    });
}

#[test]
fn what_was_agreed_on_survives_a_crash_of_all() {
    on_many_seeds(|| {
        let mut cluster = Cluster::of(3);
        for round in 0..5 {
            cluster.expect_agreement(&format!("round {round}"));
            for server in 0..3 {
                cluster.crash(server);
            }
            for server in 0..3 {
                cluster.start(server);
            }
        }
        cluster.expect_agreement("last");
    });
}

#[test]
fn a_server_that_missed_much_gets_a_snapshot() {
    on_many_seeds(|| {
        let mut cluster = Cluster::with_snapshots(3, Some(5));
        cluster.expect_agreement("all here");
        let behind = (cluster.expect_leader() + 1) % 3;
        let others: Vec<usize> = (0..3).filter(|&server| server != behind).collect();
        cluster.crash(behind);
        for n in 0..20 {
            cluster.expect_agreement_among(&others, &format!("without it {n}"));
        }
        cluster.start(behind);
        cluster.expect_agreement("all here again");
        assert!(cluster.applied.lock().snapshots_installed > 0);
        for disk in &cluster.disks {
            assert!(disk.raft_state_size() < 500, "the log is not trimmed: {disk:?}");
        }
    });
}

#[test]
fn servers_agree_after_chaos_on_a_bad_network() {
    on_many_seeds(chaos);
}

/// Nothing in a Raft depends on anything but the seed: neither its random numbers nor the order of
/// what it does.
#[test]
fn one_seed_is_one_run() {
    for seed in 0..3 {
        if let Err(difference) = sim::check_determinism(&Config::with_seed(seed), chaos) {
            panic!("seed {seed}: {difference:?}");
        }
    }
}

/// Like the lab's "Figure 8 (unreliable)", and harder: messages lost, late and doubled.
fn chaos() {
    let mut cluster = Cluster::with_snapshots(5, Some(50));
    cluster.network.set_conditions(
        Conditions::unreliable()
            .with_long_delays()
            .with_long_reordering()
            .with_duplicates(0.05)
            .with_late_requests(0.05),
    );
    for round in 0..100_usize {
        for server in cluster.servers.iter().flatten() {
            let _ = server.raft.start(format!("round {round}").into_bytes());
        }
        let victim = round * 7 % 5;
        match round % 4 {
            0 => cluster.set_connected(victim, false),
            1 => cluster.set_connected(round * 3 % 5, true),
            2 if round % 3 == 0 => {
                cluster.crash(victim);
                cluster.start(victim);
            }
            _ => {}
        }
        sleep(Duration::from_millis(round as u64 * 13 % 120));
    }
    for server in 0..5 {
        cluster.set_connected(server, true);
    }
    cluster.expect_agreement("after the chaos");
}
