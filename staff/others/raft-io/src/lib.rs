//! The library `raft-io` (1.0) behind the lab's interface.
//!
//! ```text
//!            start ┌─────────────── one server ───────────────┐
//!  service ───────▶│ node.rs ──Event──▶ Core ───messages───▶  │──▶ other servers
//!     ▲            │    ▲                │ RaftNode           │◀── requests, replies
//!     └─ ApplyMsg ─│────┴────Action──────┴──RaftLog──▶ Disk ──│──▶ Persister
//!                  └──────────────────────────────────────────┘
//! ```
//!
//! | file | what it decides |
//! | --- | --- |
//! | `core.rs` | the library driven: events, and what its actions ask for |
//! | `storage.rs` | the library's log, on `disk.rs` |
//! | `message.rs` | the library's messages: whose, of what kind, as bytes |
//! | `disk.rs` (common) | what is kept, in one save; which entries are commands |
//! | `wire.rs` (common) | messages as RPCs, answers as their replies |
//! | `node.rs` (common) | threads, locks, calls |
//!
//! The library differs from the lab's Raft in two ways, and here is where they meet:
//!
//! - A new leader that holds uncommitted entries appends one of its own. The lab counts commands alone, so
//!   each entry knows how many commands there are up to it, and that is the lab's index.
//! - It saves step by step: the vote, the entries, one after the other. Here one event's changes are saved
//!   at once, before what it sends is sent.
//!
//! It draws election timeouts from a seed, which is drawn from the node's own stream.

mod core;
mod disk;
mod message;
mod node;
mod storage;
mod wire;

pub use node::Raft;
pub use raftapi::*;
