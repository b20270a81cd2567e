//! `LAB_LOG`: prints a run as it goes, one column for each server.
//!
//! ```text
//!    0.312044 elect   S0 stands in T1 |                 |
//!    0.312391 vote                    | grants T1 to S0 |
//!    0.313020 test    == S0 leads T1
//! ```
//!
//! Lab code logs with the macros of `tracing`; the topic is the event's target. Without `LAB_LOG`
//! no subscriber is installed, and a log line costs nothing.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use labrt::node::Node;
use labrt::sim;
use labrt::time::Duration;
use parking_lot::{Mutex, MutexGuard};
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Metadata, Subscriber};

use crate::settings::Topics;

/// What the test does.
pub const TEST: &str = "test";
/// What the tester does to the network and the servers.
pub const FAULT: &str = "fault";
/// Commands given to servers, and their answers.
pub const START: &str = "start";
/// Operations of clients, and their answers.
pub const CLIENT: &str = "client";

/// One run prints at a time; the guard is held for as long.
pub struct Turn {
    _guard: MutexGuard<'static, ()>,
}

/// Installs the printing subscriber for these topics, once, and waits until this run may print.
///
/// The heading says which run the lines belong to.
pub fn begin(topics: &Topics, heading: &str, servers: usize) -> Turn {
    static TURN: Mutex<()> = Mutex::new(());
    static INSTALLED: OnceLock<()> = OnceLock::new();
    let guard = TURN.lock();
    INSTALLED.get_or_init(|| {
        let printer = Printer { topics: topics.clone() };
        // Fails only if the lab's code has installed its own; then that one prints.
        let _ = tracing::subscriber::set_global_default(printer);
    });
    SERVERS.store(servers, Ordering::Relaxed);
    print(&format!("---- {heading}\n"));
    Turn { _guard: guard }
}

/// How many columns the run that prints has.
static SERVERS: AtomicUsize = AtomicUsize::new(1);

/// Not through `eprintln!`, which libtest would hold back until the test has failed.
pub(crate) fn print(text: &str) {
    // Nothing sensible can be done if the terminal is gone.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Lays out lines in columns.
#[derive(Debug, Clone, Copy)]
pub struct Columns {
    /// How many servers.
    pub servers: usize,
    /// Characters for each.
    pub width: usize,
}

impl Columns {
    /// Columns for so many servers on a terminal of so many characters.
    #[must_use]
    pub fn fit(servers: usize, terminal: usize) -> Columns {
        const NARROWEST: usize = 22;
        let servers = servers.max(1);
        let room = terminal.saturating_sub(Columns::MARGIN) / servers;
        Columns { servers, width: room.saturating_sub(" | ".len()).max(NARROWEST) }
    }

    /// Characters before the first column: the time and the topic.
    const MARGIN: usize = 20;

    /// One message as lines of text: in the column of its server, or across all of them if it
    /// comes from the tester.
    #[must_use]
    pub fn lay_out(self, at: Duration, topic: &str, server: Option<usize>, text: &str) -> String {
        let all = self.servers * (self.width + " | ".len());
        let (width, column) = match server {
            Some(column) => (self.width, column.min(self.servers - 1)),
            None => (all.saturating_sub("== ".len()), 0),
        };
        let seconds = format!("{}.{:06}", at.as_secs(), at.subsec_micros());
        let mut lines = String::new();
        for (n, piece) in wrap(text, width).iter().enumerate() {
            if n == 0 {
                let _ = write!(lines, "{seconds:>11} {topic:<8}");
            } else {
                lines.push_str(&" ".repeat(Columns::MARGIN));
            }
            let mut line = String::new();
            if server.is_some() {
                for n in 0..self.servers {
                    let text = if n == column { piece } else { "" };
                    let bar = if n + 1 == self.servers { "" } else { " | " };
                    let _ = write!(line, "{text:<width$}{bar}");
                }
            } else {
                let _ = write!(line, "== {piece}");
            }
            lines.push_str(line.trim_end());
            lines.push('\n');
        }
        lines
    }
}

/// Cuts text into pieces of at most `width` characters, between words where that is possible.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut length = 0;
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        if length > 0 && length + 1 + word.len() > width {
            pieces.push(std::mem::take(&mut piece));
            length = 0;
        }
        if length > 0 {
            piece.push(' ');
            length += 1;
        }
        while word.len() > width {
            pieces.push(word.drain(..width).collect());
        }
        length += word.len();
        piece.extend(word);
    }
    if !piece.is_empty() || pieces.is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// The subscriber: no spans, no levels; an event is a line.
struct Printer {
    topics: Topics,
}

impl Subscriber for Printer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Not `is_event`: that would say no to `tracing::enabled!`.
        !metadata.is_span() && self.topics.include(metadata.target())
    }

    fn event(&self, event: &Event<'_>) {
        if !sim::active() {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        let Line { mut text, fields, method, from, to } = line;
        if let (Some(from), Some(to)) = (&from, &to) {
            text = format!("{text} {from}>{to} {method}");
        }
        text.push_str(&fields);
        // The network has no column of its own; what it does is shown at the end it happens at.
        let at_server = text.starts_with("request delivered") || text.starts_with("reply sent");
        let end = if at_server { to } else { from };
        let node = end.unwrap_or_else(|| Node::current().name().to_string());
        let server = node.strip_prefix('S').and_then(|number| number.parse().ok());
        let terminal = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let columns = Columns::fit(SERVERS.load(Ordering::Relaxed), terminal.unwrap_or(160));
        print(&columns.lay_out(sim::elapsed(), event.metadata().target(), server, &text));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Collects an event: its message, then its fields.
#[derive(Default)]
struct Line {
    text: String,
    fields: String,
    /// Of a message: what is called.
    method: String,
    /// Of a message: who called.
    from: Option<String>,
    /// Of a message: who was called.
    to: Option<String>,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.text, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => write!(self.text, "{value}"),
            "from" => return self.from = Some(value.to_owned()),
            "to" => return self.to = Some(value.to_owned()),
            "method" => write!(self.method, "{value}"),
            name => write!(self.fields, " {name}={value}"),
        };
    }
}
