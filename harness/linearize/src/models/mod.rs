//! Models that come with the checker. Each is independent for each of its keys.

mod flaw;
mod kv;
mod queue;
mod register;
mod survey;

pub use flaw::{Flaw, flaw};
pub use kv::{Kv, KvOp, KvOutput};
pub use queue::{Queue, QueueOp, QueueOutput};
pub use register::{Register, RegisterOp, RegisterOutput};
