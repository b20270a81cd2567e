//! Work on all cores.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};

use anyhow::Result;

/// As many as were asked for, or as there are cores.
#[must_use]
pub fn jobs(asked: Option<NonZeroUsize>) -> usize {
    let cores = || thread::available_parallelism().ok();
    asked.or_else(cores).map_or(1, NonZeroUsize::get)
}

/// Does something with each item, on so many threads. Each is told its thread's number, from 0.
///
/// # Errors
///
/// The first error. The thread that met it takes no further item.
///
/// # Panics
///
/// If `work` does.
pub fn each<T: Sync>(
    jobs: usize,
    items: &[T],
    work: impl Fn(u32, &T) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let on_thread = |number: u32| {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(number, item)?;
        }
        Ok(())
    };
    let on_thread = &on_thread;
    thread::scope(|scope| {
        let threads =
            (0..u32::try_from(jobs).unwrap_or(1)).map(|n| scope.spawn(move || on_thread(n)));
        let threads: Vec<_> = threads.collect();
        let mut results = threads.into_iter().map(ScopedJoinHandle::join);
        results.try_for_each(|result| result.unwrap_or_else(|_| panic!("a thread panicked")))
    })
}
