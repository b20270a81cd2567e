//! Part 3D: snapshots (§7).

use raftapi::LogIndex;

use crate::{
    message::{InstallSnapshotArgs, InstallSnapshotReply},
    state::State,
};

impl State {
    /// Forgets the log up to `index`, which the service's `snapshot` now stands for; see
    /// [`Raft::snapshot`](crate::Raft::snapshot).
    ///
    /// The term of the entry at `index` must be kept: the next entry's consistency check asks for it.
    /// From here on the leader may lack what a follower needs; then it sends the snapshot instead.
    pub(crate) fn take_snapshot(&mut self, index: LogIndex, snapshot: Vec<u8>) {
        let _ = (index, snapshot);
        todo!("Part 3D: save the snapshot, and forget the log up to its index")
    }

    /// Answers a leader that sends its snapshot (Figure 13, Receiver implementation; without rules
    /// 2 to 4, since it comes in one piece).
    ///
    /// The service gets it as an `ApplyMsg::Snapshot` from the applier, in order with the commands. It
    /// must never lead back: a snapshot of what is applied already is no news.
    pub(crate) fn on_install_snapshot(
        &mut self,
        args: &InstallSnapshotArgs,
    ) -> InstallSnapshotReply {
        let _ = args;
        todo!("Part 3D: take over the leader's snapshot, unless it is old")
    }
}
