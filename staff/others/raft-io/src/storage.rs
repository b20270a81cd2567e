//! The library's log: the disk as it wants to use it, and what it has changed since the last save.

use std::cell::{Cell, RefCell};

use raft_io::{EntryKind, Error, HardState, LogEntry, RaftLog, Result, Snapshot};

use raftapi::SnapshotWrite;

use crate::disk::{self, Disk, Entry};

pub(crate) struct Log {
    pub(crate) disk: Disk,
    /// Since the last save. (The library lends its log, and not for changes.)
    is_changed: Cell<bool>,
    /// What the service gave, of a snapshot that is not saved yet.
    installed: RefCell<Option<Vec<u8>>>,
}

impl Log {
    pub(crate) fn new(disk: Disk) -> Log {
        Log { disk, is_changed: Cell::new(false), installed: RefCell::new(None) }
    }

    /// Saves what has changed, at once.
    pub(crate) fn save(&self) {
        if self.is_changed.replace(false) {
            let installed = self.installed.take();
            self.disk.save(installed.map_or(SnapshotWrite::Keep, SnapshotWrite::Replace));
        }
    }
}

impl RaftLog for Log {
    fn last_index(&self) -> u64 {
        self.disk.last()
    }

    fn last_term(&self) -> u64 {
        self.disk.term_at(self.disk.last()).unwrap_or(0)
    }

    fn term_at(&self, index: u64) -> Option<u64> {
        self.disk.term_at(index)
    }

    fn entry(&self, index: u64) -> Option<LogEntry> {
        let Entry { term, is_command, data } = self.disk.entry(index)?;
        let kind = if *is_command { EntryKind::Normal } else { EntryKind::Config };
        Some(LogEntry { term: *term, index, kind, command: data.to_vec() })
    }

    fn append(&mut self, entries: &[LogEntry]) -> Result<()> {
        for entry in entries {
            if entry.index != self.disk.last() + 1 {
                return Err(Error::storage("append", "a log has no gaps"));
            }
            let is_command = entry.kind == EntryKind::Normal;
            let data = entry.command.as_slice().into();
            self.disk.push(Entry { term: entry.term, is_command, data });
        }
        self.is_changed.set(true);
        Ok(())
    }

    fn truncate(&mut self, from: u64) -> Result<()> {
        self.disk.truncate(from);
        self.is_changed.set(true);
        Ok(())
    }

    fn hard_state(&self) -> HardState {
        let disk::HardState { term, vote, .. } = self.disk.hard_state;
        HardState { term, voted_for: vote }
    }

    fn set_hard_state(&mut self, state: HardState) -> Result<()> {
        self.disk.hard_state.term = state.term;
        self.disk.hard_state.vote = state.voted_for;
        self.is_changed.set(true);
        Ok(())
    }

    /// Everything is saved at once, when the event has passed and before anything is sent.
    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    fn snapshot_index(&self) -> u64 {
        self.disk.base().index
    }

    fn snapshot(&self) -> Option<Snapshot> {
        let base = self.disk.base();
        // Who belongs to it never changes.
        let config = (0..self.disk.servers() as u64).collect();
        let data = || self.disk.snapshot();
        (base.index > 0).then(|| Snapshot::with_config(base.index, base.term, config, data()))
    }

    fn apply_snapshot(&mut self, snapshot: &Snapshot) -> Result<()> {
        let data = self.disk.install(snapshot.index, snapshot.term, &snapshot.data);
        self.installed.replace(Some(data));
        self.is_changed.set(true);
        Ok(())
    }
}
