//! The three RPCs (Figures 2 and 13).

use labgob::Bytes;
use labrpc::Rpc;
use raftapi::{EntryId, LogIndex, ServerId, Term};
use serde::{Deserialize, Serialize};

use crate::log::Entry;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RequestVoteArgs {
    pub(crate) term: Term,
    pub(crate) candidate: ServerId,
    /// The candidate's last entry (§5.4.1).
    pub(crate) last: EntryId,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RequestVoteReply {
    pub(crate) term: Term,
    pub(crate) vote_granted: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AppendEntriesArgs {
    pub(crate) term: Term,
    pub(crate) leader: ServerId,
    /// The entry before the new ones.
    pub(crate) prev: EntryId,
    pub(crate) entries: Vec<Entry>,
    pub(crate) leader_commit: LogIndex,
}

impl AppendEntriesArgs {
    /// Index of the last entry that the follower has if it agrees.
    pub(crate) fn last_new(&self) -> LogIndex {
        LogIndex(self.prev.index.0 + self.entries.len() as u64)
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AppendEntriesReply {
    pub(crate) term: Term,
    /// `None` is success.
    pub(crate) conflict: Option<Conflict>,
}

/// What the follower has in place of `prev` (the end of §5.3).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Conflict {
    /// The term of its entry there; `None` if its log is shorter.
    pub(crate) term: Option<Term>,
    /// Its first entry of that term; or the index after its last.
    pub(crate) index: LogIndex,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct InstallSnapshotArgs {
    pub(crate) term: Term,
    pub(crate) leader: ServerId,
    pub(crate) last_included: EntryId,
    pub(crate) data: Bytes,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct InstallSnapshotReply {
    pub(crate) term: Term,
}

impl Rpc for RequestVoteArgs {
    const METHOD: &'static str = "Raft.RequestVote";
    type Reply = RequestVoteReply;
}

impl Rpc for AppendEntriesArgs {
    const METHOD: &'static str = "Raft.AppendEntries";
    type Reply = AppendEntriesReply;
}

impl Rpc for InstallSnapshotArgs {
    const METHOD: &'static str = "Raft.InstallSnapshot";
    type Reply = InstallSnapshotReply;
}
