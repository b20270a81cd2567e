use std::time::Duration;
#[cfg(not(unix))]
use std::time::Instant;

/// What time is measured by: CPU time, so that a busy machine disturbs little.
///
/// Where the system does not tell CPU time, the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Of the calling thread.
    Thread,
    /// Of all threads of the process.
    Process,
}

impl Clock {
    /// The time used so far.
    pub fn now(self) -> Duration {
        #[cfg(unix)]
        {
            use rustix::time::{ClockId, clock_gettime};
            let time = clock_gettime(match self {
                Clock::Thread => ClockId::ThreadCPUTime,
                Clock::Process => ClockId::ProcessCPUTime,
            });
            let number = |n: i64| u64::try_from(n).expect("no time is negative");
            Duration::from_secs(number(time.tv_sec)) + Duration::from_nanos(number(time.tv_nsec))
        }
        #[cfg(not(unix))]
        {
            static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
            START.elapsed()
        }
    }

    /// The time that `work` uses.
    pub fn time(self, work: impl FnOnce()) -> Duration {
        let start = self.now();
        work();
        self.now().saturating_sub(start)
    }
}
