//! Messages as RPCs. The library's are one-way; here the answer to one is the reply to its call.

use labgob::Bytes;
use labrpc::{ClientEnd, NoReply, Rpc};
use protobuf::Message as _;
use serde::{Deserialize, Serialize};
use tikv::eraftpb::{Message, MessageType};

/// The answers of whoever was called, each in the library's own encoding.
pub(crate) type Answers = Vec<Bytes>;

/// A request for a vote.
#[derive(Serialize, Deserialize)]
pub(crate) struct Vote(pub(crate) Bytes);

/// A snapshot.
#[derive(Serialize, Deserialize)]
pub(crate) struct Install(pub(crate) Bytes);

/// Everything else: entries, heartbeats.
#[derive(Serialize, Deserialize)]
pub(crate) struct Append(pub(crate) Bytes);

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

/// Calls a server with a message, and returns its answers.
pub(crate) fn call(end: &ClientEnd, message: &Message) -> Result<Answers, NoReply> {
    let bytes = encode(message);
    match message.get_msg_type() {
        MessageType::MsgRequestVote | MessageType::MsgRequestPreVote => end.call(&Vote(bytes)),
        MessageType::MsgSnapshot => end.call(&Install(bytes)),
        _ => end.call(&Append(bytes)),
    }
}

/// Does it answer a message, so that it may travel as the reply?
pub(crate) fn is_answer(message: &Message) -> bool {
    matches!(
        message.get_msg_type(),
        MessageType::MsgAppendResponse
            | MessageType::MsgHeartbeatResponse
            | MessageType::MsgRequestVoteResponse
            | MessageType::MsgRequestPreVoteResponse
    )
}

pub(crate) fn encode(message: &Message) -> Bytes {
    Bytes::from(message.write_to_bytes().expect("a message can be encoded"))
}

/// `None` if these bytes are no message.
pub(crate) fn decode(bytes: &Bytes) -> Option<Message> {
    Message::parse_from_bytes(bytes).ok()
}
