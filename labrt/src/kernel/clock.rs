//! Virtual time, and each node's own view of it.

use std::time::Duration;

use super::Kernel;
use super::nodes::NodeId;
use super::timers::EventFn;

/// A duration in nanoseconds; one of more than 500 years counts as that.
pub(crate) fn to_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX / 4)
}

/// How a node's clock follows the true one: `local + (now - since) * millionths / 1,000,000`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    since: u64,
    local: u64,
    millionths: u64,
}

impl Rate {
    pub(crate) const TRUE: Rate = Rate { since: 0, local: 0, millionths: 1_000_000 };

    pub(crate) fn local_at(self, now: u64) -> u64 {
        let passed = u128::from(now - self.since) * u128::from(self.millionths) / 1_000_000;
        self.local + u64::try_from(passed).unwrap_or(u64::MAX / 4)
    }

    /// The first instant of true time at which the node's clock shows `local` or more.
    pub(crate) fn true_at(self, local: u64) -> u64 {
        let Some(ahead) = local.checked_sub(self.local) else { return self.since };
        let passed = (u128::from(ahead) * 1_000_000).div_ceil(u128::from(self.millionths));
        self.since.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX / 4))
    }

    /// A clock that shows the same at `now`, and runs at `rate` times true speed from then on.
    pub(crate) fn changed_at(self, now: u64, rate: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "rounded to a millionth on purpose")]
        #[expect(clippy::cast_sign_loss, reason = "checked by the caller to be positive")]
        let millionths = (rate * 1e6).round().max(1.0) as u64;
        Rate { since: now, local: self.local_at(now), millionths }
    }
}

impl Kernel {
    /// True virtual time, the same for all nodes, in nanoseconds.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// What the clock of the node shows for which the running task works.
    pub(crate) fn local_now(&self) -> u64 {
        self.nodes[self.current_node().0].rate.local_at(self.now)
    }

    /// When that clock will show `local`, in true time.
    pub(crate) fn to_true(&self, local: u64) -> u64 {
        self.nodes[self.current_node().0].rate.true_at(local)
    }

    /// Lets a node's clock run at `rate` times true speed from now on.
    pub(crate) fn set_clock_rate(&mut self, node: NodeId, rate: f64) {
        let node = &mut self.nodes[node.0];
        node.rate = node.rate.changed_at(self.now, rate);
    }

    /// Runs `event` after `delay` of true time.
    pub(crate) fn run_after(&mut self, delay: u64, event: EventFn) {
        self.timers.run_at(self.now + delay, event);
    }
}
