//! Your key/value service, on your Raft.
//!
//! ```text
//!            ┌───────────────────────── one server ─────────────────────────┐
//!  Clerk ───▶│ KvServer: request ──start──▶ Raft ◀──entries───────────────▶ │◀─▶ other servers
//!    ▲       │    wait until its entry       │                              │
//!    │       │    was applied                ▼ committed, in log order      │
//!    └───────│◀─── result ─── State ◀── apply loop ──▶ snapshot ──▶ Raft    │
//!            └──────────────────────────────────────────────────────────────┘
//! ```
//!
//! | part | you write | in | section |
//! | --- | --- | --- | --- |
//! | 4A | operations that take effect once, whatever is lost or repeated | `clerk.rs`, `server.rs`, `message.rs` | 8 |
//! | 4B | snapshots, so that the log stays short | `server.rs` | 7 |
//!
//! - [`Clerk`] is a client, [`KvServer`] a server. The tests call their methods, so these stay as they
//!   are; everything else is yours.
//! - It needs a Raft that passes Lab 3: `cargo test 3A`, ..., `3D`.

mod clerk;
mod message;
mod server;

pub use clerk::Clerk;
pub use server::KvServer;
