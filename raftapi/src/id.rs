//! The numbers of the paper, each with its own type so that one is never taken for another.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A period with at most one leader, counted up from 1; 0 is "before any election" (Raft §5.1).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Term(pub u64);

/// A place in the log. The first entry has index 1; 0 is the place before it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct LogIndex(pub u64);

/// A server, as its position among the peers: 0, 1, ... in the same order on every server.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct ServerId(pub usize);

/// Names one log entry: equal ids mean equal entries and equal prefixes (Raft §5.3, Log Matching).
///
/// The derived order is the one of §5.4.1, later term first, then longer log; so keep the field
/// order. The default, `T0:i0`, is the place before the first entry, which every log contains.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct EntryId {
    /// Term in which a leader created the entry.
    pub term: Term,
    /// Place in the log.
    pub index: LogIndex,
}

impl Term {
    /// The term that an election starts.
    #[must_use]
    pub fn next(self) -> Term {
        Term(self.0 + 1)
    }
}

impl LogIndex {
    /// The place after this one.
    #[must_use]
    pub fn next(self) -> LogIndex {
        LogIndex(self.0 + 1)
    }

    /// The place before this one.
    ///
    /// # Panics
    ///
    /// On index 0, which has none.
    #[must_use]
    pub fn prev(self) -> LogIndex {
        LogIndex(self.0.checked_sub(1).expect("nothing stands before index 0"))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}", self.0)
    }
}

impl fmt::Display for LogIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "i{}", self.0)
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S{}", self.0)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.term, self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(term: u64, index: u64) -> EntryId {
        EntryId { term: Term(term), index: LogIndex(index) }
    }

    #[test]
    fn a_later_term_is_more_up_to_date_than_any_length() {
        assert!(id(3, 1) > id(2, 100));
        assert!(id(2, 5) > id(2, 4));
        assert!(id(1, 1) > EntryId::default());
    }

    #[test]
    fn ids_print_short() {
        let text = format!("{} {} {} {}", Term(3), LogIndex(12), ServerId(1), id(3, 12));
        assert_eq!(text, "T3 i12 S1 T3:i12");
    }

    #[test]
    fn ids_survive_encoding() {
        let bytes = labgob::to_bytes(&(id(7, 9), ServerId(4)));
        assert_eq!(labgob::from_bytes::<(EntryId, ServerId)>(&bytes), Ok((id(7, 9), ServerId(4))));
    }
}
