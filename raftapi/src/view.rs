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
    pub current_term: Term,
    /// What the server does in that term.
    pub role: RoleView,
    /// Who got its vote in that term.
    pub voted_for: Option<ServerId>,
    /// Last entry that the snapshot includes; the default if there is no snapshot.
    pub last_included: EntryId,
    /// Terms of the entries after `last_included`, so the first is that of index `last_included.index + 1`.
    pub entries: Vec<Term>,
    /// Highest index known to be committed.
    pub commit_index: LogIndex,
    /// Highest index handed over for the service; at most `commit_index`.
    pub last_applied: LogIndex,
    /// On a leader, how far it believes each other server to be; it may be left empty.
    pub followers: Vec<FollowerView>,
}

/// How far a leader believes another server to be (Raft Figure 2, "Volatile state on leaders").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerView {
    /// Whom this is about.
    pub server: ServerId,
    /// Index of the next entry to send to it.
    pub next_index: LogIndex,
    /// Highest index known to be stored there.
    pub match_index: LogIndex,
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
    /// The last entry of the log, or `last_included` if there is none after it.
    pub fn last(&self) -> EntryId {
        let index = LogIndex(self.last_included.index.0 + self.entries.len() as u64);
        EntryId { term: self.entries.last().copied().unwrap_or(self.last_included.term), index }
    }

    /// The term of the entry at `index`; `None` below `last_included` and beyond the last entry.
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        let after_snapshot = index.0.checked_sub(self.last_included.index.0)?;
        match after_snapshot.checked_sub(1) {
            None => Some(self.last_included.term),
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
            current_term: Term(4),
            role: RoleView::Leader,
            voted_for: Some(ServerId(0)),
            last_included: EntryId { term: Term(2), index: LogIndex(10) },
            entries: vec![Term(2), Term(4)],
            commit_index: LogIndex(11),
            last_applied: LogIndex(10),
            followers: Vec::new(),
        };
        let found = [9, 10, 11, 12, 13].map(|index| view.term_at(LogIndex(index)));
        assert_eq!(found, [None, Some(Term(2)), Some(Term(2)), Some(Term(4)), None]);
        assert_eq!(view.last(), EntryId { term: Term(4), index: LogIndex(12) });
    }
}
