//! The harness's side of what a server is given. Submissions cannot name this module.

use std::sync::Arc;

use crate::Persister;

/// What the harness does with a [`Persister`], and a server cannot.
///
/// ```
/// use raftapi::harness::Disk as _;
/// use raftapi::{Persister, SnapshotWrite};
///
/// let disk = Persister::new();
/// disk.save(b"term 1".to_vec(), SnapshotWrite::Keep);
/// let successor = disk.copy();
/// disk.save(b"term 2, too late".to_vec(), SnapshotWrite::Keep);
/// assert_eq!(successor.read_raft_state(), b"term 1");
/// assert_eq!(successor.saves(), 1);
/// ```
pub trait Disk {
    /// The disk that the next incarnation of this server starts from.
    ///
    /// It has the same contents, number of saves, and callbacks. This one is sealed: it can still
    /// be read, but nothing saved to it from now on has any effect, here or there.
    #[must_use]
    fn copy(&self) -> Persister;

    /// How often this server's disk was written, over all incarnations.
    fn saves(&self) -> u64;

    /// How many of these changed the stored snapshot.
    fn snapshots(&self) -> u64;

    /// Calls `callback` before each save, with this persister, in the task that saves, after earlier
    /// callbacks. Copies inherit it. It may let time pass, or end the task: then nothing is saved.
    fn before_save(&self, callback: impl Fn(&Persister) + Send + Sync + 'static);

    /// Calls `callback` after each save, with this persister, in the task that saved, after earlier
    /// callbacks. Copies inherit it.
    ///
    /// The callback may read the persister. It must not block, nor call into the Raft that saves,
    /// which holds its lock.
    fn on_save(&self, callback: impl Fn(&Persister) + Send + Sync + 'static);
}

impl Disk for Persister {
    fn copy(&self) -> Persister {
        self.successor()
    }

    fn saves(&self) -> u64 {
        self.saved.lock().saves
    }

    fn snapshots(&self) -> u64 {
        self.saved.lock().snapshots
    }

    fn before_save(&self, callback: impl Fn(&Persister) + Send + Sync + 'static) {
        self.saved.lock().before_save.push(Arc::new(callback));
    }

    fn on_save(&self, callback: impl Fn(&Persister) + Send + Sync + 'static) {
        self.saved.lock().on_save.push(Arc::new(callback));
    }
}
