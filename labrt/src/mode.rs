//! Which engine serves the calling thread. Every labrt operation asks here first.

use std::cell::Cell;

/// What a thread runs lab code for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing: it is outside any run.
    Outside,
    /// A task of a simulation, or its scheduler.
    Simulated,
    /// A look at a simulation that must not notice (`sim::observe`).
    Observing,
    /// A task of a run on OS threads and the wall clock.
    Real,
}

thread_local! {
    static MODE: Cell<Mode> = const { Cell::new(Mode::Outside) };
}

#[inline]
pub(crate) fn mode() -> Mode {
    MODE.get()
}

pub(crate) fn set_mode(mode: Mode) {
    MODE.set(mode);
}
