//! What a task costs while it waits.

use std::{fs, time::Duration};

use labrt::{channel, thread, time};

use crate::On;

/// Resident memory of a task that waits for a message, in bytes: the mean over so many. `None` if
/// the system does not tell.
///
/// Stacks of earlier runs would be used again, so ask this first.
pub fn of_a_parked_task(on: On, tasks: u64) -> Option<u64> {
    on.run(move || {
        let (end, wait) = channel::unbounded::<()>();
        let before = resident()?;
        for _ in 0..tasks {
            let wait = wait.clone();
            thread::spawn(move || wait.recv());
        }
        time::sleep(Duration::from_secs(1)); // by then they all wait
        let after = resident()?;
        drop(end);
        Some(after.saturating_sub(before) / tasks)
    })
}

/// Resident memory of this process, in bytes, where Linux tells it.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
