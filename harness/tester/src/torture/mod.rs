//! Torture: everything at once, and the seed chooses what everything is.
//!
//! ```text
//!   one seed ─▶ Environment: 3, 5 or 7 servers; delays, losses, duplicates, late messages; crashes at any time,
//!      │        in and after a save, after a send, a reply, a vote, in the middle of an apply or an install;
//!      │        partitions, one-way, flapping and slow links; pauses, slow disks, wrong clocks; services that
//!      │        stall or call back; snapshots; bursts of commands
//!      ▼
//!   first phase: a storm of all that         every rule of the checker at each event; and now and then
//!      │                                     a majority is started from its disks alone (durability)
//!      ▼
//!   second phase: it is over for some majority, which must go on within a stated time; then for all, also
//!      │          one that was away and crashes as it comes back; in the end kill() must end them
//!      ▼
//!   Coverage: what was really met, in the record of the run
//! ```
//!
//! - [`raft`] and [`kv`] are the two campaigns, each the whole story of a test.
//! - [`Environment`] is drawn from the seed alone, printed in one block in a failure's report and in the
//!   log, and decides the cluster's size before the run begins ([`Lab::torture_raft`]).
//! - [`Coverage`](crate::Coverage) counts situations.
//! - `events.md` says which events a good harness generates and which checks it makes, and where ours are.
//! - Not here: rules. What must hold in every run is in [`crate::Checker`] and what it uses; here is only
//!   what takes a torture to ask: that what was applied is on the disks of any majority.

mod aftermath;
mod durability;
pub(crate) mod effects;
mod environment;
mod kv;
mod raft;
pub(crate) mod storm;

use labrt::time::Duration;

pub use environment::{CUT_OFF, Crashes, Environment, Every, Partitions, SLOW_APPLY, SLOW_SAVE};
pub use kv::kv;
pub use raft::raft;

use crate::lab::Lab;
use crate::system::System;

/// Faults, a majority's progress, everybody's, and silence.
const TIME_LIMIT: Duration = Duration::from_mins(4);

impl Lab {
    /// A campaign over Raft; no points, unless staff give it some.
    #[track_caller]
    pub const fn torture_raft(system: System) -> Lab {
        Lab::new(system, "torture", "torture of Raft", 0).time_limit(TIME_LIMIT).setup_by_seed(
            |system, seed| Environment::draw(seed.0, environment::RAFT).raft_setup(system),
        )
    }

    /// A campaign over the service.
    #[track_caller]
    pub const fn torture_kv(system: System) -> Lab {
        Lab::new(system, "torture", "torture of the service", 0)
            .kv(None)
            .time_limit(TIME_LIMIT)
            .setup_by_seed(|system, seed| {
                Environment::draw(seed.0, environment::KV).kv_setup(system)
            })
    }
}
