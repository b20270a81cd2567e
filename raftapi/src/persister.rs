//! The stand-in for a disk, and with it the lab's model of a crash.
//!
//! The lock in here is not labrt's: it is held for a few instructions, never while anything
//! waits, and the tester may use it outside a simulation.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;

/// Keeps one server's Raft state and snapshot across crashes.
///
/// Both are byte strings that only the server understands, both empty at first. A save replaces
/// them at once and together: a crash falls before it or after it, never in between.
///
/// A crashed server's code may go on for a moment. So the tester hands a [`copy`](crate::harness::Disk::copy) to
/// the successor, and that seals the original: whatever is saved to it afterwards is dropped.
///
/// ```
/// use raftapi::{Persister, SnapshotWrite};
///
/// let disk = Persister::new();
/// disk.save(b"log 1..=9".to_vec(), SnapshotWrite::Keep);
/// disk.save(b"log 10".to_vec(), SnapshotWrite::Replace(b"state at 9".to_vec()));
/// disk.save(b"log 10..=11".to_vec(), SnapshotWrite::Keep);
/// assert_eq!(disk.read_raft_state(), b"log 10..=11");
/// assert_eq!(disk.read_snapshot(), b"state at 9");
/// ```
pub struct Persister {
    pub(crate) saved: Mutex<Saved>,
}

/// What a save does to the stored snapshot. There is no third case: a save cannot lose it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotWrite {
    /// The stored snapshot stays.
    Keep,
    /// These bytes take its place, in the same instant as the Raft state.
    Replace(Vec<u8>),
}

pub(crate) type OnSave = dyn Fn(&Persister) + Send + Sync;

#[derive(Clone, Default)]
pub(crate) struct Saved {
    raft_state: Vec<u8>,
    snapshot: Vec<u8>,
    /// Saves so far, this incarnation's and those before it.
    pub(crate) saves: u64,
    /// Those of them that changed the snapshot.
    pub(crate) snapshots: u64,
    /// A copy was made, so this is the disk of a dead server.
    sealed: bool,
    pub(crate) before_save: Vec<Arc<OnSave>>,
    pub(crate) on_save: Vec<Arc<OnSave>>,
}

impl Persister {
    /// An empty disk.
    pub fn new() -> Persister {
        Persister { saved: Mutex::new(Saved::default()) }
    }

    /// Replaces the Raft state, and the snapshot if one is given; both at once. Never fails. It may
    /// take some milliseconds, as a disk does; it is saved when this returns. On a sealed persister it
    /// does nothing.
    pub fn save(&self, raft_state: Vec<u8>, snapshot: SnapshotWrite) {
        let before_save = {
            let saved = self.saved.lock();
            if saved.sealed { Vec::new() } else { saved.before_save.clone() }
        };
        for before_save in before_save {
            before_save(self);
        }
        let on_save = {
            let mut saved = self.saved.lock();
            if saved.sealed {
                return;
            }
            saved.raft_state = raft_state;
            if let SnapshotWrite::Replace(bytes) = snapshot
                && bytes != saved.snapshot
            {
                saved.snapshot = bytes;
                saved.snapshots += 1;
            }
            saved.saves += 1;
            saved.on_save.clone()
        };
        // Without the lock, so that the callback can read what was saved.
        for on_save in on_save {
            on_save(self);
        }
    }

    /// A copy of the Raft state as last saved; empty if it never was.
    pub fn read_raft_state(&self) -> Vec<u8> {
        self.saved.lock().raft_state.clone()
    }

    /// A copy of the snapshot as last saved; empty if there never was one.
    pub fn read_snapshot(&self) -> Vec<u8> {
        self.saved.lock().snapshot.clone()
    }

    /// Size of the Raft state in bytes, the snapshot not included.
    pub fn raft_state_size(&self) -> usize {
        self.saved.lock().raft_state.len()
    }

    /// Size of the snapshot in bytes.
    pub fn snapshot_size(&self) -> usize {
        self.saved.lock().snapshot.len()
    }

    pub(crate) fn successor(&self) -> Persister {
        let mut saved = self.saved.lock();
        let successor = Saved { sealed: false, ..saved.clone() };
        saved.sealed = true;
        Persister { saved: Mutex::new(successor) }
    }
}

impl Default for Persister {
    fn default() -> Persister {
        Persister::new()
    }
}

impl fmt::Debug for Persister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let saved = self.saved.lock();
        f.debug_struct("Persister")
            .field("raft_state_size", &saved.raft_state.len())
            .field("snapshot_size", &saved.snapshot.len())
            .field("saves", &saved.saves)
            .field("sealed", &saved.sealed)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::harness::Disk as _;

    fn contents(disk: &Persister) -> (Vec<u8>, Vec<u8>) {
        (disk.read_raft_state(), disk.read_snapshot())
    }

    #[test]
    fn a_new_disk_is_empty() {
        let disk = Persister::new();
        assert_eq!(contents(&disk), (vec![], vec![]));
        assert_eq!((disk.raft_state_size(), disk.snapshot_size(), disk.saves()), (0, 0, 0));
    }

    #[test]
    fn a_save_without_a_snapshot_keeps_the_old_one() {
        let disk = Persister::new();
        disk.save(b"a".to_vec(), SnapshotWrite::Replace(b"snap".to_vec()));
        disk.save(b"bc".to_vec(), SnapshotWrite::Keep);
        assert_eq!(contents(&disk), (b"bc".to_vec(), b"snap".to_vec()));
        assert_eq!((disk.raft_state_size(), disk.snapshot_size(), disk.saves()), (2, 4, 2));
    }

    #[test]
    fn a_snapshot_saved_again_is_not_another_one() {
        let disk = Persister::new();
        for (state, snapshot) in [("a", "one"), ("b", "one"), ("c", "two")] {
            disk.save(state.into(), SnapshotWrite::Replace(snapshot.into()));
        }
        assert_eq!((disk.saves(), disk.snapshots()), (3, 2));
    }

    #[test]
    fn a_dead_server_changes_nothing_its_successor_reads() {
        let disk = Persister::new();
        disk.save(b"a".to_vec(), SnapshotWrite::Replace(b"snap".to_vec()));

        let successor = disk.copy();
        disk.save(b"late".to_vec(), SnapshotWrite::Replace(b"late".to_vec()));
        assert_eq!(contents(&successor), (b"a".to_vec(), b"snap".to_vec()));
        assert_eq!(contents(&disk), contents(&successor));

        successor.save(b"b".to_vec(), SnapshotWrite::Keep);
        assert_eq!(contents(&disk), (b"a".to_vec(), b"snap".to_vec()));
        assert_eq!((disk.saves(), successor.saves()), (1, 2));
    }

    #[test]
    fn a_second_copy_of_a_dead_disk_has_the_same_contents() {
        let disk = Persister::new();
        disk.save(b"a".to_vec(), SnapshotWrite::Keep);
        let first = disk.copy();
        disk.save(b"late".to_vec(), SnapshotWrite::Keep);
        assert_eq!(contents(&disk.copy()), contents(&first));
    }

    /// What lies on a slow disk is what was there before, until it is done.
    #[test]
    fn before_a_save_the_old_contents_are_there() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let disk = Persister::new();
        let log = Arc::clone(&seen);
        disk.before_save(move |disk| log.lock().push(disk.read_raft_state()));
        disk.save(b"a".to_vec(), SnapshotWrite::Keep);
        disk.copy().save(b"b".to_vec(), SnapshotWrite::Keep);
        disk.save(b"late".to_vec(), SnapshotWrite::Keep); // sealed: not a save
        assert_eq!(*seen.lock(), [b"".to_vec(), b"a".to_vec()]);
    }

    #[test]
    fn the_callback_sees_each_save_of_every_incarnation() {
        let bytes_seen = Arc::new(AtomicUsize::new(0));
        let disk = Persister::new();
        let counter = Arc::clone(&bytes_seen);
        disk.on_save(move |disk| {
            counter.fetch_add(disk.raft_state_size(), Ordering::Relaxed);
        });

        disk.save(vec![0; 10], SnapshotWrite::Keep);
        let successor = disk.copy();
        disk.save(vec![0; 1000], SnapshotWrite::Keep); // sealed: not a save
        successor.save(vec![0; 100], SnapshotWrite::Keep);
        assert_eq!(bytes_seen.load(Ordering::Relaxed), 110);
    }
}
