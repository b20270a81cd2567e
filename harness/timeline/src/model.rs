//! A recorded run, as data: what `--json` writes, what the page reads.
//!
//! Times are in microseconds of virtual time since the run began. Servers are numbers, 0 and up;
//! whoever else sends messages comes after them in [`Run::peers`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Microseconds since the run began.
pub type Micros = u64;

/// `at` in the unit of a run.
pub fn micros(at: Duration) -> Micros {
    u64::try_from(at.as_micros()).unwrap_or(u64::MAX)
}

/// One run of one test.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// Of this format: [`Run::VERSION`].
    pub version: u32,
    /// The test's name, `raft_3A::re_election`.
    pub test: String,
    /// Its title.
    pub title: String,
    /// The seed, `0x5eed`.
    pub seed: String,
    /// How many servers.
    pub servers: usize,
    /// Everybody who sends messages: the servers, then clients.
    pub peers: Vec<String>,
    /// The hash over all steps of the recorded run; equal for equal runs.
    pub trace: String,
    /// When it ended.
    pub end: Micros,
    /// Why it failed; `None` if it passed.
    pub verdict: Option<Verdict>,
    /// What could not be recorded, a sentence each.
    pub gaps: Vec<String>,
    /// What happened, in order; messages aside.
    pub events: Vec<Event>,
    /// Every call from one server to another, in the order of the requests.
    pub calls: Vec<Call>,
    /// What the test expected, and from when to when it waited for it.
    pub checks: Vec<Check>,
    /// Operations of clients, in the order of their calls.
    pub operations: Vec<Operation>,
    /// Contents of messages, each once; [`Leg::content`] counts them.
    pub contents: Vec<String>,
    /// Names of methods; [`Call::method`] counts them.
    pub methods: Vec<String>,
    /// Servers that show nothing of themselves: their roles, terms and votes are what their messages tell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub derived: Vec<usize>,
}

impl Run {
    /// Does this server show what it is in? Else nothing of that can be held against it.
    pub fn shows(&self, server: usize) -> bool {
        !self.derived.contains(&server)
    }

    /// Of the format. Another number means that names or meanings have changed.
    pub const VERSION: u32 = 1;
}

/// Why a run failed: the five lines of its report, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// `safety`, `liveness`, `panic`, ...
    pub kind: String,
    /// The failure in a few words.
    pub title: String,
    /// The rule that was broken.
    pub expected: String,
    /// What was seen.
    pub happened: String,
    /// Where to look.
    pub look_at: String,
    /// The command that repeats the run.
    pub again: String,
    /// When it was noticed.
    pub at: Micros,
}

/// Something that happened at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Micros,
    /// To which server; `None` if to none in particular.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<usize>,
    /// In which task, if that has a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// What.
    pub what: What,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A server started, from what it had saved.
    Started,
    /// A server crashed.
    Crashed,
    /// A server was seen in another state than before.
    State(Change),
    /// A server saved its state.
    Saved {
        /// Size of the Raft state.
        bytes: usize,
        /// Size of the snapshot.
        snapshot: usize,
        /// The snapshot is the one before, byte for byte.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        same: bool,
        /// What a server that starts from it is in, as far as that differs from the save before;
        /// `None` if that is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        disk: Option<Change>,
    },
    /// A server gave a command to its service.
    Applied {
        /// Log index.
        index: u64,
        /// Term of the entry.
        term: u64,
        /// The command, for people.
        command: String,
    },
    /// A server gave a snapshot to its service.
    Installed {
        /// Last index in it.
        index: u64,
        /// Term of that entry.
        term: u64,
    },
    /// From now on a server could not be looked at: whoever had its lock kept it.
    Closed {
        /// Until when; the end of the run if it kept it for ever.
        until: Micros,
    },
    /// A service handed a snapshot to its server.
    Snapshot {
        /// Last index in it.
        index: u64,
    },
    /// A server took in a command.
    Command {
        /// Log index that it was promised.
        index: u64,
        /// Term that it was promised.
        term: u64,
        /// The command, for people.
        command: String,
    },
    /// Messages from this server to `to` pass from now on, or do not.
    Link {
        /// The other end.
        to: usize,
        /// Do they pass?
        up: bool,
    },
    /// The test did something to the cluster.
    Fault(String),
    /// The test says something.
    Test(String),
    /// A line of a server's log.
    Log {
        /// Its topic.
        topic: String,
        /// The line.
        text: String,
    },
}

/// What changed in a server's state. What is `None` stayed as it was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Change {
    /// Current term.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub term: Option<u64>,
    /// Role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Whom it follows; -1 for nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader: Option<i64>,
    /// Who got its vote; -1 for nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vote: Option<i64>,
    /// Index and term of the last entry in the snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<(u64, u64)>,
    /// The log after an index that stayed as it was: that index, and the terms of all entries
    /// after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<(u64, Vec<u64>)>,
    /// Commit index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<u64>,
    /// Last index applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<u64>,
    /// On a leader: for each other server its number, next index and match index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub followers: Option<Vec<(usize, u64, u64)>>,
}

/// What a server does in a term (Raft Figure 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Answers others.
    #[default]
    Follower,
    /// Asks for votes.
    Candidate,
    /// Owns the log.
    Leader,
}

/// One call: a request, and the reply if there was one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Who called, in [`Run::peers`].
    pub from: usize,
    /// Who was called.
    pub to: usize,
    /// What was called, in [`Run::methods`].
    pub method: usize,
    /// The request.
    pub request: Leg,
    /// The reply, if the handler returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Leg>,
    /// When further copies of the request arrived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<Micros>,
}

/// A message's way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// When it left.
    pub sent: Micros,
    /// When it arrived, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived: Option<Micros>,
    /// What else became of it.
    #[serde(default, skip_serializing_if = "Fate::is_usual")]
    pub fate: Fate,
    /// Its length.
    pub bytes: usize,
    /// What is in it, in [`Run::contents`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<usize>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It arrived, or was on its way when the run ended.
    #[default]
    Usual,
    /// Chance took it.
    Lost,
    /// Its link was down, or nobody was there.
    NoPath,
    /// It was held back, and arrives when nobody waits for it, or late.
    Late,
    /// Nobody waited for it any more.
    Discarded,
}

impl Fate {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_usual(&self) -> bool {
        *self == Fate::Usual
    }
}

/// Something the test expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// From when.
    pub from: Micros,
    /// Until when; the end of the run if it was never over.
    pub to: Micros,
    /// What.
    pub what: String,
    /// Was it so?
    pub ok: bool,
}

/// An operation of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// Whose.
    pub client: String,
    /// On what.
    pub key: String,
    /// What it asked for.
    pub call: String,
    /// What it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// From when.
    pub from: Micros,
    /// Until when; `None` if it never returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Micros>,
    /// When it took effect, in the order that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<Micros>,
    /// Its part in a contradiction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// Index and term of the log entries that it is in, as far as that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<(u64, u64)>,
}

/// The part that an operation has in a history that is not linearizable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It cannot fit.
    Culprit,
    /// The culprit contradicts it.
    Against,
    /// The culprit's answer has it twice.
    Twice,
    /// The culprit's answer lacks it, though it was over by then.
    Missing,
}
