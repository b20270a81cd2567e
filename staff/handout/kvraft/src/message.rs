//! What clerks and servers say to each other.

use labrpc::Rpc;
use serde::{Deserialize, Serialize};

/// An operation on one key. It goes through the log, as bytes: `labgob::to_bytes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Op {
    /// Asks for the value; empty if the key is absent.
    Get { key: String },
    /// Replaces the value.
    Put { key: String, value: String },
    /// Adds to the end of the value; to an absent key, as `Put`.
    Append { key: String, value: String },
}

/// What an operation returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Output {
    /// The key's value, for a get; else empty.
    pub(crate) value: String,
}

/// A clerk asks a server to have an operation executed.
///
/// Part 4A: add what lets a server know a repetition when it sees one (§8).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) op: Op,
}

/// Why a server has no result.
///
/// Part 4A: are there other reasons, after which the operation may or may not be executed?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub(crate) enum Refusal {
    /// This server does not lead. It did nothing.
    #[error("this server does not lead")]
    NotLeader,
}

impl Rpc for Request {
    const METHOD: &'static str = "Kv.Op";
    type Reply = Result<Output, Refusal>;
}
