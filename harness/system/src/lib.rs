//! The servers under test, handed to the tester: the crates `raft` and `kvraft`.
//!
//! This is all that connects them. The tester knows the traits of [`labtester::system`] only.

use std::sync::Arc;

use kvraft::{Clerk, KvServer};
use labrpc::Service;
use labtester::Lab;
use labtester::search::Limits;
use labtester::system::{self, RaftServer, System};
use raft::Raft;
use raftapi::{EntryId, LogIndex, NotLeader, RaftView, Term};

/// The crates `raft` and `kvraft`.
pub const SYSTEM: System = System {
    raft: |peers, me, persister, apply| Arc::new(OurRaft(Raft::new(peers, me, persister, apply))),
    kv: |peers, me, persister, max_raft_state| {
        Arc::new(OurKvServer(KvServer::new(peers, me, persister, max_raft_state)))
    },
    clerk: |ends| Box::new(OurClerk(Clerk::new(ends))),
};

/// A test of this part (`3A`) with this title, worth `points` points.
#[track_caller]
pub const fn lab(part: &'static str, title: &'static str, points: u32) -> Lab {
    Lab::new(SYSTEM, part, title, points)
}

/// A campaign over Raft in which the seed chooses the environment.
#[track_caller]
pub const fn torture_raft() -> Lab {
    Lab::torture_raft(SYSTEM)
}

/// A campaign over the service in which the seed chooses the environment.
#[track_caller]
pub const fn torture_kv() -> Lab {
    Lab::torture_kv(SYSTEM)
}

/// A systematic search with this title, within these limits unless the environment sets others.
#[track_caller]
pub const fn search(title: &'static str, limits: Limits) -> Lab {
    Lab::search(SYSTEM, title, limits)
}

struct OurRaft(Raft);

impl RaftServer for OurRaft {
    fn service(&self) -> Service {
        self.0.service()
    }

    fn get_state(&self) -> (Term, bool) {
        self.0.get_state()
    }

    fn start(&self, command: Vec<u8>) -> Result<EntryId, NotLeader> {
        self.0.start(command)
    }

    fn snapshot(&self, index: LogIndex, snapshot: Vec<u8>) {
        self.0.snapshot(index, snapshot);
    }

    fn view(&self) -> Option<RaftView> {
        self.0.view()
    }

    fn kill(&self) {
        self.0.kill();
    }
}

struct OurKvServer(KvServer);

impl system::KvServer for OurKvServer {
    fn service(&self) -> Service {
        self.0.service()
    }

    fn raft(&self) -> Arc<dyn RaftServer> {
        Arc::new(OurRaft(self.0.raft().clone()))
    }

    fn kill(&self) {
        self.0.kill();
    }
}

struct OurClerk(Clerk);

impl system::Clerk for OurClerk {
    fn get(&mut self, key: &str) -> String {
        self.0.get(key)
    }

    fn put(&mut self, key: &str, value: &str) {
        self.0.put(key, value);
    }

    fn append(&mut self, key: &str, value: &str) {
        self.0.append(key, value);
    }
}
