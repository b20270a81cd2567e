//! A linearizability checker: can what many clients saw be explained by one client at a time?
//!
//! ```text
//!                     ┌────── append x "b" ──────┐                    (C1)
//!            ┌── get x ── "a" ──┐      ┌── get x ── "a" ──┐           (C2)
//!  ──────────────────────────────────────────────────────────▶ time
//!  an order that explains it:
//!            get x → "a"          get x → "a"      append x "b"
//! ```
//!
//! Each operation seems to take effect at one instant between its call and its return (Herlihy and
//! Wing 1990). [`check`] looks for these instants: it gives the order that it found, or the operation
//! for which there is no place and what that operation contradicts.
//!
//! ```
//! use linearize::models::{Kv, KvOp, KvOutput};
//! use linearize::{Budget, Recorder, Verdict, check};
//! use std::time::Duration;
//!
//! let ms = Duration::from_millis;
//! let recorder = Recorder::new(); // shared by all clients
//!
//! let write = recorder.call("C1", ms(1), KvOp::put("x", "new"));
//! let read = recorder.call("C2", ms(2), KvOp::get("x"));
//! read.returned(ms(3), KvOutput::value("new")); // the put has taken effect by now ...
//! let read = recorder.call("C3", ms(4), KvOp::get("x"));
//! assert!(check(&Kv, &recorder.history(), Budget::default()).is_linearizable());
//!
//! read.returned(ms(5), KvOutput::value("")); // ... but this answer is from before it
//! write.returned(ms(6), KvOutput::Done);
//! let history = recorder.history();
//! let Verdict::NotLinearizable(violation) = check(&Kv, &history, Budget::default()) else {
//!     panic!("a stale read was not noticed");
//! };
//! assert_eq!(
//!     violation.explain(&Kv, &history).to_string(),
//!     r#"C3: get x → "" cannot fit: called at 0.004 s, returned at 0.005 s.
//!   It contradicts one operation, whatever the others did:
//!   - C2: get x → "new", which had returned, at 0.003 s, before that was called.
//!   Everything that returned before can be explained, by 2 operations in an order that leaves x at "new"; the answer was ""."#
//! );
//! ```
//!
//! - [`Model`] says what the object does when it is used by one client at a time;
//!   [`models`] has a key/value store, a register with compare-and-swap, and a queue.
//! - [`History`] is what the clients saw, and [`Recorder`] is how many clients write one. Operations
//!   that never returned and answers that are not known have their place in it.
//! - [`check`] searches, within a [`Budget`] of time and memory, and gives one of the three answers of
//!   [`Verdict`]. One of them is "unknown", and it is not a pass.
//! - [`format`](mod@format) reads and writes histories as text, and documents the format;
//!   [`Picture`] draws one as a page for the browser.
//! - Not here: clocks, networks, and anything that knows what recorded the history.
//!
//! # From the command line
//!
//! ```text
//! cargo run --release -p linearize -- --model kv history.txt --html picture.html
//! ```
//!
//! The exit code is 0 if the history is linearizable, 1 if not, 2 if the budget was used up
//! before that was known, and 3 if there is no such history or it cannot be read. A history looks
//! like this:
//!
//! ```
//! let history = linearize::format::parse(&linearize::models::Kv, r#"
//! ## process, invoke|ok|fail|info, operation, value [, time]
//! C1, invoke, put, x 1,   1ms
//! C2, invoke, get, x,     2ms
//! C2, ok,     get, "1",   3ms
//! C1, info,   put, x 1,   9ms
//! "#)?;
//! assert_eq!(history.len(), 2);
//! # Ok::<(), linearize::format::ParseError>(())
//! ```
//!
//! # How it searches
//!
//! The history is cut by [`Model::key`], and each part is searched by itself, in turns, so that a
//! violation in one is found though another may be hard. In a part, the search of Wing and Gong
//! tries the operations that may come next, and Lowe's cache keeps it from visiting a position (the
//! set of operations done, and the state) twice. Five things are added:
//!
//! - Before the search, a model may see that no order can exist, or which one is likely
//!   ([`Model::survey`]).
//! - Reads that fit are never put off.
//! - Operations that never returned are tried last, and a position is not visited again with *more*
//!   of them used; so histories with many such operations stay easy.
//! - Of equal operations, only one order is tried.
//! - A model may look at what is still to come, to see early that a state leads nowhere, or that two
//!   states make no difference ([`Model::foresee`]); so many appends to one key stay easy too.

mod blame;
mod cache;
mod check;
mod explain;
pub mod format;
mod hash;
mod history;
mod model;
pub mod models;
mod picture;
mod search;
mod text;

pub use check::{
    Budget, Contradiction, Proof, Rejection, Resource, Undecided, Verdict, Violation, check,
};
pub use explain::Explanation;
pub use history::{Call, History, Moment, OpId, Operation, Outcome, Recorder};
pub use model::{Coming, Known, Model, Survey};
pub use picture::Picture;
pub use text::{Chain, Text};
