//! The Raft of `TiKV` (its crate `raft`, 0.7) behind the lab's interface.
//!
//! ```text
//!            start ┌──────────────── one server ─────────────────┐
//!  service ───────▶│ node.rs ──step, tick──▶ Core ───messages───▶ │──▶ other servers
//!     ▲            │    ▲                      │ RawNode          │◀── requests, replies
//!     └─ ApplyMsg ─│────┴─────committed────────┴──Ready──▶ Disk ──│──▶ Persister
//!                  └─────────────────────────────────────────────┘
//! ```
//!
//! | file | what it decides |
//! | --- | --- |
//! | `core.rs` | the library driven: ticks, election timeouts, what a `Ready` asks for |
//! | `storage.rs` | the library's storage, on `disk.rs` |
//! | `message.rs` | the library's messages: whose, of what kind, as bytes |
//! | `disk.rs` (common) | what is kept, in one save; which entries are commands |
//! | `wire.rs` (common) | messages as RPCs, answers as their replies |
//! | `node.rs` (common) | threads, locks, calls |
//!
//! The library differs from the lab's Raft in four ways, and here is where they meet:
//!
//! - A new leader appends an empty entry. The lab counts commands alone, so each entry knows how many
//!   commands there are up to it, and that is the lab's index. Which entries precede one is
//!   the same on all servers (Log Matching), so is the number.
//! - It draws election timeouts from the system's randomness. Its range has one number that never comes;
//!   the adapter draws from the node's own stream, and campaigns.
//! - Its messages are one-way. An answer travels as the reply of the call that asked.
//! - It has no threads, clock, disk or network, which is why it fits at all.

mod core;
mod disk;
mod message;
mod node;
mod storage;
mod wire;

pub use node::Raft;
pub use raftapi::*;
