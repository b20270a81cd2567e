//! Your Raft.
//!
//! ```text
//!                 ┌──────────────────── one server ────────────────────┐
//!  start ────────▶│ raft.rs ──lock──▶ State: all that changes          │──calls──▶ other servers
//!  ApplyMsg ◀─────│    ▲                │ election.rs, replication.rs, │◀─requests─
//!  snapshot ─────▶│  tasks              │ snapshot.rs                  │
//!                 │                     └──▶ persist.rs ──▶ Persister  │
//!                 └────────────────────────────────────────────────────┘
//! ```
//!
//! Read this with the [extended Raft paper](https://raft.github.io/raft.pdf) beside it; §5.2 means
//! its section 5.2. What is here compiles, starts its tasks and answers calls, and at each place
//! where there is something to write it stops with a `todo!`. `cargo test 3A` lists those of part 3A.
//!
//! | part | you write | in | sections |
//! | --- | --- | --- | --- |
//! | 3A | elections and heartbeats | `election.rs`, `replication.rs` | 5.1, 5.2 |
//! | 3B | the log: commands, agreement, applying | `replication.rs` | 5.3, 5.4 |
//! | 3C | what survives a crash | `persist.rs` | Figure 2 |
//! | 3D | snapshots | `snapshot.rs` | 7 |
//!
//! - [`Raft`] is the whole of it from outside. The tests call its methods, so these stay as they are.
//!   The other types come from [`raftapi`].
//! - Everything else is yours: add fields, messages, methods, tasks and files, and delete what you
//!   do not need. Keep to `labrt` for threads, time, locks and channels.
//!
//! # Two habits that save hours
//!
//! A method of `State` has the lock already, never waits, and can be read beside the paper. A method
//! of `Shared` takes the lock for a moment, by `event`, and never holds it while it calls another server, sends on
//! a channel, or sleeps.
//!
//! While a call was under way, everything may have changed. So the first line after it asks whether
//! the answer still matters: same term, same role?

mod election;
mod message;
mod persist;
mod raft;
mod replication;
mod snapshot;
mod state;

pub use raft::Raft;
pub use raftapi::*;
