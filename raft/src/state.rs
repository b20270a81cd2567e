//! The server's state, and every change of term or role (§5.1, Figure 4).
//!
//! [`State`] is plain synchronous code: an event goes in, and what must now be done comes out, as
//! [`Call`]s to make, a reply to give, or messages to deliver. Whatever depends on a change is
//! returned after the change was saved. Time is told to it; it never waits.
//!
//! The events are in election.rs (timeouts, votes), replication.rs (commands, AppendEntries) and
//! snapshot.rs; raft.rs feeds them in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use labgob::Bytes;
use raftapi::{ApplyMsg, FollowerView, LogIndex, Persister, RaftView, RoleView, ServerId, Term};
use rand::{SeedableRng, rngs::Xoshiro256PlusPlus};
use tracing::debug;

#[cfg(doc)]
use crate::message::Call;
use crate::{log::Log, persist::Disk, progress::Progress};

/// A time on this server's clock, counted from its start.
pub(crate) type Time = Duration;

/// What this server does in the current term (Figure 4).
pub(crate) enum Role {
    /// Answers others. `leader` is unknown until the first AppendEntries of this term.
    Follower { leader: Option<ServerId> },
    /// Holds an election. `votes` always contains this server. The network `lost` the calls to
    /// some others; these are made once more at `ask_again`.
    Candidate { votes: BTreeSet<ServerId>, lost: BTreeSet<ServerId>, ask_again: Time },
    /// Owns the log in this term. One [`Progress`] for each *other* server.
    Leader { followers: BTreeMap<ServerId, Progress> },
}

/// All that one server knows (Figure 2, "State").
pub(crate) struct State {
    /// Fixed at construction.
    pub(crate) me: ServerId,
    /// All servers but this one; fixed at construction.
    pub(crate) others: Vec<ServerId>,

    /// Latest term seen. Only grows. Persistent.
    pub(crate) current_term: Term,
    /// Who got this server's vote in `term`. Persistent.
    pub(crate) voted_for: Option<ServerId>,
    /// Persistent.
    pub(crate) log: Log,
    /// The service's state at `log.last_included()`; empty while there is none. Persistent.
    pub(crate) snapshot: Bytes,
    pub(crate) disk: Disk,

    pub(crate) role: Role,
    /// Highest index known to be committed. Only grows.
    pub(crate) commit_index: LogIndex,
    /// Highest index handed out by [`State::take_deliveries`]. Only grows, up to `commit`.
    pub(crate) last_applied: LogIndex,
    /// The snapshot came from the leader and must reach the service before any command.
    pub(crate) snapshot_undelivered: bool,

    /// When a follower or candidate starts an election; means nothing to a leader.
    pub(crate) election_deadline: Time,
    pub(crate) rng: Xoshiro256PlusPlus,
}

impl State {
    /// Starts as a follower, from what is on the disk. `seed` is for the election timeouts.
    pub(crate) fn new(me: ServerId, servers: usize, persister: Arc<Persister>, seed: u64) -> State {
        let (disk, saved) = Disk::open(persister);
        let base = saved.log.last_included().index;
        let mut state = State {
            me,
            others: (0..servers).map(ServerId).filter(|&server| server != me).collect(),
            current_term: saved.term,
            voted_for: saved.voted_for,
            log: saved.log,
            snapshot: Bytes::from(saved.snapshot),
            disk,
            role: Role::Follower { leader: None },
            // A snapshot is of committed entries only, and the service has loaded it (§7).
            commit_index: base,
            last_applied: base,
            snapshot_undelivered: false,
            election_deadline: Time::ZERO,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
        };
        state.reset_election_timer(Time::ZERO);
        state
    }

    /// "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert to
    /// follower" (§5.1). Says whether it did. Every handler, of requests and of replies, comes
    /// here first.
    ///
    /// The election timer runs on: only a vote or a leader's message may put it off, else a server
    /// that cannot win would keep the one that can from trying. A leader has no timer, and gets one.
    pub(crate) fn adopt_newer_term(&mut self, term: Term, now: Time) -> bool {
        if term <= self.current_term {
            return false;
        }
        debug!(target: "term", "{} -> {term}", self.current_term);
        if self.is_leader() {
            self.reset_election_timer(now);
        }
        self.current_term = term;
        self.voted_for = None; // a new term, a new vote
        self.role = Role::Follower { leader: None };
        true
    }

    /// Follows the sender of a request that only the leader of `term` makes. The caller has
    /// refused older terms.
    pub(crate) fn follow(&mut self, leader: ServerId, term: Term, now: Time) {
        self.adopt_newer_term(term, now);
        assert!(term == self.current_term, "{leader} leads {term}, which is over");
        assert!(!self.is_leader(), "{leader} and {} both lead {term}", self.me);
        self.role = Role::Follower { leader: Some(leader) };
        self.reset_election_timer(now);
    }

    /// A term of this server's own, with its own vote (§5.2).
    pub(crate) fn become_candidate(&mut self, now: Time) {
        self.current_term = self.current_term.next();
        self.voted_for = Some(self.me);
        let (votes, lost) = (BTreeSet::from([self.me]), BTreeSet::new());
        self.role = Role::Candidate { votes, lost, ask_again: Time::MAX };
        self.reset_election_timer(now);
        debug!(target: "elect", "campaigns in {} with {}", self.current_term, self.log.last_id());
    }

    /// Takes over the log (§5.3). Nothing is known of the followers yet, and each is due a message.
    pub(crate) fn become_leader(&mut self, now: Time) {
        let next = self.log.last_id().index.next();
        let followers = self.others.iter().map(|&peer| (peer, Progress::new(next, now))).collect();
        self.role = Role::Leader { followers };
        debug!(target: "elect", "leads {} with {}", self.current_term, self.log.last_id());
    }

    /// Stops taking part; for a server that is being shut down.
    pub(crate) fn retire(&mut self) {
        self.role = Role::Follower { leader: None };
        self.election_deadline = Time::MAX;
    }

    /// Saves what changed, if anything did. To be called before a reply or a request that depends
    /// on the change leaves this server (Figure 2): what others were told must survive a crash.
    pub(crate) fn persist(&mut self) {
        if self.disk.save(self.current_term, self.voted_for, &self.log) {
            debug!(target: "persist", "{} log up to {}", self.current_term, self.log.last_id());
        }
    }

    /// How many servers decide: more than half of all.
    pub(crate) fn majority(&self) -> usize {
        let servers = self.others.len() + 1;
        servers / 2 + 1
    }

    pub(crate) fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader { .. })
    }

    /// Who leads the current term, as far as this server knows.
    pub(crate) fn leader(&self) -> Option<ServerId> {
        match self.role {
            Role::Follower { leader } => leader,
            Role::Candidate { .. } => None,
            Role::Leader { .. } => Some(self.me),
        }
    }

    /// Whether [`State::take_deliveries`] has anything to give.
    pub(crate) fn has_deliveries(&self) -> bool {
        self.snapshot_undelivered || self.last_applied < self.commit_index
    }

    /// Takes what the service must be given next, in this order; each thing is handed out once.
    ///
    /// "If commitIndex > lastApplied: increment lastApplied, apply log\[lastApplied\]" (Figure 2).
    pub(crate) fn take_deliveries(&mut self) -> Vec<ApplyMsg> {
        let mut messages = Vec::new();
        if std::mem::take(&mut self.snapshot_undelivered) {
            let base = self.log.last_included();
            debug!(target: "apply", "snapshot {base}");
            let data = self.snapshot.to_vec();
            messages.push(ApplyMsg::Snapshot { index: base.index, term: base.term, data });
            self.last_applied = base.index;
        }
        if self.last_applied < self.commit_index {
            debug!(target: "apply", "{}..={}", self.last_applied.next(), self.commit_index);
        }
        let committed =
            usize::try_from(self.commit_index.0 - self.last_applied.0).expect("entries in memory");
        for entry in &self.log.entries_from(self.last_applied.next())[..committed] {
            self.last_applied = self.last_applied.next();
            let command = entry.command.to_vec();
            messages.push(ApplyMsg::Command {
                index: self.last_applied,
                term: entry.term,
                command,
            });
        }
        messages
    }

    pub(crate) fn view(&self) -> RaftView {
        let last_included = self.log.last_included();
        let entries = self.log.entries_from(last_included.index.next());
        RaftView {
            current_term: self.current_term,
            role: match self.role {
                Role::Follower { leader } => RoleView::Follower { leader },
                Role::Candidate { .. } => RoleView::Candidate,
                Role::Leader { .. } => RoleView::Leader,
            },
            voted_for: self.voted_for,
            last_included,
            entries: entries.iter().map(|entry| entry.term).collect(),
            commit_index: self.commit_index,
            last_applied: self.last_applied,
            followers: self.followers_view(),
        }
    }

    fn followers_view(&self) -> Vec<FollowerView> {
        let Role::Leader { followers } = &self.role else { return Vec::new() };
        let view = |(&server, progress): (&ServerId, &Progress)| FollowerView {
            server,
            next_index: progress.next_index,
            match_index: progress.match_index,
        };
        followers.iter().map(view).collect()
    }
}
