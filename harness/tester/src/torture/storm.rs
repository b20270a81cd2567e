//! The first phase: what befalls servers and links, until it is over and everything is mended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use labgob::Bytes;
use labrpc::{Conditions, NetEventKind};
use labrt::channel::{self, Sender};
use labrt::node::Node;
use labrt::rand::{Rng, Stream, stream};
use labrt::sync::Mutex;
use labrt::thread::JoinHandle;
use labrt::time::{self, Duration, Instant};
use labrt::{event, sim, thread};
use raftapi::harness::Disk as _;
use raftapi::{ApplyMsg, EntryId, LogIndex, ServerId, Term};
use rand::RngExt as _;

use super::durability::{self, Trial};
use super::effects::Effects;
use super::environment::{CUT_OFF, Environment, Every, SLOW_APPLY, SLOW_SAVE};
use crate::choices::Verb;
use crate::cluster::{Cluster, ServiceKind, WeakCluster};
use crate::coverage::{Coverage, Met};
use crate::fault::{self, Fault};
use crate::log;
use crate::nemesis::server;
use crate::report::Failure;
use crate::service::Habits;
use crate::task;
use crate::text::at;

/// So many majorities are started from their disks in one run, at most: each takes a few milliseconds.
const TRIALS: u64 = 24;

/// Pauses and slow disks included, a server's own calls have returned by then.
const RETURNS: Duration = Duration::from_secs(20);

/// There are no clients.
const NOT_OVER_RAFT: [Met; 3] = [Met::Operations, Met::Retries, Met::SlowApplies];

/// What a service does is its own affair, and clients give commands.
const NOT_OVER_THE_SERVICE: [Met; 5] =
    [Met::Stalls, Met::CallsBack, Met::CommandsTaken, Met::CommandsLost, Met::CrashesComingBack];

/// Services call back so often, at most: each time there is something more to apply.
const CALLS_BACK: u64 = 200;

/// Of the entries applied for the first time such a part is looked for on disks.
const TRIED: f64 = 0.12;

/// Is a message one from this server, or to it?
fn involves(server: ServerId) -> impl Fn(ServerId, ServerId) -> bool + Send + 'static {
    move |from, to| from == server || to == server
}

/// What befalls a cluster.
#[derive(Clone)]
pub(crate) struct Storm {
    pub(crate) cluster: Cluster,
    pub(crate) shared: Arc<Shared>,
    tasks: Arc<parking_lot::Mutex<Vec<JoinHandle<()>>>>,
}

/// What all that strikes has in common. It does not keep the cluster.
pub(crate) struct Shared {
    pub(crate) environment: Environment,
    pub(crate) coverage: Arc<Coverage>,
    effects: Arc<Effects>,
    /// A server has shown its log.
    logs_are_shown: AtomicBool,
    over: AtomicBool,
    /// Held by whoever ends, starts or stops a server: one at a time.
    hands: Mutex<()>,
    /// For each server, how many callers are in it, and whether it stands still.
    gates: parking_lot::Mutex<Vec<(u32, bool)>>,
    blows: Sender<Blow>,
}

/// What a task of the tester has to see to, because whoever strikes must not wait.
enum Blow {
    /// The server is dead, and starts again.
    Restart(ServerId),
    /// It is cut off for so long.
    CutOff(ServerId, Duration),
}

impl Shared {
    /// Has any server shown its log? If not, nobody can tell what it lost.
    pub(crate) fn logs_are_shown(&self) -> bool {
        self.logs_are_shown.load(Ordering::Relaxed)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// The running task is one of this server's, and ends right here with all others of it; the
    /// server restarts at once.
    fn strike_here(&self, server: ServerId, met: Met) {
        tracing::info!(target: log::FAULT, "strike {server}: {met:?}");
        let (blows, coverage) = (self.blows.clone(), Arc::clone(&self.coverage));
        let node = Node::current();
        let struck = node.clone();
        event::after(Duration::ZERO, move || {
            coverage.met_times(met, u64::from(!struck.is_alive()));
            let _ = blows.send(Blow::Restart(server));
        });
        if !Fault::StrikeHere.is_dead() {
            node.kill();
        }
    }

    /// The same for a server that need not be running at this instant.
    fn strike(&self, cluster: &Cluster, server: ServerId, met: Met) {
        let Some(Some((node, ..))) = sim::observe(|| cluster.running(server)) else { return };
        if Fault::Strike.is_dead() {
            return;
        }
        tracing::info!(target: log::FAULT, "strike {server}: {met:?}");
        node.pause(); // it does nothing more
        let (blows, coverage) = (self.blows.clone(), Arc::clone(&self.coverage));
        event::after(Duration::ZERO, move || {
            // It may be dead already, by another blow.
            coverage.met_times(met, u64::from(node.is_alive()));
            node.kill();
            let _ = blows.send(Blow::Restart(server));
        });
    }
}

impl Storm {
    /// Nothing befalls the cluster yet; but clocks run, and services behave, as the environment has it.
    pub(crate) fn gather(cluster: &Cluster, environment: Environment) -> Storm {
        let coverage = Arc::new(match cluster.setup().service {
            ServiceKind::Tester { .. } => Coverage::of_all_but(&NOT_OVER_RAFT),
            ServiceKind::Kv { .. } => Coverage::of_all_but(&NOT_OVER_THE_SERVICE),
        });
        *cluster.measures().coverage.lock() = Some(Arc::clone(&coverage));
        let (blows, next_blow) = channel::unbounded();
        let shared = Arc::new(Shared {
            gates: parking_lot::Mutex::new(vec![(0, false); environment.servers]),
            environment,
            effects: Effects::watch(cluster, Arc::clone(&coverage)),
            coverage,
            logs_are_shown: AtomicBool::new(false),
            over: AtomicBool::new(false),
            hands: Mutex::new(()),
            blows,
        });
        let storm = Storm { cluster: cluster.clone(), shared, tasks: Arc::default() };
        let restarting = storm.clone();
        task::start("torture: restarts", move || {
            for blow in next_blow {
                match blow {
                    Blow::Restart(server) => restarting.bring_back(server),
                    Blow::CutOff(server, length) => restarting.cut_off(server, length),
                }
            }
        });
        storm.watch();
        cluster.set_habits(Box::new(Torturer {
            cluster: cluster.downgrade(),
            shared: Arc::clone(&storm.shared),
            tried: stream("torture/disks"),
            crash: stream("torture/crash at applies"),
            more: stream("torture/what else follows an apply"),
            highest: parking_lot::Mutex::default(),
        }));
        storm
    }

    /// Counts what servers' logs meet.
    fn watch(&self) {
        let (cluster, shared) = (self.cluster.downgrade(), Arc::clone(&self.shared));
        let logs: parking_lot::Mutex<Vec<Option<(u32, LogIndex, Term)>>> =
            parking_lot::Mutex::new(vec![None; self.cluster.len()]);
        self.cluster.network().observe(move |event| {
            if event.kind == NetEventKind::ReplySent
                && let Some(who) = server(event.to)
                && let Some(cluster) = cluster.upgrade()
            {
                count_conflicts(&cluster, who, &shared, &mut logs.lock());
            }
        });
    }

    /// It begins.
    pub(crate) fn begin(&self) {
        let Environment { crashes, partitions, pauses, stalls, conditions, .. } =
            self.shared.environment.clone();
        self.cluster.set_conditions(conditions);
        for server in self.cluster.servers() {
            self.drift(server);
            self.slow_the_disk(server);
            self.strike_at_saves(server);
        }
        self.strike_at_messages();
        if let Some(every) = crashes.any_time {
            for n in 0..self.cluster.len() / 2 {
                self.start(&format!("crashes {n}"), move |storm, dice| storm.crash(every, dice));
            }
        }
        if let Some(every) = partitions.halves {
            self.start("partitions", move |storm, dice| storm.part(every, dice));
        }
        if let Some(every) = partitions.one_way {
            self.start("one-way links", move |storm, dice| storm.one_way(every, dice));
        }
        if let Some(every) = partitions.flapping {
            self.start("flapping links", move |storm, dice| storm.flap(every, dice));
        }
        if let Some(every) = pauses {
            self.start("pauses", move |storm, dice| storm.pause(every, dice));
        }
        if let Some(every) = stalls {
            self.start("stalls", move |storm, dice| storm.stall(every, dice));
        }
    }

    /// A task that goes on until the storm is over.
    pub(crate) fn start(&self, name: &str, run: impl FnOnce(&Storm, &mut Rng) + Send + 'static) {
        let (storm, mut dice) = (self.clone(), self.cluster.dice(&format!("torture/{name}")));
        let task = thread::Builder::new().name(format!("tester: torture: {name}"));
        let task = task.spawn(move || run(&storm, &mut dice));
        self.tasks.lock().push(task.expect("a simulation can start a task"));
    }

    /// It is over: links work, clocks are right, everybody is up and connected. Messages that are
    /// late come when they come.
    pub(crate) fn end(&self) {
        self.shared.over.store(true, Ordering::Relaxed);
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            task.join().expect("whatever goes wrong ends the run");
        }
        let _hands = self.shared.hands.lock();
        let cluster = &self.cluster;
        cluster.heal();
        cluster.set_conditions(Conditions::reliable());
        for server in cluster.servers() {
            self.shared.gates.lock()[server.0].1 = false;
            match cluster.running(server) {
                Some((node, ..)) if node.is_alive() => {
                    node.set_clock_rate(1.0);
                    node.resume();
                }
                _ => cluster.revive(server),
            }
            cluster.restart_if_down(server);
            cluster.connect(server);
        }
    }

    // ---- servers ----

    fn drift(&self, server: ServerId) {
        let rate = self.shared.environment.clocks[server.0];
        if (rate - 1.0).abs() > f64::EPSILON
            && let Some((node, ..)) = self.cluster.running(server)
            && !Fault::Drift.is_dead()
            && self.cluster.choices().fault(Verb::Drift, || format!("{server} at {rate:.2}"))
        {
            node.set_clock_rate(rate);
        }
    }

    /// Whoever saves something waits for the disk, and may crash before anything is saved.
    fn slow_the_disk(&self, server: ServerId) {
        let Environment { slow_disk, crashes, .. } = self.shared.environment;
        if slow_disk == 0.0 {
            return;
        }
        let (shared, choices) = (Arc::clone(&self.shared), Arc::clone(self.cluster.choices()));
        let fate = stream(&format!("torture/the disk of {server}"));
        let saves = AtomicU64::new(0);
        self.cluster.persister(server).before_save(move |_| {
            let mut dice = fate.at(saves.fetch_add(1, Ordering::Relaxed));
            if !shared.is_over()
                && !Fault::SlowDisk.is_dead()
                && dice.random_bool(slow_disk)
                && choices.fault(Verb::Pause, || format!("a task of {server}, at a save"))
            {
                time::sleep(SLOW_SAVE.mul_f64(dice.random()));
                shared.coverage.met(Met::SlowDisk);
                if !shared.is_over()
                    && dice.random_bool(crashes.in_save)
                    && choices.fault(Verb::Strike, || format!("{server}, in a save"))
                {
                    shared.strike_here(server, Met::CrashesInSave);
                }
            }
        });
    }

    /// Whoever has just saved something crashes, or takes its time.
    fn strike_at_saves(&self, server: ServerId) {
        let (crash, slow) =
            (self.shared.environment.crashes.at_save, self.shared.environment.slow_saves);
        if crash == 0.0 && slow == 0.0 {
            return;
        }
        let (shared, choices) = (Arc::clone(&self.shared), Arc::clone(self.cluster.choices()));
        let fate = stream(&format!("torture/saves of {server}"));
        self.cluster.persister(server).on_save(move |disk| {
            if shared.is_over() {
                return;
            }
            let mut dice = fate.at(disk.saves());
            let (crashes, is_slow) = (dice.random_bool(crash), dice.random_bool(slow));
            if crashes && choices.fault(Verb::Strike, || format!("{server}, at a save")) {
                shared.strike_here(server, Met::CrashesAtSave);
            } else if is_slow && choices.fault(Verb::Pause, || format!("{server}, at a save")) {
                let node = Node::current();
                if !Fault::SlowSaves.is_dead() {
                    shared.coverage.met(Met::SlowSaves);
                    node.pause();
                }
                event::after(SLOW_SAVE.mul_f64(dice.random()), move || node.resume());
            }
        });
    }

    /// Whoever has just sent a request crashes; or whose reply has just been delivered.
    fn strike_at_messages(&self) {
        let crashes = self.shared.environment.crashes;
        let (cluster, shared) = (self.cluster.downgrade(), Arc::clone(&self.shared));
        let (sends, replies) =
            (stream("torture/crash at sends"), stream("torture/crash at replies"));
        // In which each server has last replied.
        let terms = parking_lot::Mutex::new(vec![Term(0); self.cluster.len()]);
        self.cluster.network().observe(move |event| {
            if shared.is_over() {
                return;
            }
            let (name, fate) = match event.kind {
                NetEventKind::RequestSent => (event.from, sends),
                NetEventKind::ReplyDelivered => (event.to, replies),
                _ => return,
            };
            let Some(victim) = server(name) else { return };
            let Some(cluster) = cluster.upgrade() else { return };
            let (probability, met) = match event.kind {
                NetEventKind::RequestSent => (crashes.at_send, Met::CrashesAtSend),
                _ if crashes.at_vote > 0.0 && is_new_term(&cluster, victim, &mut terms.lock()) => {
                    (crashes.at_vote.max(crashes.at_reply), Met::CrashesAtVote)
                }
                _ => (crashes.at_reply, Met::CrashesAtReply),
            };
            if fate.at(event.call).random_bool(probability)
                && cluster.choices().fault(Verb::Strike, || format!("{victim}, {met:?}"))
            {
                shared.strike(&cluster, victim, met);
            }
        });
    }

    /// At its n-th answer from now on this server crashes, and starts again at once.
    pub(crate) fn strike_at_answer(&self, victim: ServerId, n: u64) {
        let (cluster, shared) = (self.cluster.downgrade(), Arc::clone(&self.shared));
        let answers = AtomicU64::new(0);
        self.cluster.network().observe(move |event| {
            if event.kind == NetEventKind::ReplyDelivered
                && server(event.to) == Some(victim)
                && answers.fetch_add(1, Ordering::Relaxed) + 1 == n
                && let Some(cluster) = cluster.upgrade()
                && cluster.choices().fault(Verb::Strike, || format!("{victim}, at an answer"))
            {
                shared.strike(&cluster, victim, Met::CrashesComingBack);
            }
        });
    }

    /// A server that a strike has ended starts again.
    fn bring_back(&self, victim: ServerId) {
        let _hands = self.shared.hands.lock();
        let connected = self.cluster.is_connected(victim);
        let is_dead = || self.cluster.running(victim).is_some_and(|(node, ..)| !node.is_alive());
        if self.cluster.revive_if(victim, is_dead) && connected {
            self.cluster.connect(victim);
        }
    }

    /// A server that has just applied something is cut off, and is back in time.
    fn cut_off(&self, server: ServerId, length: Duration) {
        if self.shared.is_over() || !self.cluster.is_connected(server) {
            return;
        }
        let cut = self.shared.effects.cut(Met::LeadersCutOffAtApply, involves(server));
        self.cluster.disconnect(server);
        self.start(&format!("{server} is back"), move |storm, _| {
            storm.sleep(length);
            drop(cut);
            if storm.cluster.is_up(server) {
                storm.cluster.connect(server);
            }
        });
    }

    /// One server after the other crashes, and comes back.
    fn crash(&self, every: Every, dice: &mut Rng) {
        while self.sleep(around(every.interval, dice)) {
            let victim = self.victim(self.shared.environment.crashes.leader, dice);
            {
                let _hands = self.shared.hands.lock();
                if !self.cluster.is_up(victim) {
                    continue;
                }
                if let Some((node, ..)) = self.cluster.running(victim) {
                    node.resume(); // to be told of its end
                }
                self.shared.coverage.met(Met::CrashesAnyTime);
                self.cluster.crash(victim);
            }
            self.sleep(up_to(every.length, dice));
            let _hands = self.shared.hands.lock();
            self.cluster.restart_if_down(victim);
            self.cluster.connect(victim);
        }
    }

    fn pause(&self, every: Every, dice: &mut Rng) {
        while self.sleep(around(every.interval, dice)) {
            let victim = self.victim(0.5, dice);
            if !self.cluster.choices().fault(Verb::Pause, || victim.to_string()) {
                continue;
            }
            // Nobody may be kept waiting in it: start() has to return at once.
            while !self.shared.close(victim) {
                time::sleep(Duration::from_micros(500));
            }
            let node = {
                let _hands = self.shared.hands.lock();
                self.cluster.running(victim).map(|(node, ..)| node).filter(Node::is_alive)
            };
            if let Some(node) = node {
                tracing::info!(target: log::FAULT, "{victim} stands still");
                if !Fault::Pause.is_dead() {
                    node.pause();
                }
                let pause = self.shared.effects.pause(Met::Pauses, victim);
                self.sleep(up_to(every.length, dice));
                drop(pause);
                tracing::info!(target: log::FAULT, "{victim} goes on");
                node.resume();
            }
            self.shared.open(victim);
        }
    }

    fn stall(&self, every: Every, dice: &mut Rng) {
        while self.sleep(around(every.interval, dice)) {
            let victim = self.victim(0.3, dice);
            let stall = self.cluster.stall_service(victim);
            self.sleep(up_to(every.length, dice));
            self.shared.coverage.met_times(Met::Stalls, u64::from(stall.kept_it_waiting()));
            drop(stall);
        }
    }

    // ---- links ----

    fn part(&self, every: Every, dice: &mut Rng) {
        let all = self.cluster.len();
        while self.sleep(around(every.interval, dice)) {
            let mut sides: Vec<usize> = (0..all).map(|_| dice.random_range(0..2)).collect();
            let mut leader_cut_off = None;
            if dice.random_bool(self.shared.environment.partitions.follow_leader)
                && let Some((_, leader)) = self.newest_leader()
            {
                sides.fill(0);
                let companions = dice.random_range(0..all.div_ceil(2));
                let first = dice.random_range(0..all);
                for n in 0..companions {
                    sides[(first + n) % all] = 1;
                }
                sides[leader.0] = 1;
                leader_cut_off =
                    Some(self.shared.effects.cut(Met::LeadersCutOff, involves(leader)));
            }
            self.cluster.partition(|server| sides[server.0]);
            let is_cut = move |from: ServerId, to: ServerId| sides[from.0] != sides[to.0];
            let partition = self.shared.effects.cut(Met::Partitions, is_cut);
            self.sleep(up_to(every.length, dice));
            drop((partition, leader_cut_off));
            self.cluster.heal();
        }
    }

    fn one_way(&self, every: Every, dice: &mut Rng) {
        while self.sleep(around(every.interval, dice)) {
            let victim = self.victim(self.shared.environment.partitions.follow_leader, dice);
            let other = self.cluster.after(victim, dice.random_range(1..self.cluster.len()));
            let others = self.cluster.servers().filter(|other| *other != victim);
            let (what, links): (_, Vec<_>) = match dice.random_range(0..3) {
                0 => ("hears nobody", others.map(|other| (other, victim)).collect()),
                1 => ("is heard by nobody", others.map(|other| (victim, other)).collect()),
                _ => ("is not heard by one", vec![(victim, other)]),
            };
            if !self.cluster.choices().fault(Verb::OneWay, || format!("{victim} {what}")) {
                continue;
            }
            tracing::info!(target: log::FAULT, "{victim} {what}");
            let dead = Conditions {
                request_loss: 1.0,
                reply_loss: 1.0,
                ..self.shared.environment.conditions
            };
            self.set_links(&links, Some(dead).filter(|_| !Fault::OneWay.is_dead()));
            let lost = links.clone();
            let cut =
                self.shared.effects.cut(Met::OneWay, move |from, to| lost.contains(&(from, to)));
            self.sleep(up_to(every.length, dice));
            drop(cut);
            tracing::info!(target: log::FAULT, "the links of {victim} work both ways");
            self.set_links(&links, None);
        }
    }

    fn set_links(&self, links: &[(ServerId, ServerId)], conditions: Option<Conditions>) {
        let conditions = conditions.map(fault::that_work);
        for (from, to) in links {
            let (from, to) = (from.to_string(), to.to_string());
            self.cluster.network().set_link_conditions(&from, &to, conditions);
        }
    }

    fn flap(&self, every: Every, dice: &mut Rng) {
        let mut victim = self.victim(0.5, dice);
        while self.sleep(around(every.interval, dice)) {
            if dice.random_bool(0.1) {
                victim = self.victim(0.5, dice);
            }
            if self.cluster.is_up(victim) {
                let cut = self.shared.effects.cut(Met::Flaps, involves(victim));
                self.cluster.disconnect(victim);
                self.sleep(up_to(every.length, dice));
                drop(cut);
                if self.cluster.is_up(victim) {
                    self.cluster.connect(victim);
                }
            }
        }
    }

    // ---- the rest ----

    /// Sleeps, but not longer than the storm lasts. Says if that goes on.
    pub(crate) fn sleep(&self, length: Duration) -> bool {
        let deadline = Instant::now() + length;
        while !self.shared.is_over() && Instant::now() < deadline {
            time::sleep(Duration::from_millis(20).min(deadline - Instant::now()));
        }
        !self.shared.is_over()
    }

    /// Who leads, as far as can be seen without asking.
    pub(crate) fn newest_leader(&self) -> Option<(Term, ServerId)> {
        self.leaders().into_iter().max()
    }

    /// Everybody who believes to lead.
    pub(crate) fn leaders(&self) -> Vec<(Term, ServerId)> {
        leaders(&self.cluster)
    }

    /// The leader, with this probability; else anybody.
    fn victim(&self, leader: f64, dice: &mut Rng) -> ServerId {
        let anybody = ServerId(dice.random_range(0..self.cluster.len()));
        let wanted = dice.random_bool(leader);
        self.newest_leader().filter(|_| wanted).map_or(anybody, |(_, leader)| leader)
    }
}

/// Is the server in another term than when it last replied?
fn is_new_term(cluster: &Cluster, server: ServerId, terms: &mut [Term]) -> bool {
    let Some((term, _)) = cluster.observe_state(server) else { return false };
    std::mem::replace(&mut terms[server.0], term) < term
}

fn leaders(cluster: &Cluster) -> Vec<(Term, ServerId)> {
    let leads = |server| {
        let (term, leads) = cluster.observe_state(server)?;
        leads.then_some((term, server))
    };
    cluster.servers().filter_map(leads).collect()
}

/// A caller is in a server, which does not stand still as long as this is kept.
pub(crate) struct Inside<'a> {
    shared: &'a Shared,
    server: ServerId,
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.shared.gates.lock()[self.server.0].0 -= 1;
    }
}

impl Shared {
    /// A caller goes in. `None` if the server stands still.
    pub(crate) fn enter(&self, server: ServerId) -> Option<Inside<'_>> {
        let (callers, closed) = &mut self.gates.lock()[server.0];
        *callers += u32::from(!*closed);
        (!*closed).then(|| Inside { shared: self, server })
    }

    /// Nobody goes in any more, and nobody is there.
    fn close(&self, server: ServerId) -> bool {
        let (callers, closed) = &mut self.gates.lock()[server.0];
        *closed = *callers == 0;
        *closed
    }

    fn open(&self, server: ServerId) {
        self.gates.lock()[server.0].1 = false;
    }
}

fn around(length: Duration, dice: &mut Rng) -> Duration {
    length.mul_f64(dice.random_range(0.3..1.7))
}

fn up_to(length: Duration, dice: &mut Rng) -> Duration {
    length.mul_f64(dice.random())
}

/// How many entries this server's log has lost to a conflict since it was last looked at.
fn count_conflicts(
    cluster: &Cluster,
    who: ServerId,
    shared: &Shared,
    logs: &mut [Option<(u32, LogIndex, Term)>],
) {
    let Some(sight) = cluster.observe(who) else { return };
    let Some(view) = sight.view else { return };
    shared.logs_are_shown.store(true, Ordering::Relaxed);
    let last = view.last();
    let before = logs[who.0].replace((sight.incarnation, last.index, last.term));
    let Some((incarnation, index, term)) = before else { return };
    if incarnation != sight.incarnation || index <= view.base.index {
        return;
    }
    if view.term_at(index) != Some(term) {
        // The new log says nothing of where the old one began to differ; entries of newer terms
        // than the old last one took places from there on.
        let taken = (view.base.index.0 + 1..=index.0)
            .rev()
            .take_while(|index| view.term_at(LogIndex(*index)).is_none_or(|found| found > term))
            .count();
        shared.coverage.met(match taken {
            0 | 1 => Met::ConflictsOfOne,
            2..=9 => Met::ConflictsOfFew,
            _ => Met::ConflictsOfMany,
        });
    }
}

/// A service has called its own Raft. It is no good to wait for the end of the run if that never returns.
struct Waiting(Arc<AtomicBool>);

impl Waiting {
    fn begin(server: ServerId) -> Waiting {
        let (waits, called) = (Arc::new(AtomicBool::new(true)), sim::elapsed());
        let still = Arc::clone(&waits);
        event::after(RETURNS, move || {
            if still.load(Ordering::Relaxed) {
                never_returned(server, called).raise();
            }
        });
        Waiting(waits)
    }
}

/// Also if the server dies meanwhile.
impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn never_returned(server: ServerId, called: Duration) -> Failure {
    Failure::liveness("a call from the apply loop does not return")
        .expected(
            "a service may call start() and get_state() before it takes anything more from the apply \
             channel: they wait for nobody who waits for it (Raft API)",
        )
        .happened(format!(
            "the service of {server} called {}; {} it still waited",
            at(called),
            at(sim::elapsed())
        ))
        .look_at("which lock is held while something is sent on the apply channel")
        .always()
}

/// What servers and services do besides.
struct Torturer {
    cluster: WeakCluster,
    shared: Arc<Shared>,
    tried: Stream,
    crash: Stream,
    more: Stream,
    /// Of all indexes that anybody has applied.
    highest: parking_lot::Mutex<LogIndex>,
}

impl Habits for Torturer {
    fn starts(&self, server: ServerId, node: &Node) {
        let rate = self.shared.environment.clocks[server.0];
        let drifts = (rate - 1.0).abs() > f64::EPSILON && !Fault::Drift.is_dead();
        if !self.shared.is_over() && drifts {
            node.set_clock_rate(rate);
        }
    }

    fn takes(&self, server: ServerId, message: &ApplyMsg) {
        let crashes = &self.shared.environment.crashes;
        match message {
            ApplyMsg::Command { index, .. } => {
                self.perhaps(server, *index, crashes.at_apply, Met::CrashesAtApply);
                self.perhaps_slowly();
            }
            ApplyMsg::Snapshot { index, .. } => {
                self.shared.coverage.met(Met::SnapshotsInstalled);
                self.perhaps_the_leader(server, *index);
                self.perhaps(server, *index, crashes.at_install, Met::CrashesAtInstall);
            }
        }
    }

    fn applied(&self, server: ServerId, id: EntryId, command: &Bytes) {
        self.shared.coverage.met(Met::Applied);
        let Some(cluster) = self.cluster.upgrade() else { return };
        let is_first = {
            let mut highest = self.highest.lock();
            let is_first = id.index > *highest;
            *highest = id.index.max(*highest);
            is_first
        };
        if is_first {
            if self.tried.at(id.index.0).random_bool(TRIED) {
                try_disks(&cluster, &self.shared.coverage, server, id, Some(command), self.tried);
            }
            self.perhaps_cut_off(&cluster, server, id.index);
            let probability = self.shared.environment.crashes.at_first_apply;
            self.perhaps(server, id.index, probability, Met::CrashesAtFirstApply);
        }
        self.perhaps_call_back(&cluster, server, id.index);
    }

    fn takes_snapshot_at(&self, server: ServerId, index: LogIndex) -> bool {
        let takes = self.shared.environment.takes_snapshot_at(server, index);
        self.shared.coverage.met_times(Met::SnapshotsTaken, u64::from(takes));
        takes
    }

    fn excuses(&self) -> bool {
        let Environment { pauses, slow_saves, slow_disk, .. } = &self.shared.environment;
        let saves_are_slow = *slow_saves > 0.0 || *slow_disk > 0.0;
        pauses.is_some() || saves_are_slow || !self.shared.environment.clocks_are_right()
    }
}

impl Torturer {
    /// The task that has the command in hand needs its time for it.
    fn perhaps_slowly(&self) {
        let slow = self.shared.environment.slow_applies && !self.shared.is_over();
        if slow && !Fault::SlowApplies.is_dead() {
            let since = sim::elapsed();
            time::sleep(SLOW_APPLY);
            let took = sim::elapsed().saturating_sub(since);
            self.shared.coverage.met_times(Met::SlowApplies, u64::from(!took.is_zero()));
        }
    }

    /// Numbers for whether this follows when this server has this index in hand.
    fn dice(&self, server: ServerId, index: LogIndex, what: Met) -> Rng {
        self.more.at((index.0 * 8 + server.0 as u64) * 64 + what as u64)
    }

    /// The leader crashes while this server has a snapshot in hand.
    fn perhaps_the_leader(&self, server: ServerId, index: LogIndex) {
        let probability = self.shared.environment.crashes.leader_at_install;
        if !self.shared.is_over()
            && self.dice(server, index, Met::LeadersCrashAtInstall).random_bool(probability)
            && let Some(cluster) = self.cluster.upgrade()
            && let Some((_, leader)) = leaders(&cluster).into_iter().max()
            && leader != server
            && cluster.choices().fault(Verb::Strike, || format!("{leader}, at an install"))
        {
            self.shared.strike(&cluster, leader, Met::LeadersCrashAtInstall);
        }
    }

    /// This server has applied something as the first, and is cut off before it can say so.
    fn perhaps_cut_off(&self, cluster: &Cluster, server: ServerId, index: LogIndex) {
        let mut dice = self.dice(server, index, Met::LeadersCutOffAtApply);
        let probability = self.shared.environment.partitions.at_first_apply;
        if !self.shared.is_over() && dice.random_bool(probability) && cluster.len() > 1 {
            let length = CUT_OFF.mul_f64(dice.random());
            let _ = self.shared.blows.send(Blow::CutOff(server, length));
        }
    }

    /// The service calls its Raft before it takes anything more from it.
    fn perhaps_call_back(&self, cluster: &Cluster, server: ServerId, index: LogIndex) {
        let mut dice = self.dice(server, index, Met::CallsBack);
        if !self.shared.is_over()
            && dice.random_bool(self.shared.environment.calls_back)
            && self.shared.coverage.count(Met::CallsBack) < CALLS_BACK
            && let Some(_inside) = self.shared.enter(server)
        {
            self.shared.coverage.met(Met::CallsBack);
            let waiting = Waiting::begin(server);
            cluster.look(server);
            let taken = cluster.start(server, &cluster.command());
            drop(waiting);
            self.shared.coverage.met_times(Met::CommandsTaken, u64::from(taken.is_some()));
        }
    }

    /// The server, one of whose tasks is running, crashes with this probability.
    fn perhaps(&self, server: ServerId, index: LogIndex, probability: f64, met: Met) {
        if self.shared.is_over() {
            return;
        }
        let mut fate = self.crash.at(index.0 * 64 + server.0 as u64 * 4 + (met as u64 % 4));
        let Some(cluster) = self.cluster.upgrade() else { return };
        if fate.random_bool(probability)
            // Else it would crash at the same command after each restart, for ever.
            && self.shared.coverage.count(met) < 20
            && cluster.choices().fault(Verb::Strike, || format!("{server}, {met:?}"))
        {
            drop(cluster);
            self.shared.strike_here(server, met);
        }
    }
}

/// An applied entry must be on the disks of any majority.
pub(crate) fn try_disks(
    cluster: &Cluster,
    coverage: &Coverage,
    server: ServerId,
    id: EntryId,
    command: Option<&Bytes>,
    dice: Stream,
) {
    if !sim::active() || coverage.count(Met::DiskTrials) >= TRIALS {
        return;
    }
    coverage.met(Met::DiskTrials);
    let mut dice = dice.at(u64::MAX / 2 - id.index.0);
    let seed = dice.random();
    let majority = durability::majority_without(cluster, server, &mut dice);
    match durability::try_out(cluster, &majority, id, command, seed) {
        Trial::Kept => {}
        Trial::Undecided => coverage.met(Met::DiskTrialsUndecided),
        Trial::Lost(instead) => {
            durability::lost(server, id, command, &majority, instead.as_ref(), sim::elapsed())
                .raise();
        }
    }
}
