//! A key/value service in another usual design, KB2: writes go through the log, reads do not.
//!
//! ```text
//!  write ──start──▶ Raft ──▶ apply loop ──▶ whoever waits at that index
//!  read  ──▶ does a majority say that my term is not over? ──▶ the state as it is then
//! ```
//!
//! A read asks the other servers, and not the log (section 6.4 of Ongaro's dissertation, `ReadIndex`);
//! `reads.rs` says why that is enough. Who waits for an entry waits at a channel of its own, found by the
//! entry's index. The rest is as the hand-out is laid out.
//!
//! - [`Clerk`] is a client, [`KvServer`] a server.

mod clerk;
mod message;
mod reads;
mod server;
mod state;

pub use clerk::Clerk;
pub use server::KvServer;
