//! Crashes at the worst moments (Raft Figure 2, "Persistent state").
//!
//! - Right after a server's reply has arrived. Whatever it promised, a vote or an entry stored, must
//!   be on the disk by then; a crash a millisecond later shows whether it is.
//! - Right after a save, before the server does anything else. What each single save leaves on the
//!   disk must be a state to start from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use labrpc::NetEventKind;
use labrt::channel::{self, Sender};
use labrt::event;
use labrt::node::Node;
use labrt::rand::stream;
use labrt::time::Duration;
use raftapi::ServerId;
use raftapi::harness::Disk as _;
use rand::RngExt as _;

use crate::choices::Verb;
use crate::cluster::Cluster;
use crate::fault::Fault;
use crate::task;

/// Crashes servers for as long as it is kept.
#[must_use = "it ends when it is dropped"]
pub struct Nemesis {
    active: Arc<AtomicBool>,
    strikes: Arc<AtomicU64>,
}

impl Nemesis {
    /// How many servers it has crashed.
    pub fn strikes(&self) -> u64 {
        self.strikes.load(Ordering::Relaxed)
    }
}

impl Drop for Nemesis {
    fn drop(&mut self) {
        self.active.store(false, Ordering::Relaxed);
    }
}

impl Cluster {
    /// From now on, whoever has just answered a request of this method crashes with this
    /// probability, restarts at once, and is connected again.
    pub fn crash_after_replies(&self, method: &'static str, probability: f64) -> Nemesis {
        let (nemesis, victims) = self.nemesis(|cluster, victim| {
            if !Fault::CrashAfterReplies.is_dead() {
                cluster.restart_by(victim, Verb::Strike);
            }
        });
        let is_active = Arc::clone(&nemesis.active);
        let fate = stream(&format!("test/crash after {method}"));
        self.network().observe(move |event| {
            let strikes = event.kind == NetEventKind::ReplyDelivered
                && event.method == method
                && is_active.load(Ordering::Relaxed)
                && fate.at(event.call).random_bool(probability);
            if strikes && let Some(victim) = server(event.to) {
                let _ = victims.send(victim);
            }
        });
        nemesis
    }

    /// From now on, whoever has just saved something crashes with this probability, before anything
    /// can follow from the save; restarts at once, and is connected again.
    pub fn crash_at_saves(&self, probability: f64) -> Nemesis {
        let (nemesis, victims) = self.nemesis(Cluster::revive);
        for server in self.servers() {
            let (is_active, victims) = (Arc::clone(&nemesis.active), victims.clone());
            let choices = Arc::clone(self.choices());
            let fate = stream(&format!("test/crash {server} at saves"));
            self.persister(server).on_save(move |disk| {
                if is_active.load(Ordering::Relaxed)
                    && !Fault::CrashAtSaves.is_dead()
                    && fate.at(disk.saves()).random_bool(probability)
                    && choices.fault(Verb::Strike, || format!("{server}, at a save"))
                {
                    let victims = victims.clone();
                    event::after(Duration::ZERO, move || {
                        let _ = victims.send(server);
                    });
                    // The task that saves is one of the node's, and ends right here.
                    Node::current().kill();
                }
            });
        }
        nemesis
    }

    /// One that restarts whoever it is sent, in this way.
    fn nemesis(&self, restart: fn(&Cluster, ServerId)) -> (Nemesis, Sender<ServerId>) {
        let (victims, next_victim) = channel::unbounded::<ServerId>();
        let strikes = Arc::new(AtomicU64::new(0));
        let (cluster, count) = (self.clone(), Arc::clone(&strikes));
        task::start("nemesis", move || {
            for victim in next_victim {
                if cluster.is_reachable(victim) {
                    let before = cluster.restarts();
                    restart(&cluster, victim);
                    count.fetch_add(cluster.restarts() - before, Ordering::Relaxed);
                    cluster.connect(victim);
                }
            }
        });
        (Nemesis { active: Arc::new(AtomicBool::new(true)), strikes }, victims)
    }
}

/// The server of this name on the network.
pub(crate) fn server(name: &str) -> Option<ServerId> {
    name.strip_prefix('S')?.parse().ok().map(ServerId)
}
