//! How a run ended, and the five lines that say so.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What one run of one test on one seed came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing was found wrong.
    Pass,
    /// Something happened that must never happen.
    Safety,
    /// Something that must happen did not, in the time it has.
    Liveness,
    /// It works, but spends too much: messages, bytes, storage, tasks.
    Budget,
    /// The lab's code panicked.
    Panic,
    /// Every task waited for another.
    Deadlock,
    /// A task never came back to labrt.
    Stuck,
    /// Two runs of one seed differed.
    Nondeterministic,
    /// The tester itself is wrong.
    Tester,
    /// No record came: the process ended before the run did, or was ended at a limit. Only a
    /// supervisor can say so.
    Missing,
}

/// The five lines that a failed test prints.
///
/// ```text
/// two leaders in one term
///   expected   at most one leader in each term (Raft 5.2, Election Safety)
///   happened   S1 led T7 since 1.840 s, and S4 leads it too at 1.911 s
///   look at    what your server saves before it answers RequestVote (Figure 2)
///   again      LAB_SEED=0x5eed cargo test raft_3A::re_election
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The failure in a few words.
    pub title: String,
    /// The rule that was broken.
    pub expected: String,
    /// What was seen.
    pub happened: String,
    /// Where to look.
    pub look_at: String,
    /// The shell command that gives the same run again.
    pub again: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        let lines = [
            ("expected", &self.expected),
            ("happened", &self.happened),
            ("look at", &self.look_at),
            ("again", &self.again),
        ];
        for (n, (label, text)) in lines.into_iter().enumerate() {
            let newline = if n == 0 { "" } else { "\n" };
            // What is longer than a line goes on under its own beginning.
            let text = text.trim_end().replace('\n', "\n             ");
            write!(f, "{newline}  {label:<10} {text}")?;
        }
        Ok(())
    }
}
