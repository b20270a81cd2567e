//! When to take a snapshot (Raft §7), and how without being in anyone's way.
//!
//! The apply loop gives a clone of its state to a task that encodes it, and goes on at once. That
//! task alone calls `Raft::snapshot`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use labrt::{
    channel::{self, Receiver, Sender},
    thread,
};
use raft::{Persister, Raft};
use tracing::debug;

use super::{StateMachine, replica::Replica};

/// What Raft saves with a command, roughly: its term and length.
const ENTRY_OVERHEAD: usize = 4;

/// Keeps the Raft state on the disk near its limit.
pub(super) struct Compaction<M: StateMachine> {
    /// In bytes; what is saved of the log may grow to this size.
    limit: usize,
    persister: Arc<Persister>,
    /// Size of the entries that a snapshot would make needless: those applied since the last one.
    applied_bytes: usize,
    /// To the task that writes. It has one at a time.
    writer: Sender<Replica<M>>,
    writing: Arc<AtomicBool>,
}

impl<M: StateMachine> Compaction<M> {
    /// Starts the writing task, which ends when this is dropped.
    pub(super) fn new(limit: usize, persister: Arc<Persister>, raft: Raft) -> Compaction<M> {
        let (writer, states) = channel::unbounded();
        let writing = Arc::new(AtomicBool::new(false));
        let task = {
            let writing = Arc::clone(&writing);
            move || write(&states, &raft, &writing)
        };
        let spawned = thread::Builder::new().name("snapshots".to_owned()).spawn(task);
        spawned.expect("the system can start another thread");
        Compaction { limit, persister, applied_bytes: 0, writer, writing }
    }

    /// A command was applied. `more` says whether others wait already.
    pub(super) fn applied(&mut self, command: &[u8], replica: &Replica<M>, more: bool) {
        self.applied_bytes += command.len() + ENTRY_OVERHEAD;
        if !self.writing.load(Ordering::Relaxed) && self.is_due(more) {
            self.applied_bytes = 0;
            self.writing.store(true, Ordering::Relaxed);
            // Without a writer this server is being killed.
            let _ = self.writer.send(replica.clone());
        }
    }

    /// A snapshot came from elsewhere.
    pub(super) fn installed(&mut self) {
        self.applied_bytes = 0;
    }

    /// It is time when the limit would be passed if as much came again as is in the log and not
    /// applied: with many clients that is much, and by the time a snapshot is written more has
    /// come. But a snapshot must be worth its price, which is why it must make a good part of the
    /// limit free; and where more entries can be had for the same price, they come first.
    fn is_due(&self, more: bool) -> bool {
        let worth = if more { self.limit / 2 } else { self.limit / 4 };
        if self.applied_bytes < worth {
            return false;
        }
        let size = self.persister.raft_state_size();
        let unapplied = size.saturating_sub(self.applied_bytes);
        size + unapplied >= self.limit - self.limit / 8
    }
}

/// Hands each state to Raft as a snapshot.
fn write<M: StateMachine>(states: &Receiver<Replica<M>>, raft: &Raft, writing: &AtomicBool) {
    for replica in states {
        let snapshot = replica.encode();
        debug!(target: "snap", "{} in {} bytes", replica.applied(), snapshot.len());
        raft.snapshot(replica.applied(), snapshot);
        writing.store(false, Ordering::Relaxed);
    }
}
