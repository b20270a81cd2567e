//! What survives a crash (Figure 2, "Persistent state"; §7 adds the snapshot's last entry).
//!
//! Saving rewrites everything, as the persister wants it. Two observations make that cheap, and
//! both are the Log Matching Property (§5.3): equal ids mean equal entries and equal prefixes.
//! So two ids tell whether the log changed since the last save, and of a log that did change only
//! the entries after the last common id are encoded again; the rest is one copy of bytes.

use std::{collections::VecDeque, sync::Arc};

use labgob::{DecodeError, Decoder};
use raftapi::{EntryId, LogIndex, Persister, ServerId, SnapshotWrite, Term};
use serde::{Deserialize, Serialize};

use crate::log::{Entry, Log};

/// Everything but the entries; these follow, each encoded by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    term: Term,
    voted_for: Option<ServerId>,
    base: EntryId,
    last: EntryId,
}

/// What a server finds on its disk when it starts.
pub(crate) struct Saved {
    pub(crate) term: Term,
    pub(crate) voted_for: Option<ServerId>,
    pub(crate) log: Log,
    pub(crate) snapshot: Vec<u8>,
}

/// The disk, and what was last written to it.
pub(crate) struct Disk {
    persister: Arc<Persister>,
    written: Header,
    entries: EncodedEntries,
}

impl Disk {
    /// Reads what an earlier incarnation saved; on an empty disk, the state of Figure 2 at first
    /// boot.
    ///
    /// # Panics
    ///
    /// If the Raft state is neither empty nor written by [`Disk::save`].
    pub(crate) fn open(persister: Arc<Persister>) -> (Disk, Saved) {
        let bytes = persister.read_raft_state();
        let (header, entries) = if bytes.is_empty() {
            let never = EntryId::default();
            (Header { term: Term(0), voted_for: None, base: never, last: never }, vec![])
        } else {
            decode(&bytes).expect("a saved Raft state is readable")
        };
        let log = Log::after(header.base, entries);
        let snapshot = persister.read_snapshot();
        let saved = Saved { term: header.term, voted_for: header.voted_for, log, snapshot };
        (Disk { persister, written: header, entries: EncodedEntries::default() }, saved)
    }

    /// Saves what changed since the last save, if anything did, and says whether it wrote.
    /// The stored snapshot stays.
    pub(crate) fn save(&mut self, term: Term, voted_for: Option<ServerId>, log: &Log) -> bool {
        let header = Header { term, voted_for, base: log.last_included(), last: log.last_id() };
        if header == self.written {
            return false;
        }
        self.write(header, log, SnapshotWrite::Keep);
        true
    }

    /// Saves the state together with the snapshot that made the log shorter: a crash between the
    /// two would lose the entries that are in neither.
    pub(crate) fn save_with_snapshot(
        &mut self,
        term: Term,
        voted_for: Option<ServerId>,
        log: &Log,
        snapshot: Vec<u8>,
    ) {
        let header = Header { term, voted_for, base: log.last_included(), last: log.last_id() };
        self.write(header, log, SnapshotWrite::Replace(snapshot));
    }

    #[cfg(test)]
    pub(crate) fn persister(&self) -> &Persister {
        &self.persister
    }

    fn write(&mut self, header: Header, log: &Log, snapshot: SnapshotWrite) {
        self.entries.follow(log);
        let head = labgob::to_bytes(&header);
        // Rounded up, so that one save after the other asks for the same size: a large buffer that
        // is a little larger each time comes fresh from the system each time.
        let size = (head.len() + self.entries.bytes.len()).next_power_of_two();
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(&self.entries.bytes);
        self.persister.save(bytes, snapshot);
        self.written = header;
    }
}

fn decode(bytes: &[u8]) -> Result<(Header, Vec<Entry>), DecodeError> {
    let mut decoder = Decoder::new(bytes);
    let header: Header = decoder.decode()?;
    let mut entries = Vec::new();
    for _ in header.base.index.0..header.last.index.0 {
        entries.push(decoder.decode()?);
    }
    decoder.finish()?;
    Ok((header, entries))
}

/// The log as it was last written, entry by entry.
#[derive(Default)]
struct EncodedEntries {
    /// All entries in a row.
    bytes: Vec<u8>,
    /// Index of the entry before the first one.
    base: LogIndex,
    /// Term and encoded size of each.
    entries: VecDeque<(Term, usize)>,
}

impl EncodedEntries {
    /// Becomes the encoding of `log`, keeping what is the same.
    fn follow(&mut self, log: &Log) {
        self.drop_up_to(log.last_included().index);
        self.drop_unless_in(log);
        for entry in log.entries_from(self.last().next()) {
            let encoded = labgob::to_bytes(entry);
            self.bytes.extend_from_slice(&encoded);
            self.entries.push_back((entry.term, encoded.len()));
        }
    }

    fn last(&self) -> LogIndex {
        LogIndex(self.base.0 + self.entries.len() as u64)
    }

    fn drop_up_to(&mut self, base: LogIndex) {
        let gone = usize::try_from(base.0 - self.base.0).unwrap_or(usize::MAX);
        let gone = gone.min(self.entries.len());
        let bytes: usize = self.entries.drain(..gone).map(|(_, size)| size).sum();
        self.bytes.drain(..bytes);
        self.base = base;
    }

    fn drop_unless_in(&mut self, log: &Log) {
        while let Some(&(term, size)) = self.entries.back()
            && log.term_at(self.last()) != Some(term)
        {
            self.bytes.truncate(self.bytes.len() - size);
            self.entries.pop_back();
        }
    }
}

#[cfg(test)]
mod tests;
