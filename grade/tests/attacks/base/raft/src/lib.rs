//! What all attacks have in common: not a Raft. S0 says that it leads, in term 1, and gives what it takes
//! in to `attack`; every server applies what `attack` gives it. Honestly written, `attack` keeps what
//! it is given to its own server, and the other servers apply nothing.

mod attack;
mod log;

use std::sync::Arc;
use std::time::Duration;

use labrpc::{ClientEnd, Service};
use labrt::channel::Sender;
use labrt::sync::Mutex;
use labrt::{thread, time};
pub use raftapi::*;

/// A server.
#[derive(Clone)]
pub struct Raft {
    me: usize,
    shared: Arc<Mutex<attack::Shared>>,
}

impl Raft {
    /// Starts to apply.
    pub fn new(
        _peers: Vec<ClientEnd>,
        me: usize,
        _persister: Arc<Persister>,
        apply: Sender<ApplyMsg>,
    ) -> Raft {
        let shared = Arc::new(Mutex::new(attack::begin(me)));
        let log = Arc::clone(&shared);
        thread::spawn(move || {
            for index in 1.. {
                let command = loop {
                    let found = log.lock().get(index);
                    match found {
                        Some(command) => break command,
                        None => time::sleep(Duration::from_micros(500)),
                    }
                };
                let message = ApplyMsg::Command { index: LogIndex(index), term: Term(1), command };
                if apply.send(message).is_err() {
                    return;
                }
            }
        });
        Raft { me, shared }
    }

    /// Nothing to answer.
    pub fn service(&self) -> Service {
        Service::new()
    }

    /// S0 takes everything.
    pub fn start(&self, command: Vec<u8>) -> Result<EntryId, NotLeader> {
        if self.me != 0 {
            return Err(NotLeader { leader: None });
        }
        let index = LogIndex(self.shared.lock().put(command));
        Ok(EntryId { term: Term(1), index })
    }

    /// S0 leads.
    pub fn get_state(&self) -> (Term, bool) {
        (Term(1), self.me == 0)
    }

    /// Nothing to do.
    pub fn snapshot(&self, _index: LogIndex, _snapshot: Vec<u8>) {}

    /// Nothing to do.
    pub fn kill(&self) {}

    /// Nothing to see.
    pub fn view(&self) -> Option<RaftView> {
        None
    }
}
