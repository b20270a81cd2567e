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
        let header = Header { term, voted_for, base: log.base(), last: log.last_id() };
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
        let header = Header { term, voted_for, base: log.base(), last: log.last_id() };
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
        self.drop_up_to(log.base().index);
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
mod tests {
    use raftapi::harness::Disk as _;

    use super::*;
    use crate::testing::{id, log};

    fn disk() -> (Arc<Persister>, Disk) {
        let persister = Arc::new(Persister::new());
        let (disk, _) = Disk::open(Arc::clone(&persister));
        (persister, disk)
    }

    fn reopened(persister: &Persister) -> Saved {
        Disk::open(Arc::new(persister.copy())).1
    }

    #[test]
    fn a_new_disk_holds_the_state_at_first_boot() {
        let (persister, _) = disk();
        let saved = reopened(&persister);
        assert_eq!((saved.term, saved.voted_for), (Term(0), None));
        assert_eq!(saved.log, log(id(0, 0), &[]));
    }

    #[test]
    fn whatever_happens_to_the_log_the_last_save_is_read_back() {
        let (persister, mut disk) = disk();
        let history = [
            log(id(0, 0), &[1, 1, 1]),
            log(id(0, 0), &[1, 1, 1, 2, 2]), // appended
            log(id(0, 0), &[1, 1, 3]),       // a conflict, and a shorter log
            log(id(1, 2), &[3, 3, 3]),       // compacted and appended
            log(id(3, 5), &[]),              // compacted to the end
            log(id(3, 5), &[4]),             // appended
            log(id(6, 20), &[]),             // a snapshot from elsewhere
            log(id(6, 20), &[6, 7, 7]),      // appended
            log(id(6, 21), &[8]),            // compacted, and a conflict
        ];
        for (term, log) in (10..).map(Term).zip(&history) {
            assert!(disk.save(term, Some(ServerId(1)), log));
            let saved = Disk::open(Arc::clone(&persister)).1;
            assert_eq!((saved.term, saved.voted_for), (term, Some(ServerId(1))));
            assert_eq!(&saved.log, log);
        }
    }

    #[test]
    fn nothing_is_written_when_nothing_changed() {
        let (persister, mut disk) = disk();
        let log = log(id(0, 0), &[1, 2]);
        assert!(disk.save(Term(2), None, &log));
        assert!(!disk.save(Term(2), None, &log));
        assert!(disk.save(Term(2), Some(ServerId(0)), &log));
        assert_eq!(persister.saves(), 2);
    }

    #[test]
    fn a_snapshot_and_the_shorter_log_are_one_save() {
        let (persister, mut disk) = disk();
        disk.save(Term(2), None, &log(id(0, 0), &[1, 2]));
        disk.save_with_snapshot(Term(2), None, &log(id(1, 1), &[2]), b"at 1".to_vec());
        assert_eq!(persister.saves(), 2);

        disk.save(Term(3), None, &log(id(1, 1), &[2])); // and later saves keep it
        let saved = reopened(&persister);
        assert_eq!(saved.snapshot, b"at 1");
        assert_eq!((saved.term, saved.log), (Term(3), log(id(1, 1), &[2])));
    }

    #[test]
    #[should_panic(expected = "a saved Raft state is readable")]
    fn a_state_that_nobody_saved_is_refused() {
        let persister = Arc::new(Persister::new());
        persister.save(b"not a Raft state".to_vec(), SnapshotWrite::Keep);
        let _ = Disk::open(persister);
    }
}
