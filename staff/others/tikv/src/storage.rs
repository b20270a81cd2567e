//! The library's storage: the disk as it wants to read it.

use tikv::{
    Error, GetEntriesContext, RaftState, Result, Storage, StorageError,
    eraftpb::{self, ConfState, Snapshot},
    util::limit_size,
};

use crate::disk::{Disk, Entry, HardState};

/// The data of an entry that is this command. A new leader's own entry is empty, and a command may be.
pub(crate) fn data(command: &[u8]) -> Vec<u8> {
    [&[0], command].concat()
}

/// The command that an entry is, if it is one.
pub(crate) fn command(entry: &eraftpb::Entry) -> Option<&[u8]> {
    entry.data.get(1..)
}

/// Puts the library's entries into the log, in place of those that are there from the first of them on.
pub(crate) fn append(disk: &mut Disk, entries: &[eraftpb::Entry]) {
    let Some(first) = entries.first() else { return };
    assert!(first.index <= disk.last() + 1, "a log has no gaps");
    disk.truncate(first.index);
    for entry in entries {
        let (term, is_command) = (entry.term, command(entry).is_some());
        disk.push(Entry { term, is_command, data: entry.data.to_vec().into() });
    }
}

pub(crate) fn set_hard_state(disk: &mut Disk, hard_state: &eraftpb::HardState) {
    let &eraftpb::HardState { term, vote, commit, .. } = hard_state;
    disk.hard_state = HardState { term, vote: (vote != 0).then_some(vote), commit };
}

fn voters(disk: &Disk) -> ConfState {
    ConfState { voters: (1..=disk.servers() as u64).collect(), ..ConfState::default() }
}

impl Storage for Disk {
    fn initial_state(&self) -> Result<RaftState> {
        let HardState { term, vote, commit } = self.hard_state;
        let vote = vote.unwrap_or(0);
        let hard_state = eraftpb::HardState { term, vote, commit, ..eraftpb::HardState::default() };
        Ok(RaftState::new(hard_state, voters(self)))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> Result<Vec<eraftpb::Entry>> {
        if low <= self.base().index {
            return Err(Error::Store(StorageError::Compacted));
        }
        let found = (low..high).map_while(|index| {
            let Entry { term, data, .. } = self.entry(index)?;
            let (term, data) = (*term, data.to_vec().into());
            Some(eraftpb::Entry { index, term, data, ..eraftpb::Entry::default() })
        });
        let mut found: Vec<eraftpb::Entry> = found.collect();
        limit_size(&mut found, max_size.into());
        Ok(found)
    }

    fn term(&self, index: u64) -> Result<u64> {
        self.term_at(index).ok_or(Error::Store(if index < self.base().index {
            StorageError::Compacted
        } else {
            StorageError::Unavailable
        }))
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.base().index + 1)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> Result<Snapshot> {
        let base = self.base();
        if base.index == 0 || base.index < request_index {
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        let mut snapshot = Snapshot { data: self.snapshot().into(), ..Snapshot::default() };
        let of = snapshot.mut_metadata();
        of.set_conf_state(voters(self));
        of.index = base.index;
        of.term = base.term;
        Ok(snapshot)
    }
}
