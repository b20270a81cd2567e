//! What befalls a run, choice by choice: faults that the test causes, commands that clients give,
//! messages that chance touches. Each has a name that means the same in every run of the seed, so
//! that a run can be repeated with some of them left out.
//!
//! A message is named by its place on its link, and draws its fate from that place alone. A fault or
//! a command is named by its place among those of its kind: `crash 17` is the seventeenth time that
//! the story crashes a server. A fault that is left out does not happen, but the story goes on as
//! if it had, and later restarts what never crashed, which does nothing: so what comes after keeps
//! its name, and faults are only ever taken away, never the verbs that end them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use labrpc::{MessageId, MessageKind, NetEvent, NetEventKind};
use labrt::sim;
use labrt::time::Duration;
use parking_lot::Mutex;

use crate::search::{Choice, Forced, Point};

/// The `n`-th time, counted from 1, that a story does something: `crash 17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// What it does.
    pub verb: Verb,
    /// How many times it has, this one included.
    pub n: u64,
}

/// What can be left out of a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// A running server crashes.
    Crash,
    /// A running server crashes, and starts again at once.
    Restart,
    /// The same, because it has just answered, or saved something.
    Strike,
    /// A server's links go down.
    Disconnect,
    /// The network falls into parts.
    Partition,
    /// The network's hardships change. (If left out, it has none.)
    Hardships,
    /// Replies on one link are held back.
    HoldBack,
    /// Replies on one link are lost.
    LoseReplies,
    /// All that is sent to a server is lost.
    Deafen,
    /// A service takes nothing more from its apply channel.
    Stall,
    /// A server is given a command.
    Start,
    /// A command is given to whoever leads until so many servers have applied it.
    Agree,
    /// An operation of a client of Lab 4.
    Operation,
    /// A link works in one direction only, or all that lead from or to a server do.
    OneWay,
    /// All tasks of a server stand still.
    Pause,
    /// A server's clock runs fast or slow.
    Drift,
}

const VERBS: [(Verb, &str); 16] = [
    (Verb::Crash, "crash"),
    (Verb::Restart, "restart"),
    (Verb::Strike, "strike"),
    (Verb::Disconnect, "disconnect"),
    (Verb::Partition, "partition"),
    (Verb::Hardships, "hardships"),
    (Verb::HoldBack, "hold-back"),
    (Verb::LoseReplies, "lose-replies"),
    (Verb::Deafen, "deafen"),
    (Verb::Stall, "stall"),
    (Verb::Start, "start"),
    (Verb::Agree, "agree"),
    (Verb::Operation, "operation"),
    (Verb::OneWay, "one-way"),
    (Verb::Pause, "pause"),
    (Verb::Drift, "drift"),
];

impl Verb {
    /// Does it harm the cluster, or ask something of it?
    #[must_use]
    pub fn is_fault(self) -> bool {
        !matches!(self, Verb::Start | Verb::Agree | Verb::Operation)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = VERBS.iter().find(|(verb, _)| verb == self);
        f.write_str(found.map_or("?", |(_, name)| name))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.n)
    }
}

/// Accepts what `Display` writes: `crash 17`.
impl FromStr for Step {
    type Err = ();

    fn from_str(text: &str) -> Result<Step, ()> {
        let (name, n) = text.split_once(' ').ok_or(())?;
        let (verb, _) = VERBS.iter().find(|(_, verb)| *verb == name).ok_or(())?;
        let n = n.trim().parse().ok().filter(|n| *n > 0).ok_or(())?;
        Ok(Step { verb: *verb, n })
    }
}

/// Which of the things of one kind happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep<T> {
    /// All of them, as usual.
    All,
    /// These and no others.
    Only(BTreeSet<T>),
}

impl<T: Ord> Keep<T> {
    fn includes(&self, one: &T) -> bool {
        match self {
            Keep::All => true,
            Keep::Only(these) => these.contains(one),
        }
    }
}

/// What is left of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Faults that happen.
    pub faults: Keep<Step>,
    /// Commands and operations that are given.
    pub commands: Keep<Step>,
    /// Messages that chance may touch.
    pub messages: Keep<MessageId>,
    /// What is forced besides, in a run of [`crate::search`].
    pub forced: Forced,
}

impl Kept {
    /// Everything: the run of the seed as it is.
    pub const EVERYTHING: Kept =
        Kept { faults: Keep::All, commands: Keep::All, messages: Keep::All, forced: Forced::new() };
}

/// What happened in a run, in its order: each with its time, and what it was about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Happened {
    /// Faults.
    pub faults: Vec<(Step, Duration, String)>,
    /// Commands that a server took in, and operations of clients.
    pub commands: Vec<(Step, Duration, String)>,
    /// Messages that were lost, repeated, late or held back, and which of these.
    pub messages: Vec<(MessageId, Duration, &'static str)>,
    /// Points at which there was something to choose, in a run of [`crate::search`]; always kept.
    pub points: Vec<Point>,
}

/// The choices of one run: which happen, and, if somebody wants to know, which did.
pub(crate) struct Choices {
    kept: Kept,
    record: bool,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    /// How often each verb was used.
    used: BTreeMap<Verb, u64>,
    happened: Happened,
    /// A fault was left out.
    altered: bool,
}

impl Choices {
    pub(crate) fn new(kept: Kept, record: bool) -> Choices {
        Choices { kept, record, progress: Mutex::default() }
    }

    /// Nothing is left out and nobody asks: then nothing needs to be counted.
    fn is_plain(&self) -> bool {
        !self.record && self.kept == Kept::EVERYTHING
    }

    /// For a second run.
    pub(crate) fn reset(&self) {
        *self.progress.lock() = Progress::default();
    }

    /// Does this fault happen?
    pub(crate) fn fault(&self, verb: Verb, about: impl FnOnce() -> String) -> bool {
        if self.is_plain() {
            return true;
        }
        let mut progress = self.progress.lock();
        let step = progress.next(verb);
        let happens = self.kept.faults.includes(&step);
        if !happens {
            progress.altered = true;
        } else if self.record {
            progress.happened.faults.push((step, sim::elapsed(), about()));
        }
        happens
    }

    /// Is this command given? If so, its name, for [`given`](Self::given).
    pub(crate) fn command(&self, verb: Verb) -> Option<Step> {
        if self.is_plain() {
            return Some(Step { verb, n: 0 });
        }
        let step = self.progress.lock().next(verb);
        self.kept.commands.includes(&step).then_some(step)
    }

    /// A command was given, and did not go unheeded.
    pub(crate) fn given(&self, step: Step, about: impl FnOnce() -> String) {
        if self.record {
            let entry = (step, sim::elapsed(), about());
            self.progress.lock().happened.commands.push(entry);
        }
    }

    /// Has everything happened so far that the story believes to have happened? If not, what it
    /// expects of a cluster that has met a certain fault need not hold.
    pub(crate) fn is_as_told(&self) -> bool {
        self.is_plain() || !self.progress.lock().altered
    }

    /// The messages that chance may touch, if not all.
    pub(crate) fn messages(&self) -> Option<&BTreeSet<MessageId>> {
        match &self.kept.messages {
            Keep::All => None,
            Keep::Only(messages) => Some(messages),
        }
    }

    /// Must every message be shown to [`message`](Self::message)?
    pub(crate) fn records(&self) -> bool {
        self.record
    }

    /// Something happened to a message.
    pub(crate) fn message(&self, event: &NetEvent<'_>) {
        let (kind, what) = match event.kind {
            NetEventKind::RequestLost => (MessageKind::Request, "lost"),
            NetEventKind::RequestDuplicated => (MessageKind::Request, "delivered twice"),
            NetEventKind::RequestLate => (MessageKind::Request, "late"),
            NetEventKind::ReplyLost => (MessageKind::Reply, "lost"),
            NetEventKind::ReplyLate => (MessageKind::Reply, "held back"),
            _ => return,
        };
        let (from, to) = match kind {
            MessageKind::Request => (event.from, event.to),
            MessageKind::Reply => (event.to, event.from),
        };
        let id =
            MessageId { from: from.to_owned(), to: to.to_owned(), kind, number: event.message };
        self.progress.lock().happened.messages.push((id, event.at, what));
    }

    /// What is forced at this point.
    pub(crate) fn forced(&self, point: u32) -> Option<Choice> {
        self.kept.forced.get(&point).copied()
    }

    /// The run has come to the next point.
    pub(crate) fn met(&self, point: Point) {
        self.progress.lock().happened.points.push(point);
    }

    /// What has happened, in a run that was recorded.
    pub(crate) fn happened(&self) -> Happened {
        std::mem::take(&mut self.progress.lock().happened)
    }
}

impl Progress {
    fn next(&mut self, verb: Verb) -> Step {
        let n = self.used.entry(verb).or_default();
        *n += 1;
        Step { verb, n: *n }
    }
}
