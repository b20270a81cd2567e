//! What clerks and servers say to each other.

use labrpc::Rpc;
use raft::Term;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Op {
    Get { key: String },
    Put { key: String, value: String },
    Append { key: String, value: String },
}

/// A clerk asks a server to have an operation executed. Writes go into the log as they are here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) client: u128,
    /// Counts the client's operations from 1; the same in each retry of one.
    pub(crate) seq: u64,
    pub(crate) op: Op,
}

/// Why a server has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Refusal {
    /// It does not lead, and did nothing.
    NotLeader,
    /// The operation may be executed, or not: ask again.
    Unknown,
}

/// The value, for a get; else empty.
pub(crate) type Reply = Result<String, Refusal>;

impl Rpc for Request {
    const METHOD: &'static str = "Kv.Op";
    type Reply = Reply;
}

/// A leader asks another server whether it has heard of a later term.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Confirm {
    /// The leader's.
    pub(crate) term: Term,
}

impl Rpc for Confirm {
    const METHOD: &'static str = "Kv.Confirm";
    /// Whether the term is not over, as far as that server knows.
    type Reply = bool;
}
