use labrpc::{ClientEnd, NoReply, Rpc};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct VoteArgs {
    term: u64,
}

#[derive(Serialize, Deserialize)]
struct VoteReply {
    granted: bool,
}

impl Rpc for VoteArgs {
    const METHOD: &'static str = "Raft.RequestVote";
    type Reply = VoteReply;
}

fn ask(peer: &ClientEnd) -> Result<bool, NoReply> {
    let reply: bool = peer.call(&VoteArgs { term: 3 })?;
    Ok(reply)
}

fn main() {
    let _ = ask;
}
