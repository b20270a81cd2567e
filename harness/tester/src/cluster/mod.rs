//! A cluster of Raft servers, and the verbs that act on it. What checks is in [`crate::expect`].
//!
//! Here: what a cluster is made of, its start and its end. The verbs are in files of their own:
//!
//! - `lives`: boot, crash, restart;
//! - `links`: connect, disconnect, partition;
//! - `hardships`: messages lost or late, deaf servers, stalled services;
//! - `commands`: what servers are given;
//! - `looks`: what they say and show;
//! - `standing`: who is up and connected, in truth and in the story;
//! - `counts`: what it all came to.

mod commands;
mod counts;
mod hardships;
mod links;
mod lives;
mod looks;
mod standing;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use labrpc::{Conditions, Network};
use labrt::node::Node;
use labrt::sync::Mutex;
use labrt::time::{self, Duration};
use labrt::{rand, sim};
use raftapi::{Persister, ServerId};

pub(crate) use self::commands::LEFT_OUT;
pub use self::commands::PROMPT;
use self::lives::{Incarnation, Lives};
use self::standing::{Standing, Told};
use crate::checker::{Checker, Measures};
use crate::choices::Choices;
use crate::coverage::Coverage;
use crate::fault;
use crate::inspect::{self, Care};
use crate::recorder::Recorder;
use crate::service::{self, Habits, ItsHabits};
use crate::stall::Stalls;
use crate::system::System;
use crate::watch;

/// The network of the tests called unreliable: the original's, on which one message in ten is lost
/// and requests take up to 26 ms; and besides, one request in twenty arrives a second time, and one
/// in fifty arrives when its caller has given up, both up to 5 s later. A real network does that,
/// and Raft's receivers must bear it (Raft 5.5).
pub const UNRELIABLE: Conditions =
    Conditions::unreliable().with_duplicates(0.05).with_late_requests(0.02);

/// What a cluster is made of.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// What is tested.
    pub system: System,
    /// How many servers.
    pub servers: usize,
    /// The network's hardships.
    pub conditions: Conditions,
    /// What stands on each server's Raft.
    pub service: ServiceKind,
}

/// What stands on each server's Raft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceKind {
    /// The tester's own service, which has all that is applied checked.
    Tester {
        /// Does it take snapshots?
        snapshots: bool,
    },
    /// The key/value service of Lab 4.
    Kv {
        /// In bytes, the limit of the Raft state that is saved; `None` for no limit and no snapshots.
        max_raft_state: Option<usize>,
    },
}

impl Setup {
    /// The hardships with what every test of this lab adds: in those of Lab 3 news of a dead link take
    /// long, so that whoever calls its peers one after the other is found out. Clerks do that, and
    /// so it is left out where there are clerks.
    fn hardships(&self, conditions: Conditions) -> Conditions {
        fault::that_work(match self.service {
            ServiceKind::Tester { .. } => conditions.with_long_delays(),
            ServiceKind::Kv { .. } => conditions,
        })
    }
}

/// A cluster of Raft servers S0, S1, ... on a simulated network. A handle: clones mean the same
/// cluster, so clients can run in tasks of their own.
///
/// A server is *up* until it is crashed, and *connected* until it is disconnected. Links are up
/// between connected servers. A restarted server is not connected until the test connects it.
///
/// When a failing run is repeated with some of its faults left out ([`crate::choices`]), the story
/// must not notice: [`is_up`](Self::is_up), [`connected`](Self::connected) and their kin say what the
/// story believes. Expectations go by what is true.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
}

/// A cluster, as long as somebody else holds it.
#[derive(Clone)]
pub(crate) struct WeakCluster(Weak<Shared>);

impl WeakCluster {
    pub(crate) fn upgrade(&self) -> Option<Cluster> {
        self.0.upgrade().map(|shared| Cluster { shared })
    }
}

struct Shared {
    setup: Setup,
    network: Network,
    checker: Arc<Checker>,
    measures: Arc<Measures>,
    calls: Arc<watch::Calls>,
    /// Held while a server is looked at.
    looking: Vec<Mutex<()>>,
    stalls: Arc<Stalls>,
    /// Where the tester's own tasks run.
    tester: Node,
    servers: Mutex<Vec<Server>>,
    commands: AtomicU64,
    recorder: Recorder,
    choices: Arc<Choices>,
    standing: Standing,
    /// Who is changing lives.
    lives: Lives,
    /// How often a server was started again.
    restarts: AtomicU64,
    habits: ItsHabits,
}

struct Server {
    connected: bool,
    /// What the story believes: the same, unless faults are left out.
    told: Told,
    /// Which part of a partitioned network it is in.
    side: usize,
    persister: Arc<Persister>,
    running: Option<Incarnation>,
}

impl Cluster {
    /// Starts the servers, then connects them.
    pub(crate) fn start_up(
        setup: &Setup,
        measures: Arc<Measures>,
        choices: Arc<Choices>,
        recorder: &Recorder,
    ) -> Cluster {
        let network = Network::new();
        if let Some(messages) = choices.messages() {
            network.spare_all_but(messages.iter().cloned());
        }
        if choices.records() {
            let choices = Arc::clone(&choices);
            network.observe(move |event| choices.message(event));
        }
        let empty = || Server {
            connected: false,
            told: Told { up: true, connected: false },
            side: 0,
            persister: Arc::new(Persister::new()),
            running: None,
        };
        let cluster = Cluster {
            shared: Arc::new(Shared {
                setup: *setup,
                network,
                checker: Arc::new(Checker::new(setup.servers)),
                measures,
                calls: Arc::new(watch::Calls::new(setup.servers)),
                looking: (0..setup.servers).map(|_| Mutex::new(())).collect(),
                stalls: Arc::new(Stalls::default()),
                tester: Node::current(),
                servers: Mutex::new((0..setup.servers).map(|_| empty()).collect()),
                commands: AtomicU64::new(0),
                recorder: recorder.clone(),
                choices,
                standing: Standing::default(),
                lives: Lives::new(setup.servers),
                restarts: AtomicU64::new(0),
                habits: Arc::default(),
            }),
        };
        if let ServiceKind::Kv { .. } = setup.service {
            service::hear(&cluster.shared.habits);
        }
        recorder.watch_network(&cluster.shared.network);
        for server in cluster.servers() {
            recorder.watch_saves(server, &cluster.persister(server));
        }
        cluster.set_conditions_unseen(setup.conditions);
        let (network, measures) = (&cluster.shared.network, &cluster.shared.measures);
        if cluster.choices().records() {
            inspect::start(&cluster, network, measures, Care::Thorough);
        }
        // In any case: what ends a run must end it again when it is repeated.
        inspect::start(&cluster, network, measures, Care::Usual);
        inspect::hold_to_promises(&cluster, network);
        let watched = cluster.clone();
        let calls = Arc::clone(&cluster.shared.calls);
        let measures = &cluster.shared.measures;
        watch::start(&cluster.shared.network, measures, calls, move |server, also_log| {
            watched.look(server);
            watched.shared.recorder.look(server);
            if also_log {
                watched.look_at_log(server);
            }
        });
        for server in cluster.servers() {
            cluster.cut(server);
        }
        for server in cluster.servers() {
            if cluster.boot(server) {
                cluster.look(server);
            }
        }
        for server in cluster.servers() {
            cluster.connect(server);
        }
        cluster
    }

    /// Every server, up or not.
    pub fn servers(&self) -> impl Iterator<Item = ServerId> + use<> {
        (0..self.len()).map(ServerId)
    }

    /// How many servers there are.
    #[expect(clippy::len_without_is_empty, reason = "a cluster is never empty")]
    pub fn len(&self) -> usize {
        self.shared.setup.servers
    }

    /// The server that comes `steps` after this one, in a circle.
    pub fn after(&self, server: ServerId, steps: usize) -> ServerId {
        ServerId((server.0 + steps) % self.len())
    }

    /// What links the servers, and clients with them.
    pub fn network(&self) -> &Network {
        &self.shared.network
    }

    pub(crate) fn choices(&self) -> &Arc<Choices> {
        &self.shared.choices
    }

    /// From now on servers and their services do this besides. To be called once.
    pub(crate) fn set_habits(&self, habits: Box<dyn Habits>) {
        assert!(self.shared.habits.set(habits).is_ok(), "habits are for ever");
    }

    pub(crate) fn measures(&self) -> &Arc<Measures> {
        &self.shared.measures
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.shared.recorder
    }

    pub(crate) fn setup(&self) -> &Setup {
        &self.shared.setup
    }

    pub(crate) fn downgrade(&self) -> WeakCluster {
        WeakCluster(Arc::downgrade(&self.shared))
    }

    /// Lets virtual time pass.
    pub fn sleep(&self, length: Duration) {
        time::sleep(length);
    }

    /// Is time virtual? If not, what needs many elections or long silences is better left out.
    pub fn time_is_free(&self) -> bool {
        sim::active()
    }

    /// The choices of the test that go by this name: the seed and the name decide them.
    pub fn dice(&self, name: &str) -> rand::Rng {
        rand::stream(&format!("test/{name}")).rng()
    }

    /// The history of the run.
    pub fn checker(&self) -> &Checker {
        &self.shared.checker
    }

    /// The end of the story.
    pub(crate) fn finish(&self) {
        // The network holds the servers' handlers, and those hold ends of the network.
        for server in self.servers() {
            self.shared.network.remove(&server.to_string());
        }
        for server in self.servers() {
            self.look_at_log(server);
        }
        if let ServiceKind::Tester { .. } = self.shared.setup.service {
            let highest = self.checker().ask(|history| history.applied.highest());
            self.shared.measures.commands.store(highest.0, Ordering::Relaxed);
        }
        // Without a step of the run, if that is possible: what is counted changes nothing.
        let count = || Arc::new(Coverage::at_the_end_of(self));
        let counted = sim::observe(count).unwrap_or_else(count);
        self.shared.measures.coverage.lock().get_or_insert(counted);
    }
}
