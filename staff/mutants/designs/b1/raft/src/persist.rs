//! What survives a crash (Figure 2, "Persistent state"): all of it, in one save.

use labgob::{Decoder, Encoder};
use raftapi::SnapshotWrite;

use crate::state::State;

impl State {
    /// To be called before a message leaves that depends on what changed.
    pub(crate) fn persist(&self) {
        self.save(SnapshotWrite::Keep);
    }

    /// The snapshot and the log that it made shorter are saved together.
    pub(crate) fn persist_with_snapshot(&self) {
        self.save(SnapshotWrite::Replace(self.snapshot.to_vec()));
    }

    fn save(&self, snapshot: SnapshotWrite) {
        let mut encoder = Encoder::new();
        encoder.encode(&self.current_term).encode(&self.voted_for).encode(&self.log);
        self.persister.save(encoder.finish(), snapshot);
    }

    pub(crate) fn restore(&mut self, saved: &[u8]) {
        let mut decoder = Decoder::new(saved);
        let unreadable = "the Raft state was saved by this crate";
        self.current_term = decoder.decode().expect(unreadable);
        self.voted_for = decoder.decode().expect(unreadable);
        self.log = decoder.decode().expect(unreadable);
        // What is in the snapshot is committed, and the service has loaded it.
        self.commit_index = self.log.base().index;
        self.last_applied = self.commit_index;
    }
}
