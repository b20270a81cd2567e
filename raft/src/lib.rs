//! Raft, as the extended paper has it: the reference solution, and what a student replaces.
//!
//! ```text
//!            start ┌──────────────── one server ────────────────┐
//!  service ───────▶│ raft.rs ──event──▶ State ──calls, replies──▶│──▶ other servers
//!     ▲            │    ▲                 │                      │◀── requests, replies
//!     └─ ApplyMsg ─│────┴──── timer ──────┼──▶ Persister         │
//!                  └──────────────────────┴──────────────────────┘
//! ```
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//!
//! use labrpc::Network;
//! use labrt::{channel, node::Node, sim, time::sleep};
//! use raft::{ApplyMsg, LogIndex, Persister, Raft};
//!
//! let outcome = sim::run(sim::Config::with_seed(7), || {
//!     let network = Network::new();
//!     let (apply, applied) = channel::unbounded();
//!     let nodes: Vec<Node> = (0..3).map(|me| Node::new(&format!("S{me}"))).collect();
//!     let rafts: Vec<Raft> = (0..3)
//!         .map(|me| {
//!             let ends = (0..3).map(|to| network.end(&nodes[me], &format!("S{to}"))).collect();
//!             let (disk, apply) = (Arc::new(Persister::new()), apply.clone());
//!             let raft = nodes[me].run(|| Raft::new(ends, me, disk, apply)).expect("not killed");
//!             network.serve(&nodes[me], raft.service());
//!             raft
//!         })
//!         .collect();
//!
//!     // Nobody leads yet, so nobody takes a command; soon one server does.
//!     assert!(rafts.iter().all(|raft| raft.start(b"too early".to_vec()).is_err()));
//!     sleep(Duration::from_secs(2));
//!     let accepted = rafts.iter().find_map(|raft| raft.start(b"put x 1".to_vec()).ok());
//!     assert_eq!(accepted.expect("a leader").index, LogIndex(1));
//!
//!     for _ in 0..3 {
//!         let Ok(ApplyMsg::Command { command, .. }) = applied.recv() else { panic!("a command") };
//!         assert_eq!(command, b"put x 1");
//!     }
//! });
//! outcome.result.expect("no panic, no deadlock");
//! ```
//!
//! The crate is laid out like the paper; read it in this order, with the paper beside it:
//!
//! | file | what it decides | sections |
//! | --- | --- | --- |
//! | `log.rs` | what a log contains, how two are compared | 5.3, 5.4.1 |
//! | `message.rs` | the three RPCs | Figures 2 and 13 |
//! | `state.rs` | the server's state, every change of term or role | 5.1, Figure 4 |
//! | `election.rs` | timeouts and votes | 5.2, 5.4.1 |
//! | `replication.rs` | appends, backing up, the commit rule | 5.3, 5.4.2, Figure 8 |
//! | `progress.rs` | what each follower has, what is sent to it when | 5.3 |
//! | `snapshot.rs` | compaction, InstallSnapshot | 7 |
//! | `persist.rs` | what survives a crash | Figure 2 |
//! | `raft.rs` | threads, timers, calls: the only file that locks or blocks | |
//!
//! - [`Raft`] is the whole of it from outside; the other types come from [`raftapi`].
//! - Not here: membership changes (§6), clients' sessions (§8: that is kvraft), pre-vote and leases,
//!   a no-op at the start of a term (the lab counts indices from `start` alone), and tests.

mod election;
mod log;
mod message;
mod persist;
mod progress;
mod raft;
mod replication;
mod snapshot;
mod state;

#[cfg(test)]
mod model;
#[cfg(test)]
mod testing;

pub use raft::Raft;
pub use raftapi::*;
