//! What students get, do, and hand in.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;
mod handout;
mod hidden;
mod mistakes;
mod newcomer;
mod submit;
