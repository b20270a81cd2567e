//! What a server knows (Figure 2, "State"), and how its term and role change (§5.1).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use labgob::Bytes;
use labrt::time::{Duration, Instant};
use raftapi::{ApplyMsg, FollowerView, LogIndex, Persister, RaftView, RoleView, ServerId, Term};
use rand::RngExt;

use crate::log::Log;

/// All of a server that changes. Whoever has a `&mut State` holds the lock.
pub(crate) struct State {
    pub(crate) me: ServerId,
    pub(crate) servers: usize,
    pub(crate) persister: Arc<Persister>,

    /// Persistent, as are the next two and the snapshot.
    pub(crate) current_term: Term,
    pub(crate) voted_for: Option<ServerId>,
    pub(crate) log: Log,
    /// The service's state at the log's base.
    pub(crate) snapshot: Bytes,

    pub(crate) role: Role,
    pub(crate) commit_index: LogIndex,
    pub(crate) last_applied: LogIndex,
    /// The snapshot came from a leader, and the service does not have it yet.
    pub(crate) snapshot_is_news: bool,
    /// When this server stands for election, unless it leads.
    pub(crate) election_due: Instant,
}

/// What a server does in the current term (Figure 4).
pub(crate) enum Role {
    Follower { leader: Option<ServerId> },
    Candidate { votes: BTreeSet<ServerId> },
    Leader { others: BTreeMap<ServerId, Progress>, heartbeat_due: Instant },
}

/// What a leader knows of a follower's log. `matched < next`.
pub(crate) struct Progress {
    /// The next entry to send.
    pub(crate) next: LogIndex,
    /// The follower has all up to here. Only grows.
    pub(crate) matched: LogIndex,
    /// When it last answered; at first, when the leader was elected.
    pub(crate) heard: Instant,
    /// When it was last sent the snapshot.
    pub(crate) snapshot_sent: Option<Instant>,
}

impl State {
    pub(crate) fn new(me: ServerId, servers: usize, persister: Arc<Persister>) -> State {
        let saved = persister.read_raft_state();
        let snapshot = Bytes::from(persister.read_snapshot());
        let mut state = State {
            me,
            servers,
            persister,
            current_term: Term(0),
            voted_for: None,
            log: Log::default(),
            snapshot,
            role: Role::Follower { leader: None },
            commit_index: LogIndex(0),
            last_applied: LogIndex(0),
            snapshot_is_news: false,
            election_due: Instant::now(),
        };
        if !saved.is_empty() {
            state.restore(&saved);
        }
        state.put_off_election();
        state
    }

    /// "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert to
    /// follower." The timer of who is not a leader runs on.
    pub(crate) fn see_term(&mut self, term: Term) {
        if term <= self.current_term {
            return;
        }
        if self.is_leader() {
            self.put_off_election();
        }
        self.current_term = term;
        self.voted_for = None;
        self.role = Role::Follower { leader: None };
        self.persist();
    }

    /// Heeds a message of the leader of the current term.
    pub(crate) fn heed(&mut self, leader: ServerId) {
        self.role = Role::Follower { leader: Some(leader) };
        self.put_off_election();
    }

    pub(crate) fn put_off_election(&mut self) {
        let timeout = labrt::rand::rng().random_range(400..800);
        self.election_due = Instant::now() + Duration::from_millis(timeout);
    }

    pub(crate) fn majority(&self) -> usize {
        self.servers / 2 + 1
    }

    pub(crate) fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader { .. })
    }

    pub(crate) fn leader(&self) -> Option<ServerId> {
        match self.role {
            Role::Follower { leader } => leader,
            Role::Candidate { .. } => None,
            Role::Leader { .. } => Some(self.me),
        }
    }

    pub(crate) fn has_news(&self) -> bool {
        self.snapshot_is_news || self.commit_index > self.last_applied
    }

    /// What the service is to be given next, in order.
    pub(crate) fn take_committed(&mut self) -> Vec<ApplyMsg> {
        let mut messages = Vec::new();
        if std::mem::take(&mut self.snapshot_is_news) {
            let base = self.log.base();
            let data = self.snapshot.to_vec();
            messages.push(ApplyMsg::Snapshot { index: base.index, term: base.term, data });
            self.last_applied = base.index;
        }
        let count = self.commit_index.0 - self.last_applied.0;
        let count = usize::try_from(count).expect("entries in memory");
        for entry in &self.log.after(self.last_applied)[..count] {
            self.last_applied = self.last_applied.next();
            messages.push(ApplyMsg::Command {
                index: self.last_applied,
                term: entry.term,
                command: entry.command.to_vec(),
            });
        }
        messages
    }

    pub(crate) fn view(&self) -> RaftView {
        let (role, followers) = match &self.role {
            Role::Follower { leader } => (RoleView::Follower { leader: *leader }, Vec::new()),
            Role::Candidate { .. } => (RoleView::Candidate, Vec::new()),
            Role::Leader { others, .. } => {
                let view = |(&server, of): (&ServerId, &Progress)| FollowerView {
                    server,
                    next_index: of.next,
                    match_index: of.matched,
                };
                (RoleView::Leader, others.iter().map(view).collect())
            }
        };
        let base = self.log.base();
        RaftView {
            current_term: self.current_term,
            role,
            voted_for: self.voted_for,
            last_included: base,
            entries: self.log.after(base.index).iter().map(|entry| entry.term).collect(),
            commit_index: self.commit_index,
            last_applied: self.last_applied,
            followers,
        }
    }
}
