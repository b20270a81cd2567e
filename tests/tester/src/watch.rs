//! Looks at the servers whenever a message may have changed them.
//!
//! A leader of a few milliseconds, which a test that samples every half second never meets, is on
//! record here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use labrpc::{NetEvent, NetEventKind, Network};
use labrt::channel::{self, Sender};
use labrt::event;
use labrt::time::Duration;
use raftapi::ServerId;

use crate::checker::Measures;
use crate::{nemesis, task};

/// So long after a message the servers are looked at: time enough for the handler to have run, and
/// less than any message takes, so that what a message did is seen before the next one arrives.
const SETTLE: Duration = Duration::from_micros(75);

/// Servers to look at, and whether somebody is on the way.
struct Pending {
    /// A bit for each server.
    servers: AtomicU64,
    called: AtomicBool,
    bell: Sender<()>,
}

/// Counts what the network carries, and calls `look` for each server soon after each message that
/// it received or sent.
pub(crate) fn start(
    network: &Network,
    measures: &Arc<Measures>,
    look: impl Fn(ServerId) + Send + 'static,
) {
    let (bell, rings) = channel::unbounded();
    let pending =
        Arc::new(Pending { servers: AtomicU64::new(0), called: AtomicBool::new(false), bell });

    let seen = Arc::clone(&pending);
    task::start("watcher", move || {
        while rings.recv().is_ok() {
            seen.called.store(false, Ordering::Relaxed);
            let mut servers = seen.servers.swap(0, Ordering::Relaxed);
            while servers != 0 {
                let server = servers.trailing_zeros();
                servers &= servers - 1;
                look(ServerId(server as usize));
            }
        }
    });

    let measures = Arc::clone(measures);
    network.observe(move |event| {
        count(&measures, event);
        if let Some(server) = changed_by(event) {
            pending.servers.fetch_or(1 << server, Ordering::Relaxed);
            if !pending.called.swap(true, Ordering::Relaxed) {
                let pending = Arc::clone(&pending);
                event::after(SETTLE, move || {
                    let _ = pending.bell.send(());
                });
            }
        }
    });
}

fn count(measures: &Measures, event: &NetEvent<'_>) {
    match event.kind {
        NetEventKind::RequestSent => {
            measures.rpcs.fetch_add(1, Ordering::Relaxed);
        }
        NetEventKind::ReplyDelivered => {}
        _ => return,
    }
    measures.bytes.fetch_add(event.bytes as u64, Ordering::Relaxed);
}

/// The server that a message has changed, or that changed before it sent it.
fn changed_by(event: &NetEvent<'_>) -> Option<u32> {
    let name = match event.kind {
        NetEventKind::RequestSent | NetEventKind::ReplyDelivered => event.from,
        NetEventKind::RequestDelivered => event.to,
        _ => return None,
    };
    u32::try_from(nemesis::server(name)?.0).ok().filter(|server| *server < u64::BITS)
}
