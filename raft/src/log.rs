//! The log (§5.3, §5.4.1): what it contains, how two logs are compared, how entries come and go.
//!
//! Entries up to [`Log::last_included`] are in the snapshot and only their last id is left (§7). All of
//! them are committed, and so the same on every server. Who may append what, and when anything is
//! saved, is decided elsewhere.

use labgob::Bytes;
use raftapi::{EntryId, LogIndex, Term};
use serde::{Deserialize, Serialize};

/// One command, and the term of the leader that took it in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) term: Term,
    /// Shared with the messages that carry it, so a clone copies no bytes.
    pub(crate) command: Bytes,
}

/// The entries after the snapshot. Terms never fall from one entry to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    /// Last entry that the snapshot includes; `T0:i0` while there is no snapshot.
    last_included: EntryId,
    /// The first of these has index `last_included.index + 1`.
    entries: Vec<Entry>,
}

impl Log {
    /// What is left of a log after a snapshot up to `last_included`: nothing at first, with the default.
    pub(crate) fn after(last_included: EntryId, entries: Vec<Entry>) -> Log {
        Log { last_included, entries }
    }

    pub(crate) fn last_included(&self) -> EntryId {
        self.last_included
    }

    /// The newest entry: what §5.4.1 compares.
    pub(crate) fn last_id(&self) -> EntryId {
        let term = self.entries.last().map_or(self.last_included.term, |entry| entry.term);
        EntryId { term, index: LogIndex(self.last_included.index.0 + self.entries.len() as u64) }
    }

    /// The term at `index`; `None` below the last included entry, where it is forgotten, and beyond the end.
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == self.last_included.index {
            Some(self.last_included.term)
        } else {
            Some(self.get(index)?.term)
        }
    }

    /// The id of the entry at `index`, where [`Log::term_at`] knows its term.
    pub(crate) fn id_at(&self, index: LogIndex) -> Option<EntryId> {
        Some(EntryId { term: self.term_at(index)?, index })
    }

    /// The consistency check of §5.3: does this log hold that entry?
    ///
    /// Asked about an entry that the snapshot includes by a leader of the current term, the answer is yes:
    /// what is in a snapshot is committed, and such a leader has all of it (Leader Completeness).
    pub(crate) fn contains(&self, id: EntryId) -> bool {
        id.index < self.last_included.index || self.term_at(id.index) == Some(id.term)
    }

    /// All entries from `first` on, which lies after the snapshot.
    pub(crate) fn entries_from(&self, first: LogIndex) -> &[Entry] {
        let offset = self.offset(first).expect("the snapshot includes it");
        self.entries.get(offset..).unwrap_or(&[])
    }

    /// The newest entry here that is neither above `limit.index` nor of a later term than
    /// `limit.term`; `None` if the snapshot has swallowed it.
    ///
    /// This finds where two logs part. An entry that both hold, at or below `limit`, is never
    /// above the answer: for terms do not fall along a log.
    pub(crate) fn newest_within(&self, limit: EntryId) -> Option<EntryId> {
        let known = limit.index.0.checked_sub(self.last_included.index.0)?;
        let known =
            usize::try_from(known).map_or(self.entries.len(), |n| n.min(self.entries.len()));
        let within = self.entries[..known].partition_point(|entry| entry.term <= limit.term);
        self.id_at(LogIndex(self.last_included.index.0 + within as u64))
    }

    /// Adds a command of the leader's own.
    pub(crate) fn append(&mut self, entry: Entry) -> EntryId {
        debug_assert!(self.last_id().term <= entry.term, "terms never fall along a log");
        self.entries.push(entry);
        self.last_id()
    }

    /// Where the `entries` after `prev` first contradict this log: same index, another term.
    pub(crate) fn conflict(&self, prev: EntryId, entries: &[Entry]) -> Option<LogIndex> {
        let mut index = prev.index;
        for entry in entries {
            index = index.next();
            if self.get(index).is_some_and(|own| own.term != entry.term) {
                return Some(index);
            }
        }
        None
    }

    /// Deletes the entry at `index` and all that follow it.
    pub(crate) fn truncate_from(&mut self, index: LogIndex) {
        let offset = self.offset(index).expect("what is in the snapshot is never deleted");
        self.entries.truncate(offset);
    }

    /// Adds those of the `entries` after `prev` that are not here yet, and says how many those are.
    /// What is here already, in the snapshot or as an entry, stays: an old message may hold less
    /// than a newer one that overtook it.
    pub(crate) fn append_missing(&mut self, prev: EntryId, mut entries: Vec<Entry>) -> usize {
        let present = self.last_id().index.0.saturating_sub(prev.index.0);
        let present = usize::try_from(present).map_or(entries.len(), |n| n.min(entries.len()));
        let missing = entries.split_off(present);
        let count = missing.len();
        self.entries.extend(missing);
        count
    }

    /// Forgets the entries up to `id`, which a snapshot now includes. What follows stays if it
    /// follows that entry, and goes if it follows another one (Figure 13, rules 6 and 7).
    pub(crate) fn compact_to(&mut self, id: EntryId) {
        debug_assert!(id.index > self.last_included.index, "a snapshot only moves up");
        if self.term_at(id.index) == Some(id.term) {
            let kept = self.entries_from(id.index.next()).len();
            self.entries.drain(..self.entries.len() - kept);
        } else {
            self.entries.clear();
        }
        self.last_included = id;
    }

    /// The entry at `index`, if it is after the snapshot and not beyond the end.
    fn get(&self, index: LogIndex) -> Option<&Entry> {
        self.entries.get(self.offset(index)?)
    }

    /// Position of `index` in `entries`; `None` if the snapshot includes it.
    fn offset(&self, index: LogIndex) -> Option<usize> {
        let after_snapshot = index.0.checked_sub(self.last_included.index.0 + 1)?;
        Some(usize::try_from(after_snapshot).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests;
