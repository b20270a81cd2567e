//! The library's storage, kept by the lab's persister.

use std::{collections::VecDeque, sync::Arc};

use labgob::Bytes;
use protobuf::Message as _;
use raftapi::{LogIndex, Persister, SnapshotWrite};
use serde::{Deserialize, Serialize};
use tikv::{
    Error, GetEntriesContext, RaftState, Result, Storage, StorageError,
    eraftpb::{ConfState, Entry, HardState, Snapshot},
    util::limit_size,
};

/// The entry that the snapshot ends with.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Base {
    /// Its place among all entries: the library's index.
    pub(crate) index: u64,
    pub(crate) term: u64,
    /// Its place among the commands: the lab's index.
    pub(crate) commands: u64,
}

/// What is saved.
#[derive(Serialize, Deserialize)]
struct Saved {
    hard_state: Bytes,
    base: Base,
    entries: Vec<Bytes>,
}

/// What one server sends to another as a snapshot's data.
#[derive(Serialize, Deserialize)]
struct Sent {
    commands: u64,
    data: Bytes,
}

struct Stored {
    entry: Entry,
    /// The same as it is saved.
    bytes: Bytes,
    /// How many commands there are up to here.
    commands: u64,
}

pub(crate) struct Disk {
    persister: Arc<Persister>,
    voters: ConfState,
    hard_state: HardState,
    base: Base,
    entries: VecDeque<Stored>,
}

impl Disk {
    /// Reads what an earlier incarnation saved.
    ///
    /// # Panics
    ///
    /// If it was not saved by [`Disk::save`].
    pub(crate) fn open(persister: Arc<Persister>, servers: usize) -> Disk {
        let voters = ConfState { voters: (1..=servers as u64).collect(), ..ConfState::default() };
        let mut disk = Disk {
            voters,
            hard_state: HardState::default(),
            base: Base::default(),
            entries: VecDeque::new(),
            persister,
        };
        let bytes = disk.persister.read_raft_state();
        if !bytes.is_empty() {
            let saved: Saved = labgob::from_bytes(&bytes).expect("a saved state is readable");
            disk.hard_state = HardState::parse_from_bytes(&saved.hard_state).expect("as is this");
            disk.base = saved.base;
            for bytes in saved.entries {
                let entry = Entry::parse_from_bytes(&bytes).expect("and each entry");
                disk.push(entry, bytes);
            }
        }
        disk
    }

    pub(crate) fn base(&self) -> Base {
        self.base
    }

    fn last(&self) -> u64 {
        self.base.index + self.entries.len() as u64
    }

    fn at(&self, index: u64) -> Option<&Stored> {
        let place = index.checked_sub(self.base.index + 1)?;
        self.entries.get(usize::try_from(place).ok()?)
    }

    /// How many commands there are up to this entry, which is in the log, or its base.
    pub(crate) fn commands_up_to(&self, index: u64) -> u64 {
        self.at(index).map_or(self.base.commands, |stored| stored.commands)
    }

    /// How many commands there are.
    pub(crate) fn commands(&self) -> u64 {
        self.commands_up_to(self.last())
    }

    /// The entries that are commands, after the base.
    pub(crate) fn command_entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|stored| &stored.entry).filter(|entry| is_command(entry))
    }

    fn push(&mut self, entry: Entry, bytes: Bytes) {
        let commands = self.commands() + u64::from(is_command(&entry));
        self.entries.push_back(Stored { entry, bytes, commands });
    }

    pub(crate) fn set_hard_state(&mut self, hard_state: &HardState) {
        self.hard_state = hard_state.clone();
    }

    /// Saved with whatever is saved next: a server that forgets it learns it again.
    pub(crate) fn set_commit(&mut self, commit: u64) {
        self.hard_state.commit = commit;
    }

    /// Puts entries into the log, in place of those that are there from the first of them on.
    pub(crate) fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        assert!(first.index > self.base.index, "what a snapshot covers is not replaced");
        assert!(first.index <= self.last() + 1, "a log has no gaps");
        let kept = first.index - self.base.index - 1;
        self.entries.truncate(usize::try_from(kept).expect("a log fits into memory"));
        for entry in entries {
            let bytes = entry.write_to_bytes().expect("an entry can be encoded");
            self.push(entry.clone(), Bytes::from(bytes));
        }
    }

    /// Takes a snapshot of the leader in place of the log. Returns it, to be saved and delivered.
    pub(crate) fn install(&mut self, snapshot: &Snapshot) -> Vec<u8> {
        let sent: Sent = labgob::from_bytes(&snapshot.data).expect("one of us has sent it");
        let of = snapshot.get_metadata();
        self.base = Base { index: of.index, term: of.term, commands: sent.commands };
        self.entries.clear();
        self.hard_state.commit = self.hard_state.commit.max(of.index);
        sent.data.to_vec()
    }

    /// Forgets the entries up to this command. `None` if they are forgotten already.
    pub(crate) fn compact(&mut self, command: LogIndex) -> Option<()> {
        if command.0 <= self.base.commands {
            return None;
        }
        // An empty entry has the number of the command before it, so the first of that number is it.
        let place = self.entries.partition_point(|stored| stored.commands < command.0);
        let last = self.entries.drain(..=place).next_back()?;
        let Entry { index, term, .. } = last.entry;
        self.base = Base { index, term, commands: command.0 };
        self.hard_state.commit = self.hard_state.commit.max(index);
        Some(())
    }

    /// Saves everything at once.
    pub(crate) fn save(&self, snapshot: SnapshotWrite) {
        let hard_state = self.hard_state.write_to_bytes().expect("a hard state can be encoded");
        let entries = self.entries.iter().map(|stored| stored.bytes.clone()).collect();
        let saved = Saved { hard_state: hard_state.into(), base: self.base, entries };
        self.persister.save(labgob::to_bytes(&saved), snapshot);
    }
}

/// The bytes of an entry's data; nothing of a leader's first entry, which is no command.
pub(crate) fn data(command: &[u8]) -> Vec<u8> {
    [&[0], command].concat()
}

/// The command that an entry is, if it is one.
pub(crate) fn command(entry: &Entry) -> Option<&[u8]> {
    entry.data.get(1..)
}

pub(crate) fn is_command(entry: &Entry) -> bool {
    !entry.data.is_empty()
}

impl Storage for Disk {
    fn initial_state(&self) -> Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), self.voters.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> Result<Vec<Entry>> {
        if low <= self.base.index {
            return Err(Error::Store(StorageError::Compacted));
        }
        let found = (low..high).map_while(|index| Some(self.at(index)?.entry.clone()));
        let mut found: Vec<Entry> = found.collect();
        limit_size(&mut found, max_size.into());
        Ok(found)
    }

    fn term(&self, index: u64) -> Result<u64> {
        if index == self.base.index {
            return Ok(self.base.term);
        }
        match self.at(index) {
            Some(stored) => Ok(stored.entry.term),
            None if index < self.base.index => Err(Error::Store(StorageError::Compacted)),
            None => Err(Error::Store(StorageError::Unavailable)),
        }
    }

    fn first_index(&self) -> Result<u64> {
        Ok(self.base.index + 1)
    }

    fn last_index(&self) -> Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> Result<Snapshot> {
        if self.base.index == 0 || self.base.index < request_index {
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        let data = self.persister.read_snapshot().into();
        let sent = Sent { commands: self.base.commands, data };
        let mut snapshot = Snapshot { data: labgob::to_bytes(&sent).into(), ..Snapshot::default() };
        let of = snapshot.mut_metadata();
        of.set_conf_state(self.voters.clone());
        of.index = self.base.index;
        of.term = self.base.term;
        Ok(snapshot)
    }
}
