//! What a closer look at a run that failed has found: the first rule that was broken, and how little
//! of the run it takes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A rule that was broken some time before a run failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Broken {
    /// When, in seconds of virtual time.
    pub virtual_seconds: f64,
    /// The rule, in a few words.
    pub title: String,
    /// What was seen.
    pub happened: String,
}

/// `a granted vote is not on the disk: S2 has told its vote in T2 to S0, at 1.937 s; ...`
impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title, self.happened)
    }
}

/// From how many to how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reduction {
    /// In the run of the seed.
    pub from: usize,
    /// In the reduced one.
    pub to: usize,
}

/// What shrinking came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shrunk {
    /// Crashes, partitions and the like.
    pub faults: Reduction,
    /// Commands given to servers, and operations of clients.
    pub commands: Reduction,
    /// Messages lost, repeated, late or held back.
    pub messages: Reduction,
    /// Virtual time of the failure in the reduced run, in seconds.
    pub virtual_seconds: f64,
    /// Runs that were tried.
    pub runs: u64,
    /// Wall time that it took, in seconds.
    pub seconds: f64,
    /// The search came to its end: without any single one of what is left the run does not fail.
    pub minimal: bool,
    /// What the reduced run said had happened.
    pub happened: String,
    /// Where the reduced run is, for `LAB_REPLAY`; or why it is not there.
    pub replay: String,
}

/// `from 412 faults to 3, 230 commands to 12, 1034 lost or late messages to 0; 183 runs, 4.1 s`.
impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("from ")?;
        let kinds = [
            (self.faults, "fault"),
            (self.commands, "command"),
            (self.messages, "lost or late message"),
        ];
        for (n, (Reduction { from, to }, what)) in kinds.into_iter().enumerate() {
            let (comma, plural) =
                (if n == 0 { "" } else { ", " }, if from == 1 { "" } else { "s" });
            write!(f, "{comma}{from} {what}{plural} to {to}")?;
        }
        write!(f, "; {} runs, {:.1} s", self.runs, self.seconds)?;
        if self.minimal { Ok(()) } else { f.write_str(", when time was up") }
    }
}
