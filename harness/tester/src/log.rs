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
//!
//! Lines as older guides to these labs have them, `<time> <TOPIC> S<n> message`, are understood too,
//! given to `labrt::println!` or to any macro of `tracing`: they are of that topic and that server.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use labrt::node::Node;
use labrt::sim;
use labrt::time::Duration;
use parking_lot::{Mutex, MutexGuard};
use tracing::{Event, Metadata};

use crate::artefacts;
use crate::lines::{Line, Lines, Listener};
use crate::settings::LogSettings;
use crate::topics::Topics;

/// What the test does.
pub const TEST: &str = "test";
/// What the tester does to the network and the servers.
pub const FAULT: &str = "fault";
/// Commands given to servers, and their answers.
pub const START: &str = "start";
/// What happens to messages.
const RPC: &str = "rpc";
/// Operations of clients, and their answers.
pub const CLIENT: &str = "client";

/// One run prints at a time; the guard is held for as long.
pub struct Turn {
    _guard: MutexGuard<'static, ()>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        PRINTING.store(false, Ordering::Relaxed);
    }
}

/// Does a run print?
static PRINTING: AtomicBool = AtomicBool::new(false);

/// Installs the printing subscriber for these topics, once, and waits until this run may print.
///
/// The heading says which run the lines belong to.
///
/// # Errors
///
/// If the file cannot be written.
pub fn begin(log: &LogSettings, heading: &str, servers: usize) -> io::Result<Turn> {
    static TURN: Mutex<()> = Mutex::new(());
    static INSTALLED: OnceLock<()> = OnceLock::new();
    let guard = TURN.lock();
    if INSTALLED.get().is_none() {
        let terminal = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let file = log.file.as_ref().map(|path| File::create(artefacts::place(path)));
        let file = file.transpose()?.map(Mutex::new);
        let printer = Printer { topics: log.topics.clone(), colours: terminal && file.is_none() };
        let _ = FILE.set(file);
        // Fails only if the lab's code has installed its own; then that one prints.
        let _ = tracing::subscriber::set_global_default(Lines(printer));
        let _ = INSTALLED.set(());
    }
    SERVERS.store(servers, Ordering::Relaxed);
    PRINTING.store(true, Ordering::Relaxed);
    put(&format!("---- {heading}\n"));
    Ok(Turn { _guard: guard })
}

/// Where the log goes, if not to the terminal.
static FILE: OnceLock<Option<Mutex<File>>> = OnceLock::new();

/// Prints to where the log goes.
fn put(text: &str) {
    match FILE.get() {
        // What is lost when a disk is full cannot be told from within a run.
        Some(Some(file)) => drop(file.lock().write_all(text.as_bytes())),
        _ => print(text),
    }
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

/// Prints lines, whatever their level.
struct Printer {
    topics: Topics,
    colours: bool,
}

/// The target of what `labrt::println!` prints.
const PRINT: &str = "print";

/// A line as older guides have it: `<time> <TOPIC> S<n> message`. Its topic in small letters, its
/// server, its message; the time is known better.
#[must_use]
pub fn old_style(text: &str) -> Option<(String, usize, &str)> {
    let (time, rest) = text.trim().split_once(char::is_whitespace)?;
    let (topic, rest) = rest.trim_start().split_once(char::is_whitespace)?;
    let (server, message) =
        rest.trim_start().split_once(char::is_whitespace).unwrap_or((rest.trim_start(), ""));
    let server = server.trim_end_matches([':', ',']).strip_prefix('S')?.parse().ok()?;
    let is_time = time.starts_with(|c: char| c.is_ascii_digit())
        && time.chars().all(|c| c.is_ascii_digit() || c == '.');
    let is_topic = (2..=8).contains(&topic.len())
        && topic.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    (is_time && is_topic).then(|| (topic.to_ascii_lowercase(), server, message.trim()))
}

/// The lines in the colour of their topic: the same in every run.
#[must_use]
pub fn paint(lines: &str, topic: &str) -> String {
    const COLOURS: [u8; 12] = [36, 33, 35, 32, 34, 96, 93, 95, 92, 94, 91, 37];
    let colour = match topic {
        FAULT => 31,
        TEST => 1,
        RPC => 90,
        _ => {
            let sum = topic.bytes().fold(0, |sum: usize, byte| sum * 7 + usize::from(byte));
            COLOURS[sum % COLOURS.len()]
        }
    };
    let mut painted = String::new();
    for line in lines.lines() {
        let _ = writeln!(painted, "\x1b[{colour}m{line}\x1b[0m");
    }
    painted
}

impl Listener for Printer {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let topic = metadata.target();
        // A line that names no target has its module's path for one, and may be in the old style.
        let may_name_another = topic == PRINT || topic.contains("::");
        self.topics.may_include(topic) || may_name_another
    }

    fn hear(&self, event: &Event<'_>) {
        if !sim::active() || !PRINTING.load(Ordering::Relaxed) {
            return;
        }
        let line = Line::of(event);
        let (text, Line { from, to, .. }) = (line.text(), &line);
        let here = Node::current().name();
        let (topic, server, text) = old_style(&text).map_or_else(
            || {
                // The network has no column of its own; what it does is shown at the end it happens at.
                let at_server =
                    text.starts_with("request delivered") || text.starts_with("reply sent");
                let end = if at_server { to } else { from };
                let node = end.as_deref().unwrap_or(&here);
                let server = node.strip_prefix('S').and_then(|number| number.parse().ok());
                (event.metadata().target().to_owned(), server, text.as_str())
            },
            |(topic, server, message)| (topic, Some(server), message),
        );
        let named = server.map(|server| format!("S{server}"));
        let ends = from.as_deref().into_iter().chain(to.as_deref());
        let nodes: Vec<&str> = match (from, &named) {
            (None, Some(server)) => vec![server],
            (None, None) => vec![&here],
            _ => ends.collect(),
        };
        if !self.topics.include(&topic, &nodes) {
            return;
        }
        let terminal = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
        let columns = Columns::fit(SERVERS.load(Ordering::Relaxed), terminal.unwrap_or(160));
        let lines = columns.lay_out(sim::elapsed(), &topic, server, text);
        put(&if self.colours { paint(&lines, &topic) } else { lines });
    }
}
