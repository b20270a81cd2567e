//! The history of what servers showed of themselves (`Raft::view`): what must hold from one look to
//! the next, and what to say if it does not (Raft Figure 3).
//!
//! Plain data, like [`crate::elections`]. A look costs what has changed since the last one. Nothing
//! of this can be checked of a Raft that shows nothing; and what a Raft shows may itself be wrong.
//! Where it contradicts what the same server says or did otherwise, that is said, and no more is
//! believed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use labrt::time::Duration;
use raftapi::{EntryId, LogIndex, RaftView, RoleView, ServerId, Term};

use crate::applied::Applied;
use crate::logs::Logs;
use crate::report::Failure;
use crate::settings::Settings;
use crate::system::RaftServer;
use crate::text::at;

/// `view()` and `get_state()` may differ for a moment, if the one is changed before the other.
const MOMENT: Duration = Duration::from_millis(50);

/// What a server shows of itself. `LAB_VIEW=no` has all servers show nothing, as a Raft does whose author
/// has not written `view` yet: to see what the tester makes of that.
pub(crate) fn of(raft: &dyn RaftServer) -> Option<RaftView> {
    static SHOWN: OnceLock<bool> = OnceLock::new();
    let shown =
        SHOWN.get_or_init(|| Settings::from_env().unwrap_or_else(|error| panic!("{error}")).view);
    if *shown { raft.view() } else { None }
}

/// What all servers have shown.
#[derive(Debug, Clone)]
pub struct Views {
    servers: Vec<Shown>,
    logs: Logs,
    /// Entries that some server held as committed: their terms, and who showed that first.
    committed: BTreeMap<LogIndex, (Term, ServerId, Duration)>,
    /// Whoever led each term, and was looked at.
    led: BTreeSet<(Term, ServerId)>,
    /// What is to be said without a failure.
    remarks: BTreeSet<String>,
}

/// What one server has shown.
#[derive(Debug, Clone, Default)]
struct Shown {
    incarnation: u32,
    last: Option<(RaftView, Duration)>,
    /// Since when `view()` and `get_state()` have differed at each look.
    differs: Option<Duration>,
    /// They differed for too long: what it shows is not believed.
    is_wrong: bool,
}

impl Views {
    /// No server has been looked at yet.
    #[must_use]
    pub fn new(servers: usize) -> Views {
        Views {
            servers: vec![Shown::default(); servers],
            logs: Logs::default(),
            committed: BTreeMap::new(),
            led: BTreeSet::new(),
            remarks: BTreeSet::new(),
        }
    }

    /// A server showed this, and at the same instant this term and whether it leads. `began` is when
    /// anybody was first seen in that term.
    ///
    /// # Errors
    ///
    /// If it breaks one of Raft's properties, together with what was shown before.
    pub fn saw(
        &mut self,
        (server, incarnation): (ServerId, u32),
        state: (Term, bool),
        view: RaftView,
        (began, applied): (Option<Duration>, &Applied),
        now: Duration,
    ) -> Result<(), Failure> {
        if !self.believes(server, state, &view, now) {
            return Ok(());
        }
        self.check((server, incarnation), view, (began, applied), now).map_err(|failure| Failure {
            look_at: format!("{}; or view() itself, through which this was seen", failure.look_at),
            ..failure
        })
    }

    fn check(
        &mut self,
        (server, incarnation): (ServerId, u32),
        view: RaftView,
        (began, applied): (Option<Duration>, &Applied),
        now: Duration,
    ) -> Result<(), Failure> {
        let shown = &mut self.servers[server.0];
        let before = shown.last.take().filter(|_| shown.incarnation == incarnation);
        shown.incarnation = incarnation;
        let unchanged = match &before {
            Some((before, when)) => {
                one_vote(server, (before, *when), &view, now)?;
                commits_on(server, (before, *when), &view, now)?;
                leader_appends(server, (before, *when), &view, now)?;
                leader_commits(server, (before, *when), &view, now)?;
                common(before, &view)
            }
            None => view.last_included.index,
        };
        let committed = before.as_ref().map_or(LogIndex(0), |(before, _)| before.commit_index);
        let known = committed.min(unchanged);
        self.logs.saw(server, &view, known, applied, now)?;
        self.commits(server, &view, known, now)?;
        self.is_complete(server, &view, began, now)?;
        self.servers[server.0].last = Some((view, now));
        Ok(())
    }

    /// A server showed nothing.
    pub fn nothing(&mut self) {
        self.remarks.insert(
            "Raft::view() shows nothing: not checked are Leader Append-Only, Log Matching, Leader \
             Completeness, commit indexes, and whether votes and entries are saved before the reply"
                .to_owned(),
        );
    }

    /// What is to be said besides.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        self.remarks.iter().cloned().collect()
    }

    /// Does what this server shows agree with what it says?
    fn believes(
        &mut self,
        server: ServerId,
        (term, leads): (Term, bool),
        view: &RaftView,
        now: Duration,
    ) -> bool {
        let shown = &mut self.servers[server.0];
        if view.current_term == term && (view.role == RoleView::Leader) == leads {
            shown.differs = None;
            return !shown.is_wrong;
        }
        let since = *shown.differs.get_or_insert(now);
        if now.saturating_sub(since) >= MOMENT && !shown.is_wrong {
            shown.is_wrong = true;
            let role = |leads| if leads { "leading" } else { "not leading" };
            self.remarks.insert(format!(
                "view() contradicts get_state(): {server} shows {}, {}, and says {term}, {}, from {} to \
                 {} s; nothing that {server} shows was believed from then on",
                view.current_term,
                role(view.role == RoleView::Leader),
                role(leads),
                at(since).trim_start_matches("at ").trim_end_matches(" s"),
                at(now).trim_start_matches("at ").trim_end_matches(" s"),
            ));
        }
        false
    }

    /// What this server holds as committed, beyond `known`, is what others do.
    fn commits(
        &mut self,
        server: ServerId,
        view: &RaftView,
        known: LogIndex,
        now: Duration,
    ) -> Result<(), Failure> {
        let mut index = LogIndex(known.max(view.last_included.index).0 + 1);
        while index <= view.commit_index {
            let Some(term) = view.term_at(index) else { break };
            let (first, by, when) = *self.committed.entry(index).or_insert((term, server, now));
            if first != term {
                let one = (EntryId { term: first, index }, by, when);
                return Err(two_committed(one, (EntryId { term, index }, server, now)));
            }
            index = index.next();
        }
        Ok(())
    }

    /// A new leader has every entry that was committed before its term began.
    ///
    /// A term begins, for this purpose, when anybody is first seen in it: votes are asked for after
    /// that, so its voters had stored by then whatever was committed. (A leader of an old term that
    /// learns late of its election need not have what a newer one committed meanwhile.)
    fn is_complete(
        &mut self,
        server: ServerId,
        view: &RaftView,
        began: Option<Duration>,
        now: Duration,
    ) -> Result<(), Failure> {
        if view.role != RoleView::Leader || !self.led.insert((view.current_term, server)) {
            return Ok(());
        }
        let Some(began) = began else { return Ok(()) };
        for (&index, &(term, by, when)) in self.committed.range(view.last_included.index.next()..) {
            if when < began && view.term_at(index) != Some(term) {
                let entry = EntryId { term, index };
                return Err(incomplete(server, view, entry, (by, when), now));
            }
        }
        Ok(())
    }
}

/// Up to where two views of one server are surely equal: beyond it they may differ.
pub(crate) fn common(before: &RaftView, view: &RaftView) -> LogIndex {
    let skip = |of: &RaftView| {
        let base = before.last_included.index.max(view.last_included.index);
        usize::try_from(base.0 - of.last_included.index.0).unwrap_or(usize::MAX)
    };
    let old = before.entries.get(skip(before)..).unwrap_or_default();
    let new = view.entries.get(skip(view)..).unwrap_or_default();
    // All at once first: most looks find no more than a few new entries.
    let length = old.len().min(new.len());
    let equal = if old[..length] == new[..length] {
        length
    } else {
        old.iter().zip(new).take_while(|(old, new)| old == new).count()
    };
    LogIndex(before.last_included.index.max(view.last_included.index).0 + equal as u64)
}

/// In a term a server votes once.
fn one_vote(
    server: ServerId,
    (before, when): (&RaftView, Duration),
    view: &RaftView,
    now: Duration,
) -> Result<(), Failure> {
    if view.current_term != before.current_term
        || before.voted_for.is_none()
        || view.voted_for == before.voted_for
    {
        return Ok(());
    }
    let vote = |vote: Option<ServerId>| vote.map_or("nobody".to_owned(), |who| who.to_string());
    Err(Failure::safety("a server changed its vote within a term")
        .expected("a server votes at most once in each term (Raft 5.2)")
        .happened(format!(
            "in {} {server} shows a vote for {}, {}, and for {}, {}",
            view.current_term,
            vote(before.voted_for),
            at(when),
            vote(view.voted_for),
            at(now)
        ))
        .look_at("when a vote is granted, and what forgets one before the term is over"))
}

/// Commit and apply indexes grow.
fn commits_on(
    server: ServerId,
    (before, when): (&RaftView, Duration),
    view: &RaftView,
    now: Duration,
) -> Result<(), Failure> {
    let (what, old, new) = if view.commit_index < before.commit_index {
        ("the commit index", before.commit_index, view.commit_index)
    } else if view.last_applied < before.last_applied {
        ("lastApplied", before.last_applied, view.last_applied)
    } else {
        return Ok(());
    };
    Err(Failure::safety(&format!("{what} went back"))
        .expected("commitIndex and lastApplied only grow while a server runs (Raft Figure 2)")
        .happened(format!("{server} shows {what} {old}, {}, and {new}, {}", at(when), at(now)))
        .look_at("everything that sets it; messages come late, twice, and in any order"))
}

/// A leader only appends to its log.
fn leader_appends(
    server: ServerId,
    (before, when): (&RaftView, Duration),
    view: &RaftView,
    now: Duration,
) -> Result<(), Failure> {
    let leads = |view: &RaftView| view.role == RoleView::Leader;
    if !leads(before) || !leads(view) || before.current_term != view.current_term {
        return Ok(());
    }
    let last = before.last();
    let common = common(before, view);
    if common >= last.index || view.last_included.index >= last.index {
        return Ok(());
    }
    let gone = common.next();
    let found = |view: &RaftView| {
        view.term_at(gone)
            .map_or(format!("nothing at {gone}"), |term| EntryId { term, index: gone }.to_string())
    };
    Err(Failure::safety("a leader changed its own log")
        .expected("a leader never overwrites or deletes entries of its log, it only appends (Raft 5.3, Leader Append-Only)")
        .happened(format!(
            "{server} leads {}; it held {}, {}, and holds {}, {}",
            view.current_term,
            found(before),
            at(when),
            found(view),
            at(now)
        ))
        .look_at("what a leader does with requests of other leaders, and with a snapshot"))
}

/// A leader commits entries of its own term, and earlier ones only by riding under one of these.
fn leader_commits(
    server: ServerId,
    (before, when): (&RaftView, Duration),
    view: &RaftView,
    now: Duration,
) -> Result<(), Failure> {
    let leads = |view: &RaftView| view.role == RoleView::Leader;
    let goes_on = leads(before) && leads(view) && before.current_term == view.current_term;
    let Some(term) = view.term_at(view.commit_index) else { return Ok(()) };
    if !goes_on || view.commit_index <= before.commit_index || term == view.current_term {
        return Ok(());
    }
    let entry = EntryId { term, index: view.commit_index };
    Err(Failure::safety("a leader committed an entry of an earlier term by counting")
        .expected("only entries of the leader's own term are committed by counting copies, and with them those before (Raft 5.4.2, Figure 8)")
        .happened(format!(
            "{server} leads {}; its commit index went from {}, {}, to {entry}, {}",
            view.current_term,
            before.commit_index,
            at(when),
            at(now)
        ))
        .look_at("what a leader checks before it raises its commit index"))
}

fn two_committed(
    (one, by, when): (EntryId, ServerId, Duration),
    (other, server, now): (EntryId, ServerId, Duration),
) -> Failure {
    Failure::safety("two servers committed different entries at one index")
        .expected("what is committed at an index is the same on every server, for ever (Raft 5.4.3, State Machine Safety)")
        .happened(format!("{by} shows {one} as committed, {}; {server} shows {other}, {}", at(when), at(now)))
        .look_at("who can win an election (5.4.1), what counts as committed (5.4.2), up to where a follower commits (Figure 2)")
}

fn incomplete(
    server: ServerId,
    view: &RaftView,
    entry: EntryId,
    (by, when): (ServerId, Duration),
    now: Duration,
) -> Failure {
    let found = match view.term_at(entry.index) {
        Some(term) => EntryId { term, index: entry.index }.to_string(),
        None => format!("a log that ends at {}", view.last()),
    };
    Failure::safety("a leader lacks a committed entry")
        .expected("whoever leads a term has every entry committed in earlier ones (Raft 5.4, Leader Completeness)")
        .happened(format!(
            "{by} shows {entry} as committed, {}; {server} leads {} {}, and has {found}",
            at(when),
            view.current_term,
            at(now)
        ))
        .look_at("to whom a vote is granted (5.4.1), what counts as committed (5.4.2), what is saved before it is acknowledged")
}
