//! The faults that the tester has, in one list. A fault that does nothing goes unnoticed: everything
//! passes. So for each there is a test below that fails when it does nothing, and `make dead-faults`
//! sees each of them fail: in a build with the feature `dead-faults`, the fault that `LAB_DEAD_FAULT`
//! names does nothing. In every other build the question costs nothing.

use labrpc::{Conditions, DelayRange};
use labrt::time::Duration;

/// What can befall a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    RequestLoss,
    ReplyLoss,
    ExtraRequestDelay,
    Duplicates,
    LateRequests,
    LateReplies,
    LongNoPath,
    SlowLinks,
    Crash,
    Disconnect,
    Partition,
    HoldBackReplies,
    DelayRequests,
    LoseReplies,
    Deafen,
    Stall,
    CrashAfterReplies,
    CrashAtSaves,
    Strike,
    StrikeHere,
    Pause,
    Drift,
    SlowDisk,
    SlowSaves,
    SlowApplies,
    OneWay,
}

impl Fault {
    /// Does it do nothing, for the sake of `make dead-faults`?
    #[cfg(feature = "dead-faults")]
    pub(crate) fn is_dead(self) -> bool {
        static DEAD: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
        let dead = DEAD.get_or_init(|| std::env::var("LAB_DEAD_FAULT").ok());
        dead.as_ref().is_some_and(|name| *name == format!("{self:?}"))
    }

    /// No fault is dead.
    #[cfg(not(feature = "dead-faults"))]
    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(crate) const fn is_dead(self) -> bool {
        false
    }
}

/// Hardships without those that are dead.
pub(crate) fn that_work(mut conditions: Conditions) -> Conditions {
    let usual = Conditions::reliable();
    if Fault::RequestLoss.is_dead() {
        conditions.request_loss = 0.0;
    }
    if Fault::ReplyLoss.is_dead() {
        conditions.reply_loss = 0.0;
    }
    if Fault::ExtraRequestDelay.is_dead() {
        conditions.extra_request_delay = DelayRange::NONE;
    }
    if Fault::Duplicates.is_dead() {
        conditions.duplicate = 0.0;
    }
    if Fault::LateRequests.is_dead() {
        conditions.late_request = 0.0;
    }
    if Fault::LateReplies.is_dead() {
        conditions.late_reply = 0.0;
    }
    if Fault::LongNoPath.is_dead() {
        conditions.no_path_delay = usual.no_path_delay;
    }
    if Fault::SlowLinks.is_dead() {
        conditions.per_kilobyte = Duration::ZERO;
    }
    conditions
}

#[cfg(test)]
mod tests;
