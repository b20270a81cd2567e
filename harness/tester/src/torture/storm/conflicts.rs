//! Counts what servers' logs lose to conflicts.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use labrpc::NetEventKind;
use raftapi::{LogIndex, ServerId, Term};

use super::{Shared, Storm};
use crate::cluster::Cluster;
use crate::coverage::Met;
use crate::nemesis::server;

impl Storm {
    /// Counts what servers' logs meet.
    pub(super) fn watch(&self) {
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
    if incarnation != sight.incarnation || index <= view.last_included.index {
        return;
    }
    if view.term_at(index) != Some(term) {
        // The new log says nothing of where the old one began to differ; entries of newer terms
        // than the old last one took places from there on.
        let taken = (view.last_included.index.0 + 1..=index.0)
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
