//! What servers say to each other: arguments and replies (Figures 2 and 13).
//!
//! A field can be of any type that serde can write: numbers, `Option`, `Vec`, your own structs and
//! enums with `#[derive(Serialize, Deserialize)]`. For a command, and in 3D for a snapshot, take
//! `labgob::Bytes`: cheap to clone, and much faster to encode than `Vec<u8>`.

use labrpc::Rpc;
use raftapi::{ServerId, Term};
use serde::{Deserialize, Serialize};

/// A candidate asks for a vote (Figure 2, RequestVote RPC; §5.2).
///
/// Part 3B adds `lastLogIndex` and `lastLogTerm`, for which [`EntryId`](raftapi::EntryId) is made: it
/// compares as §5.4.1 wants it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RequestVoteArgs {
    /// The candidate's term.
    pub(crate) term: Term,
    /// Who asks.
    pub(crate) candidate: ServerId,
}

/// The answer to a candidate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RequestVoteReply {
    /// The voter's term, for the candidate to update itself.
    pub(crate) term: Term,
    /// Whether the candidate has the vote.
    pub(crate) vote_granted: bool,
}

impl Rpc for RequestVoteArgs {
    const METHOD: &'static str = "Raft.RequestVote";
    type Reply = RequestVoteReply;
}

/// A leader sends entries, or none as a heartbeat (Figure 2, AppendEntries RPC; §5.2, §5.3).
///
/// Part 3B adds `prevLogIndex` and `prevLogTerm`, `entries[]`, and `leaderCommit`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AppendEntriesArgs {
    /// The leader's term.
    pub(crate) term: Term,
    /// Who leads.
    pub(crate) leader: ServerId,
}

/// The answer to a leader.
///
/// Part 3B adds what lets the leader step back over more than one entry at a time when a follower's
/// log differs; the end of §5.3 says what it needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AppendEntriesReply {
    /// The follower's term, for the leader to update itself.
    pub(crate) term: Term,
    /// Whether the follower's log now agrees with the leader's up to the last of the entries.
    pub(crate) success: bool,
}

impl Rpc for AppendEntriesArgs {
    const METHOD: &'static str = "Raft.AppendEntries";
    type Reply = AppendEntriesReply;
}

/// A leader sends its snapshot to a follower that needs entries which the leader has forgotten
/// (Figure 13; §7). The whole of it in one message, so without `offset` and `done`.
///
/// Part 3D adds `lastIncludedIndex` and `lastIncludedTerm`, and the data.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct InstallSnapshotArgs {
    /// The leader's term.
    pub(crate) term: Term,
    /// Who leads.
    pub(crate) leader: ServerId,
}

/// The answer to a leader.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct InstallSnapshotReply {
    /// The follower's term, for the leader to update itself.
    pub(crate) term: Term,
}

impl Rpc for InstallSnapshotArgs {
    const METHOD: &'static str = "Raft.InstallSnapshot";
    type Reply = InstallSnapshotReply;
}
