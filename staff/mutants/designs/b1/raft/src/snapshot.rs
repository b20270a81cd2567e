//! Snapshots (§7, Figure 13).

use labgob::Bytes;
use raftapi::{EntryId, LogIndex, ServerId};

use crate::{
    message::{InstallSnapshotArgs, InstallSnapshotReply},
    state::State,
};

impl State {
    /// The service has put all up to `index` into `snapshot`.
    pub(crate) fn take_snapshot(&mut self, index: LogIndex, snapshot: Vec<u8>) {
        if index <= self.log.base().index {
            return;
        }
        assert!(index <= self.last_applied, "a snapshot of {index}, which was not applied");
        let term = self.log.term_at(index).expect("what was applied is in the log");
        self.keep_snapshot(EntryId { term, index }, Bytes::from(snapshot));
    }

    pub(crate) fn on_install_snapshot(
        &mut self,
        args: &InstallSnapshotArgs,
    ) -> InstallSnapshotReply {
        self.see_term(args.term);
        if args.term == self.current_term {
            self.heed(args.leader);
            if args.last_included.index > self.commit_index {
                self.commit_index = args.last_included.index;
                self.snapshot_is_news = true;
                self.keep_snapshot(args.last_included, args.data.clone());
            }
        }
        InstallSnapshotReply { term: self.current_term }
    }

    /// Says whether the follower should be sent something at once: what comes after the snapshot.
    pub(crate) fn on_install_reply(
        &mut self,
        from: ServerId,
        args: &InstallSnapshotArgs,
        reply: &InstallSnapshotReply,
    ) -> bool {
        if !self.is_answer(from, args.term, reply.term) {
            return false;
        }
        self.note_matched(from, args.last_included.index);
        true
    }

    fn keep_snapshot(&mut self, last: EntryId, snapshot: Bytes) {
        self.log.compact(last);
        self.snapshot = snapshot;
        self.persist_with_snapshot();
    }
}
