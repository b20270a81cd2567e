//! A cluster of Raft servers, and the verbs that act on it. What checks is in [`crate::expect`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use labgob::Bytes;
use labrpc::{ClientEnd, Conditions, DelayRange, Network, Stats};
use labrt::node::Node;
use labrt::sync::Mutex;
use labrt::time::{self, Duration, Instant};
use labrt::{channel, rand, sim};
use raftapi::harness::Disk as _;
use raftapi::{EntryId, Persister, ServerId, Term};

use crate::checker::{Checker, Measures};
use crate::choices::{Choices, Verb};
use crate::coverage::Coverage;
use crate::fault::{self, Fault};
use crate::inspect::{self, Care, Sight};
use crate::log;
use crate::recorder::Recorder;
use crate::report::Failure;
use crate::service::{self, Habits, ItsHabits, Service};
use crate::stall::{Stall, Stalls};
use crate::system::{KvServer, RaftServer, System};
use crate::task;
use crate::text::{at, command as show, span};
use crate::watch;

/// `start()` and `get_state()` must come back in this time, whatever the network does.
pub const PROMPT: Duration = Duration::from_millis(500);

/// What a command takes that is left out.
pub(crate) const LEFT_OUT: Duration = Duration::from_micros(100);

/// How soon those who wait to change a server's life look again.
const TURN: Duration = Duration::from_micros(100);

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

/// Who runs, and who is down only in the story. Not behind the lock of the servers: to look at it
/// must not be a step of the run.
#[derive(Default)]
struct Standing {
    /// A bit for each server.
    running: AtomicU64,
    /// They were started, and have not been seen to act since.
    new: AtomicU64,
    believed_down: AtomicU64,
}

impl Standing {
    fn runs(&self, server: ServerId) -> bool {
        self.running.load(Ordering::Relaxed) & bit(server) != 0
    }

    fn set_runs(&self, server: ServerId, runs: bool) {
        set(&self.running, server, runs);
    }

    /// Its crash was left out.
    fn only_believed_down(&self, server: ServerId) -> bool {
        self.believed_down.load(Ordering::Relaxed) & bit(server) != 0
    }

    fn believe_down(&self, server: ServerId, down: bool) {
        set(&self.believed_down, server, down);
    }
}

fn bit(server: ServerId) -> u64 {
    1 << server.0
}

fn set(bits: &AtomicU64, server: ServerId, to: bool) {
    if to {
        bits.fetch_or(bit(server), Ordering::Relaxed);
    } else {
        bits.fetch_and(!bit(server), Ordering::Relaxed);
    }
}

/// A server has one life at a time. Whoever ends one or begins one does so alone: else of two who end a
/// life at the same time, both would begin another. Not behind a lock of the simulation: where nobody
/// else is at it, and that is nearly always, this must not be a step of the run.
struct Lives {
    /// A bit for each server whose life is being ended, begun, or both.
    changing: AtomicU64,
    /// Where each server's latest life takes place, or took place.
    latest: parking_lot::Mutex<Vec<Option<Node>>>,
}

impl Lives {
    fn new(servers: usize) -> Lives {
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

struct Server {
    connected: bool,
    /// What the story believes: the same, unless faults are left out.
    told: Told,
    /// Which part of a partitioned network it is in.
    side: usize,
    persister: Arc<Persister>,
    running: Option<Incarnation>,
}

#[derive(Clone, Copy)]
struct Told {
    up: bool,
    connected: bool,
}

/// One life of a server.
#[derive(Clone)]
struct Incarnation {
    node: Node,
    raft: Arc<dyn RaftServer>,
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

    // ---- who is there ----

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

    /// The servers that are connected.
    pub fn connected(&self) -> Vec<ServerId> {
        let servers = self.shared.servers.lock();
        self.servers().filter(|server| servers[server.0].told.connected).collect()
    }

    /// Is this server connected?
    pub fn is_connected(&self, server: ServerId) -> bool {
        self.shared.servers.lock()[server.0].told.connected
    }

    /// Is this server up?
    pub fn is_up(&self, server: ServerId) -> bool {
        self.shared.servers.lock()[server.0].told.up
    }

    /// How many servers are up.
    pub fn count_up(&self) -> usize {
        self.shared.servers.lock().iter().filter(|server| server.told.up).count()
    }

    /// The servers that really are connected, whatever the story believes.
    pub(crate) fn reachable(&self) -> Vec<ServerId> {
        let servers = self.shared.servers.lock();
        self.servers().filter(|server| servers[server.0].connected).collect()
    }

    /// Is this server really connected?
    pub(crate) fn is_reachable(&self, server: ServerId) -> bool {
        self.shared.servers.lock()[server.0].connected
    }

    /// Has the cluster met everything that the story has done to it? If not, a run is being repeated
    /// with faults left out, and nothing may be expected that only they bring about.
    pub fn is_as_told(&self) -> bool {
        self.choices().is_as_told()
    }

    pub(crate) fn choices(&self) -> &Arc<Choices> {
        &self.shared.choices
    }

    // ---- links ----

    /// Links a server with every connected one on its side of the network, both ways.
    pub fn connect(&self, server: ServerId) {
        tracing::info!(target: log::FAULT, "connect {server}");
        {
            let mut servers = self.shared.servers.lock();
            servers[server.0].connected = true;
            servers[server.0].told.connected = true;
        }
        self.link(server);
    }

    /// Sets the links of a connected server: up to whoever is connected and on its side.
    fn link(&self, server: ServerId) {
        for other in self.reachable() {
            let together = {
                let servers = self.shared.servers.lock();
                servers[server.0].side == servers[other.0].side
            };
            self.set_links(server, other, together);
        }
    }

    /// Parts the network: `side_of` says on which side each server is from now on. Links between
    /// servers of different sides go down, those between connected servers of one side come up.
    /// Clients reach all servers as before.
    pub fn partition(&self, side_of: impl Fn(ServerId) -> usize) {
        let mut sides: Vec<usize> = self.servers().map(side_of).collect();
        if Fault::Partition.is_dead() {
            sides.fill(0);
        }
        let parts = sides.iter().any(|side| *side != sides[0]);
        if parts && !self.choices().fault(Verb::Partition, || format!("{sides:?}")) {
            sides.fill(0);
        }
        tracing::info!(target: log::FAULT, "partition {sides:?}");
        for (entry, side) in self.shared.servers.lock().iter_mut().zip(sides) {
            entry.side = side;
        }
        for server in self.reachable() {
            self.link(server);
        }
    }

    /// Ends a [`partition`](Self::partition).
    pub fn heal(&self) {
        self.partition(|_| 0);
    }

    /// Cuts every link from and to a server. It goes on running, and the test can still talk to it.
    pub fn disconnect(&self, server: ServerId) {
        let happens = self.choices().fault(Verb::Disconnect, || server.to_string());
        {
            let mut servers = self.shared.servers.lock();
            servers[server.0].told.connected = false;
            if !happens {
                return;
            }
            servers[server.0].connected = false;
        }
        tracing::info!(target: log::FAULT, "disconnect {server}");
        if Fault::Disconnect.is_dead() {
            return;
        }
        self.cut(server);
    }

    fn cut(&self, server: ServerId) {
        for other in self.servers() {
            self.set_links(server, other, false);
        }
    }

    fn set_links(&self, one: ServerId, other: ServerId, up: bool) {
        if one != other {
            self.set_link(one, other, up);
            self.set_link(other, one, up);
        }
    }

    fn set_link(&self, from: ServerId, to: ServerId, up: bool) {
        self.shared.recorder.link(from, to, up);
        self.shared.network.set_link(&from.to_string(), &to.to_string(), up);
    }

    /// Connects these servers, one after the other.
    pub fn connect_each(&self, servers: &[ServerId]) {
        for server in servers {
            self.connect(*server);
        }
    }

    /// Disconnects these servers, one after the other.
    pub fn disconnect_each(&self, servers: &[ServerId]) {
        for server in servers {
            self.disconnect(*server);
        }
    }

    /// Connects every server.
    pub fn connect_all(&self) {
        for server in self.servers() {
            self.connect(server);
        }
    }

    /// Disconnects every server.
    pub fn disconnect_all(&self) {
        for server in self.servers() {
            self.disconnect(server);
        }
    }

    /// Changes the network's hardships. In Lab 3, long delays on dead links are added.
    pub fn set_conditions(&self, conditions: Conditions) {
        tracing::info!(target: log::FAULT, "the network changes");
        self.set_conditions_unseen(conditions);
    }

    fn set_conditions_unseen(&self, mut conditions: Conditions) {
        let hard = conditions != Conditions::reliable();
        if hard && !self.choices().fault(Verb::Hardships, || "of the network".to_owned()) {
            conditions = Conditions::reliable();
        }
        self.shared.network.set_conditions(self.shared.setup.hardships(conditions));
    }

    /// Holds back every reply of `from` to `to` from now on, by 200 to 2199 ms; or no more.
    pub fn hold_back_replies(&self, from: ServerId, to: ServerId, hold: bool) {
        self.delay_replies(from, to, hold.then_some(Conditions::reliable().late_reply_delay));
    }

    /// From now on every reply of `from` to `to` takes so much longer, whatever happens to the link
    /// meanwhile; or no more.
    pub fn delay_replies(&self, from: ServerId, to: ServerId, by: Option<DelayRange>) {
        let by = by.filter(|_| !Fault::HoldBackReplies.is_dead());
        let late =
            |by| Conditions { late_reply: 1.0, late_reply_delay: by, ..Conditions::reliable() };
        self.hold_back(&format!("replies of {from} to {to}"), (from, to), by.map(late));
    }

    /// From now on every request of `from` to `to` takes so much longer; or no more. Requests overtake
    /// each other, and their callers wait.
    pub fn delay_requests(&self, from: ServerId, to: ServerId, by: Option<DelayRange>) {
        let by = by.filter(|_| !Fault::DelayRequests.is_dead());
        let late = |by| Conditions { extra_request_delay: by, ..Conditions::reliable() };
        self.hold_back(&format!("requests of {from} to {to}"), (from, to), by.map(late));
    }

    fn hold_back(&self, what: &str, (from, to): (ServerId, ServerId), late: Option<Conditions>) {
        let late = late.filter(|_| self.choices().fault(Verb::HoldBack, || what.to_owned()));
        tracing::info!(target: log::FAULT, "{what} are late: {}", late.is_some());
        self.set_link_conditions(from, to, late);
    }

    /// Loses every reply of `from` to `to` from now on; or no more.
    pub fn lose_replies(&self, from: ServerId, to: ServerId, lose: bool) {
        let about = || format!("replies of {from} to {to}");
        let lose = lose && self.choices().fault(Verb::LoseReplies, about);
        tracing::info!(target: log::FAULT, "replies of {from} to {to} are lost: {lose}");
        let lose = lose && !Fault::LoseReplies.is_dead();
        let conditions = Conditions { reply_loss: 1.0, ..Conditions::reliable() };
        self.set_link_conditions(from, to, lose.then_some(conditions));
    }

    /// From now on every request to this server is lost, and so is every reply, if `replies_too`.
    /// What it sends arrives.
    pub fn deafen(&self, server: ServerId, replies_too: bool) {
        if !self.choices().fault(Verb::Deafen, || server.to_string()) {
            return;
        }
        tracing::info!(target: log::FAULT, "{server} goes deaf, replies too: {replies_too}");
        let reply_loss = f64::from(u8::from(replies_too));
        let deaf = Conditions { request_loss: 1.0, reply_loss, ..Conditions::reliable() };
        self.set_conditions_to(server, Some(deaf).filter(|_| !Fault::Deafen.is_dead()));
    }

    /// Undoes [`deafen`](Self::deafen).
    pub fn undeafen(&self, server: ServerId) {
        tracing::info!(target: log::FAULT, "{server} hears again");
        self.set_conditions_to(server, None);
    }

    fn set_conditions_to(&self, server: ServerId, conditions: Option<Conditions>) {
        for other in self.servers().filter(|other| *other != server) {
            self.set_link_conditions(other, server, conditions);
        }
    }

    fn set_link_conditions(&self, from: ServerId, to: ServerId, conditions: Option<Conditions>) {
        let conditions = conditions.map(|conditions| self.shared.setup.hardships(conditions));
        self.shared.network.set_link_conditions(&from.to_string(), &to.to_string(), conditions);
    }

    /// Makes the links among these servers reliable, whatever the network's hardships are; or no more.
    pub(crate) fn spare_links_among(&self, servers: &[ServerId], spare: bool) {
        for (from, to) in servers.iter().flat_map(|from| servers.iter().map(move |to| (from, to))) {
            self.set_link_conditions(*from, *to, spare.then_some(Conditions::reliable()));
        }
    }

    /// What links the servers, and clients with them.
    pub fn network(&self) -> &Network {
        &self.shared.network
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

    /// What the network has carried so far.
    pub fn stats(&self) -> Stats {
        self.shared.network.stats()
    }

    /// Requests that the servers' handlers have executed so far.
    pub fn requests_served(&self) -> u64 {
        let served = |server: ServerId| self.shared.network.requests_served(&server.to_string());
        self.servers().map(served).sum()
    }

    // ---- crashes ----

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
    fn boot(&self, server: ServerId) -> bool {
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

    /// From now on this server's service takes nothing more from its apply channel, until the
    /// result is dropped.
    pub fn stall_service(&self, server: ServerId) -> Stall {
        let happens = self.choices().fault(Verb::Stall, || format!("the service of {server}"));
        if happens {
            tracing::info!(target: log::FAULT, "the service of {server} stalls");
        }
        Stalls::begin(&self.shared.stalls, server, happens && !Fault::Stall.is_dead())
    }

    // ---- talking to servers ----

    fn incarnation(&self, server: ServerId) -> Option<Incarnation> {
        self.shared.servers.lock()[server.0].running.clone()
    }

    /// Asks a server for its term and whether it leads; `None` if it is down. What it says is
    /// checked against all that is on record.
    pub fn look(&self, server: ServerId) -> Option<(Term, bool)> {
        let Incarnation { node, raft, .. } = self.incarnation(server)?;
        // One look after the other: else an older answer could be entered after a newer one.
        let _looking = self.shared.looking[server.0].lock();
        let state = node.run(|| raft.get_state()).ok()?;
        if self.checker().saw(server, node.incarnation(), state).new_leader {
            tracing::info!(target: log::TEST, "{server} leads {}", state.0);
            self.glance_at_log(server);
        }
        Some(state)
    }

    /// Checks a server's log against all that is on record, if it is up and shows its log. This
    /// takes time in proportion to the log.
    pub fn look_at_log(&self, server: ServerId) {
        if let Some(Incarnation { node, raft, .. }) = self.incarnation(server)
            && let Ok(view) = node.run(|| crate::views::of(&*raft))
        {
            let sight = self.observe(server).or_else(|| {
                // On the wall clock nobody can look without taking part.
                let state = (!sim::active()).then(|| node.run(|| raft.get_state()).ok())??;
                Some(Sight { incarnation: node.incarnation(), state, view, saves: 0 })
            });
            self.checker().saw_view(server, sight);
        }
    }

    /// The same, without the run noticing: so only if nobody is busy there.
    fn glance_at_log(&self, server: ServerId) {
        if let Some(sight) = self.observe(server) {
            self.checker().glanced_at_view(server, sight);
        }
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

    /// Was this server started, and not seen to ask or answer anybody since?
    pub(crate) fn is_new(&self, server: ServerId) -> bool {
        self.shared.standing.new.load(Ordering::Relaxed) & bit(server) != 0
    }

    /// It was seen to do so.
    pub(crate) fn is_new_no_more(&self, server: ServerId) {
        set(&self.shared.standing.new, server, false);
    }

    pub(crate) fn downgrade(&self) -> WeakCluster {
        WeakCluster(Arc::downgrade(&self.shared))
    }

    /// When this server called others as their leader, from `from` on.
    pub(crate) fn calls_since(&self, server: ServerId, from: Duration) -> Vec<Duration> {
        self.shared.calls.since(server, from)
    }

    /// Bytes of the requests that one server has sent another so far.
    pub fn bytes_sent(&self, from: ServerId, to: ServerId) -> u64 {
        self.shared.calls.bytes(from, to)
    }

    /// How many snapshots one server has sent another since then.
    pub fn snapshots_sent(&self, from: ServerId, to: ServerId, since: Duration) -> u64 {
        self.shared.calls.snapshots(from, to, since)
    }

    /// Gives a server a command; `None` if it is down or refuses. What it promises is checked.
    pub fn start(&self, server: ServerId, command: &Bytes) -> Option<EntryId> {
        let Some(step) = self.choices().command(Verb::Start) else {
            time::sleep(LEFT_OUT); // so that a story that tries again and again comes to an end
            return None;
        };
        let id = self.give(server, command)?;
        self.choices().given(step, || format!("{} to {server}", show(command)));
        Some(id)
    }

    /// The same for a command that cannot be left out.
    pub(crate) fn give(&self, server: ServerId, command: &Bytes) -> Option<EntryId> {
        let Incarnation { node, raft, .. } = self.incarnation(server)?;
        let call = self.checker().tell(|history, _| Ok(history.applied.starting(command)));
        let began = Instant::now();
        let answer = node.run(|| raft.start(command.to_vec()));
        let took = began.elapsed();
        let Ok(answer) = answer else {
            self.checker().tell(|history, _| {
                history.applied.cut_short(call);
                Ok(())
            });
            return None;
        };
        let excused = self.shared.habits.get().is_some_and(|habits| habits.excuses());
        if took > PROMPT && !excused {
            slow_start(server, took).raise();
        }
        if let Ok(id) = answer {
            tracing::info!(target: log::START, "{server} takes {} as {id}", show(command));
            self.shared.recorder.command(server, id, command);
            let shown = self.shown_to_lead(server, id.term);
            self.checker().tell(|history, now| {
                history.elections.took((server, id), shown, now)?;
                history.applied.accepted(call, server, id)
            });
            Some(id)
        } else {
            self.checker().tell(|history, _| history.applied.refused(call));
            None
        }
    }

    /// What a server that has just taken a command shows: its term, and whether it may have led this one.
    /// `None` if it cannot be looked into.
    fn shown_to_lead(&self, server: ServerId, term: Term) -> Option<(Term, bool)> {
        let (current, leads) = self.observe_state(server)?;
        if (current, leads) != (term, false) {
            return Some((current, leads || current > term));
        }
        // Who led it may have given up its office. But it had its own vote.
        let view = self.observe(server)?.view?;
        Some((current, view.term != term || view.voted_for == Some(server)))
    }

    /// A command that no other is equal to.
    pub fn command(&self) -> Bytes {
        let n = self.shared.commands.fetch_add(1, Ordering::Relaxed) + 1;
        Bytes::from(n.to_string().into_bytes())
    }

    /// A command of so many bytes that no other is equal to.
    pub fn command_of(&self, bytes: usize) -> Bytes {
        let mut command = self.command().to_vec();
        command.push(b' ');
        command.resize(command.len().max(bytes), b'.');
        Bytes::from(command)
    }

    /// Gives a server a new command. `None` if it is down or refuses.
    pub fn propose(&self, server: ServerId) -> Option<EntryId> {
        self.start(server, &self.command())
    }

    /// Gives every server that is up a new command, the same to all, and returns the last that
    /// took it.
    pub fn propose_to_all(&self) -> Option<(ServerId, EntryId)> {
        let command = self.command();
        self.servers().filter_map(|server| Some((server, self.start(server, &command)?))).last()
    }

    // ---- the rest ----

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

    /// Largest Raft state that any persister holds, in bytes, snapshots not included; and whose.
    pub fn largest_state(&self) -> (usize, ServerId) {
        let servers = self.shared.servers.lock();
        let size = |server: ServerId| (servers[server.0].persister.raft_state_size(), server);
        self.servers().map(size).max().unwrap_or_default()
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

fn slow_start(server: ServerId, took: Duration) -> Failure {
    Failure::liveness("start() blocked")
        .expected(format!("start() returns at once, within {} (Raft API)", span(PROMPT)))
        .happened(format!(
            "{server} took {} for it, until {}",
            span(took),
            at(labrt::sim::elapsed())
        ))
        .look_at("which locks are held while another server is called")
}
