//! Offers the choices of one run, and does what is chosen.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use labgob::Bytes;
use labrpc::{MessageKind, NetEvent, NetEventKind, Sending, Sentence};
use labrt::channel::{self, Sender};
use labrt::collections::FixedHasher;
use labrt::node::Node;
use labrt::time::{self, Duration};
use labrt::{event, sim};
use parking_lot::Mutex;
use raftapi::harness::Disk as _;
use raftapi::{EntryId, LogIndex, Persister, RaftView, RoleView, ServerId};

use super::choice::{Choice, LATE, Point, What};
use crate::cluster::{Cluster, WeakCluster};
use crate::log;
use crate::nemesis::server;
use crate::service::Habits;
use crate::task;

/// Nothing new for so long: what was going on is over.
const QUIET: Duration = Duration::from_millis(250);

/// It is waited for so long. Whether everything comes right is asked at the end of the story.
const PATIENCE: Duration = Duration::from_secs(8);

/// Whoever has not campaigned by then will not, and hears again.
const DEAF: Duration = Duration::from_secs(3);

/// The choices of one run.
#[derive(Clone)]
pub(super) struct Steer {
    cluster: WeakCluster,
    now: Arc<Mutex<Now>>,
    hands: Sender<Order>,
}

/// A server that is dead already.
struct Order {
    victim: ServerId,
    choice: Choice,
}

/// Plain data. Its lock is held for moments, and never while anything waits.
#[derive(Default)]
struct Now {
    over: bool,
    points: u32,
    /// When something new last happened.
    news: Duration,
    /// The last message of each kind on each link, as a hash.
    last: BTreeMap<(ServerId, ServerId, MessageKind, &'static str), u64>,
    /// New requests on each link that no reply was sent to yet.
    unanswered: BTreeSet<(ServerId, ServerId, &'static str)>,
    /// The message that is being sent is new, and this is its hash.
    leaving: Option<u64>,
    /// New messages on their way.
    flying: BTreeMap<(u64, MessageKind), u64>,
    /// By server: since when it hears nothing.
    deaf: Vec<Option<Duration>>,
    down: Option<ServerId>,
    /// Commands that the story has given.
    given: u32,
    /// By server.
    disks: Vec<u64>,
    /// By server: how often its disk has changed.
    changes: Vec<u64>,
    /// By server: what it last showed.
    shown: Vec<u64>,
    /// By server: what it has applied, since its start.
    applied: Vec<EntryId>,
    leads: Vec<bool>,
}

impl Steer {
    /// From now on choices are offered.
    pub(super) fn begin(cluster: &Cluster) -> Steer {
        let (hands, orders) = channel::unbounded();
        let servers = cluster.len();
        let now = Now {
            deaf: vec![None; servers],
            disks: vec![0; servers],
            changes: vec![0; servers],
            shown: vec![0; servers],
            applied: vec![EntryId::default(); servers],
            leads: vec![false; servers],
            ..Now::default()
        };
        let steer = Steer { cluster: cluster.downgrade(), now: Arc::new(Mutex::new(now)), hands };
        let (acting, on) = (steer.clone(), cluster.clone());
        task::start("search", move || {
            for order in orders {
                acting.carry_out(&on, &order);
            }
        });
        let judge = steer.clone();
        cluster.network().judge(move |message| judge.sends(message));
        let watcher = steer.clone();
        cluster.network().observe(move |event| watcher.sees(event));
        for server in cluster.servers() {
            let saver = steer.clone();
            cluster.persister(server).on_save(move |disk| saver.saves(server, disk));
        }
        cluster.set_habits(Box::new(steer.clone()));
        steer
    }

    /// Nothing is offered any more, and nobody is deaf.
    pub(super) fn end(&self) {
        let mut now = self.now.lock();
        now.over = true;
        now.deaf.fill(None);
    }

    /// The story is about to give a command.
    pub(super) fn gives(&self) {
        self.now.lock().given += 1;
    }

    /// Waits until somebody leads and nothing new happens any more; at most [`PATIENCE`].
    pub(super) fn quiet(&self, cluster: &Cluster) {
        const LOOK: Duration = Duration::from_millis(50);
        let deadline = sim::elapsed() + PATIENCE;
        while sim::elapsed() < deadline {
            time::sleep(LOOK);
            let is_quiet = {
                let now = self.now.lock();
                now.news + QUIET <= sim::elapsed() && now.deaf.iter().all(Option::is_none)
            };
            if is_quiet && cluster.leader_now().is_some() {
                return;
            }
        }
    }

    /// Starts whoever is down.
    pub(super) fn bring_back(&self, cluster: &Cluster) {
        let down = self.now.lock().down.take();
        if let Some(server) = down {
            cluster.revive(server);
            cluster.connect(server);
        }
    }

    fn carry_out(&self, cluster: &Cluster, order: &Order) {
        let Order { victim, choice } = *order;
        if choice == Choice::Restart {
            cluster.revive(victim);
            cluster.connect(victim);
            return;
        }
        cluster.crash(victim);
        self.bring_back(cluster);
        self.now.lock().down = Some(victim);
    }

    // ---- what happens ----

    /// A message is about to leave.
    fn sends(&self, message: &Sending<'_>) -> Sentence {
        let Sending { kind, method, bytes, .. } = *message;
        let (Some(from), Some(to)) = (server(message.from), server(message.to)) else {
            return Sentence::AsDrawn;
        };
        let hash = hash_of(bytes);
        let campaigns = kind == MessageKind::Request && method == "Raft.RequestVote";
        let (news, is_deaf) = {
            let mut now = self.now.lock();
            now.leaving = None;
            if now.over {
                return Sentence::AsDrawn;
            }
            if campaigns {
                now.deaf[from.0] = None;
            }
            let at = sim::elapsed();
            if now.deaf[to.0].is_some_and(|since| since + DEAF < at) {
                now.deaf[to.0] = None;
            }
            let differs = now.last.insert((from, to, kind, method), hash) != Some(hash);
            let news = match kind {
                MessageKind::Request => {
                    if differs {
                        now.unanswered.insert((from, to, method));
                    }
                    differs
                }
                MessageKind::Reply => now.unanswered.remove(&(to, from, method)) || differs,
            };
            let is_deaf = kind == MessageKind::Request && now.deaf[to.0].is_some();
            (news && now.down != Some(to), is_deaf)
        };
        if is_deaf {
            return Sentence::Lost;
        }
        if !news {
            return Sentence::AsDrawn;
        }
        let chosen = self.offer(What::Message { kind, method, from, to });
        let mut now = self.now.lock();
        now.leaving = Some(hash);
        match chosen {
            Some(Choice::Lose) => Sentence::Lost,
            Some(Choice::Delay) => Sentence::Late(LATE),
            Some(Choice::Deafen) => {
                now.deaf[to.0] = Some(sim::elapsed());
                Sentence::Lost
            }
            _ => Sentence::AsDrawn,
        }
    }

    /// Something happened to a message.
    fn sees(&self, event: &NetEvent<'_>) {
        let key = |kind| (event.call, kind);
        let mut now = self.now.lock();
        let was_new = match event.kind {
            NetEventKind::RequestSent | NetEventKind::ReplySent => {
                let kind = match event.kind {
                    NetEventKind::RequestSent => MessageKind::Request,
                    _ => MessageKind::Reply,
                };
                if let Some(hash) = now.leaving.take() {
                    now.flying.insert(key(kind), hash);
                }
                return;
            }
            NetEventKind::RequestDelivered | NetEventKind::RequestLost => {
                now.flying.remove(&key(MessageKind::Request)).is_some()
            }
            NetEventKind::NoPath | NetEventKind::CutOff | NetEventKind::ReplyDiscarded => {
                now.flying.remove(&key(MessageKind::Request));
                now.flying.remove(&key(MessageKind::Reply));
                return;
            }
            NetEventKind::ReplyDelivered | NetEventKind::ReplyLost => {
                now.flying.remove(&key(MessageKind::Reply)).is_some()
            }
            _ => return,
        };
        drop(now);
        if event.kind == NetEventKind::ReplyDelivered
            && was_new
            && let (Some(caller), Some(replier)) = (server(event.from), server(event.to))
        {
            let what = What::Answered { server: replier, caller, method: event.method };
            if let Some(choice) = self.offer(what) {
                self.strike(replier, choice);
            }
        }
    }

    /// A server has saved something. Runs in the task that saves.
    fn saves(&self, server: ServerId, disk: &Persister) {
        let hash = hash_of(&disk.read_raft_state()) ^ hash_of(&disk.read_snapshot()).rotate_left(1);
        let times = {
            let mut now = self.now.lock();
            if now.disks[server.0] == hash {
                return;
            }
            now.disks[server.0] = hash;
            now.changes[server.0] += 1;
            now.changes[server.0]
        };
        if let Some(choice) = self.offer(What::Saved { server, times }) {
            self.strike_here(server, choice);
        }
    }

    // ---- what is chosen ----

    /// What is chosen here, if not the usual.
    fn offer(&self, what: What) -> Option<Choice> {
        let cluster = self.cluster.upgrade()?;
        let views = cluster.servers().map(|server| cluster.observe(server)).collect::<Vec<_>>();
        let mut now = self.now.lock();
        if now.over {
            return None;
        }
        for (server, sight) in views.into_iter().enumerate() {
            let Some(sight) = sight else { continue };
            now.leads[server] = sight.state.1;
            now.shown[server] = shown(sight.view.as_ref(), sight.state);
        }
        let at = sim::elapsed();
        now.points += 1;
        now.news = at;
        let to_leader = matches!(what, What::Message { to, .. } if now.leads[to.0]);
        let choices = what.choices(to_leader);
        let chosen = cluster.choices().forced(now.points).filter(|choice| choices.contains(choice));
        let state = now.state(what);
        drop(now);
        let point = Point { at, what, choices, chosen, state };
        if chosen.is_some() {
            tracing::info!(target: log::FAULT, "{point}");
        }
        cluster.choices().met(point);
        chosen
    }

    /// The running task is one of this server's, and ends right here with all others of it.
    fn strike_here(&self, victim: ServerId, choice: Choice) {
        self.order(Order { victim, choice });
        Node::current().kill();
    }

    /// The same for a server that need not be running at this instant.
    fn strike(&self, victim: ServerId, choice: Choice) {
        let Some(cluster) = self.cluster.upgrade() else { return };
        let Some(Some((node, ..))) = sim::observe(|| cluster.running(victim)) else { return };
        node.pause(); // it does nothing more
        let steer = self.clone();
        event::after(Duration::ZERO, move || {
            node.kill();
            steer.order(Order { victim, choice });
        });
    }

    fn order(&self, order: Order) {
        {
            let victim = order.victim.0;
            let mut now = self.now.lock();
            (now.deaf[victim], now.shown[victim], now.leads[victim]) = (None, 0, false);
            now.applied[victim] = EntryId::default();
        }
        let hands = self.hands.clone();
        event::after(Duration::ZERO, move || {
            let _ = hands.send(order);
        });
    }
}

impl Habits for Steer {
    fn applied(&self, server: ServerId, id: EntryId, _command: &Bytes) {
        self.now.lock().applied[server.0] = id;
        if let Some(choice) = self.offer(What::Applied { server, id }) {
            self.strike_here(server, choice);
        }
    }

    fn takes_snapshot_at(&self, _server: ServerId, _index: LogIndex) -> bool {
        false
    }
}

impl Now {
    /// A hash of all that can be seen of the cluster, and of what is chosen about.
    fn state(&self, what: What) -> u64 {
        let mut hasher = FixedHasher::default();
        let mut flying: Vec<u64> = self.flying.values().copied().collect();
        flying.sort_unstable();
        let deaf: Vec<bool> = self.deaf.iter().map(Option::is_some).collect();
        let down = self.down.map(|server| server.0 as u64);
        let applied: Vec<_> = self.applied.iter().map(|id| (id.term.0, id.index.0)).collect();
        (&self.disks, &self.shown, applied, flying, deaf, down, self.given).hash(&mut hasher);
        match what {
            What::Message { kind, method, from, to } => {
                let leaving = self.last.get(&(from, to, kind, method));
                (0_u8, kind, method, from.0 as u64, to.0 as u64, leaving).hash(&mut hasher);
            }
            What::Saved { server, .. } => (1_u8, server.0 as u64).hash(&mut hasher),
            What::Answered { server, caller, method } => {
                (2_u8, server.0 as u64, caller.0 as u64, method).hash(&mut hasher);
            }
            What::Applied { server, id } => {
                (3_u8, server.0 as u64, id.term.0, id.index.0).hash(&mut hasher);
            }
        }
        hasher.finish()
    }
}

/// A hash of what a server shows.
fn shown(view: Option<&RaftView>, (term, leads): (raftapi::Term, bool)) -> u64 {
    let mut hasher = FixedHasher::default();
    (term.0, leads).hash(&mut hasher);
    if let Some(view) = view {
        let role = match view.role {
            RoleView::Follower { leader } => leader.map_or(0, |leader| 1 + leader.0 as u64),
            RoleView::Candidate => u64::MAX,
            RoleView::Leader => u64::MAX - 1,
        };
        let entries: Vec<u64> = view.entries.iter().map(|term| term.0).collect();
        let followers: Vec<[u64; 3]> = view
            .followers
            .iter()
            .map(|follower| {
                [follower.server.0 as u64, follower.next_index.0, follower.match_index.0]
            })
            .collect();
        (role, view.voted_for.map(|who| who.0 as u64)).hash(&mut hasher);
        (view.last_included.term.0, view.last_included.index.0, entries).hash(&mut hasher);
        (view.commit_index.0, view.last_applied.0, followers).hash(&mut hasher);
    }
    hasher.finish()
}

fn hash_of(bytes: &[u8]) -> u64 {
    let mut hasher = FixedHasher::default();
    bytes.hash(&mut hasher);
    hasher.finish()
}
