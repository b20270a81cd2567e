//! A network of in-process servers that delays, loses and reorders calls on purpose.
//!
//! ```text
//!  ClientEnd ──request──▶ ┌─────────┐ ──request──▶ Service ──▶ your handler
//!      ▲                  │ Network │                               │
//!      └──────reply────── └─────────┘ ◀────────────reply────────────┘
//!          any arrow may be slow, lost, doubled, or cut; in one direction only, too
//! ```
//!
//! ```
//! use labrpc::{Conditions, Network, NoReply, Rpc, Service};
//! use labrt::{node::Node, sim};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Greet {
//!     name: String,
//! }
//!
//! impl Rpc for Greet {
//!     const METHOD: &'static str = "Greeter.Greet";
//!     type Reply = String;
//! }
//!
//! let outcome = sim::run(sim::Config::with_seed(7), || {
//!     let network = Network::new();
//!     let server = Node::new("S0");
//!     network.serve(&server, Service::new().on(|Greet { name }| format!("hello, {name}")));
//!
//!     let end = network.end(&Node::new("client"), "S0");
//!     let ask = Greet { name: "Raft".to_owned() };
//!     assert_eq!(end.call(&ask), Ok("hello, Raft".to_owned()));
//!
//!     network.set_conditions(Conditions { request_loss: 1.0, ..Conditions::reliable() });
//!     assert_eq!(end.call(&ask), Err(NoReply));
//! });
//! outcome.result.expect("no panic, no deadlock");
//! ```
//!
//! - [`Rpc`] ties a request to its reply; [`ClientEnd`] is what one server holds to call another.
//! - [`Service`] is what a server answers, one handler for each method.
//! - [`Network`] holds the servers by name and decides the fate of every message.
//! - [`Conditions`] lists the hardships, with units and the lab's own presets.
//! - [`Stats`] and [`NetEvent`] show what happened; [`MessageId`] names one message in every run of a
//!   seed. [`Network::judge`] lets somebody decide about each message in place of chance.
//! - Not here: encoding (that is `labgob`; everything crosses the network as its bytes, so that no
//!   reference does), threads and time (`labrt`), and anything that knows what Raft is.
//!
//! # What a call may meet
//!
//! A request needs its link up and its server registered, both when it is sent and when it arrives;
//! the same holds for the reply and the link back. Where there is no path, the caller is told after
//! [`Conditions::no_path_delay`]. If the server is removed, replaced or killed while a call waits
//! for it, or the link back goes down, its reply never arrives and the caller is told within 100 ms.
//! A handler that never returns makes its caller wait until one of these happens.
//!
//! Every message draws its fate from a stream of its own, by the link's direction and the message's
//! number on it: one more message on one link does not change what happens on another.
//!
//! All this holds on both of labrt's engines. On the real one times are the wall clock's, so bounds
//! from above are what the machine makes of them, and a reply that arrives at the moment in which
//! its server is killed may still be delivered.

mod calls;
mod chance;
mod conditions;
mod content;
mod delivery;
mod end;
mod fate;
mod judge;
mod network;
mod service;
mod state;
mod stats;
mod watch;

pub use chance::{MessageId, MessageKind};
pub use conditions::{Conditions, DelayRange};
pub use end::{ClientEnd, NoReply, Rpc};
pub use judge::{Sending, Sentence};
pub use network::Network;
pub use service::Service;
pub use stats::Stats;
pub use watch::{NetEvent, NetEventKind};
