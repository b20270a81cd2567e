use std::fmt;

use labrpc::ClientEnd;

use crate::message::{Op, Output};

/// A client of the key/value service. It does one operation at a time; who wants more takes more
/// clerks.
///
/// Its operations block until they are done, for however long no majority of the servers can be
/// reached. Each takes effect once, at some moment between call and return, though it may be sent
/// many times (§8).
pub struct Clerk {
    ends: Vec<ClientEnd>,
    // Part 4A: what tells this clerk from all others, and one of its operations from the next? And
    // which server led when it last asked?
}

impl Clerk {
    /// A new client. `ends` are ends to all servers, 1 or more of them, in any order: a server's
    /// place here says nothing about its number.
    ///
    /// # Panics
    ///
    /// If there are no ends.
    pub fn new(ends: Vec<ClientEnd>) -> Clerk {
        assert!(!ends.is_empty(), "a clerk needs a server to talk to");
        Clerk { ends }
    }

    /// The value of a key; empty if it is absent.
    pub fn get(&mut self, key: &str) -> String {
        self.execute(Op::Get { key: key.to_owned() }).value
    }

    /// Sets the value of a key.
    pub fn put(&mut self, key: &str, value: &str) {
        self.execute(Op::Put { key: key.to_owned(), value: value.to_owned() });
    }

    /// Adds to the end of a key's value; an absent key gets it as its value.
    pub fn append(&mut self, key: &str, value: &str) {
        self.execute(Op::Append { key: key.to_owned(), value: value.to_owned() });
    }

    /// Asks one server after the other until one has executed the operation.
    ///
    /// No reply does not mean that nothing was done, and a server that cannot tell must not be
    /// believed: ask again, and see to it that servers know a repetition from a new operation. When
    /// no server leads, wait a little (`labrt::time::sleep`) before you ask them all again.
    fn execute(&mut self, op: Op) -> Output {
        let _ = (op, &self.ends);
        todo!("Part 4A: ask servers until one has executed the operation")
    }
}

impl fmt::Debug for Clerk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clerk({} servers)", self.ends.len())
    }
}
