//! The library's messages: whose, of what kind, and as bytes.

use labgob::Bytes;
pub(crate) use raft_io::Message;
use raft_io::framing;
use raftapi::ServerId;

use crate::wire::Kind;

/// The library numbers servers as the lab does.
pub(crate) fn id(server: ServerId) -> u64 {
    server.0 as u64
}

pub(crate) fn server(id: u64) -> Option<ServerId> {
    Some(ServerId(usize::try_from(id).ok()?))
}

pub(crate) fn sender(message: &Message) -> Option<ServerId> {
    let id = match message {
        Message::PreVote(message) => message.candidate,
        Message::PreVoteReply(message) => message.from,
        Message::RequestVote(message) => message.candidate,
        Message::RequestVoteReply(message) => message.from,
        Message::AppendEntries(message) => message.leader,
        Message::AppendEntriesReply(message) => message.from,
        Message::InstallSnapshot(message) => message.leader,
        Message::InstallSnapshotReply(message) => message.from,
        _ => return None, // of what is not asked for here
    };
    server(id)
}

pub(crate) fn kind(message: &Message) -> Kind {
    match message {
        Message::PreVote(_) | Message::RequestVote(_) => Kind::Vote,
        Message::InstallSnapshot(_) => Kind::Install,
        Message::PreVoteReply(_)
        | Message::RequestVoteReply(_)
        | Message::AppendEntriesReply(_)
        | Message::InstallSnapshotReply(_) => Kind::Answer,
        _ => Kind::Append,
    }
}

pub(crate) fn encode(message: &Message) -> Bytes {
    Bytes::from(framing::encode(message).expect("a message can be encoded"))
}

/// `None` if these bytes are no message.
pub(crate) fn decode(bytes: &Bytes) -> Option<Message> {
    framing::decode(bytes).ok()
}
