//! The first phase: what befalls servers and links, until it is over and everything is mended.
//!
//! Here: how a storm gathers, begins and ends, and whom it hits. What befalls whom is in files of their own:
//!
//! - `servers`: crashes, pauses, stalls, wrong clocks;
//! - `links`: partitions, one-way and flapping links;
//! - `disks`: slow saves, and crashes in them;
//! - `strikes`: crashes at exactly one instant;
//! - `habits`: what befalls those who apply something;
//! - `gates`: who may not be made to stand still;
//! - `conflicts`: counts what logs lose.

mod conflicts;
mod disks;
mod gates;
mod habits;
mod links;
mod servers;
mod strikes;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use labrpc::Conditions;
use labrt::channel::{self, Sender};
use labrt::rand::{Rng, stream};
use labrt::sync::Mutex;
use labrt::thread::{self, JoinHandle};
use labrt::time::{self, Duration, Instant};
use raftapi::{ServerId, Term};
use rand::RngExt as _;

use self::habits::Torturer;
use self::strikes::Blow;
use super::effects::Effects;
use super::environment::Environment;
use crate::cluster::{Cluster, ServiceKind};
use crate::coverage::{Coverage, Met};
use crate::task;

/// There are no clients.
const NOT_OVER_RAFT: [Met; 3] = [Met::Operations, Met::Retries, Met::SlowApplies];

/// What a service does is its own affair, and clients give commands.
const NOT_OVER_THE_SERVICE: [Met; 5] =
    [Met::Stalls, Met::CallsBack, Met::CommandsTaken, Met::CommandsLost, Met::CrashesComingBack];

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

impl Shared {
    /// Has any server shown its log? If not, nobody can tell what it lost.
    pub(crate) fn logs_are_shown(&self) -> bool {
        self.logs_are_shown.load(Ordering::Relaxed)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
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

fn leaders(cluster: &Cluster) -> Vec<(Term, ServerId)> {
    let leads = |server| {
        let (term, leads) = cluster.observe_state(server)?;
        leads.then_some((term, server))
    };
    cluster.servers().filter_map(leads).collect()
}

fn around(length: Duration, dice: &mut Rng) -> Duration {
    length.mul_f64(dice.random_range(0.3..1.7))
}

fn up_to(length: Duration, dice: &mut Rng) -> Duration {
    length.mul_f64(dice.random())
}
