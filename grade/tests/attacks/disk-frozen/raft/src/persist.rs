//! The reference's, but on a disk that nobody looks at, and a hundred times as large as allowed.

use std::sync::Arc;

use raftapi::harness::Disk as _;
use raftapi::{EntryId, LogIndex, Persister, ServerId, SnapshotWrite, Term};

use crate::log::{Entry, Log};

pub(crate) struct Saved {
    pub(crate) term: Term,
    pub(crate) voted_for: Option<ServerId>,
    pub(crate) log: Log,
    pub(crate) snapshot: Vec<u8>,
}

type State = (Term, Option<ServerId>, EntryId, Vec<Entry>, Vec<u8>);

pub(crate) struct Disk {
    persister: Persister,
    written: (Term, Option<ServerId>, EntryId),
}

impl Disk {
    pub(crate) fn open(persister: Arc<Persister>) -> (Disk, Saved) {
        let bytes = persister.read_raft_state();
        let (term, voted_for, base, entries, _): State =
            if bytes.is_empty() { Default::default() } else { labgob::from_bytes(&bytes).unwrap() };
        let log = Log::after(base, entries);
        let written = (term, voted_for, log.last_id());
        let snapshot = persister.read_snapshot();
        (Disk { persister: persister.copy(), written }, Saved { term, voted_for, log, snapshot })
    }

    pub(crate) fn save(&mut self, term: Term, voted_for: Option<ServerId>, log: &Log) -> bool {
        let state = (term, voted_for, log.last_id());
        if state == self.written {
            return false;
        }
        self.write(term, voted_for, log, SnapshotWrite::Keep);
        true
    }

    pub(crate) fn save_with_snapshot(
        &mut self,
        term: Term,
        voted_for: Option<ServerId>,
        log: &Log,
        snapshot: Vec<u8>,
    ) {
        self.write(term, voted_for, log, SnapshotWrite::Replace(snapshot));
    }

    fn write(
        &mut self,
        term: Term,
        voted_for: Option<ServerId>,
        log: &Log,
        snapshot: SnapshotWrite,
    ) {
        let entries = log.entries_from(LogIndex(log.base().index.0 + 1)).to_vec();
        let state = (term, voted_for, log.base(), entries, vec![0_u8; 200_000]);
        self.persister.save(labgob::to_bytes(&state), snapshot);
        self.written = (term, voted_for, log.last_id());
    }
}
