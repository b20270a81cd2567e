//! A key/value service on Raft: the reference solution, and what a student replaces.
//!
//! ```text
//!            ┌──────────────────────── one server ────────────────────────┐
//!  Clerk ───▶│ KvServer ──submit──▶ Rsm ──start──▶ Raft ◀──entries──────▶ │◀─▶ other servers
//!    ▲       │                       ▲              │                     │
//!    │       │   answer: its entry   │              ▼ committed, in order │
//!    └───────│◀── was applied ── KvState, sessions ◀┴──▶ snapshot         │
//!            └────────────────────────────────────────────────────────────┘
//! ```
//!
//! ```
//! use std::sync::Arc;
//!
//! use kvraft::{Clerk, KvServer};
//! use labrpc::Network;
//! use labrt::{node::Node, sim};
//! use raft::Persister;
//!
//! let outcome = sim::run(sim::Config::with_seed(7), || {
//!     let network = Network::new();
//!     let ends = |from: &Node| (0..3).map(|to| network.end(from, &format!("S{to}"))).collect();
//!     let nodes: Vec<Node> = (0..3).map(|me| Node::new(&format!("S{me}"))).collect();
//!     for (me, node) in nodes.iter().enumerate() {
//!         let disk = Arc::new(Persister::new());
//!         let server = node.run(|| KvServer::new(ends(node), me, disk, None)).expect("not killed");
//!         network.serve(node, server.service());
//!     }
//!
//!     let mut clerk = Clerk::new(ends(&Node::new("client")));
//!     clerk.put("colour", "blue");
//!     clerk.append("colour", "green");
//!     assert_eq!(clerk.get("colour"), "bluegreen");
//!     assert_eq!(clerk.get("size"), "");
//!
//!     // One of three servers dies, whichever it is; nothing is lost, and nothing done twice.
//!     network.remove("S0");
//!     nodes[0].kill();
//!     clerk.append("colour", "ish");
//!     assert_eq!(clerk.get("colour"), "bluegreenish");
//! });
//! outcome.result.expect("no panic, no deadlock");
//! ```
//!
//! In reading order:
//!
//! - [`Clerk`] is a client: it finds the leader, and repeats what may have been lost.
//! - [`KvServer`] answers clerks. It is a few lines, since what it does is in the next two.
//! - `state.rs` has the keys and values, and what an operation does to them.
//! - [`rsm`] has all that a service on Raft needs whatever it serves: waiting for one's entry,
//!   duplicates, snapshots. Another service puts another [`rsm::StateMachine`] on it.
//! - Not here: anything that Raft does by itself, and shards.
//!
//! # Reads
//!
//! A get goes through the log like a put, and so is linearizable without another word. It is
//! executed only where somebody waits for the answer, and leaves no trace in the session table.
//!
//! The alternative, `ReadIndex` (section 6.4 of Ongaro's dissertation), saves the entry and its place
//! on the disk (where reads, too, make the log grow towards its limit), but not the round to a
//! majority, which is what a read waits for. It also needs two things that the lab's interface of
//! Raft does not give: that round without an entry, and an entry of the new leader's own term.
//!
//! # Figures
//!
//! On three servers and a healthy network an operation takes 1.1 ms of virtual time, which is two
//! round trips, and 3 calls; with 20 clerks at once, 1.2 calls. Snapshots of 100,000 keys change no
//! percentile of it. `examples/figures.rs` measures these, and the same on the wall clock.

mod clerk;
mod message;
pub mod rsm;
mod server;
mod state;

pub use clerk::Clerk;
pub use server::KvServer;
