//! A look inside one server.

use crate::{EntryId, LogIndex, ServerId, Term};

/// What a server is at one instant, for a tester's checks and pictures.
///
/// A Raft need not give it (`Raft::view` may return `None`); no test demands it. One whose log has
/// entries that are no commands, such as a new leader's no-op, must not: indexes here are those of
/// [`ApplyMsg`](crate::ApplyMsg), which counts commands alone, and without the no-op its leader seems
/// to commit entries of earlier terms by counting (Raft §5.4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaftView {
    /// Current term.
    pub term: Term,
    /// What the server does in that term.
    pub role: RoleView,
    /// Who got its vote in that term.
    pub voted_for: Option<ServerId>,
    /// Last entry that the snapshot includes; the default if there is no snapshot.
    pub base: EntryId,
    /// Terms of the entries after `base`, so the first is that of index `base.index + 1`.
    pub entries: Vec<Term>,
    /// Highest index known to be committed.
    pub commit: LogIndex,
    /// Highest index handed over for the service; at most `commit`.
    pub applied: LogIndex,
    /// On a leader, how far it believes each other server to be; it may be left empty.
    pub followers: Vec<FollowerView>,
}

/// How far a leader believes another server to be (Raft Figure 2, "Volatile state on leaders").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerView {
    /// Whom this is about.
    pub server: ServerId,
    /// Index of the next entry to send to it.
    pub next: LogIndex,
    /// Highest index known to be stored there.
    pub matched: LogIndex,
}

/// What a server does in a term (Raft Figure 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoleView {
    /// Answers others.
    Follower {
        /// The leader of this term, once it has been heard from.
        leader: Option<ServerId>,
    },
    /// Asks for votes.
    Candidate,
    /// Owns the log in this term.
    Leader,
}

impl RaftView {
    /// The last entry of the log, or `base` if there is none after it.
    pub fn last(&self) -> EntryId {
        let index = LogIndex(self.base.index.0 + self.entries.len() as u64);
        EntryId { term: self.entries.last().copied().unwrap_or(self.base.term), index }
    }

    /// The term of the entry at `index`; `None` below `base` and beyond the last entry.
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        let after_base = index.0.checked_sub(self.base.index.0)?;
        match after_base.checked_sub(1) {
            None => Some(self.base.term),
            Some(offset) => self.entries.get(usize::try_from(offset).ok()?).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_found_by_absolute_index() {
        let view = RaftView {
            term: Term(4),
            role: RoleView::Leader,
            voted_for: Some(ServerId(0)),
            base: EntryId { term: Term(2), index: LogIndex(10) },
            entries: vec![Term(2), Term(4)],
            commit: LogIndex(11),
            applied: LogIndex(10),
            followers: Vec::new(),
        };
        let found = [9, 10, 11, 12, 13].map(|index| view.term_at(LogIndex(index)));
        assert_eq!(found, [None, Some(Term(2)), Some(Term(2)), Some(Term(4)), None]);
        assert_eq!(view.last(), EntryId { term: Term(4), index: LogIndex(12) });
    }
}
