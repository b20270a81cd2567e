//! Messages as RPCs. Those of a library are one-way; here the answer to one is the reply to its call.

use labgob::Bytes;
use labrpc::{ClientEnd, NoReply, Rpc};
use serde::{Deserialize, Serialize};

/// The answers of whoever was called, each in the library's own encoding.
pub(crate) type Answers = Vec<Bytes>;

/// What a message is about. The tester knows RPCs by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Asks for a vote, or whether it would be given.
    Vote,
    /// Brings entries, or is a heartbeat.
    Append,
    /// Brings a snapshot.
    Install,
    /// Answers one of these.
    Answer,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Vote(pub(crate) Bytes);

#[derive(Serialize, Deserialize)]
pub(crate) struct Append(pub(crate) Bytes);

#[derive(Serialize, Deserialize)]
pub(crate) struct Install(pub(crate) Bytes);

impl Rpc for Vote {
    const METHOD: &'static str = "Raft.RequestVote";
    type Reply = Answers;
}

impl Rpc for Append {
    const METHOD: &'static str = "Raft.AppendEntries";
    type Reply = Answers;
}

impl Rpc for Install {
    const METHOD: &'static str = "Raft.InstallSnapshot";
    type Reply = Answers;
}

/// Calls a server with a message of this kind, and returns its answers. (An answer that comes too late
/// to be a reply is a call as well.)
pub(crate) fn call(end: &ClientEnd, kind: Kind, message: Bytes) -> Result<Answers, NoReply> {
    match kind {
        Kind::Vote => end.call(&Vote(message)),
        Kind::Append | Kind::Answer => end.call(&Append(message)),
        Kind::Install => end.call(&Install(message)),
    }
}
