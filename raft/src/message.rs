//! The three RPCs: arguments and replies (Figures 2 and 13).
//!
//! Where a field is not the paper's, its doc says why. What to answer is decided in election.rs,
//! replication.rs and snapshot.rs.

use labgob::Bytes;
use labrpc::Rpc;
use raftapi::{EntryId, LogIndex, ServerId, Term};
use serde::{Deserialize, Serialize};

use crate::log::Entry;

/// Invoked by candidates to gather votes (§5.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RequestVoteArgs {
    /// The candidate's term.
    pub(crate) term: Term,
    pub(crate) candidate_id: ServerId,
    /// The candidate's last log entry (§5.4.1).
    pub(crate) last_log: EntryId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RequestVoteReply {
    /// The voter's term, for the candidate to update itself.
    pub(crate) term: Term,
    pub(crate) vote_granted: bool,
}

/// Invoked by the leader to replicate entries (§5.3); without entries, a heartbeat (§5.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppendEntriesArgs {
    /// The leader's term.
    pub(crate) term: Term,
    pub(crate) leader_id: ServerId,
    /// The entry before the new ones.
    pub(crate) prev_log: EntryId,
    pub(crate) entries: Vec<Entry>,
    /// The leader's commit index.
    pub(crate) leader_commit: LogIndex,
}

impl AppendEntriesArgs {
    /// Index of the last entry that the follower shares with the leader if it accepts.
    pub(crate) fn last_index(&self) -> LogIndex {
        LogIndex(self.prev_log.index.0 + self.entries.len() as u64)
    }

    /// Index of the first entry that it carries; `None` for a bare heartbeat.
    pub(crate) fn load(&self) -> Option<LogIndex> {
        if self.entries.is_empty() { None } else { Some(self.prev_log.index.next()) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppendEntriesReply {
    /// The follower's term, for the leader to update itself.
    pub(crate) term: Term,
    pub(crate) outcome: AppendOutcome,
}

/// The paper's `success`, and the hint of §5.3 that goes with its absence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AppendOutcome {
    /// The follower's log agrees with the leader's up to the last entry of the request.
    Accepted,
    /// The leader's term is over; the reply's term says so.
    Stale,
    /// The follower does not hold `prev`.
    Refused {
        /// The newest entry there that could still be shared: not above `prev`, nor of a later
        /// term. The paper's hint is the first index of the conflicting term; this one lets both
        /// sides step over whole terms, also where one of the logs begins with a snapshot.
        newest: EntryId,
    },
}

/// Invoked by the leader to send its snapshot to a follower that lags behind it (§7).
///
/// Deviation from Figure 13: the snapshot travels in one message, not in chunks, so there is no
/// `offset` and no `done`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstallSnapshotArgs {
    /// The leader's term.
    pub(crate) term: Term,
    pub(crate) leader_id: ServerId,
    /// The last entry that the snapshot replaces.
    pub(crate) last_included: EntryId,
    /// The bytes that the leader's service gave.
    pub(crate) data: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InstallSnapshotReply {
    /// The follower's term, for the leader to update itself.
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

/// A call to make: the core's only way to reach another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) to: ServerId,
    pub(crate) request: Request,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    Vote(RequestVoteArgs),
    Append(AppendEntriesArgs),
    Install(InstallSnapshotArgs),
}
