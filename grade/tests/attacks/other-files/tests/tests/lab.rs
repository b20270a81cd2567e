#[path = "lab/raft_3B.rs"]
mod raft_3B;
