//! The tester: the language that the graded tests are written in, and what checks, runs and
//! reports them.
//!
//! ```text
//!   a story (tests/lab/raft_3A.rs)         one seed
//!        │ verbs, expectations                │
//!        ▼                                    ▼
//!   ┌─────────┐ starts, crashes, links   ┌─────────┐
//!   │ Cluster │─────────────────────────▶│ servers │──apply──▶ Service ─┐
//!   └─────────┘                          └─────────┘                    │ what they apply
//!        │                                 ▲ get_state after messages   ▼
//!        │ expectations                    └───────── watcher ─────▶ Checker ─▶ Failure
//!        └─────────────────────────────────────────────────────────▶    │
//!                                                                       ▼
//!                                  terminal, LAB_RECORDS ◀─ Record ◀─ Report
//! ```
//!
//! ```ignore
//! /// A leader cut off from the majority commits nothing (Raft 5.3).
//! #[test]
//! fn isolated_leader_commits_nothing() {
//!     lab("3B", "an isolated leader commits nothing", 5).servers(5).run(|cluster| {
//!         let old = cluster.expect_one_leader();
//!         cluster.disconnect(old);
//!         let lost = cluster.expect_accepted(old);
//!         cluster.expect_one_leader();
//!         cluster.expect_nothing_at(lost.index);
//!     });
//! }
//! ```
//!
//! - [`Lab`] is a graded test: part, title, points, and a story to run on many seeds.
//! - [`Cluster`] has the verbs that act ([`cluster`]) and the expectations ([`expect`]);
//!   [`office`] asks how leaders take office; [`nemesis`] crashes servers at the worst moment.
//! - [`kv`] is what tests of Lab 4 use besides: clients, campaigns, the check of what clients saw.
//! - [`Checker`] knows the whole history: [`Applied`] and [`Elections`] hold the rules that are
//!   checked at every apply and after every message, whatever the story is; [`Logs`] those for what
//!   a Raft shows of its log, if it shows any.
//! - [`Failure`] and [`Report`] are the five lines; [`Record`] is one run; [`Settings`] are the
//!   `LAB_` variables; [`log`] prints a run in columns; [`unwritten`] lists what is still to do.
//! - Not here: anything that looks inside a message, or relies on what is inside a Raft.

pub mod acks;
pub mod applied;
mod artefacts;
pub mod checker;
pub mod choices;
pub mod cluster;
pub mod coverage;
mod disk;
mod effort;
pub mod elections;
mod ends;
pub mod expect;
mod fault;
pub mod following;
mod inspect;
pub mod kv;
mod lab;
mod lines;
pub mod log;
pub mod logs;
pub mod nemesis;
pub mod office;
mod recorder;
pub mod replay;
pub mod report;
mod run;
pub mod search;
mod service;
pub mod settings;
pub mod shrink;
mod stall;
mod supervisor;
pub mod system;
mod task;
pub mod text;
pub mod topics;
pub mod torture;
pub mod unwritten;
pub mod views;
pub mod votes;
mod watch;

pub use acks::Acks;
pub use applied::Applied;
pub use checker::{Checker, History};
pub use cluster::Cluster;
pub use coverage::{Coverage, Met};
pub use elections::Elections;
pub use following::Following;
pub use kv::KvCluster;
pub use lab::Lab;
pub use labrecord::{Record, Seed, Shrunk, pass_line};
pub use logs::Logs;
pub use replay::Replay;
pub use report::{Attachment, Failure, Report, Verdict};
pub use service::takes_snapshot_at;
pub use settings::{BadSetting, LogSettings, Seeds, Settings, Timelines};
pub use topics::Topics;
pub use views::Views;
pub use votes::Votes;
