//! Counts the things that tasks wait for, as long as they exist: a leak of them shows.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::kernel;
use crate::mode::{Mode, mode};

/// A part of a condition variable or a channel.
#[derive(Default)]
pub(crate) struct Live {
    counted: AtomicBool,
}

impl Live {
    /// Not counted yet, so that it can be made anywhere, also in a constant.
    pub(crate) const fn new() -> Self {
        Live { counted: AtomicBool::new(false) }
    }

    /// From now on it counts.
    pub(crate) fn note(&self) {
        if mode() == Mode::Simulated && !self.counted.load(Ordering::Relaxed) {
            self.counted.store(true, Ordering::Relaxed);
            kernel::with(|kernel| kernel.waitables += 1);
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if *self.counted.get_mut() {
            // Without a kernel the run is over.
            kernel::try_with_unborrowed(|kernel| {
                kernel.waitables = kernel.waitables.saturating_sub(1);
            });
        }
    }
}
