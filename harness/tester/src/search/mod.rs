//! Systematic search, bounded: the same story again and again, each time with other choices forced.
//!
//! ```text
//!             a list of forced choices                        what there was to choose
//!  Walk ──────────────────────────────▶ one run of the seed ──────────────────────────▶ Walk
//!   │  none; then each one alone;        │ Steer offers a choice at each point:
//!   │  then each two; ...                │   a new message leaves      lose it, delay it, deafen its receiver
//!   │                                    │   a disk has changed        ┐
//!   ▼                                    │   a reply has arrived       ├ crash for long, crash and restart
//!  Found: the first list that fails,     │   an entry is applied       ┘
//!  or how much was covered               ▼ every rule of the checker, as in any run
//! ```
//!
//! A run of a seed is deterministic. So a run is known by the choices in it that are not the usual one,
//! its *deviations*: at the 17th point of the run, the message is lost. Nothing is saved to go on from; each run
//! is made anew from its beginning, with the student's code as it is, in about half a millisecond.
//!
//! - [`Walk`] goes through the lists in the order of their length. So the first that fails has as few
//!   deviations as any, and a walk that ends without a failure has *exhausted* a number of them. It says what
//!   it has covered.
//! - [`Choice`], [`Deviation`] and [`Point`] are what it deals in.
//! - `Steer` offers choices and does what is chosen, through the network's [judge](labrpc::Network::judge), the
//!   persister's callback and the tester's service. `story` is what the cluster does meanwhile.
//! - A failing list is printed in words and kept as a file for `LAB_REPLAY` ([`crate::replay`]). `LAB_SEARCH`
//!   and `LAB_DEVIATIONS` set how far a search goes ([`crate::settings`]).
//!
//! # What is a point, and what is not
//!
//! - A message is one if it is *new*: not the same bytes as the last of its kind on its link, or the reply to one
//!   that is new. Heartbeats that say nothing, and repetitions of what was lost, are none.
//! - A change of the disk is one, before anything can follow from it; the arrival of a reply, for whoever has
//!   sent it; and every apply.
//! - *Deafen* stands for an election timer that comes first: who was to get the request hears none until it asks
//!   for votes. Time is the adversary's in an asynchronous system, but a student's timer cannot be set.
//! - *Crash for long* ends when another server crashes for long, so a majority is always there; or when all
//!   is quiet and the commands are used up. *Crash and restart* is one instant.
//! - The story gives its first command when nothing new happens any more, the next ones likewise or at once
//!   ([`Pace`]), and its last one when nothing is chosen any more and everybody is up: on that all must agree.
//!
//! # What is left out
//!
//! Which task runs when, how long messages take below a second, and how long election timeouts are, stay as the
//! seed has them; so who is elected first is not chosen, servers being alike. No message is repeated (one that is
//! late is, if its caller repeats it). No server is paused; no clock is wrong; two servers are down together for
//! an instant at most. There are no snapshots.
//!
//! And a choice is tried once in each *state*: terms, roles, votes, logs and indexes that servers show, their
//! disks, what was applied, new messages under way, who is down or deaf. Where all of it is equal, what follows was
//! seen already, after no more deviations; unless timers, or what a server does not show, make a difference. If
//! [`RaftServer::view`](crate::system::RaftServer::view) shows nothing, that is more.

mod choice;
mod found;
mod steer;
mod story;
mod walk;

pub use choice::{Choice, Deviation, Forced, Point, What};
pub(crate) use found::{list, search};
pub use story::{Pace, commands};
pub use walk::{Level, Limits, Walk};

use crate::lab::Lab;
use crate::system::System;

impl Lab {
    /// A search, so far if the environment says nothing else, on the first of the seeds. No points.
    #[track_caller]
    pub const fn search(system: System, title: &'static str, limits: Limits) -> Lab {
        Lab::new(system, "search", title, 0).searched(limits)
    }
}
