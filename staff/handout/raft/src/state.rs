//! What a server knows (Figure 2, "State").

use std::sync::Arc;

use raftapi::{LogIndex, Persister, ServerId, Term};

/// All of a server that changes. Whoever has a `&mut State` holds the lock.
///
/// The fields that are missing are in Figure 2, with their meanings. Add each with the part that
/// first needs it: `votedFor` in 3A; `log[]`, `nextIndex[]` and `matchIndex[]` in 3B; what a snapshot
/// leaves of the log in 3D. And what the figure does not draw: the time at which the next election
/// is due.
///
/// The log's first entry has index 1. A small type of your own for the log (append, the entry at an
/// index, the last entry's [`EntryId`](raftapi::EntryId)) pays off in 3D, when the beginning is gone and
/// an index is no longer a place in a `Vec`.
pub(crate) struct State {
    /// This server. Fixed, as is the next one.
    pub(crate) me: ServerId,
    /// How many servers there are.
    pub(crate) servers: usize,
    /// Where the persistent part of this is saved.
    pub(crate) persister: Arc<Persister>,

    /// Latest term this server has seen: 0 at first boot, and never less than it was. Persistent.
    pub(crate) current_term: Term,
    /// What it does in that term.
    pub(crate) role: Role,

    /// Index of the highest log entry known to be committed: 0 at first, only grows.
    pub(crate) commit_index: LogIndex,
    /// Index of the highest log entry handed to the service: 0 at first, only grows.
    pub(crate) last_applied: LogIndex,
}

/// What a server does in the current term (§5.1, Figure 4).
///
/// Part 3A: two roles are missing. What means something in one role only, such as the votes of a
/// candidate, can be a field of that role: then it cannot be left over when the role is.
pub(crate) enum Role {
    /// Answers requests, and waits for a leader's.
    Follower,
}

impl State {
    /// A server that starts: for the first time if nothing was saved, else where it was.
    pub(crate) fn new(me: ServerId, servers: usize, persister: Arc<Persister>) -> State {
        let saved = persister.read_raft_state();
        let mut state = State {
            me,
            servers,
            persister,
            current_term: Term(0),
            role: Role::Follower,
            commit_index: LogIndex(0),
            last_applied: LogIndex(0),
        };
        if saved.is_empty() {
            state.persist();
        } else {
            state.restore(&saved);
        }
        state
    }

    /// How many servers decide: more than half of all.
    pub(crate) fn majority(&self) -> usize {
        self.servers / 2 + 1
    }

    pub(crate) fn is_leader(&self) -> bool {
        match self.role {
            Role::Follower => false,
        }
    }
}
