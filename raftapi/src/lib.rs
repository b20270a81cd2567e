//! What the lab fixes between a Raft, the service above it, and the tester around both.
//!
//! ```text
//!            start, snapshot ┌──────┐ save      ┌───────────┐
//!  service ─────────────────▶│      │──────────▶│ Persister │── copy ──▶ the next incarnation
//!     ▲                      │ Raft │           └───────────┘
//!     └───── ApplyMsg ───────│      │── RaftView ──▶ tester
//!                            └──────┘
//! ```
//!
//! ```
//! use raftapi::harness::Disk as _;
//! use raftapi::{EntryId, LogIndex, Persister, SnapshotWrite, Term};
//!
//! let disk = Persister::new();
//! disk.save(b"term 1".to_vec(), SnapshotWrite::Keep);
//!
//! // A crash: the successor gets a copy, and what the dead server saves goes nowhere.
//! let successor = disk.copy();
//! disk.save(b"term 2, too late".to_vec(), SnapshotWrite::Keep);
//! assert_eq!(successor.read_raft_state(), b"term 1");
//!
//! // Ids print short, and order as the election restriction wants it (Raft §5.4.1).
//! let short_but_new = EntryId { term: Term(3), index: LogIndex(12) };
//! let long_but_old = EntryId { term: Term(2), index: LogIndex(99) };
//! assert!(short_but_new > long_but_old);
//! assert_eq!(short_but_new.to_string(), "T3:i12");
//! ```
//!
//! - [`Term`], [`LogIndex`], [`ServerId`], [`EntryId`]: the numbers of the paper, each a type.
//! - [`ApplyMsg`] is what a Raft hands to its service, [`NotLeader`] how it refuses a command.
//! - [`Persister`] stands in for a disk, and is the lab's model of a crash.
//! - [`RaftView`] lets a tester look inside a server, for better checks and pictures.
//! - [`harness`]: what is not for servers, such as the copy that a successor starts from.
//! - Not here: any behaviour of Raft. These types lie outside the directory that a submission
//!   replaces, so that no submission can change what a crash is.

mod apply;
pub mod harness;
mod id;
mod persister;
mod view;

pub use apply::{ApplyMsg, NotLeader};
pub use id::{EntryId, LogIndex, ServerId, Term};
pub use persister::{Persister, SnapshotWrite};
pub use view::{FollowerView, RaftView, RoleView};
