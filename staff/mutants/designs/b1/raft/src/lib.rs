//! Raft in another usual design, B1: a heartbeat is like any other message, and each message is on
//! its own.
//!
//! ```text
//!  start ──▶ log ──wakes──▶ sender ──▶ a task for each follower: call ──▶ handle the reply
//!                  ticker ─every 100 ms─▶ (the same)
//! ```
//!
//! Every AppendEntries carries all that the follower is not known to have, from `next` on, and `next`
//! moves only by answers. Nobody keeps account of what is on the way: while one call waits for its
//! answer others go out, so messages and answers overtake each other and say the same things twice.
//! The reference sends one load at a time, bare heartbeats meanwhile, and goes on when it is
//! answered.
//!
//! It is laid out as the hand-out is. `state.rs` knows what is Figure 2's State; `election.rs`,
//! `replication.rs` and `snapshot.rs` are the rules; `raft.rs` alone locks, waits and starts tasks.

mod election;
mod log;
mod message;
mod persist;
mod raft;
mod replication;
mod snapshot;
mod state;

pub use raft::Raft;
pub use raftapi::*;
