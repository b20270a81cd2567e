//! Log lines, as whoever takes them gets them: an event of `tracing` is a line, and there are no spans.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Metadata, Subscriber};

/// Takes lines; a subscriber by way of [`Lines`].
pub(crate) trait Listener: Send + Sync + 'static {
    /// Does it want lines of this kind?
    fn wants(&self, metadata: &Metadata<'_>) -> bool;

    /// Takes one. Its words are [`Line::of`] it, for those who want them.
    fn hear(&self, event: &Event<'_>);
}

/// A listener as a subscriber.
pub(crate) struct Lines<L>(pub(crate) L);

impl<L: Listener> Subscriber for Lines<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Not `is_event`: that would say no to `tracing::enabled!`.
        !metadata.is_span() && self.0.wants(metadata)
    }

    fn event(&self, event: &Event<'_>) {
        self.0.hear(event);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// The words of an event: its message, then its fields.
#[derive(Default)]
pub(crate) struct Line {
    message: String,
    fields: String,
    /// Of a message: what is called.
    method: String,
    /// Of a message: who called.
    pub(crate) from: Option<String>,
    /// Of a message: who was called.
    pub(crate) to: Option<String>,
}

impl Line {
    pub(crate) fn of(event: &Event<'_>) -> Line {
        let mut line = Line::default();
        event.record(&mut line);
        line
    }

    /// All of it.
    pub(crate) fn text(&self) -> String {
        let Line { message, fields, method, from, to } = self;
        match (from, to) {
            (Some(from), Some(to)) => format!("{message} {from}>{to} {method}{fields}"),
            _ => format!("{message}{fields}"),
        }
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            "from" => return self.from = Some(value.to_owned()),
            "to" => return self.to = Some(value.to_owned()),
            "method" => write!(self.method, "{value}"),
            name => write!(self.fields, " {name}={value}"),
        };
    }
}
