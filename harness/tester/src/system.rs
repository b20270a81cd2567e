//! The servers under test, as the tester sees them: a trait for each type that a student writes.
//!
//! The tester is compiled without the student's crates. So an edit of one compiles that crate and the
//! graded tests, and not the tester. `labsystem` implements these traits for the crates `raft` and
//! `kvraft`, and hands the tester a [`System`].

use std::sync::Arc;

use labrpc::{ClientEnd, Service};
use labrt::channel::Sender;
use raftapi::{ApplyMsg, EntryId, LogIndex, NotLeader, Persister, RaftView, Term};

/// How servers and clerks are made. Each function is called on the node of what it makes.
#[derive(Debug, Clone, Copy)]
pub struct System {
    /// Starts a Raft server: `Raft::new`.
    pub raft: NewRaft,
    /// Starts a server of the key/value service: `KvServer::new`.
    pub kv: NewKvServer,
    /// Makes a clerk: `Clerk::new`.
    pub clerk: NewClerk,
}

/// Takes ends to all servers, the place of this one among them, its disk, and where it sends what is committed.
pub type NewRaft =
    fn(Vec<ClientEnd>, usize, Arc<Persister>, Sender<ApplyMsg>) -> Arc<dyn RaftServer>;
/// Takes ends to all servers, the place of this one among them, its disk, and the limit of its Raft state in bytes.
pub type NewKvServer =
    fn(Vec<ClientEnd>, usize, Arc<Persister>, Option<usize>) -> Arc<dyn KvServer>;
/// Takes ends to servers, in any order.
pub type NewClerk = fn(Vec<ClientEnd>) -> Box<dyn Clerk>;

/// A Raft server. The methods are those of the lab's `Raft`.
pub trait RaftServer: Send + Sync {
    /// The RPCs that it answers.
    fn service(&self) -> Service;
    /// Its term, and whether it believes that it leads.
    fn get_state(&self) -> (Term, bool);
    /// Hands it a command.
    ///
    /// # Errors
    ///
    /// [`NotLeader`], if it does not believe that it leads.
    fn start(&self, command: Vec<u8>) -> Result<EntryId, NotLeader>;
    /// Tells it that the service's state up to an index is in a snapshot.
    fn snapshot(&self, index: LogIndex, snapshot: Vec<u8>);
    /// What it shows of itself.
    fn view(&self) -> Option<RaftView>;
    /// Ends it.
    fn kill(&self);
}

/// A server of the key/value service. The methods are those of the lab's `KvServer`.
pub trait KvServer: Send + Sync {
    /// The RPCs that it answers, those of its Raft included.
    fn service(&self) -> Service;
    /// The Raft that it stands on.
    fn raft(&self) -> Arc<dyn RaftServer>;
    /// Ends it, and its Raft.
    fn kill(&self);
}

/// A client of the key/value service. The methods are those of the lab's `Clerk`.
pub trait Clerk: Send {
    /// A key's value.
    fn get(&mut self, key: &str) -> String;
    /// Sets a key's value.
    fn put(&mut self, key: &str, value: &str);
    /// Adds to the end of a key's value.
    fn append(&mut self, key: &str, value: &str);
}

#[cfg(test)]
pub(crate) mod tests {
    use raft::Raft;

    use super::*;

    /// The reference, for tests of the tester that need servers. It has no service.
    pub(crate) const SYSTEM: System = System {
        raft: |peers, me, persister, apply| Arc::new(Raft::new(peers, me, persister, apply)),
        kv: |_, _, _, _| unreachable!("no unit test needs a service"),
        clerk: |_| unreachable!("no unit test needs a clerk"),
    };

    impl RaftServer for Raft {
        fn service(&self) -> Service {
            self.service()
        }

        fn get_state(&self) -> (Term, bool) {
            self.get_state()
        }

        fn start(&self, command: Vec<u8>) -> Result<EntryId, NotLeader> {
            self.start(command)
        }

        fn snapshot(&self, index: LogIndex, snapshot: Vec<u8>) {
            self.snapshot(index, snapshot);
        }

        fn view(&self) -> Option<RaftView> {
            self.view()
        }

        fn kill(&self) {
            self.kill();
        }
    }
}
