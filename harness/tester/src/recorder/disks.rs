//! What servers saved, read by the only one who can: their own code.
//!
//! A save is bytes to the tester. But a Raft started from them, in a small simulation of its own
//! without a network, shows in its view what would have come back after a crash at that instant.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;

use labrpc::Network;
use labrt::sim::{self, Config};
use parking_lot::Mutex;
use raftapi::{Persister, RaftView, ServerId};
use timeline::Run;
use timeline::model::What;

use super::Tape;
use super::views::{difference, nothing};
use crate::disk;
use crate::system::System;

/// What was saved, until it can be read.
#[derive(Default)]
pub(super) struct Saves {
    kept: VecDeque<Save>,
    /// Snapshots seldom change; each is kept once, by server.
    snapshots: BTreeMap<ServerId, Arc<Vec<u8>>>,
    bytes: usize,
    /// Is there somebody who reads what is in the logs?
    pub(super) with_commands: bool,
    /// The last log of each server before it was shortened, and the last of all.
    pub(super) logs: Vec<Save>,
}

#[derive(Clone)]
pub(super) struct Save {
    /// The event of the run.
    event: usize,
    server: ServerId,
    pub(super) state: Vec<u8>,
    pub(super) snapshot: Arc<Vec<u8>>,
}

/// So many bytes of states are kept for reading: the last ones, which are nearest to a failure.
const MOST: usize = 64 << 20;

impl Tape {
    pub(super) fn saved(&self, server: ServerId, persister: &Persister) {
        let (bytes, snapshot) = (persister.raft_state_size(), persister.snapshot_size());
        let mut saves = self.saves.lock();
        let known = saves.snapshots.get(&server).filter(|known| known.len() == snapshot).cloned();
        let stored = persister.read_snapshot();
        let known = known.filter(|known| **known == stored);
        let same = known.is_some() || (stored.is_empty() && !saves.snapshots.contains_key(&server));
        self.add(Some(server), What::Saved { bytes, snapshot, same, disk: None });
        let event = self.run.lock().events.len() - 1;
        if !same && saves.with_commands {
            saves.keep_log(server);
        }
        saves.bytes += bytes;
        while saves.bytes > MOST
            && let Some(oldest) = saves.kept.pop_front()
        {
            saves.bytes -= oldest.state.len();
        }
        let snapshot = known.unwrap_or_else(|| Arc::new(stored));
        saves.snapshots.insert(server, Arc::clone(&snapshot));
        saves.kept.push_back(Save { event, server, state: persister.read_raft_state(), snapshot });
    }
}

/// So many logs are kept; one has what the others have, too, but for the oldest entries.
const LOGS: usize = 200;

impl Saves {
    /// Keeps the log that this server saved last.
    fn keep_log(&mut self, server: ServerId) {
        let last = self.kept.iter().rev().find(|save| save.server == server);
        if let Some(last) = last.filter(|_| self.logs.len() < LOGS) {
            self.logs.push(last.clone());
        }
    }

    /// Adds to the run's saves what would be read back.
    pub(super) fn read_into(&mut self, system: System, run: &mut Run) {
        if self.with_commands {
            (0..run.servers).for_each(|server| self.keep_log(ServerId(server)));
        }
        let saves = mem::take(&mut self.kept);
        let places: Vec<(usize, ServerId)> =
            saves.iter().map(|save| (save.event, save.server)).collect();
        let (wanted, servers) = (saves.len(), run.servers);
        let views = Arc::new(Mutex::new(Vec::new()));
        let read = Arc::clone(&views);
        // If a server does not even start from what it saved, those before it are known.
        let _ = sim::run(Config::with_seed(0), move || {
            for save in saves {
                let view = boot(system, &save, servers);
                read.lock().push(view);
            }
        });
        let views = mem::take(&mut *views.lock());
        let all =
            run.events.iter().filter(|event| matches!(event.what, What::Saved { .. })).count();
        if views.len() < wanted {
            run.gaps.push("A server does not start from what it saved.".to_owned());
        } else if wanted < all {
            run.gaps.push(format!(
                "What is on the disks is known for the last {wanted} of {all} saves only."
            ));
        }
        let mut last = vec![nothing(); servers];
        for ((event, server), view) in places.into_iter().zip(views) {
            // What follows a gap is whole again.
            let Some(view) = view else {
                last[server.0] = nothing();
                continue;
            };
            if let What::Saved { disk, .. } = &mut run.events[event].what {
                *disk = Some(difference(&last[server.0], &view).unwrap_or_default());
            }
            last[server.0] = view;
        }
    }
}

/// What a server is in that starts from this.
fn boot(system: System, save: &Save, servers: usize) -> Option<RaftView> {
    let saved = (save.state.clone(), save.snapshot.to_vec());
    let view = disk::view_of(system, &Network::new(), save.server, servers, saved);
    view.map(|(node, view)| {
        node.kill();
        view
    })
}
