//! Which operations were executed already (Raft §8, "exactly once").
//!
//! A client has one operation under way at a time, so the last one is all that a retry can repeat:
//! one slot a client. The table is part of the replicated state: every server fills it when it
//! applies an entry, and so knows a retry of what another leader executed.

use raft::LogIndex;
use rpds::RedBlackTreeMapSync;
use serde::{Deserialize, Serialize};

use super::{ClientId, pending::OpId};

/// So many clients are remembered: those that had an operation executed last.
///
/// Nobody says goodbye, so the table must forget clients. "Last" is counted in log entries, not in
/// time: so all servers forget the same ones at the same entry. What it means for a client: an
/// operation is executed twice only if this many *other* clients have had operations executed
/// between two arrivals of its request. (A client that is forgotten while it has nothing under way
/// loses nothing.) A slot takes some 200 bytes of memory, and in a snapshot 20 and the output.
pub const MAX_SESSIONS: usize = 8192;

/// The last executed operation of each client. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Sessions<T> {
    slots: RedBlackTreeMapSync<ClientId, Slot<T>>,
    /// The same clients by the index of their last operation.
    by_age: RedBlackTreeMapSync<LogIndex, ClientId>,
    capacity: usize,
}

/// What one client did last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slot<T> {
    seq: u64,
    /// The entry that executed it.
    index: LogIndex,
    output: T,
}

/// What the table says of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known<T> {
    /// It is to be executed.
    New,
    /// It was the client's last one, with this output.
    Done(T),
    /// The client has done a later one: an old message.
    Superseded,
}

impl<T: Clone> Sessions<T> {
    /// Remembers `capacity` clients.
    pub(super) fn new(capacity: usize) -> Sessions<T> {
        let (slots, by_age) = (RedBlackTreeMapSync::new_sync(), RedBlackTreeMapSync::new_sync());
        Sessions { slots, by_age, capacity }
    }

    /// Was this operation executed?
    pub(super) fn look_up(&self, op: OpId) -> Known<T> {
        match self.slots.get(&op.client) {
            Some(slot) if slot.seq == op.seq => Known::Done(slot.output.clone()),
            Some(slot) if slot.seq > op.seq => Known::Superseded,
            _ => Known::New,
        }
    }

    /// Remembers that the entry at `index` has executed this operation.
    pub(super) fn record(&mut self, op: OpId, index: LogIndex, output: T) {
        self.insert(op.client, Slot { seq: op.seq, index, output });
        if self.slots.size() > self.capacity {
            let (&index, &client) = self.by_age.first().expect("one entry for each slot");
            self.by_age.remove_mut(&index);
            self.slots.remove_mut(&client);
        }
    }

    /// All that is remembered, in the order of clients.
    pub(super) fn slots(&self) -> Vec<(ClientId, &Slot<T>)> {
        self.slots.iter().map(|(&client, slot)| (client, slot)).collect()
    }

    /// A table with these slots.
    pub(super) fn restore(capacity: usize, slots: Vec<(ClientId, Slot<T>)>) -> Sessions<T> {
        let mut sessions = Sessions::new(capacity);
        for (client, slot) in slots {
            sessions.insert(client, slot);
        }
        sessions
    }

    fn insert(&mut self, client: ClientId, slot: Slot<T>) {
        self.by_age.insert_mut(slot.index, client);
        if let Some(present) = self.slots.get_mut(&client) {
            self.by_age.remove_mut(&present.index);
            *present = slot;
        } else {
            self.slots.insert_mut(client, slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(client: u128, seq: u64) -> OpId {
        OpId { client: ClientId(client), seq }
    }

    /// A table after these operations, each with its own number as output.
    fn after(capacity: usize, ops: &[(u128, u64)]) -> Sessions<u64> {
        let mut sessions = Sessions::new(capacity);
        for (index, &(client, seq)) in (1..).zip(ops) {
            sessions.record(op(client, seq), LogIndex(index), seq);
        }
        sessions
    }

    #[test]
    fn only_the_last_operation_of_a_client_is_known() {
        let sessions = after(10, &[(1, 1), (2, 1), (1, 2), (1, 5)]);
        let known = [4, 5, 6].map(|seq| sessions.look_up(op(1, seq)));
        assert_eq!(known, [Known::Superseded, Known::Done(5), Known::New]);
        assert_eq!(sessions.look_up(op(2, 1)), Known::Done(1));
        assert_eq!(sessions.look_up(op(3, 0)), Known::New);
    }

    #[test]
    fn the_client_that_was_quiet_for_longest_is_forgotten() {
        let sessions = after(2, &[(1, 1), (2, 1), (1, 2), (3, 1)]);
        let known = [op(1, 2), op(2, 1), op(3, 1)].map(|op| sessions.look_up(op));
        assert_eq!(known, [Known::Done(2), Known::New, Known::Done(1)]);
        assert_eq!((sessions.slots.size(), sessions.by_age.size()), (2, 2));
    }

    #[test]
    fn a_restored_table_forgets_the_same_clients() {
        let mut original = after(3, &[(9, 1), (1, 1), (5, 1), (9, 2)]);
        let slots = original.slots().into_iter().map(|(client, slot)| (client, slot.clone()));
        let mut restored = Sessions::restore(3, slots.collect());
        assert_eq!(restored.slots(), original.slots());
        for (index, client) in [(10, 77), (11, 5), (12, 78)] {
            original.record(op(client, 9), LogIndex(index), 9);
            restored.record(op(client, 9), LogIndex(index), 9);
            assert_eq!(restored.slots(), original.slots());
        }
    }

    #[test]
    fn a_clone_stays_as_it_was() {
        let mut sessions = after(10, &[(1, 1)]);
        let clone = sessions.clone();
        sessions.record(op(1, 2), LogIndex(2), 2);
        assert_eq!(clone.look_up(op(1, 1)), Known::Done(1));
    }
}
