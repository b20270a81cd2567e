//! The log: the entries that no snapshot includes yet (§5.3, §7).

use labgob::Bytes;
use raftapi::{EntryId, LogIndex, Term};
use serde::{Deserialize, Serialize};

/// A command, and the term of the leader that took it in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) term: Term,
    pub(crate) command: Bytes,
}

/// What is left of the log after a snapshot.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Log {
    /// The last entry in the snapshot: all zeros without one.
    base: EntryId,
    /// The first of these has index `base.index + 1`.
    entries: Vec<Entry>,
}

impl Log {
    pub(crate) fn base(&self) -> EntryId {
        self.base
    }

    /// The last entry, or the base if there is none after it.
    pub(crate) fn last(&self) -> EntryId {
        let term = self.entries.last().map_or(self.base.term, |entry| entry.term);
        EntryId { term, index: LogIndex(self.base.index.0 + self.entries.len() as u64) }
    }

    /// The term at `index`: `None` below the base, and beyond the end.
    pub(crate) fn term_at(&self, index: LogIndex) -> Option<Term> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        self.place(index).and_then(|place| self.entries.get(place)).map(|entry| entry.term)
    }

    /// All entries after `index`, which is not below the base.
    pub(crate) fn after(&self, index: LogIndex) -> &[Entry] {
        let place = self.place(index.next()).expect("not below the base");
        self.entries.get(place..).unwrap_or(&[])
    }

    pub(crate) fn push(&mut self, entry: Entry) -> EntryId {
        self.entries.push(entry);
        self.last()
    }

    /// Deletes the entry at `index`, and all after it.
    pub(crate) fn truncate(&mut self, index: LogIndex) {
        let place = self.place(index).expect("after the base");
        self.entries.truncate(place);
    }

    /// Forgets what is in a snapshot up to `last`. What follows that very entry stays.
    pub(crate) fn compact(&mut self, last: EntryId) {
        let follows = self.term_at(last.index) == Some(last.term);
        self.entries = if follows { self.after(last.index).to_vec() } else { Vec::new() };
        self.base = last;
    }

    /// The first index of the run of entries of the same term that `index` is in, as far as it is here.
    pub(crate) fn first_of_term_at(&self, index: LogIndex) -> LogIndex {
        let mut first = index;
        while first > self.base.index.next() && self.term_at(first.prev()) == self.term_at(index) {
            first = first.prev();
        }
        first
    }

    /// The last index with an entry of `term`.
    pub(crate) fn last_of_term(&self, term: Term) -> Option<LogIndex> {
        let place = self.entries.iter().rposition(|entry| entry.term == term)?;
        Some(LogIndex(self.base.index.0 + place as u64 + 1))
    }

    /// Place of `index` among the entries, if it is after the base.
    fn place(&self, index: LogIndex) -> Option<usize> {
        usize::try_from(index.0.checked_sub(self.base.index.0 + 1)?).ok()
    }
}
