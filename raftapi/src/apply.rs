//! What passes between a Raft and the service above it.

use crate::{LogIndex, ServerId, Term};

/// What a Raft hands to its service, in log order.
///
/// One instance delivers each index at most once, and none is left out: after a command at index
/// i comes either the command at i+1 or a snapshot that covers more than i. The first delivery
/// after a start is the index after the snapshot that the [`Persister`](crate::Persister) holds
/// (index 1 if it holds none), or a newer snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplyMsg {
    /// A committed command: every server that ever applies this index applies the same.
    Command {
        /// Where it stands in the log.
        index: LogIndex,
        /// The term of the leader that took it in. With the index it tells a service whether this
        /// is the command that its own `start` was given, or another that took its place.
        term: Term,
        /// The bytes that were given to `start`.
        command: Vec<u8>,
    },
    /// A state that replaces all that was applied so far (Raft §7).
    Snapshot {
        /// Last index that the state includes; the next command delivered is the one after it.
        index: LogIndex,
        /// Term of the entry at `index`.
        term: Term,
        /// The bytes that some server's service once gave to `snapshot`.
        data: Vec<u8>,
    },
}

/// Why a command was refused: this server does not believe that it leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub struct NotLeader {
    /// Who leads, as far as this server knows; `None` during an election. It may be out of date.
    pub leader: Option<ServerId>,
}

impl std::fmt::Display for NotLeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.leader {
            Some(leader) => write!(f, "not the leader; that may be {leader}"),
            None => write!(f, "not the leader; none is known"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_who_may_lead() {
        let known = NotLeader { leader: Some(ServerId(2)) };
        assert_eq!(known.to_string(), "not the leader; that may be S2");
        assert_eq!(NotLeader { leader: None }.to_string(), "not the leader; none is known");
    }
}
