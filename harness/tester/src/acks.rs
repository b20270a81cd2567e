//! What a server acknowledges must be on its disk (Raft Figure 2, "Persistent state").
//!
//! Nobody looks into messages here. But if a server has answered one request only, and has a new
//! vote or new entries when the reply leaves that it had not when the request came, then the reply
//! is about these, and there was a save in between. Plain data, like [`crate::elections`].

use labrt::time::Duration;
use raftapi::{EntryId, RaftView, RoleView, ServerId};

use crate::report::Failure;
use crate::text::at;
use crate::views::common;

/// Requests that servers work on.
#[derive(Debug, Clone)]
pub struct Acks {
    servers: Vec<Vec<Request>>,
}

#[derive(Debug, Clone)]
struct Request {
    call: u64,
    incarnation: u32,
    /// Saves so far, when the request came.
    saves: u64,
    /// What the server was then; `None` if it could not be seen.
    view: Option<RaftView>,
    /// Nothing else was worked on meanwhile.
    alone: bool,
}

/// What is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledged {
    /// A vote, for this server.
    Vote(ServerId),
    /// Entries, the first of them this.
    Entries(EntryId),
    /// A snapshot up to this entry.
    Snapshot(EntryId),
}

impl Acks {
    /// Nobody has been asked anything yet.
    #[must_use]
    pub fn new(servers: usize) -> Acks {
        Acks { servers: vec![Vec::new(); servers] }
    }

    /// A request has come.
    pub fn asked(
        &mut self,
        (server, incarnation): (ServerId, u32),
        call: u64,
        saves: u64,
        view: Option<RaftView>,
    ) {
        let requests = &mut self.servers[server.0];
        requests.retain(|request| request.incarnation == incarnation);
        for request in requests.iter_mut() {
            request.alone = false;
        }
        let alone = requests.is_empty();
        requests.push(Request { call, incarnation, saves, view, alone });
    }

    /// A request has come, and the server could not be looked into.
    pub fn asked_unseen(&mut self, server: ServerId, call: u64) {
        let last = self.servers[server.0].last();
        let incarnation = last.map_or(0, |request| request.incarnation);
        self.asked((server, incarnation), call, 0, None);
    }

    /// Its answer goes nowhere, or the server could not be looked into.
    pub fn unanswered(&mut self, server: ServerId, call: u64) {
        self.take(server, call);
    }

    fn take(&mut self, server: ServerId, call: u64) -> Option<Request> {
        let requests = &mut self.servers[server.0];
        let place = requests.iter().position(|request| request.call == call)?;
        Some(requests.remove(place))
    }

    /// Its reply leaves, to `from`. Says what it acknowledges, as far as that is certain.
    ///
    /// # Errors
    ///
    /// If that was not saved.
    pub fn answered(
        &mut self,
        server: ServerId,
        (call, from): (u64, ServerId),
        saves: u64,
        view: Option<&RaftView>,
        now: Duration,
    ) -> Result<Option<Acknowledged>, Failure> {
        let Some(request) = self.take(server, call) else { return Ok(None) };
        let (Some(before), Some(view)) = (&request.view, view) else { return Ok(None) };
        if !request.alone {
            return Ok(None);
        }
        let acknowledged = acknowledges(before, view, from);
        match acknowledged {
            Some(what) if saves == request.saves => Err(not_saved(server, what, view, from, now)),
            _ => Ok(acknowledged),
        }
    }
}

/// What a server that has changed like this has told `from`.
fn acknowledges(before: &RaftView, view: &RaftView, from: ServerId) -> Option<Acknowledged> {
    let vote = |view: &RaftView| (view.current_term, view.voted_for);
    if vote(view) == (view.current_term, Some(from)) && vote(before) != vote(view) {
        return Some(Acknowledged::Vote(from));
    }
    // Whoever follows changes its log for its leader only.
    if view.role != (RoleView::Follower { leader: Some(from) }) {
        return None;
    }
    if view.last_included.index > before.last().index {
        return Some(Acknowledged::Snapshot(view.last_included));
    }
    let index = common(before, view).next();
    let term = view.term_at(index)?;
    Some(Acknowledged::Entries(EntryId { term, index }))
}

fn not_saved(
    server: ServerId,
    what: Acknowledged,
    view: &RaftView,
    from: ServerId,
    now: Duration,
) -> Failure {
    let (title, what) = match what {
        Acknowledged::Vote(_) => ("a vote was granted before it was saved", "its vote".to_owned()),
        Acknowledged::Entries(first) => (
            "entries were acknowledged before they were saved",
            if first == view.last() {
                first.to_string()
            } else {
                format!("{first} to {}", view.last())
            },
        ),
        Acknowledged::Snapshot(last) => (
            "a snapshot was acknowledged before it was saved",
            format!("the snapshot up to {last}"),
        ),
    };
    Failure::safety(title)
        .expected("what must survive a crash is saved before the server answers (Raft Figure 2)")
        .happened(format!(
            "{server} answered {from} in {}, {}: it had {what} by then that it had not when it was \
             asked, and saved nothing in between",
            view.current_term,
            at(now)
        ))
        .look_at("what is saved between a change of term, vote, log or snapshot and the reply")
}
