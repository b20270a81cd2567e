//! Lab 4: a cluster of key/value servers, its clients, and what they must find.
//!
//! ```text
//!   a story ──▶ Campaign: clients in tasks of their own, crashes, partitions
//!                  │ Client::{get, put, append}          │ Cluster::{crash, partition, ...}
//!                  ▼                                     ▼
//!               history ◀─ call, return ─ Clerk ──▶ KvServer on each server
//!                  │                                     │ saves
//!                  ▼                                     ▼
//!        linearizable? (verdict)        patience     sizes: log and snapshot within their limits
//! ```
//!
//! Every operation of every client is in the history, and every history is checked for
//! linearizability when the story ends. What a client can tell by itself (that a key which only it
//! writes holds what it wrote), how long an operation takes, and how large logs and snapshots become
//! is checked at once.
//!
//! - [`KvCluster`] is what a story gets: the verbs of [`Cluster`], clients, expectations.
//! - [`Client`] is a clerk whose operations are recorded.
//! - [`Campaign`] is what most stories consist of: rounds of load, with faults while it lasts.
//! - Not here: what a server does, and what its messages look like.

mod campaign;
mod client;
mod faults;
mod leadership;
mod patience;
mod pauses;
mod pieces;
mod sizes;
mod speed;
mod verdict;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use labrpc::NetEventKind;
use labrt::node::Node;
use labrt::sim;
use labrt::time::Duration;
use linearize::Recorder;
use linearize::models::{KvOp, KvOutput};
use parking_lot::Mutex;
use raftapi::ServerId;

use crate::checker::Measures;
use crate::cluster::{Cluster, ServiceKind};
use crate::report::Failure;
use crate::text::at;

pub use campaign::Campaign;
pub(crate) use client::is_client;
pub use client::{Begun, Client};
use patience::Patience;
use sizes::Sizes;

/// A cluster of key/value servers. A handle: clones mean the same cluster.
///
/// It is a [`Cluster`] whose servers are `KvServer`s: all verbs about servers and links are there.
#[derive(Clone)]
pub struct KvCluster {
    cluster: Cluster,
    shared: Arc<Shared>,
}

struct Shared {
    history: Recorder<KvOp, KvOutput>,
    patience: Patience,
    sizes: Arc<Sizes>,
    /// Clients so far; they are called `C0`, `C1`, ...
    clients: AtomicU64,
    client_nodes: Mutex<Vec<Node>>,
    /// Requests that clients have sent.
    requests: Arc<AtomicU64>,
    measures: Arc<Measures>,
    /// What befell the cluster, for the picture of the history.
    events: Mutex<Vec<(Duration, String)>>,
}

impl KvCluster {
    pub(crate) fn of(cluster: &Cluster, measures: Arc<Measures>) -> KvCluster {
        let ServiceKind::Kv { max_raft_state } = cluster.setup().service else {
            panic!("`Lab::kv` says that this is a test of Lab 4");
        };
        let requests = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&requests);
        cluster.network().observe(move |event| {
            if event.kind == NetEventKind::RequestSent && client::is_client(event.from) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let sizes = Arc::new(Sizes::new(max_raft_state));
        for server in cluster.servers() {
            sizes::watch(&sizes, server, &cluster.persister(server));
        }
        let kv = KvCluster {
            cluster: cluster.clone(),
            shared: Arc::new(Shared {
                history: Recorder::new(),
                patience: Patience::new(),
                sizes,
                clients: AtomicU64::new(0),
                client_nodes: Mutex::new(Vec::new()),
                requests,
                measures,
                events: Mutex::new(Vec::new()),
            }),
        };
        patience::watch(&kv);
        cluster.recorder().watch_clients(&kv.shared.history);
        kv
    }

    /// The end of the story: what must hold of all that happened.
    pub(crate) fn finish(&self) {
        self.expect_sizes();
        self.expect_linearizable();
    }

    /// Ends the run with this failure; but if what clients saw is not linearizable, with that one,
    /// since whoever waits in vain often waits for what was lost.
    pub(crate) fn fail(&self, failure: Failure) -> ! {
        self.expect_linearizable();
        failure.raise()
    }

    /// Remembers something for the picture of the history.
    pub(crate) fn event(&self, text: String) {
        self.shared.events.lock().push((sim::elapsed(), text));
    }

    /// `value` must contain each of these pieces exactly once, and in this order: each append was
    /// done once, and those of one client in the order in which it did them.
    pub fn expect_once_and_in_order(&self, value: &str, pieces: impl Iterator<Item = String>) {
        let mut from = 0;
        for piece in pieces {
            let places: Vec<usize> = value.match_indices(&piece).map(|(place, _)| place).collect();
            match places[..] {
                [place] if place >= from => from = place + piece.len(),
                _ => self.fail(misplaced(&piece, places.len(), value)),
            }
        }
    }

    /// What was begun must not have ended yet.
    pub fn expect_under_way<T>(&self, begun: &Begun<T>, what: &str) {
        if begun.has_ended() && self.is_as_told() {
            let failure = Failure::safety("a minority did something")
                .expected("nothing is done without a majority (Raft 5.3, 8)")
                .happened(format!("{what} of {} ended, {}", begun.client(), at(sim::elapsed())))
                .look_at("what an operation waits for before it is answered, a get included");
            self.fail(failure);
        }
    }

    /// The network must have lost messages of clients: else the test has not done what it is for.
    ///
    /// # Panics
    ///
    /// If it did not.
    pub fn expect_losses(&self) {
        let stats = self.stats();
        self.relies_on(stats.requests_lost > 0 && stats.replies_lost > 0, "messages are lost");
    }

    /// Crashes a server; see [`Cluster::crash`].
    pub fn crash(&self, server: ServerId) {
        self.disturb();
        self.event(format!("{server} crashes"));
        self.cluster.crash(server);
    }

    /// Starts a crashed server again, and connects it.
    pub fn start_again(&self, server: ServerId) {
        self.event(format!("{server} starts again"));
        self.cluster.restart(server);
        self.cluster.connect(server);
    }

    /// Parts the servers; see [`Cluster::partition`]. Clients reach all of them as before.
    pub fn partition(&self, side_of: impl Fn(ServerId) -> usize) {
        self.disturb();
        let show = |server: ServerId| side_of(server).to_string();
        let sides: Vec<String> = self.servers().map(show).collect();
        self.event(format!("servers on sides {}", sides.join(" ")));
        self.cluster.partition(side_of);
    }

    /// Ends a partition. Whether all is well again is for [`settle`](Self::settle) to say.
    pub fn heal(&self) {
        self.event("the partition ends".to_owned());
        self.cluster.heal();
    }

    /// All faults are over: servers run and are connected. Operations must end from now on.
    ///
    /// # Panics
    ///
    /// If a server is down or not connected: then the test is wrong.
    pub fn settle(&self) {
        assert!(self.connected().len() == self.len(), "not all servers are connected");
        self.shared.patience.calm();
    }

    /// From now until [`settle`](Self::settle) operations may take as long as they take.
    pub fn disturb(&self) {
        self.shared.patience.disturb();
    }
}

impl Deref for KvCluster {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl fmt::Debug for KvCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KvCluster of {} servers", self.len())
    }
}

fn misplaced(piece: &str, times: usize, value: &str) -> Failure {
    let what = match times {
        0 => "is not in the value".to_owned(),
        1 => "stands before what the same client appended earlier".to_owned(),
        times => format!("is in the value {times} times"),
    };
    Failure::safety("an append was lost, repeated or misplaced")
        .expected("each append of a client is done once, in the order of its appends (Raft 8)")
        .happened(format!("{piece:?} {what}, {}: {value:?}", at(sim::elapsed())))
        .look_at("how a retry is told from a new operation, on every server")
}
