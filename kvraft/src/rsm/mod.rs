//! A replicated state machine: what a service on Raft needs, whatever it serves (Raft §8).
//!
//! ```text
//!            submit(client, seq, op)
//!  handler ────────────────────────────▶ start ──▶ Raft
//!     │ waits                                        │ ApplyMsg, in log order
//!     ▼                                              ▼
//!  ┌────────┐  answer   ┌────────────────── apply loop ──────────────────┐
//!  │ Ticket │◀──────────│ duplicate? ── sessions     machine ── apply(op)│
//!  └────────┘           └──────────────────┬─────────────────────────────┘
//!   one an entry                           │ a clone, now and then
//!                                          ▼
//!                              snapshot writer ──▶ raft.snapshot
//! ```
//!
//! A service is a [`StateMachine`]: a value, and what an operation does to it.
//!
//! ```
//! use labgob::{DecodeError, Decoder, Encoder};
//! use kvraft::rsm::StateMachine;
//!
//! /// Hands out numbers, each once.
//! #[derive(Clone, Default)]
//! struct Tickets {
//!     next: u64,
//! }
//!
//! impl StateMachine for Tickets {
//!     type Op = ();
//!     type Output = u64;
//!
//!     fn apply(&mut self, (): ()) -> u64 {
//!         self.next += 1;
//!         self.next
//!     }
//!
//!     fn snapshot(&self, to: &mut Encoder) {
//!         to.encode(&self.next);
//!     }
//!
//!     fn restore(from: &mut Decoder<'_>) -> Result<Tickets, DecodeError> {
//!         Ok(Tickets { next: from.decode()? })
//!     }
//! }
//!
//! let mut tickets = Tickets::default();
//! assert_eq!((tickets.apply(()), tickets.apply(())), (1, 2));
//! ```
//!
//! - [`Rsm`] is one server; [`Rsm::submit`] has an operation executed by all of them, once.
//! - [`StateMachine`] is what it replicates.
//! - `pending.rs`: who waits for which entry. Behind the only lock of this module.
//! - `replica.rs`: the state that the log has led to so far, owned by the apply loop.
//! - `sessions.rs`: which operations were executed already.
//! - `compaction.rs`: when to take a snapshot; encoding it without being in anyone's way.
//! - Not here: what the operations are.

mod compaction;
mod pending;
mod replica;
mod server;
mod sessions;

use std::fmt;

use labgob::{DecodeError, Decoder, Encoder};
use raft::ServerId;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use server::Rsm;
pub use sessions::MAX_SESSIONS;

/// A service's state, and what an operation does to it. Every server has one, and all execute the
/// same operations in the same order.
///
/// So everything must follow from the state and the operation alone: no clock, no randomness, no
/// order of a hash map. A clone must be cheap however large the state is (a structurally shared
/// map, for example), for one is made for each snapshot while operations wait.
pub trait StateMachine: Clone + Send + 'static {
    /// What clients ask for. It goes through the log.
    type Op: Serialize + DeserializeOwned;
    /// What they get. The last one of each client is kept, and is part of snapshots.
    type Output: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;

    /// Executes an operation.
    fn apply(&mut self, op: Self::Op) -> Self::Output;

    /// Does this operation change nothing? Then a server where nobody waits for the result leaves it
    /// out, a retry executes it again, and it is not remembered.
    fn is_read_only(op: &Self::Op) -> bool {
        let _ = op;
        false
    }

    /// Writes the whole state. Called on a clone, in a task of its own; it may take its time.
    fn snapshot(&self, to: &mut Encoder);

    /// Reads what [`snapshot`](Self::snapshot) wrote.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], if these are not the bytes of a state.
    fn restore(from: &mut Decoder<'_>) -> Result<Self, DecodeError>;
}

/// Names a client among all that there ever are; drawn at random.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct ClientId(pub u128);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "C{:08x}", self.0 >> 96) // enough to tell those of one run apart
    }
}

/// Why [`Rsm::submit`] has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SubmitError {
    /// Nothing was done here. (An earlier attempt may still have succeeded elsewhere.)
    #[error("this server does not lead")]
    NotLeader {
        /// Who leads, as far as this server knows.
        leader: Option<ServerId>,
    },
    /// The operation was handed to the log, but leadership was lost, or no majority has stored it
    /// in time. It may have been executed, may still be, or never: submit it again, with the same
    /// number, here or elsewhere.
    #[error("the operation may or may not be executed")]
    Unknown,
    /// The client has had a later operation executed since, and this one's result is gone: what is
    /// answered is an old message that nobody waits for.
    #[error("the client has gone on to a later operation")]
    Superseded,
}

/// How a submitted operation ended.
type Outcome<T> = Result<T, SubmitError>;
