//! What servers and their services do besides: crash in the middle of an apply, call back, take their time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use labgob::Bytes;
use labrt::node::Node;
use labrt::rand::{Rng, Stream};
use labrt::time::{self, Duration};
use labrt::{event, sim};
use raftapi::{ApplyMsg, EntryId, LogIndex, ServerId};
use rand::RngExt as _;

use super::strikes::Blow;
use super::{Shared, leaders};
use crate::choices::Verb;
use crate::cluster::{Cluster, WeakCluster};
use crate::coverage::Met;
use crate::fault::Fault;
use crate::report::Failure;
use crate::service::Habits;
use crate::text::at;
use crate::torture::durability::try_disks;
use crate::torture::environment::{CUT_OFF, Environment, SLOW_APPLY};

/// Pauses and slow disks included, a server's own calls have returned by then.
const RETURNS: Duration = Duration::from_secs(20);

/// Services call back so often, at most: each time there is something more to apply.
const CALLS_BACK: u64 = 200;

/// Of the entries applied for the first time such a part is looked for on disks.
const TRIED: f64 = 0.12;

/// What servers and services do besides.
pub(super) struct Torturer {
    pub(super) cluster: WeakCluster,
    pub(super) shared: Arc<Shared>,
    pub(super) tried: Stream,
    pub(super) crash: Stream,
    pub(super) more: Stream,
    /// Of all indexes that anybody has applied.
    pub(super) highest: parking_lot::Mutex<LogIndex>,
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
