use raftapi::{ApplyMsg, Term};

use raftapi::harness::Disk as _;

use super::*;
use crate::{
    log::Log,
    message::{AppendEntriesArgs, Request},
    progress::HEARTBEAT_INTERVAL,
    state::Role,
    testing::{
        NOW, S1, S2, accepted, append, append_to, elect, entries, follower, follower_with, id,
        install, leader_with, log, refused, restart, terms,
    },
};

const OK: fn(u64) -> InstallSnapshotReply = |term| InstallSnapshotReply { term: Term(term) };

/// A follower that has applied all entries of these terms.
fn applied(term: u64, terms: &[u64]) -> State {
    let mut state = follower(3, term, terms);
    let last = state.log.last_id();
    state.on_append_entries(append(term, last, &[], last.index.0), NOW);
    assert_eq!(state.take_deliveries().len(), terms.len());
    state
}

fn delivered(state: &mut State) -> Vec<u64> {
    let index = |message: &ApplyMsg| match message {
        ApplyMsg::Command { index, .. } | ApplyMsg::Snapshot { index, .. } => index.0,
    };
    state.take_deliveries().iter().map(index).collect()
}

/// The only InstallSnapshot among these calls that goes to S1.
fn install_to_s1(calls: &[Call]) -> InstallSnapshotArgs {
    let found = calls.iter().find_map(|call| match &call.request {
        Request::Install(args) if call.to == S1 => Some(args.clone()),
        _ => None,
    });
    found.expect("an InstallSnapshot to S1")
}

/// A leader whose S1 has just refused, lacking all entries.
fn leader_of_a_laggard(log: &Log) -> (State, InstallSnapshotArgs) {
    let (mut state, calls) = elect(follower_with(3, 4, log));
    let probe = append_to(&calls, S1);
    let calls = state.on_append_reply(S1, &probe, &refused(5, id(0, 0)), NOW);
    let args = install_to_s1(&calls);
    (state, args)
}

// The own snapshot.

#[test]
fn a_snapshot_takes_the_place_of_the_entries_up_to_it() {
    let mut state = applied(3, &[1, 1, 2, 3]);
    state.take_snapshot(LogIndex(3), b"at 3".to_vec());
    assert_eq!(state.log, log(id(2, 3), &[3]));
    assert_eq!((state.commit_index, state.log.last_id()), (LogIndex(4), id(3, 4)));
    assert!(!state.has_deliveries(), "the service knows what it gave");

    // Saved at once, and together.
    let state = restart(&state);
    assert_eq!(state.log, log(id(2, 3), &[3]));
    assert_eq!(*state.snapshot, *b"at 3");
}

#[test]
fn a_snapshot_that_is_not_newer_is_ignored() {
    let mut state = applied(3, &[1, 1, 2, 3]);
    state.take_snapshot(LogIndex(3), b"at 3".to_vec());
    let saves = state.disk.persister().saves();
    for index in [0, 2, 3] {
        state.take_snapshot(LogIndex(index), b"again".to_vec());
    }
    assert_eq!((state.log.last_included(), &*state.snapshot), (id(2, 3), b"at 3".as_slice()));
    assert_eq!(state.disk.persister().saves(), saves);
}

#[test]
#[should_panic(expected = "snapshot of i4, but only i3 was delivered")]
fn a_snapshot_of_the_future_is_a_mistake_of_the_service() {
    applied(3, &[1, 1, 2]).take_snapshot(LogIndex(4), vec![]);
}

#[test]
fn a_later_save_keeps_the_snapshot() {
    let mut state = applied(3, &[1, 1]);
    state.take_snapshot(LogIndex(2), b"at 2".to_vec());
    state.on_append_entries(append(3, id(1, 2), &[3], 2), NOW);
    assert_eq!(*restart(&state).snapshot, *b"at 2");
}

#[test]
fn a_restarted_server_delivers_only_what_the_snapshot_lacks() {
    let mut state = restart(&follower_with(3, 3, &log(id(2, 8), &[2, 3])));
    assert_eq!((state.commit_index, state.last_applied), (LogIndex(8), LogIndex(8)));
    assert!(!state.has_deliveries());
    state.on_append_entries(append(3, id(3, 10), &[], 9), NOW);
    assert_eq!(delivered(&mut state), [9]);
}

// The leader's snapshot, at the follower.

#[test]
fn an_installed_snapshot_replaces_a_shorter_log() {
    let mut state = applied(3, &[1, 1]);
    assert_eq!(state.on_install_snapshot(&install(4, id(3, 9)), NOW), OK(4));
    assert_eq!((state.log.clone(), state.commit_index), (log(id(3, 9), &[]), LogIndex(9)));
    assert_eq!(state.leader(), Some(S1));
    assert!(state.deadline() > NOW, "a leader was heard");

    // Saved before the reply leaves.
    let again = restart(&state);
    assert_eq!((again.current_term, again.log.last_included()), (Term(4), id(3, 9)));
    assert_eq!(*again.snapshot, *b"snapshot at T3:i9");
}

#[test]
fn an_installed_snapshot_keeps_what_follows_it_and_drops_what_contradicts_it() {
    let cases = [(id(1, 3), vec![2, 2]), (id(2, 3), vec![])];
    for (last_included, kept) in cases {
        let mut state = follower(3, 3, &[1, 1, 1, 2, 2]);
        state.on_install_snapshot(&install(3, last_included), NOW);
        assert_eq!((state.log.last_included(), terms(&state)), (last_included, kept.clone()));
        assert_eq!(terms(&restart(&state)), kept);
    }
}

#[test]
fn the_service_gets_the_snapshot_first_and_once() {
    let mut state = applied(3, &[1, 1]);
    state.on_install_snapshot(&install(3, id(3, 9)), NOW);
    state.on_append_entries(append(3, id(3, 9), &[3, 3], 11), NOW);
    let first = state.take_deliveries().remove(0);
    let data = b"snapshot at T3:i9".to_vec();
    assert_eq!(first, ApplyMsg::Snapshot { index: LogIndex(9), term: Term(3), data });
    assert!(!state.has_deliveries());
    assert_eq!(state.last_applied, LogIndex(11));
}

#[test]
fn entries_that_the_snapshot_includes_are_not_delivered_after_it() {
    let mut state = follower(3, 3, &[1, 1, 3]);
    state.on_append_entries(append(3, id(3, 3), &[], 2), NOW); // 1 and 2 are committed
    state.on_install_snapshot(&install(3, id(3, 3)), NOW);
    assert_eq!(delivered(&mut state), [3]);
}

#[test]
fn an_older_snapshot_takes_nothing_back() {
    let mut state = applied(3, &[1, 1, 2, 3]);
    for old in [id(1, 2), id(3, 4)] {
        assert_eq!(state.on_install_snapshot(&install(3, old), NOW), OK(3));
        assert_eq!((terms(&state), state.commit_index), (vec![1, 1, 2, 3], LogIndex(4)));
        assert!(!state.has_deliveries());
    }
    // The same one twice, too.
    state.on_install_snapshot(&install(3, id(3, 9)), NOW);
    assert_eq!(delivered(&mut state), [9]);
    state.on_install_snapshot(&install(3, id(3, 9)), NOW);
    assert!(!state.has_deliveries());
}

#[test]
fn the_services_own_snapshot_does_not_replace_a_newer_installed_one() {
    let mut state = applied(3, &[1, 1, 2, 3]);
    state.on_install_snapshot(&install(3, id(3, 9)), NOW);
    state.take_snapshot(LogIndex(4), b"at 4".to_vec()); // it has not seen the other yet
    assert_eq!(state.log.last_included(), id(3, 9));
    assert_eq!(delivered(&mut state), [9]);
}

#[test]
fn a_snapshot_of_an_old_leader_is_refused_and_of_a_new_one_followed() {
    let mut state = applied(3, &[1]);
    let deadline = state.deadline();
    assert_eq!(state.on_install_snapshot(&install(2, id(2, 9)), NOW), OK(3));
    assert_eq!((state.log.last_included(), state.deadline()), (id(0, 0), deadline));
    assert_eq!(state.on_install_snapshot(&install(7, id(0, 0)), NOW), OK(7));
    assert_eq!(restart(&state).current_term, Term(7));
}

// The leader's side.

#[test]
fn a_follower_that_needs_forgotten_entries_gets_the_snapshot_and_then_the_rest() {
    let (mut state, args) = leader_of_a_laggard(&log(id(2, 8), &[2, 3]));
    assert_eq!((args.term, args.last_included), (Term(5), id(2, 8)));
    assert_eq!(*args.data, *b"snapshot at T2:i8");

    let calls = state.on_install_reply(S1, &args, &OK(5), NOW);
    let rest = append_to(&calls, S1);
    assert_eq!((rest.prev_log, rest.entries), (id(2, 8), entries(9, &[2, 3])));
}

#[test]
fn a_follower_that_ends_where_the_log_begins_needs_no_snapshot() {
    let (mut state, calls) = elect(follower_with(3, 4, &log(id(2, 8), &[3])));
    let probe = append_to(&calls, S1);
    let calls = state.on_append_reply(S1, &probe, &refused(5, id(2, 8)), NOW);
    let rest = append_to(&calls, S1);
    assert_eq!((rest.prev_log, rest.entries), (id(2, 8), entries(9, &[3])));
}

#[test]
fn while_a_snapshot_is_under_way_heartbeats_ask_whether_it_arrived() {
    let (mut state, args) = leader_of_a_laggard(&log(id(2, 8), &[3]));
    let later = NOW + HEARTBEAT_INTERVAL;
    let heartbeat = append_to(&state.on_timer(later), S1);
    assert_eq!((heartbeat.prev_log, heartbeat.entries.len()), (id(2, 8), 0));

    // Not yet: nothing changes, and nothing is sent a second time.
    let calls = state.on_append_reply(S1, &heartbeat, &refused(5, id(0, 0)), later);
    assert_eq!(calls, []);
    // Yes, though the reply to the snapshot itself is late: on with the rest.
    let calls = state.on_append_reply(S1, &heartbeat, &accepted(5), later);
    assert_eq!(append_to(&calls, S1).entries, entries(9, &[3]));
    assert_eq!(state.on_install_reply(S1, &args, &OK(5), later), []);
}

#[test]
fn a_lost_snapshot_is_sent_again() {
    let (mut state, args) = leader_of_a_laggard(&log(id(2, 8), &[3]));
    state.on_no_reply(S1, &Request::Install(args.clone()), NOW);
    let later = state.deadline();
    assert!(later < NOW + HEARTBEAT_INTERVAL);
    assert_eq!(install_to_s1(&state.on_timer(later)), args);
}

#[test]
fn a_late_reply_to_a_snapshot_moves_nothing_back() {
    let (mut state, args) = leader_of_a_laggard(&log(id(2, 8), &[3]));
    state.on_install_reply(S1, &args, &OK(5), NOW);
    let rest = AppendEntriesArgs { leader_id: state.me, ..append(5, id(2, 8), &[3], 8) };
    state.on_append_reply(S1, &rest, &accepted(5), NOW);
    state.on_install_reply(S1, &args, &OK(5), NOW);
    let Role::Leader { followers } = &state.role else { panic!("it leads") };
    assert_eq!((followers[&S1].match_index.0, followers[&S1].next_index.0), (9, 10));
}

#[test]
fn a_newer_term_in_the_reply_ends_the_leadership() {
    let (mut state, args) = leader_of_a_laggard(&log(id(2, 8), &[3]));
    assert_eq!(state.on_install_reply(S1, &args, &OK(6), NOW), []);
    assert_eq!((state.is_leader(), restart(&state).current_term), (false, Term(6)));
}

#[test]
fn a_compacted_leader_commits_as_before() {
    let mut state = leader_with(3, 4, &log(id(2, 8), &[]));
    assert_eq!(state.start(Bytes::from(b"T4:i9")), Ok(id(4, 9)));
    let calls = state.replicate(NOW);
    state.on_append_reply(S2, &append_to(&calls, S2), &accepted(4), NOW);
    assert_eq!(delivered(&mut state), [9]);
}
