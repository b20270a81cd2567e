//! The lives of servers: how they are booted, crashed and restarted, one life of a server at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use labrpc::ClientEnd;
use labrt::channel;
use labrt::node::Node;
use labrt::time::{self, Duration};
use raftapi::harness::Disk as _;
use raftapi::{Persister, ServerId};

use super::standing::{Told, bit, set};
use super::{Cluster, Server, ServiceKind};
use crate::choices::Verb;
use crate::fault::Fault;
use crate::log;
use crate::service::Service;
use crate::system::{KvServer, RaftServer};
use crate::task;

/// How soon those who wait to change a server's life look again.
const TURN: Duration = Duration::from_micros(100);

/// A server has one life at a time. Whoever ends one or begins one does so alone: else of two who end a
/// life at the same time, both would begin another. Not behind a lock of the simulation: where nobody
/// else is at it, and that is nearly always, this must not be a step of the run.
pub(super) struct Lives {
    /// A bit for each server whose life is being ended, begun, or both.
    changing: AtomicU64,
    /// Where each server's latest life takes place, or took place.
    latest: parking_lot::Mutex<Vec<Option<Node>>>,
}

impl Lives {
    pub(super) fn new(servers: usize) -> Lives {
        let latest = parking_lot::Mutex::new(vec![None; servers]);
        Lives { changing: AtomicU64::new(0), latest }
    }

    /// Waits until nobody else changes the life of this server, and keeps others away.
    fn change(&self, server: ServerId) -> Change<'_> {
        while self.changing.fetch_or(bit(server), Ordering::Relaxed) & bit(server) != 0 {
            time::sleep(TURN);
        }
        Change { lives: self, server }
    }

    /// Begins a life here.
    ///
    /// # Panics
    ///
    /// If the server's latest life has not ended: then the tester is wrong.
    fn begin(&self, server: ServerId, node: &Node) {
        let latest = self.latest.lock()[server.0].replace(node.clone());
        let has_ended = latest.is_none_or(|node| !node.is_alive());
        assert!(has_ended, "{server} is started while it runs");
    }
}

/// One's turn at the life of a server.
struct Change<'a> {
    lives: &'a Lives,
    server: ServerId,
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        set(&self.lives.changing, self.server, false);
    }
}

/// One life of a server.
#[derive(Clone)]
pub(super) struct Incarnation {
    pub(super) node: Node,
    pub(super) raft: Arc<dyn RaftServer>,
    /// In Lab 4, what stands on its Raft.
    kv: Option<Arc<dyn KvServer>>,
}

impl Incarnation {
    /// Calls the `kill` of the API.
    fn kill(&self) {
        match &self.kv {
            Some(kv) => kv.kill(),
            None => self.raft.kill(),
        }
    }
}

impl Cluster {
    /// Crashes a server: its links go down, its tasks end where they stand, and what it has not
    /// saved is lost. Does nothing to a server that is down.
    pub fn crash(&self, server: ServerId) {
        let standing = &self.shared.standing;
        if standing.only_believed_down(server) {
            return;
        }
        if standing.runs(server) && !self.choices().fault(Verb::Crash, || server.to_string()) {
            standing.believe_down(server, true);
            self.shared.servers.lock()[server.0].told = Told { up: false, connected: false };
            return;
        }
        let _turn = self.shared.lives.change(server);
        if !Fault::Crash.is_dead() {
            self.end(server);
        }
    }

    /// To be called in one's turn.
    fn end(&self, server: ServerId) {
        let shared = &self.shared;
        {
            let entry = &mut shared.servers.lock()[server.0];
            entry.connected = false;
            entry.told = Told { up: false, connected: false };
        }
        // The order makes the crash one instant for everybody else: nothing that the dying server
        // still does can leave it, and nothing that it still saves reaches its successor.
        self.cut(server);
        shared.network.remove(&server.to_string());
        let dying = {
            let mut servers = shared.servers.lock();
            let entry = &mut servers[server.0];
            entry.persister = Arc::new(entry.persister.copy());
            entry.running.take()
        };
        let Some(dying) = dying else { return };
        shared.standing.set_runs(server, false);
        tracing::info!(target: log::FAULT, "crash {server}");
        shared.checker.tell(|history, now| {
            history.applied.crashed(server);
            history.elections.crashed(server, now);
            Ok(())
        });
        shared.recorder.crashes(server);
        // The API's `kill` is told, as in the original, but the server is gone whatever it does.
        let _ = dying.node.run(|| dying.kill());
        dying.node.kill();
    }

    /// Calls the `kill` of the API, and no more: the server has to see to its end itself.
    pub(crate) fn kill_by_its_api(&self, server: ServerId) {
        if let Some(running) = self.incarnation(server) {
            tracing::info!(target: log::TEST, "{server} is killed");
            let _ = running.node.run(|| running.kill());
        }
    }

    /// Starts a server again from what it saved, after crashing it if it is up. It is not connected
    /// until [`connect`](Self::connect).
    pub fn restart(&self, server: ServerId) {
        self.restart_by(server, Verb::Restart);
    }

    pub(crate) fn restart_by(&self, server: ServerId, verb: Verb) {
        let standing = &self.shared.standing;
        let never_crashed = standing.only_believed_down(server);
        standing.believe_down(server, false);
        let is_fault = standing.runs(server) && !never_crashed;
        if never_crashed || (is_fault && !self.choices().fault(verb, || server.to_string())) {
            self.shared.servers.lock()[server.0].told = Told { up: true, connected: false };
            return;
        }
        self.revive(server);
    }

    /// Starts a server again if it is down. If somebody else is starting it just now, that will do.
    pub fn restart_if_down(&self, server: ServerId) {
        if self.shared.standing.only_believed_down(server) {
            self.restart(server);
        } else {
            self.revive_if(server, || !self.is_up(server));
        }
    }

    /// The same for a server that is dead already, so that there is nothing to choose.
    pub(crate) fn revive(&self, server: ServerId) {
        self.revive_if(server, || true);
    }

    /// The same, if this holds when it is one's turn. Says if it did. All lives but the first begin here.
    pub(crate) fn revive_if(&self, server: ServerId, holds: impl FnOnce() -> bool) -> bool {
        let turn = self.shared.lives.change(server);
        if !holds() {
            return false;
        }
        self.end(server);
        tracing::info!(target: log::FAULT, "restart {server}");
        self.shared.restarts.fetch_add(1, Ordering::Relaxed);
        let runs = self.boot(server);
        drop(turn);
        if runs {
            self.look(server);
        }
        true
    }

    /// How often a server was started again so far.
    pub(crate) fn restarts(&self) -> u64 {
        self.shared.restarts.load(Ordering::Relaxed)
    }

    /// To be called in one's turn. Says if it runs: a nemesis may strike at once.
    pub(super) fn boot(&self, server: ServerId) -> bool {
        let shared = &self.shared;
        let name = server.to_string();
        let node = Node::new(&name);
        shared.lives.begin(server, &node);
        let peers: Vec<ClientEnd> =
            self.servers().map(|peer| shared.network.end(&node, &peer.to_string())).collect();
        let persister = self.persister(server);
        let incarnation = node.incarnation();
        if let Some(habits) = shared.habits.get() {
            habits.starts(server, &node);
        }
        shared.recorder.started(server);
        self.measures().lives.fetch_add(1, Ordering::Relaxed);
        shared.checker.tell(|history, now| {
            history.elections.started(server, incarnation);
            match shared.setup.service {
                ServiceKind::Tester { .. } => {
                    let snapshot = persister.read_snapshot();
                    history.applied.started(server, incarnation, &snapshot, now)
                }
                ServiceKind::Kv { .. } => Ok(()),
            }
        });
        let started = node.run(|| match shared.setup.service {
            ServiceKind::Tester { snapshots } => {
                let raft = self.boot_raft(server, &node, peers, persister, snapshots);
                let service = raft.service();
                (raft, None, service)
            }
            ServiceKind::Kv { max_raft_state } => {
                let kv = (shared.setup.system.kv)(peers, server.0, persister, max_raft_state);
                let service = kv.service();
                (kv.raft(), Some(kv), service)
            }
        });
        // If a nemesis strikes, it is dead already: it saves something at its start.
        let Ok((raft, kv, service)) = started else { return false };
        shared.recorder.runs(server, Arc::clone(&raft));
        shared.network.serve(&node, service);
        {
            let entry = &mut shared.servers.lock()[server.0];
            entry.running = Some(Incarnation { node, raft, kv });
            entry.told.up = true;
        }
        shared.standing.set_runs(server, true);
        set(&shared.standing.new, server, true);
        true
    }

    /// Starts a Raft with the tester's own service on it. To be called on the server's node.
    fn boot_raft(
        &self,
        server: ServerId,
        node: &Node,
        peers: Vec<ClientEnd>,
        persister: Arc<Persister>,
        takes_snapshots: bool,
    ) -> Arc<dyn RaftServer> {
        let shared = &self.shared;
        // Unbuffered, as the original's: a Raft that sends with its lock held blocks.
        let (apply, applies) = channel::bounded(0);
        let raft = (shared.setup.system.raft)(peers, server.0, Arc::clone(&persister), apply);
        let service = Service {
            server,
            node: node.clone(),
            tester: shared.tester.clone(),
            raft: Arc::clone(&raft),
            persister,
            checker: Arc::clone(&shared.checker),
            recorder: shared.recorder.clone(),
            stalls: Arc::clone(&shared.stalls),
            takes_snapshots,
            habits: Arc::clone(&shared.habits),
        };
        task::start("service", move || service.run(&applies));
        raft
    }

    pub(super) fn incarnation(&self, server: ServerId) -> Option<Incarnation> {
        self.shared.servers.lock()[server.0].running.clone()
    }

    /// What runs there, for whoever looks on.
    pub(crate) fn running(
        &self,
        server: ServerId,
    ) -> Option<(Node, Arc<dyn RaftServer>, Arc<Persister>)> {
        let servers = self.shared.servers.lock();
        let Server { running, persister, .. } = &servers[server.0];
        let Incarnation { node, raft, .. } = running.as_ref()?;
        Some((node.clone(), Arc::clone(raft), Arc::clone(persister)))
    }

    /// What this server has saved, and what its successor will start from if it crashes now.
    pub fn persister(&self, server: ServerId) -> Arc<Persister> {
        Arc::clone(&self.shared.servers.lock()[server.0].persister)
    }

    /// Where this server's present life takes place.
    ///
    /// # Panics
    ///
    /// If it is down.
    pub(crate) fn node(&self, server: ServerId) -> Node {
        let servers = self.shared.servers.lock();
        servers[server.0].running.as_ref().expect("the test relies on its being up").node.clone()
    }
}
