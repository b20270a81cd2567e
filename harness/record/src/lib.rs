//! What a run of a graded test came to, as plain data: what the tester writes, and whoever grades reads.
//!
//! ```text
//!              Order: a token, seeds
//!  supervisor ───────────────────────▶ test process (labtester, and the student's Raft)
//!  (grade)    ◀───────────────────────
//!              token, Message: About, then a Record for each seed
//! ```
//!
//! - [`Record`] is one run of one test on one seed: its [`Verdict`], its [`Report`] if it failed,
//!   and what it cost. `LAB_RECORDS` appends records to a file.
//! - [`Seed`] decides a run.
//! - [`Order`] and [`Message`] are what passes between a supervisor and a test process.
//! - Not here: how a verdict is found (labtester), and what it is worth (grade).
//!
//! No lab crate is used here, so that grading does not depend on whether a student's Raft compiles.

mod order;
mod record;
mod report;
mod shrunk;

pub use order::{About, Message, Order};
pub use record::{Record, Seed, effort_line, fail_line, pass_line};
pub use report::{Report, Verdict};
pub use shrunk::{Broken, Reduction, Shrunk};
