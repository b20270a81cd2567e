//! The history of what the logs contained, as far as servers show it (`Raft::view`): what must hold
//! in it, and what to say if it does not (Raft 5.3, Log Matching; 5.4.3).
//!
//! Plain data, like [`crate::elections`]. A Raft that shows nothing is not checked here.

use std::collections::BTreeMap;

use labrt::time::Duration;
use raftapi::{EntryId, LogIndex, RaftView, ServerId, Term};

use crate::applied::Applied;
use crate::report::Failure;
use crate::text::at;

/// Which entry came before which, on whatever server.
#[derive(Debug, Clone, Default)]
pub struct Logs {
    /// For each entry: the term of the one before it, and who showed that first.
    before: BTreeMap<EntryId, (Term, ServerId, Duration)>,
}

impl Logs {
    /// A server showed its log, of which the part up to `unchanged` has been seen and was committed then.
    ///
    /// # Errors
    ///
    /// If terms fall along it, if it shares an entry with another log, seen now or earlier, but not
    /// the one before, if it has applied what is not committed or committed what it does not hold,
    /// or if it has committed what differs from what was applied.
    pub fn saw(
        &mut self,
        server: ServerId,
        view: &RaftView,
        unchanged: LogIndex,
        applied: &Applied,
        now: Duration,
    ) -> Result<(), Failure> {
        let known = unchanged.max(view.last_included.index);
        let skipped = usize::try_from(known.0 - view.last_included.index.0).unwrap_or(usize::MAX);
        let mut index = known;
        while index <= view.commit_index {
            let Some(term) = view.term_at(index) else { break };
            if let Some(committed) = applied.term_at(index)
                && committed != term
            {
                let entry = EntryId { term, index };
                let own = applied.progress(server).is_some_and(|applied| index <= applied);
                return Err(wrong_commit(server, entry, committed, (view.commit_index, own), now));
            }
            index = index.next();
        }
        let mut previous =
            EntryId { term: view.term_at(known).unwrap_or(view.last_included.term), index: known };
        for &term in view.entries.get(skipped..).unwrap_or_default() {
            let entry = EntryId { term, index: previous.index.next() };
            if term < previous.term || term > view.current_term {
                return Err(terms_fall(server, previous, entry, view.current_term, now));
            }
            let (before, by, when) =
                *self.before.entry(entry).or_insert((previous.term, server, now));
            if before != previous.term {
                return Err(no_match(entry, (before, by, when), (previous.term, server, now)));
            }
            previous = entry;
        }
        if view.last_applied > view.commit_index || view.commit_index > previous.index {
            return Err(out_of_step(server, view, previous, now));
        }
        Ok(())
    }
}

fn terms_fall(
    server: ServerId,
    previous: EntryId,
    entry: EntryId,
    current: Term,
    now: Duration,
) -> Failure {
    Failure::safety("terms fall along a log")
        .expected(
            "along a log terms never decrease, and none is newer than the server's own (Raft 5.3)",
        )
        .happened(format!("{server}, in {current}, holds {entry} after {previous}, {}", at(now)))
        .look_at("which entries are kept when others are deleted or replaced by a snapshot")
}

fn no_match(
    entry: EntryId,
    first: (Term, ServerId, Duration),
    second: (Term, ServerId, Duration),
) -> Failure {
    let show = |(term, server, when): (Term, ServerId, Duration)| {
        let before = EntryId { term, index: entry.index.prev() };
        format!("after {before} on {server}, {}", at(when))
    };
    Failure::safety("two logs share an entry but not the one before it")
        .expected("logs that hold an entry with the same index and term are equal up to it (Raft 5.3, Log Matching)")
        .happened(format!("{entry} stood {}, and {}", show(first), show(second)))
        .look_at("the check before entries are appended, and what is kept of the log when a snapshot is installed (Figure 13, 6 and 7)")
}

fn out_of_step(server: ServerId, view: &RaftView, last: EntryId, now: Duration) -> Failure {
    Failure::safety("the commit index is out of step")
        .expected("lastApplied <= commitIndex <= the log's last index, and none of them goes back (Raft Figure 2)")
        .happened(format!(
            "{server} shows applied {}, commit {}, last entry {last}, {}",
            view.last_applied,
            view.commit_index,
            at(now)
        ))
        .look_at("everything that sets the commit index, and what deletes entries")
}

fn wrong_commit(
    server: ServerId,
    entry: EntryId,
    committed: Term,
    (commit, own): (LogIndex, bool),
    now: Duration,
) -> Failure {
    let index = entry.index;
    if own {
        // Both cannot be: it has handed over the one, and shows the other in its place.
        return Failure::safety("what view() shows is not what was applied")
            .expected("a server keeps what it applied, and view() shows what it keeps (Raft 5.4.3)")
            .happened(format!(
                "{server} has applied an entry of {committed} at {index}; {} its view() shows {entry} there",
                at(now)
            ))
            .look_at("what deletes or replaces entries that are committed");
    }
    Failure::safety("a server committed an entry that differs from the one applied there")
        .expected("what is committed at an index is the same on every server (Raft 5.4.3)")
        .happened(format!(
            "{server} has committed up to {commit} and holds {entry}, {}; what was applied there is \
             of {committed}",
            at(now)
        ))
        .look_at("the check before entries are appended (5.3), and up to where a follower commits (Figure 2)")
}
