use std::{fmt, time::Duration};

use labrpc::{ClientEnd, NoReply};
use labrt::time::sleep;
use rand::RngExt;

use crate::{
    message::{Op, Output, Request},
    rsm::{ClientId, SubmitError},
};

/// How long a clerk waits when it has asked every server and none led. Doubled each time, up to
/// `PAUSE_MAX`: an election takes some hundred milliseconds, but may be nearly over.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// A client of the key/value service.
///
/// Its operations block until they are done, for however long no majority of the servers can be
/// reached. They take effect once, at some moment between call and return, though they may be sent
/// many times (Raft §8). One clerk does one operation at a time; who wants more takes more clerks.
///
/// It asks the server that answered last, and if that leads no longer, one after the other. What
/// servers believe about who leads is not used: it names a server by its number, while a
/// clerk's ends come in any order; and it is least reliable just when it would be needed, after the
/// leader was lost. A refusal costs one round trip, so a tour of five servers takes some 2 ms, and
/// the election before it some hundred times as long.
pub struct Clerk {
    ends: Vec<ClientEnd>,
    id: ClientId,
    /// Of the latest operation; they count from 1.
    seq: u64,
    /// Place among the ends of whom to ask first.
    favourite: usize,
}

/// Why an attempt has no result. Either way the operation may still be executed, and must be tried
/// again with the number it has.
enum Failed {
    /// The network says so. The server may well lead.
    NoReply,
    /// The server says so: it does not lead, or cannot tell what became of the operation.
    Refused,
}

impl Clerk {
    /// A new client. `ends` are ends to all servers, 1 or more of them, in any order.
    ///
    /// # Panics
    ///
    /// If there are no ends, or outside a run of `labrt`.
    pub fn new(ends: Vec<ClientEnd>) -> Clerk {
        assert!(!ends.is_empty(), "a clerk needs a server to talk to");
        // 128 bits: two clerks with the same would take each other's operations for retries.
        let id = ClientId(labrt::rand::rng().random());
        Clerk { ends, id, seq: 0, favourite: 0 }
    }

    /// The value of a key; empty if it is absent.
    pub fn get(&mut self, key: &str) -> String {
        match self.execute(Op::Get { key: key.to_owned() }) {
            Output::Value(value) => value,
            Output::Done => unreachable!("a get returns a value"),
        }
    }

    /// Sets the value of a key.
    pub fn put(&mut self, key: &str, value: &str) {
        self.execute(Op::Put { key: key.to_owned(), value: value.to_owned() });
    }

    /// Adds to the end of a key's value; an absent key gets it as its value.
    pub fn append(&mut self, key: &str, value: &str) {
        self.execute(Op::Append { key: key.to_owned(), value: value.to_owned() });
    }

    fn execute(&mut self, op: Op) -> Output {
        self.seq += 1; // once for all attempts: by this number servers know a retry
        let request = Request { client: self.id, seq: self.seq, op };
        let mut pause = PAUSE_MIN;
        loop {
            if let Some(output) = self.ask_each(&request) {
                return output;
            }
            sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Asks the servers one after the other, beginning with the favourite.
    ///
    /// A call that got no reply is repeated once: on a network that loses messages, most often just
    /// that has happened, and it would be a pity to leave a leader for it.
    fn ask_each(&mut self, request: &Request) -> Option<Output> {
        for _ in 0..self.ends.len() {
            let mut attempt = self.ask_favourite(request);
            if matches!(attempt, Err(Failed::NoReply)) {
                attempt = self.ask_favourite(request);
            }
            if let Ok(output) = attempt {
                return Some(output);
            }
            self.favourite = (self.favourite + 1) % self.ends.len();
        }
        None
    }

    fn ask_favourite(&self, request: &Request) -> Result<Output, Failed> {
        match self.ends[self.favourite].call(request) {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(SubmitError::NotLeader { .. } | SubmitError::Unknown)) => Err(Failed::Refused),
            Ok(Err(SubmitError::Superseded)) => {
                panic!("{} has done a later operation: a second clerk has its id", self.id)
            }
            Err(NoReply) => Err(Failed::NoReply),
        }
    }
}

impl fmt::Debug for Clerk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clerk({}, {} operations)", self.id, self.seq)
    }
}
