use labrpc::{Rpc, Service};
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

fn main() {
    let _ = Service::new().on(|args: VoteArgs| args.term > 3);
}
