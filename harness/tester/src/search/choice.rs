//! What can be chosen, and where.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use labrpc::MessageKind;
use labrt::time::Duration;
use raftapi::{EntryId, ServerId};

use crate::text::span;

/// A message that is late arrives so much later than usual: longer than most election timeouts.
pub(crate) const LATE: Duration = Duration::from_secs(1);

/// What can happen at a point other than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Choice {
    /// The message is lost.
    Lose,
    /// The message is late: by a second, which is longer than most election timeouts.
    Delay,
    /// Whoever was to get this request hears no request until it has asked for votes: its election timer
    /// comes first.
    Deafen,
    /// The server crashes here, and comes back when another one crashes, or when all is quiet and the commands
    /// are used up.
    Crash,
    /// The server crashes here, and starts again at once.
    Restart,
}

const CHOICES: [(Choice, &str); 5] = [
    (Choice::Lose, "lose"),
    (Choice::Delay, "delay"),
    (Choice::Deafen, "deafen"),
    (Choice::Crash, "crash"),
    (Choice::Restart, "restart"),
];

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = CHOICES.iter().find(|(choice, _)| choice == self);
        f.write_str(found.map_or("?", |(_, name)| name))
    }
}

/// A choice that is not the usual one, and the point at which it is made: the `n`-th of its run,
/// counted from 1. What that is, depends on the choices before it and on nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deviation {
    /// Which point.
    pub point: u32,
    /// What happens there.
    pub choice: Choice,
}

/// `17 lose`.
impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.point, self.choice)
    }
}

/// Accepts what `Display` writes: `17 lose`.
impl FromStr for Deviation {
    type Err = ();

    fn from_str(text: &str) -> Result<Deviation, ()> {
        let (point, name) = text.split_once(' ').ok_or(())?;
        let point = point.parse().ok().filter(|point| *point > 0).ok_or(())?;
        let (choice, _) = CHOICES.iter().find(|(_, choice)| *choice == name.trim()).ok_or(())?;
        Ok(Deviation { point, choice: *choice })
    }
}

/// What is forced in a run, by the point's number.
pub type Forced = BTreeMap<u32, Choice>;

/// A place in a run at which there is something to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A message is about to leave.
    Message {
        /// A request or a reply.
        kind: MessageKind,
        /// Of which call.
        method: &'static str,
        /// Who sends it.
        from: ServerId,
        /// Who is to get it.
        to: ServerId,
    },
    /// A server has just changed what is on its disk, and nothing has followed from that yet.
    Saved {
        /// Which server.
        server: ServerId,
        /// How often it has.
        times: u64,
    },
    /// A server's reply has just arrived.
    Answered {
        /// Whose reply.
        server: ServerId,
        /// To whom.
        caller: ServerId,
        /// Of which call.
        method: &'static str,
    },
    /// A server has just applied an entry.
    Applied {
        /// Which server.
        server: ServerId,
        /// Which entry.
        id: EntryId,
    },
}

impl What {
    /// The choices there, but for the usual one: that nothing happens. A request to whoever leads
    /// cannot find its election timer running.
    pub(crate) fn choices(self, to_leader: bool) -> &'static [Choice] {
        match self {
            What::Message { kind: MessageKind::Request, .. } if !to_leader => {
                &[Choice::Deafen, Choice::Lose, Choice::Delay]
            }
            What::Message { .. } => &[Choice::Lose, Choice::Delay],
            What::Saved { .. } | What::Answered { .. } | What::Applied { .. } => {
                &[Choice::Crash, Choice::Restart]
            }
        }
    }
}

/// A point of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// When.
    pub at: Duration,
    /// What it is about.
    pub what: What,
    /// What can be chosen.
    pub choices: &'static [Choice],
    /// What was, if not the usual.
    pub chosen: Option<Choice>,
    /// Equal for two points if all that can be seen of the cluster is equal there, and what they are about.
    pub state: u64,
}

/// What happens there, in words: `S2 crashes at change 3 of its disk, and restarts at once`.
impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |method: &'static str| method.rsplit_once('.').map_or(method, |(_, name)| name);
        match self.what {
            What::Message { kind, method, from, to } => {
                let message = format_args!("{from}'s {} {kind} to {to}", short(method));
                match self.chosen {
                    Some(Choice::Lose) => write!(f, "{message} is lost"),
                    Some(Choice::Delay) => write!(f, "{message} is late by {}", span(LATE)),
                    Some(Choice::Deafen) => {
                        write!(f, "{message} is lost, and {to} hears no other until it campaigns")
                    }
                    _ => write!(f, "{message} leaves"),
                }
            }
            What::Saved { server, times } => {
                write!(f, "{server} {} at change {times} of its disk", self.verb())
            }
            What::Answered { server, caller, method } => {
                let method = short(method);
                write!(f, "{server} {} as {caller} has its reply to {method}", self.verb())
            }
            What::Applied { server, id } => {
                write!(f, "{server} {} as it has applied {id}", self.verb())
            }
        }
    }
}

impl Point {
    fn verb(&self) -> &'static str {
        match self.chosen {
            Some(Choice::Crash) => "crashes for long",
            Some(Choice::Restart) => "crashes and restarts",
            _ => "goes on",
        }
    }
}
