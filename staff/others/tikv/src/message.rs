//! The library's messages: whose, of what kind, and as bytes.

use labgob::Bytes;
use protobuf::Message as _;
use raftapi::ServerId;
pub(crate) use tikv::eraftpb::Message;
use tikv::eraftpb::MessageType;

use crate::wire::Kind;

/// The library numbers servers from 1.
pub(crate) fn id(server: ServerId) -> u64 {
    server.0 as u64 + 1
}

pub(crate) fn server(id: u64) -> Option<ServerId> {
    Some(ServerId(usize::try_from(id.checked_sub(1)?).ok()?))
}

pub(crate) fn sender(message: &Message) -> Option<ServerId> {
    server(message.from)
}

pub(crate) fn kind(message: &Message) -> Kind {
    match message.get_msg_type() {
        MessageType::MsgRequestVote | MessageType::MsgRequestPreVote => Kind::Vote,
        MessageType::MsgSnapshot => Kind::Install,
        MessageType::MsgAppendResponse
        | MessageType::MsgHeartbeatResponse
        | MessageType::MsgRequestVoteResponse
        | MessageType::MsgRequestPreVoteResponse => Kind::Answer,
        _ => Kind::Append,
    }
}

pub(crate) fn encode(message: &Message) -> Bytes {
    Bytes::from(message.write_to_bytes().expect("a message can be encoded"))
}

/// `None` if these bytes are no message.
pub(crate) fn decode(bytes: &Bytes) -> Option<Message> {
    Message::parse_from_bytes(bytes).ok()
}
