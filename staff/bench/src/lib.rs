//! What everything costs: the runtime, the network, a cluster, the graded tests.
//!
//! ```text
//!   benches/*.rs ── `cargo bench -p labbench` ──┐      times of n operations
//!                                               ├──▶ runtime  network  cluster ... ──▶ Duration
//!   bin/figures.rs ──── `make figures` ─────────┘              │
//!                                                              ▼
//!                                            labrt on coroutines, on a baton, for real
//! ```
//!
//! ```
//! use labbench::{On, runtime};
//!
//! let time = runtime::switches(On::Coroutines, 2, 10_000);
//! println!("{:?} a switch", time / 10_000);
//! ```
//!
//! - [`runtime`], [`network`], [`cluster`]: stories that give the time of `n` operations;
//!   [`raw`] has the same as `runtime`, on the crates under labrt's real engine.
//! - [`message`]: messages as Raft sends them, and what their bytes cost.
//! - [`listener`]: what the log costs. [`memory`]: what a task costs while it waits.
//! - [`graded`]: the graded tests, run as a student runs them.
//! - [`On`] is what a story runs on; [`Clock`] is what it is measured by.
//! - [`best`] and [`machine`] are for those who print.
//! - Not here: statistics. The benchmarks leave those to criterion, the table takes the best.

#![expect(clippy::missing_panics_doc, reason = "a story that goes wrong ends the benchmark")]

mod clock;
pub mod cluster;
pub mod graded;
pub mod listener;
pub mod machine;
pub mod memory;
pub mod message;
pub mod network;
mod on;
pub mod raw;
pub mod runtime;

use std::time::Duration;

pub use clock::Clock;
pub use on::On;

/// The time of one operation, from the best of several runs of `n`: whatever else the machine did,
/// it only ever made a run longer.
pub fn best(runs: u32, n: u64, time_of: impl Fn(u64) -> Duration) -> f64 {
    time_of(n.div_ceil(10)); // what is used for the first time is slow
    let best = (0..runs).map(|_| time_of(n)).min().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "a few significant digits are shown")]
    let operations = n as f64;
    best.as_secs_f64() / operations
}
