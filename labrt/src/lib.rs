//! Threads, time, locks and channels for lab code, run as one deterministic simulation.
//!
//! ```text
//!   student's code:   spawn   sleep   lock   wait   send   recv   call
//!                        │      │       │      │      │      │      │
//!                        ▼      ▼       ▼      ▼      ▼      ▼      ▼
//!   labrt:         ┌───────────── park and wake a task ─────────────┐
//!                  │  run queue ── timers ── who waits for what     │ ◀── seed
//!                  └─────────── one virtual clock ──────────────────┘
//!                        │  resume / suspend
//!                        ▼
//!   backend:        coroutines on one OS thread
//! ```
//!
//! ```
//! use labrt::sim::{self, Config};
//! use labrt::{channel, thread, time};
//! use std::time::Duration;
//!
//! let a_day = Duration::from_secs(24 * 60 * 60);
//! let outcome = sim::run(Config::with_seed(7), move || {
//!     let (send, receive) = channel::unbounded();
//!     thread::spawn(move || {
//!         time::sleep(a_day); // takes no real time at all
//!         send.send("good morning").unwrap();
//!     });
//!     receive.recv().unwrap()
//! });
//! assert_eq!(outcome.result.unwrap(), "good morning");
//! assert!(outcome.report.virtual_time >= a_day);
//!
//! // The mistake that hangs other programs ends this one, with the task and the line.
//! let outcome = sim::run(Config::with_seed(7), || channel::never::<()>().recv());
//! assert!(outcome.result.unwrap_err().message.contains("no task can ever run again"));
//! ```
//!
//! For lab code, under the names that a Rust programmer knows:
//!
//! - [`thread`], [`time`]: as in `std`.
//! - [`sync`]: as in `parking_lot`.
//! - [`channel`]: as in `crossbeam_channel`, with [`channel::select!`].
//! - [`rand`]: a generator for each node, and named streams.
//! - [`collections`]: std's maps with a repeatable order.
//! - [`println!`](crate::println): into the log of the run, if somebody reads it.
//!
//! For the harness:
//!
//! - [`sim`]: run a closure as a simulation, and what it came to.
//! - [`node`]: servers that can be killed, paused, and have clocks of their own.
//! - [`event`], [`oneshot`]: what a network is built from.
//! - [`trace`]: the hash over every step.
//!
//! Not here: any network, any Raft, anything that looks at real time during a run (but for the
//! watchdog, which only ever gives a run up).

mod backend;
pub mod channel;
pub mod collections;
mod cpu;
pub mod event;
mod hook;
mod kernel;
mod live;
mod mode;
pub mod node;
mod observe;
pub mod oneshot;
#[doc(hidden)]
pub mod print;
pub mod rand;
mod real;
mod scheduler;
pub mod sim;
pub mod sync;
mod task;
pub mod thread;
pub mod time;
pub mod trace;
mod watchdog;
