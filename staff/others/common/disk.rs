//! What a server keeps: the library's log as the lab's persister has it, in one save.

use std::{collections::VecDeque, sync::Arc};

use labgob::Bytes;
use raftapi::{LogIndex, Persister, SnapshotWrite};
use serde::{Deserialize, Serialize};

/// What a vote and a restart need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HardState {
    pub(crate) term: u64,
    /// Whom it has voted for, as the library numbers servers.
    pub(crate) vote: Option<u64>,
    /// Need not be up to date, but covers the base.
    pub(crate) commit: u64,
}

/// The entry that the snapshot ends with.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Base {
    /// Its place among all entries: the library's index.
    pub(crate) index: u64,
    pub(crate) term: u64,
    /// Its place among the commands: the lab's index.
    pub(crate) commands: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) term: u64,
    /// It was given to `start`; others are the library's own.
    pub(crate) is_command: bool,
    pub(crate) data: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    hard_state: HardState,
    base: Base,
    entries: Vec<Entry>,
}

/// What one server sends to another as a snapshot's data.
#[derive(Serialize, Deserialize)]
struct Sent {
    commands: u64,
    data: Bytes,
}

struct Stored {
    entry: Entry,
    /// How many commands there are up to here.
    commands: u64,
}

pub(crate) struct Disk {
    persister: Arc<Persister>,
    servers: usize,
    pub(crate) hard_state: HardState,
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
        let bytes = persister.read_raft_state();
        let (hard_state, base, entries) = (HardState::default(), Base::default(), VecDeque::new());
        let mut disk = Disk { persister, servers, hard_state, base, entries };
        if !bytes.is_empty() {
            let saved: Saved = labgob::from_bytes(&bytes).expect("a saved state is readable");
            disk.hard_state = saved.hard_state;
            disk.base = saved.base;
            for entry in saved.entries {
                disk.push(entry);
            }
        }
        disk
    }

    /// How many servers there are.
    pub(crate) fn servers(&self) -> usize {
        self.servers
    }

    pub(crate) fn base(&self) -> Base {
        self.base
    }

    /// Index of the last entry.
    pub(crate) fn last(&self) -> u64 {
        self.base.index + self.entries.len() as u64
    }

    /// The entry at an index; `None` up to the base, and beyond the last.
    pub(crate) fn entry(&self, index: u64) -> Option<&Entry> {
        let place = index.checked_sub(self.base.index + 1)?;
        Some(&self.entries.get(usize::try_from(place).ok()?)?.entry)
    }

    /// The term of the entry at an index; `None` below the base, and beyond the last.
    pub(crate) fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.base.index {
            return Some(self.base.term);
        }
        self.entry(index).map(|entry| entry.term)
    }

    /// How many commands there are.
    pub(crate) fn commands(&self) -> u64 {
        self.entries.back().map_or(self.base.commands, |stored| stored.commands)
    }

    /// Puts an entry behind the last.
    pub(crate) fn push(&mut self, entry: Entry) {
        let commands = self.commands() + u64::from(entry.is_command);
        self.entries.push_back(Stored { entry, commands });
    }

    /// Drops the entries from this one on.
    ///
    /// # Panics
    ///
    /// If the snapshot includes it.
    pub(crate) fn truncate(&mut self, from: u64) {
        assert!(from > self.base.index, "what a snapshot includes is committed, and stays");
        let kept = from - self.base.index - 1;
        self.entries.truncate(usize::try_from(kept).expect("a log fits into memory"));
    }

    /// The snapshot as another server takes it in.
    pub(crate) fn snapshot(&self) -> Vec<u8> {
        sent(self.base.commands, &self.persister.read_snapshot())
    }

    /// Puts a snapshot, which is as [`sent`], in the place of the entries up to its last. Those that
    /// follow stay if they do follow. Returns what the service gave, to be saved.
    pub(crate) fn install(&mut self, index: u64, term: u64, snapshot: &[u8]) -> Vec<u8> {
        let (commands, data) = received(snapshot);
        if index < self.last() && self.term_at(index) == Some(term) {
            let included = usize::try_from(index - self.base.index).expect("it fits into memory");
            self.entries.drain(..included);
        } else {
            self.entries.clear();
        }
        self.base = Base { index, term, commands };
        self.hard_state.commit = self.hard_state.commit.max(index);
        data
    }

    /// The entry that is this command; `None` if it is in the snapshot.
    pub(crate) fn index_of(&self, command: LogIndex) -> Option<u64> {
        if command.0 <= self.base.commands {
            return None;
        }
        // An entry that is no command has the number of the command before it.
        let before = self.entries.partition_point(|stored| stored.commands < command.0);
        (before < self.entries.len()).then(|| self.base.index + before as u64 + 1)
    }

    /// Saves everything at once.
    pub(crate) fn save(&self, snapshot: SnapshotWrite) {
        let entries = self.entries.iter().map(|stored| stored.entry.clone()).collect();
        let saved = Saved { hard_state: self.hard_state, base: self.base, entries };
        self.persister.save(labgob::to_bytes(&saved), snapshot);
    }
}

/// A snapshot as it is sent: what the service gave, and which command it ends with.
pub(crate) fn sent(commands: u64, data: &[u8]) -> Vec<u8> {
    labgob::to_bytes(&Sent { commands, data: data.into() })
}

/// The same taken apart.
///
/// # Panics
///
/// If it was not made by [`sent`].
pub(crate) fn received(snapshot: &[u8]) -> (u64, Vec<u8>) {
    let sent: Sent = labgob::from_bytes(snapshot).expect("one of us has sent it");
    (sent.commands, sent.data.to_vec())
}
