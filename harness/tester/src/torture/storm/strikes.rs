//! Crashes at exactly this instant: in a save, after a message, while something is applied.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use labrpc::NetEventKind;
use labrt::node::Node;
use labrt::rand::stream;
use labrt::time::Duration;
use labrt::{event, sim};
use raftapi::{ServerId, Term};
use rand::RngExt as _;

use super::{Shared, Storm};
use crate::choices::Verb;
use crate::cluster::Cluster;
use crate::coverage::Met;
use crate::fault::Fault;
use crate::log;
use crate::nemesis::server;

/// What a task of the tester has to see to, because whoever strikes must not wait.
pub(super) enum Blow {
    /// The server is dead, and starts again.
    Restart(ServerId),
    /// It is cut off for so long.
    CutOff(ServerId, Duration),
}

impl Shared {
    /// The running task is one of this server's, and ends right here with all others of it; the
    /// server restarts at once.
    pub(super) fn strike_here(&self, server: ServerId, met: Met) {
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
    pub(super) fn strike(&self, cluster: &Cluster, server: ServerId, met: Met) {
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
    /// Whoever has just sent a request crashes; or whose reply has just been delivered.
    pub(super) fn strike_at_messages(&self) {
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
    pub(super) fn bring_back(&self, victim: ServerId) {
        let _hands = self.shared.hands.lock();
        let connected = self.cluster.is_connected(victim);
        let is_dead = || self.cluster.running(victim).is_some_and(|(node, ..)| !node.is_alive());
        if self.cluster.revive_if(victim, is_dead) && connected {
            self.cluster.connect(victim);
        }
    }
}

/// Is the server in another term than when it last replied?
fn is_new_term(cluster: &Cluster, server: ServerId, terms: &mut [Term]) -> bool {
    let Some((term, _)) = cluster.observe_state(server) else { return false };
    std::mem::replace(&mut terms[server.0], term) < term
}
