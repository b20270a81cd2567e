//! Clusters of a service on a simulated network, and what its clients saw.

#![allow(dead_code, reason = "each test file uses a part of it")]

mod history;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

#[allow(unused_imports, reason = "each test file uses a part of this")]
pub(crate) use history::History;
use kvraft::{Clerk, KvServer};
use labrpc::{ClientEnd, Conditions, Network, Service};
use labrt::{
    node::Node,
    sim::{self, Config},
    time::{Instant, sleep},
};
use raft::harness::Disk as _;
use raft::{Persister, Raft, Term};

/// Runs a story on 50 seeds, or as many as `LAB_RUNS` says.
pub(crate) fn on_many_seeds(story: fn()) {
    for seed in 0..seeds(std::env::var("LAB_RUNS").ok().as_deref()) {
        let config = Config { time_limit: Some(Duration::from_mins(5)), ..Config::with_seed(seed) };
        if let Err(failure) = sim::run(config, story).result {
            panic!("seed {seed}: {failure:?}");
        }
    }
}

/// How many seeds `LAB_RUNS` asks for.
fn seeds(runs: Option<&str>) -> u64 {
    let Some(runs) = runs.filter(|runs| !runs.is_empty()) else { return 50 };
    match runs.parse() {
        Ok(seeds) if seeds > 0 => seeds,
        _ => panic!("LAB_RUNS={runs} is not understood: it takes a number of seeds, 1 or more"),
    }
}

#[test]
fn lab_runs_says_how_many_seeds() {
    assert_eq!((seeds(None), seeds(Some("")), seeds(Some("3"))), (50, 50, 3));
    for wrong in ["0", "-1", "many"] {
        assert!(std::panic::catch_unwind(|| seeds(Some(wrong))).is_err(), "{wrong}");
    }
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A server of whatever service.
pub(crate) trait Server: Sized {
    fn start(
        ends: Vec<ClientEnd>,
        me: usize,
        disk: Arc<Persister>,
        max_raft_state: Option<usize>,
    ) -> Self;
    fn service(&self) -> Service;
    fn raft(&self) -> &Raft;
}

impl Server for KvServer {
    fn start(
        ends: Vec<ClientEnd>,
        me: usize,
        disk: Arc<Persister>,
        max_raft_state: Option<usize>,
    ) -> KvServer {
        KvServer::new(ends, me, disk, max_raft_state)
    }

    fn service(&self) -> Service {
        KvServer::service(self)
    }

    fn raft(&self) -> &Raft {
        KvServer::raft(self)
    }
}

/// Servers `S0`, `S1`, ... and clients `C0`, `C1`, ... on one network.
pub(crate) struct Cluster<S> {
    pub(crate) network: Network,
    pub(crate) disks: Vec<Arc<Persister>>,
    pub(crate) servers: Vec<Option<(Node, S)>>,
    max_raft_state: Option<usize>,
    clients: AtomicUsize,
}

impl<S: Server> Cluster<S> {
    pub(crate) fn of(servers: usize, max_raft_state: Option<usize>) -> Cluster<S> {
        let mut cluster = Cluster {
            network: Network::new(),
            disks: (0..servers).map(|_| Arc::new(Persister::new())).collect(),
            servers: (0..servers).map(|_| None).collect(),
            max_raft_state,
            clients: AtomicUsize::new(0),
        };
        for server in 0..servers {
            cluster.start(server);
        }
        cluster
    }

    pub(crate) fn all(&self) -> Vec<usize> {
        (0..self.servers.len()).collect()
    }

    pub(crate) fn all_but(&self, server: usize) -> Vec<usize> {
        (0..self.servers.len()).filter(|&other| other != server).collect()
    }

    pub(crate) fn start(&mut self, me: usize) {
        let node = Node::new(&format!("S{me}"));
        let (ends, disk) = (self.ends(&node, &self.all()), Arc::clone(&self.disks[me]));
        let server = node.run(|| S::start(ends, me, disk, self.max_raft_state)).expect("alive");
        self.network.serve(&node, server.service());
        self.servers[me] = Some((node, server));
    }

    pub(crate) fn crash(&mut self, me: usize) {
        self.network.remove(&format!("S{me}"));
        self.disks[me] = Arc::new(self.disks[me].copy());
        let (node, _) = self.servers[me].take().expect("a running server");
        node.kill();
    }

    /// What the incarnation `from` of a node needs to reach these servers.
    pub(crate) fn ends(&self, from: &Node, to: &[usize]) -> Vec<ClientEnd> {
        to.iter().map(|server| self.network.end(from, &format!("S{server}"))).collect()
    }

    /// A node for a client.
    pub(crate) fn client_node(&self) -> Node {
        let number = self.clients.fetch_add(1, Ordering::Relaxed);
        Node::new(&format!("C{number}"))
    }

    pub(crate) fn server(&self, server: usize) -> &S {
        &self.servers[server].as_ref().expect("a running server").1
    }

    pub(crate) fn node(&self, server: usize) -> &Node {
        &self.servers[server].as_ref().expect("a running server").0
    }

    /// Cuts all links between these servers and the others. Clients reach all as before.
    pub(crate) fn partition(&self, group: &[usize]) {
        for a in self.all() {
            for b in self.all() {
                let together = group.contains(&a) == group.contains(&b);
                self.network.set_link(&format!("S{a}"), &format!("S{b}"), together);
            }
        }
    }

    pub(crate) fn heal(&self) {
        self.partition(&[]);
    }

    /// Who leads the latest term that any of these servers knows, if one of them does.
    pub(crate) fn leader_among(&self, servers: &[usize]) -> Option<usize> {
        let running = servers.iter().filter(|&&server| self.servers[server].is_some());
        let state = |&server: &usize| -> (Term, bool, usize) {
            let (term, leads) = self.server(server).raft().get_state();
            (term, leads, server)
        };
        let (_, leads, server) = running.map(state).max()?;
        leads.then_some(server)
    }

    pub(crate) fn expect_leader_among(&self, servers: &[usize]) -> usize {
        for _ in 0..500 {
            if let Some(leader) = self.leader_among(servers) {
                return leader;
            }
            sleep(millis(10));
        }
        panic!("no leader among {servers:?} within 5 s");
    }

    pub(crate) fn expect_leader(&self) -> usize {
        self.expect_leader_among(&self.all())
    }
}

impl Cluster<KvServer> {
    /// A clerk that knows only these servers.
    pub(crate) fn clerk_to(&self, servers: &[usize]) -> Clerk {
        let node = self.client_node();
        node.run(|| Clerk::new(self.ends(&node, servers))).expect("alive")
    }

    /// A clerk that knows all servers but cannot reach these, and the name of its node.
    pub(crate) fn clerk_cut_off_from(&self, servers: &[usize]) -> (String, Clerk) {
        let node = self.client_node();
        let clerk = node.run(|| Clerk::new(self.ends(&node, &self.all()))).expect("alive");
        for server in servers {
            self.network.set_link(&node.name(), &format!("S{server}"), false);
        }
        (node.name().to_string(), clerk)
    }

    /// Lets a client reach all servers.
    pub(crate) fn connect_client(&self, client: &str) {
        for server in self.all() {
            self.network.set_link(client, &format!("S{server}"), true);
        }
    }

    /// A clerk that knows all servers, in an order of its own.
    pub(crate) fn clerk(&self) -> Clerk {
        let first = self.clients.load(Ordering::Relaxed) % self.servers.len();
        let mut servers = self.all();
        servers.rotate_left(first);
        servers.swap(0, first / 2);
        self.clerk_to(&servers)
    }
}

/// All hardships at once: loss, delay, replies held back, requests doubled and seconds late.
pub(crate) fn terrible() -> Conditions {
    Conditions::unreliable().with_duplicates(0.05).with_late_requests(0.05)
}

/// Fails if it takes longer than that; says how long it took.
#[track_caller]
pub(crate) fn within<T>(limit: Duration, what: &str, action: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = action();
    assert!(begin.elapsed() <= limit, "{what} took {:?}, not {limit:?}", begin.elapsed());
    result
}
