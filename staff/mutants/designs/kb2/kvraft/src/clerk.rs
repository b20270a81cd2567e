use std::fmt;

use labrpc::ClientEnd;
use labrt::time::{Duration, sleep};
use rand::RngExt;

use crate::message::{Op, Request};

/// How long a clerk waits when it has asked every server and none led.
const PAUSE: Duration = Duration::from_millis(50);

/// A client of the key/value service. It does one operation at a time; each takes effect once.
pub struct Clerk {
    ends: Vec<ClientEnd>,
    id: u128,
    /// Of the latest operation.
    seq: u64,
    /// Place of the end to the server that led last.
    leader: usize,
}

impl Clerk {
    /// A new client. `ends` are ends to all servers, 1 or more of them, in any order.
    ///
    /// # Panics
    ///
    /// If there are no ends.
    pub fn new(ends: Vec<ClientEnd>) -> Clerk {
        assert!(!ends.is_empty(), "a clerk needs a server to talk to");
        Clerk { ends, id: labrt::rand::rng().random(), seq: 0, leader: 0 }
    }

    /// The value of a key; empty if it is absent.
    pub fn get(&mut self, key: &str) -> String {
        self.execute(Op::Get { key: key.to_owned() })
    }

    /// Sets the value of a key.
    pub fn put(&mut self, key: &str, value: &str) {
        self.execute(Op::Put { key: key.to_owned(), value: value.to_owned() });
    }

    /// Adds to the end of a key's value; an absent key gets it as its value.
    pub fn append(&mut self, key: &str, value: &str) {
        self.execute(Op::Append { key: key.to_owned(), value: value.to_owned() });
    }

    /// Asks one server after the other until one has executed the operation. A call without a reply
    /// is made twice: it may well be the network's fault.
    fn execute(&mut self, op: Op) -> String {
        self.seq += 1; // once for all attempts
        let request = Request { client: self.id, seq: self.seq, op };
        loop {
            for _ in 0..self.ends.len() {
                let end = &self.ends[self.leader];
                let reply = end.call(&request).or_else(|_| end.call(&request));
                if let Ok(Ok(value)) = reply {
                    return value;
                }
                self.leader = (self.leader + 1) % self.ends.len();
            }
            sleep(PAUSE);
        }
    }
}

impl fmt::Debug for Clerk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clerk({} operations)", self.seq)
    }
}
