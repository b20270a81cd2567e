//! Time as lab code sees it: the clock of the node it runs on.

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::panic::Location;

pub use std::time::Duration;

use crate::kernel::{self, Park, to_nanos};
use crate::mode::{Mode, mode};
use crate::real;
use crate::task::{park, yield_now};

/// Blocks the task for at least `duration`, on its node's clock. A duration of zero lets others run.
///
/// A clock whose rate is changed meanwhile ([`Node::set_clock_rate`](crate::node::Node::set_clock_rate)) may
/// show less when this returns: the wait ends when it would have.
#[track_caller]
pub fn sleep(duration: Duration) {
    sleep_to(Instant::now() + duration, Location::caller());
}

/// Blocks the task until `deadline`; a deadline that has passed lets others run.
#[track_caller]
pub fn sleep_until(deadline: Instant) {
    sleep_to(deadline, Location::caller());
}

#[track_caller]
fn sleep_to(deadline: Instant, location: &'static Location<'static>) {
    if deadline <= Instant::now() {
        return yield_now();
    }
    if mode() == Mode::Real {
        return real::wait_until(Some(deadline.to_wall()));
    }
    let deadline = Some(deadline.to_true());
    park(&Park { what: "its sleep to end", keys: &[], deadline, location });
}

/// A moment, as [`std::time::Instant`] has it, on the clock of the node that asks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    /// Since the run began.
    nanos: u64,
}

impl Instant {
    /// The present moment on this node's clock.
    ///
    /// # Panics
    ///
    /// Outside a simulation.
    #[track_caller]
    pub fn now() -> Self {
        let nanos = match mode() {
            Mode::Real => real::local_now(),
            Mode::Simulated | Mode::Observing | Mode::Outside => {
                kernel::with(|kernel| kernel.local_now())
            }
        };
        Instant { nanos }
    }

    /// Time since `earlier`; zero if it is later.
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }

    /// Time since `earlier`; `None` if it is later.
    pub fn checked_duration_since(&self, earlier: Instant) -> Option<Duration> {
        self.nanos.checked_sub(earlier.nanos).map(Duration::from_nanos)
    }

    /// Time since `earlier`; zero if it is later.
    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }

    /// Time that has passed since this moment; zero if it is yet to come.
    #[track_caller]
    pub fn elapsed(&self) -> Duration {
        Instant::now().duration_since(*self)
    }

    /// The moment `duration` later, if it can be expressed.
    pub fn checked_add(&self, duration: Duration) -> Option<Instant> {
        let nanos = u64::try_from(duration.as_nanos()).ok()?;
        Some(Instant { nanos: self.nanos.checked_add(nanos)? })
    }

    /// The moment `duration` earlier, if it is not before the run began.
    pub fn checked_sub(&self, duration: Duration) -> Option<Instant> {
        let nanos = u64::try_from(duration.as_nanos()).ok()?;
        Some(Instant { nanos: self.nanos.checked_sub(nanos)? })
    }

    /// When, in true time, this node's clock shows this moment.
    pub(crate) fn to_true(self) -> u64 {
        kernel::with(|kernel| kernel.to_true(self.nanos))
    }

    /// The same in the real engine.
    pub(crate) fn to_wall(self) -> std::time::Instant {
        real::to_wall(self.nanos)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instant({})", crate::sim::seconds(Duration::from_nanos(self.nanos)))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    /// A moment too far away to express counts as the last one.
    fn add(self, duration: Duration) -> Instant {
        Instant { nanos: self.nanos.saturating_add(to_nanos(duration)) }
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    /// # Panics
    ///
    /// If the result is before the run began, as std's.
    #[track_caller]
    fn sub(self, duration: Duration) -> Instant {
        self.checked_sub(duration).expect("overflow when subtracting duration from instant")
    }
}

impl SubAssign<Duration> for Instant {
    #[track_caller]
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}
