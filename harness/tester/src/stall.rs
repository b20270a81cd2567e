//! Services that are slow: they take nothing from the apply channel for a while. A Raft must not
//! wait for its service, nor let anything overtake what the service has yet to take.

use std::collections::BTreeMap;
use std::sync::Arc;

use labrt::sync::{Condvar, Mutex};
use raftapi::ServerId;

/// Whose service stalls, and whether it had anything to take by now.
#[derive(Default)]
pub(crate) struct Stalls {
    servers: Mutex<BTreeMap<ServerId, bool>>,
    changed: Condvar,
}

impl Stalls {
    /// If it does not really `happen`, whoever asked for it must not notice.
    pub(crate) fn begin(stalls: &Arc<Stalls>, server: ServerId, happens: bool) -> Stall {
        if happens {
            stalls.servers.lock().insert(server, false);
        }
        Stall { stalls: Arc::clone(stalls), server }
    }

    /// Returns when this server's service does not stall.
    pub(crate) fn wait(&self, server: ServerId) {
        let mut servers = self.servers.lock();
        while let Some(waits) = servers.get_mut(&server) {
            *waits = true;
            self.changed.wait(&mut servers);
        }
    }
}

/// A service stalls for as long as this is kept.
#[must_use = "it ends when it is dropped"]
pub struct Stall {
    stalls: Arc<Stalls>,
    server: ServerId,
}

impl Stall {
    /// Did the service have anything to take by now?
    pub(crate) fn kept_it_waiting(&self) -> bool {
        self.stalls.servers.lock().get(&self.server) == Some(&true)
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.stalls.servers.lock().remove(&self.server);
        self.stalls.changed.notify_all();
    }
}
