//! A run with some of what befalls it left out, as a small text file: `LAB_REPLAY=file`.
//!
//! ```text
//! version 1
//! test    raft_3C::figure_8
//! seed    0x5eed
//! fails   two leaders in one term
//! fault   crash 17                # S2, at 3.214 s
//! command all
//! message S1>S2 request 44        # lost, at 3.240 s
//! choice  17 crash                # S2 crashes ..., at 3.241 s
//! ```
//!
//! One thing a line, in any order; from `#` on a line is for people. Of each kind (`fault`,
//! `command`, `message`) what is listed happens and nothing else; `all` stands for all of them. The
//! names are those of [`crate::choices`]. A `choice` is forced in a run of [`crate::search`]. `fails` is what the run said when it was written; a replay
//! does not depend on it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::str::FromStr;

use labrecord::Seed;
use labrpc::{MessageId, MessageKind};
use labrt::time::Duration;

use crate::choices::{Happened, Keep, Kept, Step};
use crate::search::{Deviation, Forced, Point};
use crate::text::at;

/// The only version of the format so far.
const VERSION: &str = "1";

/// A run that can be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Path of the test.
    pub test: String,
    /// Which run of it.
    pub seed: Seed,
    /// What it said when it failed: a title.
    pub fails: String,
    /// What is left of the run.
    pub kept: Kept,
}

/// A line that is not understood, or is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadReplay {
    /// This one, counted from 1.
    #[error("line {line} is not understood: {text}: {accepted}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What it says.
        text: String,
        /// What would be accepted.
        accepted: &'static str,
    },
    /// There is no such line.
    #[error("there is no line that begins with `{0}`")]
    Missing(&'static str),
}

impl FromStr for Replay {
    type Err = BadReplay;

    fn from_str(lines: &str) -> Result<Replay, BadReplay> {
        let (mut version, mut test, mut seed, mut fails) = (None, None, None, None);
        // `None` is all of them.
        let (mut faults, mut commands) = (Some(BTreeSet::new()), Some(BTreeSet::new()));
        let mut messages = Some(BTreeSet::new());
        let mut forced = Forced::new();
        for (n, line) in (1..).zip(lines.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let value = value.trim();
            let bad = |accepted| BadReplay::Line { line: n, text: line.to_owned(), accepted };
            match key {
                "version" if value == VERSION => version = Some(()),
                "version" => return Err(bad("this tester reads version 1")),
                "test" => test = Some(value.to_owned()),
                "seed" => {
                    let number = value.parse().map_err(|_| bad("a seed is a number, as 0x5eed"))?;
                    seed = Some(number);
                }
                "fails" => fails = Some(value.to_owned()),
                "fault" => {
                    let fault = |text: &str| text.parse().ok().filter(|s: &Step| s.verb.is_fault());
                    add(&mut faults, value, fault).ok_or_else(|| bad(A_FAULT))?;
                }
                "command" => {
                    let given =
                        |text: &str| text.parse().ok().filter(|s: &Step| !s.verb.is_fault());
                    add(&mut commands, value, given).ok_or_else(|| bad(A_COMMAND))?;
                }
                "message" => {
                    add(&mut messages, value, message).ok_or_else(|| bad(A_MESSAGE))?;
                }
                "choice" => {
                    let Deviation { point, choice } = value.parse().map_err(|()| bad(A_CHOICE))?;
                    forced.insert(point, choice);
                }
                _ => return Err(bad(A_KEY)),
            }
        }
        version.ok_or(BadReplay::Missing("version"))?;
        Ok(Replay {
            test: test.ok_or(BadReplay::Missing("test"))?,
            seed: seed.ok_or(BadReplay::Missing("seed"))?,
            fails: fails.unwrap_or_default(),
            kept: Kept {
                faults: keep(faults),
                commands: keep(commands),
                messages: keep(messages),
                forced,
            },
        })
    }
}

const A_KEY: &str =
    "a line begins with version, test, seed, fails, fault, command, message or choice";
const A_FAULT: &str = "a fault is `all`, or a verb and which time, as `crash 17`";
const A_COMMAND: &str = "a command is `all`, or a verb and which time, as `agree 3`";
const A_CHOICE: &str =
    "a choice is the number of a point and lose, delay, deafen, crash or restart: `17 lose`";
const A_MESSAGE: &str = "a message is `all`, or its place on its link, as `S1>S2 request 44`";

/// Adds what a line names; `None` if that is not understood.
fn add<T: Ord>(
    set: &mut Option<BTreeSet<T>>,
    value: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Option<()> {
    if value == "all" {
        *set = None;
        return Some(());
    }
    let one = read(value)?;
    if let Some(set) = set {
        set.insert(one);
    }
    Some(())
}

fn keep<T>(set: Option<BTreeSet<T>>) -> Keep<T> {
    set.map_or(Keep::All, Keep::Only)
}

/// `S1>S2 request 44`.
fn message(text: &str) -> Option<MessageId> {
    let mut words = text.split_whitespace();
    let (from, to) = words.next()?.split_once('>')?;
    let kind = match words.next()? {
        "request" => MessageKind::Request,
        "reply" => MessageKind::Reply,
        _ => return None,
    };
    let number = words.next()?.parse().ok()?;
    let id = MessageId { from: from.to_owned(), to: to.to_owned(), kind, number };
    words.next().is_none().then_some(id)
}

impl Replay {
    /// The file, with comments: what the run says, of how many things these are left, and what each of
    /// them is.
    pub(crate) fn annotated(&self, happened: &str, all: &Happened, left: &Happened) -> String {
        let mut text = format!("# {}\n", self.fails);
        for line in happened.lines() {
            let _ = writeln!(text, "#   {line}");
        }
        let _ = writeln!(
            text,
            "#\n# Of {} faults, {} commands, and {} messages that were lost, late or repeated, these are\n\
             # left. The others do not happen when this run is repeated, with\n\
             #   LAB_REPLAY=FILE cargo test {} -- --exact",
            all.faults.len(),
            all.commands.len(),
            all.messages.len(),
            self.test
        );
        let steps = left.faults.iter().chain(&left.commands);
        let steps = steps.map(|(step, when, about)| (step.to_string(), about.as_str(), when));
        let messages = left.messages.iter().map(|(id, when, what)| (id.to_string(), *what, when));
        let notes =
            steps.chain(messages).map(|(name, about, when)| (name, about.to_owned(), *when));
        text + &self.noted(notes)
    }

    /// The file, with a comment on each choice: the points are those of its run.
    pub(crate) fn with_points(&self, points: &[Point]) -> String {
        let notes = (1..).zip(points).filter_map(|(number, point)| {
            let deviation = Deviation { point: number, choice: point.chosen? };
            Some((deviation.to_string(), point.to_string(), point.at))
        });
        self.noted(notes)
    }

    /// The file, with comments on some of what it names.
    fn noted(&self, notes: impl Iterator<Item = (String, String, Duration)>) -> String {
        let notes: BTreeMap<String, String> =
            notes.map(|(name, about, when)| (name, format!("{about}, {}", at(when)))).collect();
        let mut text = String::new();
        for line in self.to_string().lines() {
            let name = line.split_once(char::is_whitespace).map_or("", |(_, name)| name.trim());
            let _ = match notes.get(name) {
                Some(note) => writeln!(text, "{line:<34} # {note}"),
                None => writeln!(text, "{line}"),
            };
        }
        text
    }
}

/// The file, without comments.
impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Replay { test, seed, fails, kept } = self;
        write!(f, "version {VERSION}\ntest    {test}\nseed    {seed}\nfails   {fails}\n")?;
        list(f, "fault", &kept.faults)?;
        list(f, "command", &kept.commands)?;
        list(f, "message", &kept.messages)?;
        let forced = kept.forced.iter().map(|(point, choice)| (*point, *choice));
        forced
            .map(|(point, choice)| Deviation { point, choice })
            .try_for_each(|deviation| writeln!(f, "choice  {deviation}"))
    }
}

fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, key: &str, keep: &Keep<T>) -> fmt::Result {
    match keep {
        Keep::All => writeln!(f, "{key:<7} all"),
        Keep::Only(these) => these.iter().try_for_each(|one| writeln!(f, "{key:<7} {one}")),
    }
}
