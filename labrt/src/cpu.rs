//! What a run costs the machine, measured from outside: a simulation never learns of it.

use std::time::Duration;

/// CPU time of the calling thread so far. `None` where the system does not tell.
pub(crate) fn of_this_thread() -> Option<Duration> {
    // Linux brings the figure up to date when it looks for another thread to run.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn work_takes_cpu_time_and_sleep_takes_none() {
        let since = super::of_this_thread().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(200));
        let slept = super::of_this_thread().unwrap();
        let sum = (0..20_000_000_u64).fold(0, |sum, n| std::hint::black_box(sum ^ n));
        std::hint::black_box(sum);
        let worked = super::of_this_thread().unwrap();
        let (asleep, at_work) = (slept.saturating_sub(since), worked.saturating_sub(slept));
        assert!(at_work > asleep, "{asleep:?}, {at_work:?}");
    }
}
