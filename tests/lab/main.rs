//! The graded tests, one file a part. `cargo test 3A` runs part 3A.
//!
//! Each test is a story told in the language of [`labtester`], run on several seeds; its title, part
//! and points stand beside it. A failure's last line repeats the failing run.

#![allow(missing_docs, reason = "tests are found by their paths")]

#[expect(non_snake_case, reason = "`cargo test 4A` selects by the part's own name")]
mod kvraft_4A;
#[expect(non_snake_case, reason = "as above")]
mod kvraft_4B;
#[expect(non_snake_case, reason = "as above")]
mod raft_3A;
#[expect(non_snake_case, reason = "as above")]
mod raft_3B;
#[expect(non_snake_case, reason = "as above")]
mod raft_3C;
#[expect(non_snake_case, reason = "as above")]
mod raft_3D;
/// Campaigns in which the seed chooses the environment as well: no points, unless `grade.toml` says so.
mod torture;
/// Histories that random faults come to too seldom.
mod torture_directed;
// staff: from here

#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod child;
/// Tests of the timeline's recorder.
#[expect(clippy::unwrap_used, reason = "as above")]
mod recorder;
/// Systematic search over few forced choices.
mod search;
/// Tests of the tester itself.
#[expect(clippy::unwrap_used, reason = "as above")]
mod tester;
#[expect(clippy::unwrap_used, reason = "as above")]
mod tester_filters;
#[expect(clippy::unwrap_used, reason = "as above")]
mod tester_kv;
mod tester_search;
// staff: to here
