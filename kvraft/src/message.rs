//! What passes between a clerk and a server, and what a server puts into the log.

use labrpc::Rpc;
use serde::{Deserialize, Serialize};

use crate::rsm::{ClientId, SubmitError};

/// An operation on one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Op {
    /// Asks for the value, empty if the key is absent.
    Get { key: String },
    /// Replaces the value.
    Put { key: String, value: String },
    /// Adds to the end of the value; to an absent key, as `Put`.
    Append { key: String, value: String },
}

/// What an operation returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Output {
    /// Of a get.
    Value(String),
    /// Of a put or an append.
    Done,
}

/// Asks a server to have an operation executed, once however often it is asked.
///
/// One method for all three operations, since all that concerns a retry is the same for them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Which clerk asks.
    pub(crate) client: ClientId,
    /// Counts the operations of that clerk from 1. The same in each retry of one operation.
    pub(crate) seq: u64,
    pub(crate) op: Op,
}

impl Rpc for Request {
    const METHOD: &'static str = "Kv.Op";
    type Reply = Result<Output, SubmitError>;
}
