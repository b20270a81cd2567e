//! Roles and terms of servers that show nothing of themselves, as their messages tell them.
//!
//! A server that asks for votes is a candidate in the term that it asks for, one that sends entries leads,
//! and one that answers is in the term of its answer. That is enough to draw, and not to judge: between two
//! messages nobody knows, so that no rule is held against what is derived here.

use crate::model::{Change, Event, Role, Run, What};
use crate::rules::talk::{Message, Method, Way, messages};

/// Adds what messages tell of the servers that were never seen in any state, to a run in which some show
/// nothing, and notes them in [`Run::derived`]. To be called when nothing refers to events by their place.
pub fn add_derived_states(run: &mut Run) {
    let shown = |server: usize| {
        let mut own = run.events.iter().filter(|event| event.server == Some(server));
        own.any(|event| matches!(event.what, What::State(_)))
    };
    let derived: Vec<usize> = (0..run.servers).filter(|server| !shown(*server)).collect();
    if derived.is_empty() {
        return;
    }
    let mut known = vec![Known::default(); run.servers];
    let mut added = Vec::new();
    let mut events = run.events.iter().peekable();
    for message in messages(run) {
        while let Some(event) = events.next_if(|event| event.at <= message.at) {
            if let (What::Started, Some(known)) =
                (&event.what, event.server.and_then(|server| known.get_mut(server)))
            {
                *known = Known::default();
            }
        }
        let server = message.server;
        if !derived.contains(&server) {
            continue;
        }
        let now = known[server].after(&message);
        if let Some(change) = known[server].change_to(now) {
            let what = What::State(change);
            added.push(Event { at: message.at, server: Some(server), task: None, what });
            known[server] = now;
        }
    }
    // What happened at the same instant comes first: a server starts before it speaks.
    run.events.extend(added);
    run.events.sort_by_key(|event| event.at);
    run.derived = derived;
}

/// What a server has told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Known {
    term: u64,
    role: Role,
    vote: Option<usize>,
}

impl Known {
    fn after(self, message: &Message) -> Known {
        let request = message.request.term;
        match (message.way, message.method) {
            (Way::RequestLeaves, Method::Vote) => self.speaks(request, Role::Candidate),
            (Way::RequestLeaves, method) if method.leads() => self.speaks(request, Role::Leader),
            (Way::ReplyLeaves, method) if method != Method::Other => {
                let reply = message.reply.as_deref();
                let told = reply.and_then(|reply| reply.term);
                let granted = reply.and_then(|reply| reply.granted) == Some(true);
                let accepted = reply.and_then(|reply| reply.success) == Some(true);
                let mut now = match told.or(request.filter(|_| granted || accepted)) {
                    Some(term) if term > self.term => {
                        Known { term, role: Role::Follower, vote: None }
                    }
                    _ => self,
                };
                if granted {
                    now.vote = Some(message.other);
                }
                if accepted && request == Some(now.term) {
                    now.role = Role::Follower;
                }
                now
            }
            _ => self,
        }
    }

    /// It sends a request that only servers in this role send.
    fn speaks(self, term: Option<u64>, role: Role) -> Known {
        let term = term.unwrap_or(self.term);
        // A late request of an earlier term says nothing of now.
        if term < self.term { self } else { Known { term, role, ..self } }
    }

    fn change_to(self, new: Known) -> Option<Change> {
        if self == new {
            return None;
        }
        let vote = new.vote.map_or(-1, |vote| i64::try_from(vote).unwrap_or(-1));
        Some(Change {
            term: (new.term != self.term).then_some(new.term),
            role: (new.role != self.role).then_some(new.role),
            vote: (new.vote != self.vote).then_some(vote),
            ..Change::default()
        })
    }
}
