//! Looks at the servers whenever a message may have changed them.
//!
//! A leader of a few milliseconds, which a test that samples every half second never meets, is on
//! record here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use labrpc::{NetEvent, NetEventKind, Network};
use labrt::channel::{self, Sender};
use labrt::event;
use labrt::time::Duration;
use parking_lot::Mutex;
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
    /// Those whose log is to be looked at, too.
    logs: AtomicU64,
    called: AtomicBool,
    bell: Sender<()>,
}

/// Counts what the network carries, and calls `look` for each server soon after each message that
/// it received or sent. If that was about a snapshot, the server's log is to be looked at, too.
pub(crate) fn start(
    network: &Network,
    measures: &Arc<Measures>,
    calls: Arc<Calls>,
    look: impl Fn(ServerId, bool) + Send + 'static,
) {
    let (bell, rings) = channel::unbounded();
    let pending = Arc::new(Pending {
        servers: AtomicU64::new(0),
        logs: AtomicU64::new(0),
        called: AtomicBool::new(false),
        bell,
    });

    let seen = Arc::clone(&pending);
    task::start("watcher", move || {
        while rings.recv().is_ok() {
            seen.called.store(false, Ordering::Relaxed);
            let mut servers = seen.servers.swap(0, Ordering::Relaxed);
            let logs = seen.logs.swap(0, Ordering::Relaxed);
            while servers != 0 {
                let server = servers.trailing_zeros();
                servers &= servers - 1;
                look(ServerId(server as usize), logs & (1 << server) != 0);
            }
        }
    });

    let measures = Arc::clone(measures);
    network.observe(move |event| {
        count(&measures, event);
        calls.count(event);
        if let Some(server) = changed_by(event) {
            pending.servers.fetch_or(1 << server, Ordering::Relaxed);
            if event.method == "Raft.InstallSnapshot" {
                pending.logs.fetch_or(1 << server, Ordering::Relaxed);
            }
            if !pending.called.swap(true, Ordering::Relaxed) {
                let pending = Arc::clone(&pending);
                event::after(SETTLE, move || {
                    let _ = pending.bell.send(());
                });
            }
        }
    });
}

/// What each server called others for: as their leader, with every request but those for votes; with
/// snapshots; and how much that was.
#[derive(Debug)]
pub(crate) struct Calls {
    times: Mutex<Vec<Vec<Duration>>>,
    links: Mutex<BTreeMap<(ServerId, ServerId), Sent>>,
}

/// What one server has sent another.
#[derive(Debug, Default)]
struct Sent {
    /// Bytes of requests.
    bytes: u64,
    /// When it sent a snapshot.
    snapshots: Vec<Duration>,
}

impl Calls {
    pub(crate) fn new(servers: usize) -> Calls {
        Calls { times: Mutex::new(vec![Vec::new(); servers]), links: Mutex::default() }
    }

    fn count(&self, event: &NetEvent<'_>) {
        if event.kind != NetEventKind::RequestSent {
            return;
        }
        let [Some(from), Some(to)] = [event.from, event.to].map(nemesis::server) else { return };
        if event.method != "Raft.RequestVote" {
            self.times.lock()[from.0].push(event.at);
        }
        let mut links = self.links.lock();
        let sent = links.entry((from, to)).or_default();
        sent.bytes += event.bytes as u64;
        if event.method == "Raft.InstallSnapshot" {
            sent.snapshots.push(event.at);
        }
    }

    /// The times of the calls that this server made from `from` on.
    pub(crate) fn since(&self, server: ServerId, from: Duration) -> Vec<Duration> {
        let times = &self.times.lock()[server.0];
        times[times.partition_point(|time| *time < from)..].to_vec()
    }

    /// Bytes of the requests that `from` has sent `to`.
    pub(crate) fn bytes(&self, from: ServerId, to: ServerId) -> u64 {
        self.links.lock().get(&(from, to)).map_or(0, |sent| sent.bytes)
    }

    /// How many snapshots `from` has sent `to` since then.
    pub(crate) fn snapshots(&self, from: ServerId, to: ServerId, since: Duration) -> u64 {
        let links = self.links.lock();
        let sent = links.get(&(from, to)).map_or(&[][..], |sent| &sent.snapshots);
        (sent.len() - sent.partition_point(|time| *time < since)) as u64
    }
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
