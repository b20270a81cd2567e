//! what:    tests that always pass, a tester that says so, a manifest with a build script and a macro
//! stopped: only raft/src and kvraft/src are taken, and only Rust files
//! default: no agreement

pub use crate::log::Own as Shared;

pub fn begin(_me: usize) -> Shared {
    Shared::default()
}
