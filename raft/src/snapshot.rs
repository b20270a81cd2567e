//! Snapshots: compaction of the own log, and InstallSnapshot (§7, Figure 13).
//!
//! When a leader sends its snapshot is decided in replication.rs; when the service gets one, by
//! `State::take_deliveries`.

use std::time::Duration;

use labgob::Bytes;
use raftapi::{EntryId, LogIndex, ServerId};
use tracing::debug;

use crate::{
    message::{Call, InstallSnapshotArgs, InstallSnapshotReply},
    state::{State, Time},
};

/// A snapshot is large, and a lost one is reported by the network as a rule; so it is given more
/// time than entries are before it is sent again. Meanwhile heartbeats tell whether it arrived.
pub(crate) const SNAPSHOT_RESEND_AFTER: Duration = Duration::from_millis(500);

impl State {
    /// The service has put all up to `index` into `data`: forgets these entries (§7).
    ///
    /// Does nothing at or below the last included entry: then a newer snapshot, perhaps one from the leader that
    /// the service has yet to receive, has made this one useless.
    ///
    /// # Panics
    ///
    /// If `index` was not handed out yet: nobody can have a state that includes it.
    pub(crate) fn take_snapshot(&mut self, index: LogIndex, data: Vec<u8>) {
        if index <= self.log.last_included().index {
            return;
        }
        let applied = self.last_applied;
        assert!(index <= applied, "snapshot of {index}, but only {applied} was delivered");
        let id = self.log.id_at(index).expect("what was delivered is in the log or the snapshot");
        debug!(target: "snap", "compacts to {id}");
        self.adopt_snapshot(id, data);
    }

    /// What a follower gets that needs entries which are here no more.
    pub(crate) fn install_snapshot_args(&self) -> InstallSnapshotArgs {
        InstallSnapshotArgs {
            term: self.current_term,
            leader_id: self.me,
            last_included: self.log.last_included(),
            data: self.snapshot.clone(),
        }
    }

    /// Answers InstallSnapshot. Numbers are the receiver's rules in Figure 13; 2 to 4 are about
    /// chunks, and this snapshot comes in one piece.
    pub(crate) fn on_install_snapshot(
        &mut self,
        args: &InstallSnapshotArgs,
        now: Time,
    ) -> InstallSnapshotReply {
        if args.term < self.current_term {
            return InstallSnapshotReply { term: self.current_term }; // 1
        }
        self.follow(args.leader_id, args.term, now);
        // An old one, late: all it has is known here to be committed, and the service must not be
        // taken back.
        if args.last_included.index > self.commit_index {
            debug!(target: "snap", "installs {}", args.last_included);
            self.commit_index = args.last_included.index;
            self.snapshot_undelivered = true; // 8
            self.adopt_snapshot(args.last_included, args.data.to_vec()); // 5, 6, 7
        }
        self.persist(); // a new term, if nothing else
        InstallSnapshotReply { term: self.current_term }
    }

    /// Handles the reply to `asked`, of which only what it was asked about is of interest: the
    /// follower has the snapshot, or has committed what it includes.
    pub(crate) fn on_install_reply(
        &mut self,
        from: ServerId,
        asked: &InstallSnapshotArgs,
        reply: &InstallSnapshotReply,
        now: Time,
    ) -> Vec<Call> {
        let included = asked.last_included.index;
        if !self.take_answer(from, asked.term, reply.term, Some(included), now) {
            return Vec::new();
        }
        self.note_stored(from, included, now);
        self.replicate(now)
    }

    /// Puts a snapshot in the place of the entries up to `id`, on the disk in one save.
    fn adopt_snapshot(&mut self, id: EntryId, data: Vec<u8>) {
        self.log.compact_to(id);
        self.snapshot = Bytes::from(data.as_slice());
        self.disk.save_with_snapshot(self.current_term, self.voted_for, &self.log, data);
    }
}

#[cfg(test)]
mod tests;
