//! Short ways to write logs and servers, for the unit tests.

use std::{sync::Arc, time::Duration};

use labgob::Bytes;
use raftapi::harness::Disk as _;
use raftapi::{EntryId, LogIndex, Persister, ServerId, Term};

use crate::{
    log::{Entry, Log},
    message::{
        AppendEntriesArgs, AppendEntriesReply, AppendOutcome, Call, InstallSnapshotArgs, Request,
        RequestVoteArgs, RequestVoteReply,
    },
    persist::Disk,
    state::{Role, State, Time},
};

/// When nothing depends on the time.
pub(crate) const NOW: Time = Duration::from_secs(10);

pub(crate) const S0: ServerId = ServerId(0);
pub(crate) const S1: ServerId = ServerId(1);
pub(crate) const S2: ServerId = ServerId(2);

pub(crate) fn id(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: LogIndex(index) }
}

/// The command that a test expects at an id.
pub(crate) fn command(id: EntryId) -> Vec<u8> {
    id.to_string().into_bytes()
}

/// Entries of these terms, the first one at index `first`; equal ids have equal commands.
pub(crate) fn entries(first: u64, terms: &[u64]) -> Vec<Entry> {
    let entry =
        |(index, &term)| Entry { term: Term(term), command: Bytes::from(command(id(term, index))) };
    (first..).zip(terms).map(entry).collect()
}

/// A log that begins after `base`, with entries of these terms.
pub(crate) fn log(base: EntryId, terms: &[u64]) -> Log {
    Log::after(base, entries(base.index.0 + 1, terms))
}

/// S0 of `servers`, as it starts in `term` with entries of these terms on its disk.
pub(crate) fn follower(servers: usize, term: u64, terms: &[u64]) -> State {
    follower_with(servers, term, &log(id(0, 0), terms))
}

/// S0 of `servers`, as it starts in `term` with this log, and a snapshot if that does not begin at
/// the beginning.
pub(crate) fn follower_with(servers: usize, term: u64, log: &Log) -> State {
    let persister = Arc::new(Persister::new());
    let (mut disk, _) = Disk::open(Arc::clone(&persister));
    if log.last_included().index > LogIndex(0) {
        let snapshot = format!("snapshot at {}", log.last_included()).into_bytes();
        disk.save_with_snapshot(Term(term), None, log, snapshot);
    } else {
        disk.save(Term(term), None, log);
    }
    State::new(S0, servers, persister, 0)
}

/// S0 of `servers`, which has just been elected in `term`, its log like this before.
pub(crate) fn leader(servers: usize, term: u64, terms: &[u64]) -> State {
    leader_with(servers, term, &log(id(0, 0), terms))
}

pub(crate) fn leader_with(servers: usize, term: u64, log: &Log) -> State {
    elect(follower_with(servers, term - 1, log)).0
}

/// Lets the server's timer run out and a majority vote for it. Also gives its first heartbeats.
pub(crate) fn elect(mut state: State) -> (State, Vec<Call>) {
    state.election_deadline = NOW;
    let mut calls = state.on_timer(NOW);
    for peer in state.others.clone() {
        if matches!(state.role, Role::Candidate { .. }) {
            calls =
                state.on_vote_reply(peer, state.current_term, &granted(state.current_term), NOW);
        }
    }
    assert!(state.is_leader());
    (state, calls)
}

/// The same server after a crash: what was not saved is gone.
pub(crate) fn restart(state: &State) -> State {
    State::new(state.me, state.others.len() + 1, Arc::new(state.disk.persister().copy()), 1)
}

pub(crate) fn granted(term: Term) -> RequestVoteReply {
    RequestVoteReply { term, vote_granted: true }
}

pub(crate) fn vote_request(term: u64, candidate: ServerId, last: EntryId) -> RequestVoteArgs {
    RequestVoteArgs { term: Term(term), candidate_id: candidate, last_log: last }
}

/// S1, leader of `term`, sends entries of these terms after `prev`.
pub(crate) fn append(term: u64, prev: EntryId, terms: &[u64], commit: u64) -> AppendEntriesArgs {
    AppendEntriesArgs {
        term: Term(term),
        leader_id: S1,
        prev_log: prev,
        entries: entries(prev.index.0 + 1, terms),
        leader_commit: LogIndex(commit),
    }
}

/// S1, leader of `term`, sends its snapshot.
pub(crate) fn install(term: u64, last_included: EntryId) -> InstallSnapshotArgs {
    let data = Bytes::from(format!("snapshot at {last_included}").into_bytes());
    InstallSnapshotArgs { term: Term(term), leader_id: S1, last_included, data }
}

pub(crate) fn accepted(term: u64) -> AppendEntriesReply {
    AppendEntriesReply { term: Term(term), outcome: AppendOutcome::Accepted }
}

pub(crate) fn refused(term: u64, newest: EntryId) -> AppendEntriesReply {
    AppendEntriesReply { term: Term(term), outcome: AppendOutcome::Refused { newest } }
}

/// The only AppendEntries among these calls that goes to this server.
pub(crate) fn append_to(calls: &[Call], to: ServerId) -> AppendEntriesArgs {
    let mut found = calls.iter().filter_map(|call| match &call.request {
        Request::Append(args) if call.to == to => Some(args.clone()),
        _ => None,
    });
    let args = found.next().expect("an AppendEntries");
    assert_eq!(found.next(), None);
    args
}

/// The terms of a server's log, from index 1 or its base on.
pub(crate) fn terms(state: &State) -> Vec<u64> {
    state.view().entries.iter().map(|term| term.0).collect()
}
