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

/// Tickets whose entries can no longer be told apart from lost ones. Decided when this is dropped,
/// which must be after unlocking.
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

/// The tickets of all entries whose fate is open.
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

    /// This server leads no longer, if it ever led a term after `last`.
    pub(super) fn resign(&mut self, last: Term) -> Lost<T> {
        self.lose(|open| open.term <= last)
    }

    fn lose(&mut self, is_lost: impl Fn(EntryId) -> bool) -> Lost<T> {
        // Nearly always there is nothing to find: along the log terms grow, so the first is lost if
        // any is.
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
