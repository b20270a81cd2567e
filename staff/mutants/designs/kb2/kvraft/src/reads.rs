//! Reads without the log (§8; section 6.4 of Ongaro's dissertation).
//!
//! A leader of term T may answer a read from its state if, after the read arrived, a majority has said
//! that it knows of no later term. For a leader of a later term is elected by votes of a majority; one
//! of these servers has also said so, and voted afterwards. So that leader was not elected when the read
//! arrived, and all that was acknowledged by then was acknowledged by this one, which applies before
//! it acknowledges; or by leaders before it, whose entries come before the first of its own.
//! Until it has applied an entry of its own, it cannot know that it has all of those: then the read
//! goes into the log, and is that entry.

use std::sync::Arc;

use labrt::{channel, thread, time::Instant};
use raft::Term;

use crate::{
    message::{Confirm, Op, Refusal, Reply, Request},
    server::{PATIENCE, Shared},
};

impl Shared {
    /// Answers a get, in one round of calls.
    pub(crate) fn read(self: &Arc<Self>, request: &Request) -> Reply {
        let (term, leads) = self.raft.get_state();
        if !leads {
            return Err(Refusal::NotLeader);
        }
        if self.lock().state.applied.term != term {
            return self.write(request);
        }
        if !self.is_confirmed(term) {
            return Err(Refusal::Unknown);
        }
        match &request.op {
            Op::Get { key } => Ok(self.lock().state.get(key)),
            Op::Put { .. } | Op::Append { .. } => unreachable!("a write is no read"),
        }
    }

    /// Whether a majority, this server with it, says now that the term is not over.
    fn is_confirmed(self: &Arc<Self>, term: Term) -> bool {
        let (said, replies) = channel::unbounded();
        for place in (0..self.ends.len()).filter(|place| *place != self.me) {
            let (server, said) = (Arc::clone(self), said.clone());
            let ask = move || {
                if let Ok(reply) = server.ends[place].call(&Confirm { term }) {
                    // Nobody listens any more if others were faster.
                    let _ = said.send(reply);
                }
            };
            thread::Builder::new().name("confirm".to_owned()).spawn(ask).expect("a task can start");
        }
        drop(said);
        let deadline = Instant::now() + PATIENCE;
        let mut confirmed = 1;
        while confirmed <= self.ends.len() / 2 {
            match replies.recv_deadline(deadline) {
                Ok(true) => confirmed += 1,
                Ok(false) | Err(_) => return false,
            }
        }
        true
    }

    pub(crate) fn confirm(&self, term: Term) -> bool {
        self.raft.get_state().0 <= term
    }
}
