//! Counting a fault once it has had an effect: a partition when it has kept a message from arriving, a pause
//! when a server has left a request unanswered. What did nothing has tested nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use labrpc::{NetEvent, NetEventKind};
use parking_lot::Mutex;
use raftapi::ServerId;

use crate::cluster::Cluster;
use crate::coverage::{Coverage, Met};
use crate::nemesis::server;

/// What an event says of a fault that is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    None,
    /// The fault did this.
    Effect,
    /// With this fault it could not have happened.
    Against,
}

/// The faults that are going on, and what has been seen of each.
pub(crate) struct Effects {
    coverage: Arc<Coverage>,
    faults: Mutex<BTreeMap<u64, Fault>>,
}

struct Fault {
    sign: Box<dyn Fn(&NetEvent<'_>) -> Sign + Send>,
    seen: Sign,
}

/// A fault that is going on until this is dropped.
#[must_use = "the fault is over when this is dropped"]
pub(crate) struct Lasting {
    effects: Arc<Effects>,
    number: u64,
    met: Met,
}

impl Effects {
    pub(crate) fn watch(cluster: &Cluster, coverage: Arc<Coverage>) -> Arc<Effects> {
        let effects = Arc::new(Effects { coverage, faults: Mutex::default() });
        let seen = Arc::clone(&effects);
        cluster.network().observe(move |event| {
            for fault in seen.faults.lock().values_mut() {
                match (fault.sign)(event) {
                    Sign::Effect if fault.seen == Sign::None => fault.seen = Sign::Effect,
                    Sign::Against => fault.seen = Sign::Against,
                    Sign::Effect | Sign::None => {}
                }
            }
        });
        effects
    }

    /// A fault that keeps messages from the first of two servers from arriving at the second, for those
    /// pairs for which `cuts` says so.
    pub(crate) fn cut(
        self: &Arc<Self>,
        met: Met,
        cuts: impl Fn(ServerId, ServerId) -> bool + Send + 'static,
    ) -> Lasting {
        self.begin(met, move |event| match lost(event) {
            Some((from, to)) if cuts(from, to) => Sign::Effect,
            _ => Sign::None,
        })
    }

    /// A server that stands still. It neither calls nor answers.
    pub(crate) fn pause(self: &Arc<Self>, met: Met, victim: ServerId) -> Lasting {
        self.begin(met, move |event| match event.kind {
            NetEventKind::RequestDelivered if server(event.to) == Some(victim) => Sign::Effect,
            NetEventKind::ReplySent if server(event.to) == Some(victim) => Sign::Against,
            NetEventKind::RequestSent if server(event.from) == Some(victim) => Sign::Against,
            _ => Sign::None,
        })
    }

    fn begin(
        self: &Arc<Self>,
        met: Met,
        sign: impl Fn(&NetEvent<'_>) -> Sign + Send + 'static,
    ) -> Lasting {
        let mut faults = self.faults.lock();
        let number = faults.last_key_value().map_or(0, |(last, _)| last + 1);
        faults.insert(number, Fault { sign: Box::new(sign), seen: Sign::None });
        Lasting { effects: Arc::clone(self), number, met }
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        let fault = self.effects.faults.lock().remove(&self.number);
        let had_effect = fault.is_some_and(|fault| fault.seen == Sign::Effect);
        self.effects.coverage.met_times(self.met, u64::from(had_effect));
    }
}

/// From whom, and to whom, a message went that will not arrive.
fn lost(event: &NetEvent<'_>) -> Option<(ServerId, ServerId)> {
    let (from, to) = match event.kind {
        NetEventKind::RequestLost | NetEventKind::NoPath => (event.from, event.to),
        NetEventKind::ReplyLost | NetEventKind::CutOff => (event.to, event.from),
        _ => return None,
    };
    Some((server(from)?, server(to)?))
}
