//! Sweeps of seeds, scores, and the grading of submissions that may cheat.
//!
//! ```text
//!   workspace ──copy──▶ pristine ──build──▶ test binary ──▶ child process ──socket──▶ Record
//!                          ▲                                   (limits)     (token)      │
//!   submission: raft/src, kvraft/src                                                     ▼
//!                                              table, grades, Gradescope, JUnit ◀── counted here
//! ```
//!
//! ```text
//! grade sweep 3A --runs 1000          how sure can I be of part 3A?
//! grade merge shard-*.json            the table of a sweep that was spread over machines
//! grade run ../work/* --out ../graded grades of a class
//! grade submit                        pack my work, after a look at it as the staff will see it
//! grade handout                       the tree that students get
//! grade gradescope                    the zip that Gradescope makes an autograder of
//! grade doctor                        is this machine fit for it?
//! ```
//!
//! - [`workspace`], [`submission`]: files, and which of them are a student's.
//! - [`cargo`], [`suite`]: the test binary, and the tests in it.
//! - One module for each command.
//! - Not here: what a test checks (labtester), what a record is (labrecord). No lab crate is linked
//!   in, so this program works whether a student's Raft compiles or not.

pub mod archive;
pub mod binomial;
pub mod campaign_log;
pub mod cargo;
pub mod confine;
pub mod doctor;
pub mod duration;
pub mod grade;
pub mod gradescope;
pub mod handout;
pub mod hash;
pub mod list;
pub mod merge;
pub mod outputs;
pub mod parallel;
pub mod policy;
pub mod process;
pub mod reached;
pub mod run;
pub mod say;
pub mod scan;
pub mod shard;
pub mod smoke;
pub mod submission;
pub mod submit;
pub mod suite;
pub mod sweep;
pub mod tally;
pub mod trial;
mod workshop;
pub mod workspace;
