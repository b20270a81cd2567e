//! What the log costs: off, unwanted, and read.

use std::{
    fmt::{Debug, Write as _},
    hint::black_box,
    time::Duration,
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::Clock;

/// Who listens to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// Nobody: `LAB_LOG` is not set.
    Nobody,
    /// Somebody who wants none of it.
    Deaf,
    /// Somebody who reads every line, and prints none.
    Reader,
}

/// `n` lines of log, each with a number.
pub fn lines(listener: Listener, n: u64) -> Duration {
    with(listener, || {
        Clock::Thread.time(|| {
            for number in 0..n {
                tracing::trace!(target: "bench", number, "a line");
            }
        })
    })
}

/// Runs `story` on this thread, and whatever tasks are coroutines of it, with this listener.
pub(crate) fn with<T>(listener: Listener, story: impl FnOnce() -> T) -> T {
    match listener {
        Listener::Nobody => story(),
        Listener::Deaf => tracing::subscriber::with_default(Ear { reads: false }, story),
        Listener::Reader => tracing::subscriber::with_default(Ear { reads: true }, story),
    }
}

struct Ear {
    reads: bool,
}

impl Subscriber for Ear {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        self.reads
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        black_box(line.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}"); // a String takes everything
    }
}
