//! What servers were last seen in, and what has changed since.

use std::sync::Arc;

use raftapi::{EntryId, FollowerView, LogIndex, RaftView, RoleView, ServerId, Term};
use timeline::model::{Change, Micros, Role, What};

use crate::system::RaftServer;

/// Each server's Raft, while it runs, and the last look at it.
pub(super) struct Views {
    rafts: Vec<Option<Arc<dyn RaftServer>>>,
    seen: Vec<RaftView>,
    /// Some server showed nothing of itself.
    pub(super) hidden: bool,
    /// Since when each could not be looked at.
    closed: Vec<Option<Micros>>,
    /// Which could not be looked at for long, from when to when.
    blocked: Vec<(ServerId, Micros, Micros)>,
}

/// A lock that is held for longer is held while something is waited for.
const LONG: Micros = 1_000_000;

impl Views {
    pub(super) fn new(servers: usize) -> Views {
        Views {
            rafts: (0..servers).map(|_| None).collect(),
            seen: vec![nothing(); servers],
            hidden: false,
            closed: vec![None; servers],
            blocked: Vec::new(),
        }
    }

    /// A server could not be looked at.
    pub(super) fn is_closed(&mut self, server: ServerId, now: Micros) {
        self.closed[server.0].get_or_insert(now);
    }

    /// A server can be looked at, or is gone.
    pub(super) fn is_open(&mut self, server: ServerId, now: Micros) {
        if let Some(since) = self.closed[server.0].take_if(|since| *since + LONG < now) {
            self.blocked.push((server, since, now));
        }
        self.closed[server.0] = None;
    }

    /// Which servers could not be looked at for long, from when to when, in a run that ended `now`.
    pub(super) fn blocked(&mut self, now: Micros) -> Vec<(ServerId, Micros, Micros)> {
        for server in 0..self.closed.len() {
            self.is_open(ServerId(server), now);
        }
        std::mem::take(&mut self.blocked)
    }

    /// What a server has given to its service since it was last looked at.
    pub(super) fn applied(&self, server: ServerId, view: Option<&RaftView>) -> Vec<What> {
        let (Some(view), seen) = (view, &self.seen[server.0]) else { return Vec::new() };
        let (base, mut from) = (view.last_included, seen.last_applied);
        let mut given = Vec::new();
        if base.index > from {
            from = base.index.min(view.last_applied);
            // One that starts has its snapshot from the disk.
            if *seen != nothing() && from == base.index {
                given.push(What::Installed { index: base.index.0, term: base.term.0 });
            }
        }
        for index in from.0 + 1..=view.last_applied.0 {
            let Some(term) = view.term_at(LogIndex(index)) else { continue };
            given.push(What::Applied { index, term: term.0, command: String::new() });
        }
        given
    }

    /// A server is to be looked at.
    pub(super) fn show(&mut self, server: ServerId, raft: Arc<dyn RaftServer>) {
        self.rafts[server.0] = Some(raft);
    }

    /// A server is not to be looked at any more. To be dropped where nothing is locked.
    #[must_use]
    pub(super) fn hide(&mut self, server: ServerId) -> Option<Arc<dyn RaftServer>> {
        self.rafts[server.0].take()
    }

    /// All of them. To be dropped where nothing is locked, and before the run is over.
    #[must_use]
    pub(super) fn hide_all(&mut self) -> Vec<Option<Arc<dyn RaftServer>>> {
        self.rafts.iter_mut().map(Option::take).collect()
    }

    /// A server begins anew.
    pub(super) fn forget(&mut self, server: ServerId) {
        self.seen[server.0] = nothing();
    }

    pub(super) fn raft(&self, server: ServerId) -> Option<Arc<dyn RaftServer>> {
        self.rafts[server.0].clone()
    }

    /// A server was seen in this state, or showed none. What has changed, if anything.
    pub(super) fn saw(&mut self, server: ServerId, view: Option<RaftView>) -> Option<Change> {
        let Some(view) = view else {
            self.hidden = true;
            return None;
        };
        let before = std::mem::replace(&mut self.seen[server.0], view);
        difference(&before, &self.seen[server.0])
    }
}

/// The view of a server of which nothing is known.
pub(super) fn nothing() -> RaftView {
    RaftView {
        current_term: Term(0),
        role: RoleView::Follower { leader: None },
        voted_for: None,
        last_included: EntryId::default(),
        entries: Vec::new(),
        commit_index: LogIndex(0),
        last_applied: LogIndex(0),
        followers: Vec::new(),
    }
}

/// What makes `new` of `old`; `None` if they are the same.
pub(super) fn difference(old: &RaftView, new: &RaftView) -> Option<Change> {
    if old == new {
        return None;
    }
    let (old_role, old_leader) = role(old);
    let (new_role, new_leader) = role(new);
    let signed = |server: Option<ServerId>| {
        server.map_or(-1, |server| i64::try_from(server.0).unwrap_or(i64::MAX))
    };
    let base = |view: &RaftView| (view.last_included.index.0, view.last_included.term.0);
    let follower = |f: &FollowerView| (f.server.0, f.next_index.0, f.match_index.0);
    Some(Change {
        term: (old.current_term != new.current_term).then_some(new.current_term.0),
        role: (old_role != new_role).then_some(new_role),
        leader: (old_leader != new_leader).then(|| signed(new_leader)),
        vote: (old.voted_for != new.voted_for).then(|| signed(new.voted_for)),
        base: (old.last_included != new.last_included).then(|| base(new)),
        log: log_difference(old, new),
        commit: (old.commit_index != new.commit_index).then_some(new.commit_index.0),
        applied: (old.last_applied != new.last_applied).then_some(new.last_applied.0),
        followers: (old.followers != new.followers)
            .then(|| new.followers.iter().map(follower).collect()),
    })
}

fn role(view: &RaftView) -> (Role, Option<ServerId>) {
    match view.role {
        RoleView::Follower { leader } => (Role::Follower, leader),
        RoleView::Candidate => (Role::Candidate, None),
        RoleView::Leader => (Role::Leader, None),
    }
}

/// Up to which index the log has stayed, and the terms after that.
fn log_difference(old: &RaftView, new: &RaftView) -> Option<(u64, Vec<u64>)> {
    let from = new.last_included.index;
    let kept = if old.last_included.index > from || old.last().index < from {
        from // nothing in common
    } else {
        let skipped = usize::try_from(from.0 - old.last_included.index.0).unwrap_or(usize::MAX);
        let common = old.entries[skipped..].iter().zip(&new.entries).take_while(|(a, b)| a == b);
        LogIndex(from.0 + common.count() as u64)
    };
    if kept == new.last().index && old.last().index <= kept {
        return None;
    }
    let stays = usize::try_from(kept.0 - from.0).unwrap_or(usize::MAX);
    Some((kept.0, new.entries[stays..].iter().map(|term| term.0).collect()))
}
