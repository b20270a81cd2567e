//! The reference's, but that nothing is saved before the next life asks for it.

use std::sync::{Arc, Mutex};

use raftapi::harness::Disk as _;
use raftapi::{EntryId, LogIndex, Persister, ServerId, SnapshotWrite, Term};

use crate::log::{Entry, Log};

pub(crate) struct Saved {
    pub(crate) term: Term,
    pub(crate) voted_for: Option<ServerId>,
    pub(crate) log: Log,
    pub(crate) snapshot: Vec<u8>,
}

type State = (Term, Option<ServerId>, EntryId, Vec<Entry>);

pub(crate) struct Disk {
    /// Of this life, for the next one.
    memory: Arc<Mutex<Option<Vec<u8>>>>,
    written: (Term, Option<ServerId>, EntryId),
}

impl Disk {
    pub(crate) fn open(persister: Arc<Persister>) -> (Disk, Saved) {
        // Calls the hook of the last life.
        persister.save(persister.read_raft_state(), SnapshotWrite::Keep);
        let bytes = persister.read_raft_state();
        let (term, voted_for, base, entries): State =
            if bytes.is_empty() { Default::default() } else { labgob::from_bytes(&bytes).unwrap() };
        let log = Log::after(base, entries);
        let memory = Arc::new(Mutex::new(Some(bytes)));
        let of_this_life = Arc::clone(&memory);
        persister.on_save(move |disk| {
            let bytes = of_this_life.lock().unwrap().take();
            if let Some(bytes) = bytes {
                disk.save(bytes, SnapshotWrite::Keep);
            }
        });
        let written = (term, voted_for, log.last_id());
        (Disk { memory, written }, Saved { term, voted_for, log, snapshot: Vec::new() })
    }

    pub(crate) fn save(&mut self, term: Term, voted_for: Option<ServerId>, log: &Log) -> bool {
        let state = (term, voted_for, log.last_id());
        if state == self.written {
            return false;
        }
        self.written = state;
        let entries = log.entries_from(LogIndex(log.base().index.0 + 1)).to_vec();
        *self.memory.lock().unwrap() =
            Some(labgob::to_bytes(&(term, voted_for, log.base(), entries)));
        true
    }

    pub(crate) fn save_with_snapshot(
        &mut self,
        term: Term,
        voted_for: Option<ServerId>,
        log: &Log,
        _snapshot: Vec<u8>,
    ) {
        self.save(term, voted_for, log);
    }
}
