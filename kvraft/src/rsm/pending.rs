//! Who waits for which entry of the log.
//!
//! Every entry that this server started has a [`Ticket`] until its fate is known:
//!
//! - an entry was applied at its index: it is this very entry, or another one of another term;
//! - an entry of a later term was applied anywhere: terms only grow along a log, so all entries of
//!   earlier terms that are not applied by then are lost;
//! - this server leads the term no longer, in which case nobody can tell.
//!
//! An entry whose submitters have all given up keeps its ticket as long as this server leads its
//! term, so that a retry finds it, and does not put the operation into the log once more.

use std::{collections::BTreeMap, sync::Arc};

use labrt::{
    sync::{Condvar, Mutex},
    time::Instant,
};
use raft::{EntryId, LogIndex, Term};

use super::{ClientId, Outcome, SubmitError};

/// One operation of one client, however often it is submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OpId {
    pub(super) client: ClientId,
    pub(super) seq: u64,
}

/// Where the outcome of one entry will be found, by any number of tasks.
pub(super) struct Ticket<T> {
    pub(super) entry: EntryId,
    op: OpId,
    outcome: Mutex<Option<Outcome<T>>>,
    decided: Condvar,
}

impl<T: Clone> Ticket<T> {
    fn new(entry: EntryId, op: OpId) -> Ticket<T> {
        Ticket { entry, op, outcome: Mutex::new(None), decided: Condvar::new() }
    }

    /// Sets the outcome and wakes all who wait for it. To be called once, with no lock held.
    pub(super) fn decide(&self, outcome: Outcome<T>) {
        *self.outcome.lock() = Some(outcome);
        self.decided.notify_all();
    }

    /// Waits for the outcome, at most until `deadline`.
    pub(super) fn wait_until(&self, deadline: Instant) -> Option<Outcome<T>> {
        let mut outcome = self.outcome.lock();
        while outcome.is_none() {
            if self.decided.wait_until(&mut outcome, deadline).timed_out() {
                break;
            }
        }
        outcome.clone()
    }
}

/// Tickets of entries that are lost, or may be for all that this server can tell.
#[must_use = "whoever waits is to be told, without the lock"]
pub(super) struct Lost<T: Clone>(Vec<Arc<Ticket<T>>>);

impl<T: Clone> Lost<T> {
    /// Tells all who wait that nobody knows.
    pub(super) fn tell(self) {
        for ticket in self.0 {
            ticket.decide(Err(SubmitError::Unknown));
        }
    }
}

/// The tickets of all entries whose fate is open. All are of one term: that of the last added.
pub(super) struct Pending<T> {
    by_index: BTreeMap<LogIndex, Arc<Ticket<T>>>,
    by_op: BTreeMap<OpId, LogIndex>,
}

impl<T: Clone> Pending<T> {
    pub(super) fn new() -> Pending<T> {
        Pending { by_index: BTreeMap::new(), by_op: BTreeMap::new() }
    }

    /// The ticket of an entry with this operation.
    pub(super) fn find(&self, op: OpId) -> Option<Arc<Ticket<T>>> {
        self.by_op.get(&op).map(|index| Arc::clone(&self.by_index[index]))
    }

    /// Adds an entry that was just started. Those of earlier terms are lost by that, or have
    /// become another leader's business.
    pub(super) fn add(&mut self, entry: EntryId, op: OpId) -> (Arc<Ticket<T>>, Lost<T>) {
        let lost = self.lose(|old| old.term < entry.term);
        let ticket = Arc::new(Ticket::new(entry, op));
        let before = self.by_index.insert(entry.index, Arc::clone(&ticket));
        assert!(before.is_none(), "{entry} was started twice");
        self.by_op.insert(op, entry.index);
        (ticket, lost)
    }

    /// An entry is being applied: takes its ticket if it is one of this server's, and those that
    /// it shows to be lost.
    pub(super) fn apply(&mut self, entry: EntryId) -> (Option<Arc<Ticket<T>>>, Lost<T>) {
        let own = self.by_index.get(&entry.index).is_some_and(|ticket| ticket.entry == entry);
        let own = own.then(|| self.remove(entry.index));
        (own, self.lose(|open| open.term < entry.term || open.index <= entry.index))
    }

    /// All up to `index` was applied elsewhere, and came as a snapshot.
    pub(super) fn skip_to(&mut self, index: LogIndex) -> Lost<T> {
        self.lose(|open| open.index <= index)
    }

    /// This server leads none of the terms up to `last` any longer.
    pub(super) fn resign(&mut self, last: Term) -> Lost<T> {
        self.lose(|open| open.term <= last)
    }

    fn lose(&mut self, is_lost: impl Fn(EntryId) -> bool) -> Lost<T> {
        // Nearly always there is nothing to find. All are of one term, so whatever is lost begins
        // with the first.
        if !self.by_index.values().next().is_some_and(|first| is_lost(first.entry)) {
            return Lost(Vec::new());
        }
        let lost =
            self.by_index.values().map(|ticket| ticket.entry).filter(|&entry| is_lost(entry));
        let lost: Vec<LogIndex> = lost.map(|entry| entry.index).collect();
        Lost(lost.into_iter().map(|index| self.remove(index)).collect())
    }

    fn remove(&mut self, index: LogIndex) -> Arc<Ticket<T>> {
        let ticket = self.by_index.remove(&index).expect("the caller has seen it");
        self.by_op.remove(&ticket.op);
        ticket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(term: u64, index: u64) -> EntryId {
        EntryId { term: Term(term), index: LogIndex(index) }
    }

    fn op(seq: u64) -> OpId {
        OpId { client: ClientId(1), seq }
    }

    fn entries<T: Clone>(lost: &Lost<T>) -> Vec<EntryId> {
        lost.0.iter().map(|ticket| ticket.entry).collect()
    }

    /// With an entry of term 2 at each of these indexes; the operation's number is the index.
    fn pending(indexes: &[u64]) -> Pending<()> {
        let mut pending = Pending::new();
        for &index in indexes {
            assert_eq!(entries(&pending.add(entry(2, index), op(index)).1), []);
        }
        pending
    }

    #[test]
    fn an_applied_entry_is_told_from_another_at_its_index() {
        let mut pending = pending(&[4, 5, 6]);
        let (own, lost) = pending.apply(entry(2, 4));
        assert_eq!((own.map(|ticket| ticket.entry), entries(&lost)), (Some(entry(2, 4)), vec![]));

        // An entry of term 3 at index 5: then 6 cannot be of term 2.
        let (own, lost) = pending.apply(entry(3, 5));
        assert_eq!(own.map(|ticket| ticket.entry), None);
        assert_eq!(entries(&lost), [entry(2, 5), entry(2, 6)]);
    }

    #[test]
    fn an_earlier_terms_entry_at_another_index_says_nothing() {
        let mut pending = pending(&[4]);
        let (own, lost) = pending.apply(entry(1, 3));
        assert_eq!((own.is_some(), entries(&lost)), (false, vec![]));
        assert!(pending.find(op(4)).is_some());
    }

    #[test]
    fn a_later_terms_entry_anywhere_shows_that_what_is_open_is_lost() {
        let mut pending = pending(&[4, 5]);
        assert_eq!(entries(&pending.apply(entry(3, 2)).1), [entry(2, 4), entry(2, 5)]);
    }

    #[test]
    fn who_leads_again_does_not_leave_the_old_ones_waiting() {
        let mut pending = pending(&[4, 5]);
        let (new, lost) = pending.add(entry(4, 4), op(4));
        assert_eq!(entries(&lost), [entry(2, 4), entry(2, 5)]);
        assert_eq!(pending.find(op(4)).map(|ticket| ticket.entry), Some(new.entry));
        assert!(pending.find(op(5)).is_none());
    }

    #[test]
    fn who_resigns_or_gets_a_snapshot_gives_up_what_that_covers() {
        assert_eq!(entries(&pending(&[4, 5]).resign(Term(1))), []);
        assert_eq!(entries(&pending(&[4, 5]).resign(Term(2))), [entry(2, 4), entry(2, 5)]);
        assert_eq!(entries(&pending(&[4, 5]).skip_to(LogIndex(4))), [entry(2, 4)]);
    }
}
