//! A copy of the reference Raft whose timeouts an experiment can choose; see `build.rs`.

#![allow(dead_code, reason = "the constants that the copy does not use")]

pub mod timing {
    //! The times that all servers of this process use.
    //!
    //! They are set before a run and stay as they are until it has ended.

    use std::{
        ops::RangeInclusive,
        sync::atomic::{AtomicU64, Ordering::Relaxed},
        time::Duration,
    };

    /// In microseconds.
    static MIN: AtomicU64 = AtomicU64::new(150_000);
    static MAX: AtomicU64 = AtomicU64::new(300_000);
    static HEARTBEAT: AtomicU64 = AtomicU64::new(75_000);

    /// Election timeouts are drawn from `min..=max`; a leader sends a heartbeat each `heartbeat`.
    /// All of them count in whole microseconds.
    pub fn set(min: Duration, max: Duration, heartbeat: Duration) {
        for (place, time) in [(&MIN, min), (&MAX, max), (&HEARTBEAT, heartbeat)] {
            place.store(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Relaxed);
        }
    }

    pub(crate) fn election_timeout() -> RangeInclusive<Duration> {
        Duration::from_micros(MIN.load(Relaxed))..=Duration::from_micros(MAX.load(Relaxed))
    }

    pub(crate) fn heartbeat_interval() -> Duration {
        Duration::from_micros(HEARTBEAT.load(Relaxed))
    }
}

include!(concat!(env!("OUT_DIR"), "/lib.rs"));
