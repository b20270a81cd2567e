//! Raft, as the extended paper has it: the reference solution, and what a student replaces.

mod election;
mod log;
mod message;
mod node;
mod persist;
mod replication;
mod snapshot;
mod state;

#[cfg(test)]
mod model;
#[cfg(test)]
mod testing;

pub use node::Raft;
pub use raftapi::*;
