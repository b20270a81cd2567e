//! What passes between a test process and the supervisor that started it (`LAB_SUPERVISOR=stdin`).
//!
//! Standard input is a socket. The supervisor writes one line, the order; the process answers, for
//! each test that it runs, one line that says what the test is, and one line for each seed.
//!
//! Every answer starts with the order's token. The tester takes the order from the socket, and the
//! socket away from standard input, before any server starts; so what a server writes to whatever
//! descriptor it gets hold of is not taken for the tester's word.

use serde::{Deserialize, Serialize};

use crate::record::{Record, Seed};

/// What a supervisor asks of a test process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// A secret of this process and its supervisor, without spaces.
    pub token: String,
    /// Run each test on these seeds, in this order. None: say what the tests are, and run nothing.
    pub seeds: Vec<Seed>,
    /// Go on after a failure, which otherwise ends the test.
    pub keep_going: bool,
    /// Run each seed twice and compare, as `LAB_CHECK=determinism` does.
    #[serde(default)]
    pub check_determinism: bool,
}

/// What a test is, before it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Path of the test, such as `raft_3A::re_election`.
    pub test: String,
    /// The crate that it asks most of: `raft` or `kvraft`.
    pub lab: String,
    /// Part of the lab, such as `3A`; `torture` for a campaign.
    pub part: String,
    /// What the test is about, in a few words.
    pub title: String,
    /// What passing is worth, if no policy says otherwise.
    pub points: u32,
}

/// What a test process answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Message {
    /// This test is about to run.
    About(About),
    /// What a run came to.
    Record(Box<Record>),
}

impl Message {
    /// The line that says this to whoever gave the token.
    ///
    /// # Panics
    ///
    /// Never: such data has a form in JSON.
    #[must_use]
    pub fn to_line(&self, token: &str) -> String {
        let json = serde_json::to_string(self).expect("plain data");
        format!("{token} {json}\n")
    }

    /// Reads a line back. `None` if the token is another one, or what follows is not understood.
    #[must_use]
    pub fn from_line(line: &str, token: &str) -> Option<Message> {
        let json = line.strip_prefix(token)?.strip_prefix(' ')?;
        serde_json::from_str(json).ok()
    }
}
