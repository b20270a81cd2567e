//! Part 3A: heartbeats (§5.2). Part 3B: the log (§5.3, §5.4.2).

use std::sync::Arc;

use raftapi::{ApplyMsg, EntryId, NotLeader};

use crate::{
    message::{AppendEntriesArgs, AppendEntriesReply},
    raft::Shared,
    state::State,
};

impl Shared {
    /// If this server leads, and it is time: calls every other server, so that none stands for
    /// election. The lab allows some ten heartbeats a second.
    ///
    /// Part 3B: each follower is sent the entries from its `nextIndex` on, and what comes of its
    /// reply is in Figure 2, Rules for Servers, Leaders. A heartbeat is such a message without
    /// entries, and is checked like any other.
    pub(crate) fn send_heartbeats_if_due(self: &Arc<Self>) {
        if !self.event(|state| state.is_leader()) {
            return;
        }
        todo!("Part 3A: send heartbeats to all others")
    }
}

impl State {
    /// Answers a leader (Figure 2, AppendEntries RPC, Receiver implementation).
    ///
    /// Part 3A: rule 1; and who hears from the leader of the current term follows it, and puts off
    /// its own election. A newer term comes first, as in `on_request_vote`.
    ///
    /// Part 3B: rules 2 to 5. Read rule 3 with care: what does *not* conflict stays, since messages
    /// may be late, and an old one may hold less than you have (§5.5).
    pub(crate) fn on_append_entries(&mut self, args: &AppendEntriesArgs) -> AppendEntriesReply {
        let _ = args;
        todo!("Part 3A: heed the leader's heartbeat, refuse one of an old term")
    }

    /// Takes a command into the leader's log; see [`Raft::start`](crate::Raft::start).
    ///
    /// It is committed when a majority has stored it, and it is of the current term (§5.4.2, Figure 8).
    pub(crate) fn start(&mut self, command: Vec<u8>) -> Result<EntryId, NotLeader> {
        if !self.is_leader() {
            return Err(NotLeader { leader: None });
        }
        // A command, and the term of the leader that took it in (Figure 6).
        let _ = (self.current_term, command);
        todo!("Part 3B: append the command to the log, and replicate it")
    }

    /// What the service is to be given next: an [`ApplyMsg::Command`] for each entry after
    /// `last_applied`, up to `commit_index`; these are then applied. Empty if there is nothing.
    ///
    /// Part 3D: an [`ApplyMsg::Snapshot`] that a leader sent comes before them.
    pub(crate) fn take_committed(&mut self) -> Vec<ApplyMsg> {
        if self.last_applied >= self.commit_index {
            return Vec::new();
        }
        todo!("Part 3B: hand out the entries that are committed and not yet applied")
    }
}
