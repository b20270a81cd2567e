//! What servers say and show when the tester asks them; the checker hears of it.

use labrt::sim;
use raftapi::{ServerId, Term};

use super::Cluster;
use super::lives::Incarnation;
use crate::inspect::Sight;
use crate::log;

impl Cluster {
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
}
