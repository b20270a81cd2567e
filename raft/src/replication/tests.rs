use raftapi::harness::Disk as _;

use super::*;
use crate::message::Request;
use crate::progress::{COMMIT_NOTICE_DELAY, HEARTBEAT_INTERVAL, RETRY_DELAY, SILENT_AFTER};
use crate::testing::{
    self, NOW, S0, S1, S2, accepted, append, append_to, elect, entries, follower, follower_with,
    id, leader, log, refused, restart, terms,
};

fn progress(state: &State, of: ServerId) -> (u64, u64) {
    let Role::Leader { followers } = &state.role else { panic!("{} does not lead", state.me) };
    (followers[&of].match_index.0, followers[&of].next_index.0)
}

/// A leader both of whose followers have just said that they hold its whole log.
fn settled_leader(term: u64, terms: &[u64]) -> State {
    let (mut state, calls) = elect(follower(3, term - 1, terms));
    for peer in [S1, S2] {
        let reply = accepted(term);
        assert_eq!(state.on_append_reply(peer, &append_to(&calls, peer), &reply, NOW), []);
    }
    state
}

/// Has the leader take in a command, and gives what it sends for it.
fn send(state: &mut State, command: &str, now: Time) -> Vec<Call> {
    state.start(Bytes::from(command.as_bytes())).unwrap();
    state.replicate(now)
}

// What a follower does.

#[test]
fn a_leader_of_an_old_term_is_refused_and_not_followed() {
    let mut state = follower(3, 5, &[1]);
    let deadline = state.deadline();
    let reply = state.on_append_entries(append(4, id(1, 1), &[4], 2), NOW);
    assert_eq!(reply, AppendEntriesReply { term: Term(5), outcome: AppendOutcome::Stale });
    assert_eq!((terms(&state), state.leader(), state.deadline()), (vec![1], None, deadline));
}

#[test]
fn a_leader_that_is_heard_is_followed_and_puts_off_the_election() {
    let mut state = follower(3, 2, &[]);
    state.on_append_entries(append(2, id(0, 0), &[], 0), NOW);
    assert_eq!(state.leader(), Some(S1));
    assert!(state.deadline() > NOW);
    assert_eq!(state.start(Bytes::from(b"no")), Err(NotLeader { leader: Some(S1) }));
}

#[test]
fn a_candidate_gives_way_to_the_leader_of_its_term() {
    let mut state = follower(3, 1, &[]);
    let deadline = state.deadline();
    state.on_timer(deadline);
    state.on_append_entries(append(2, id(0, 0), &[], 0), NOW);
    assert_eq!((state.leader(), state.current_term), (Some(S1), Term(2)));
    assert_eq!(state.voted_for, Some(S0), "the vote of this term stays cast");
}

#[test]
fn entries_need_the_one_before_them() {
    let mut state = follower(3, 3, &[1, 1]);
    for prev in [id(1, 3), id(2, 2)] {
        let reply = state.on_append_entries(append(3, prev, &[3], 9), NOW);
        assert!(matches!(reply.outcome, AppendOutcome::Refused { .. }), "{prev}");
        assert_eq!((terms(&state), state.commit_index), (vec![1, 1], LogIndex(0)));
    }
}

#[test]
fn what_is_acknowledged_is_on_the_disk() {
    let mut state = follower(3, 3, &[1, 1]);
    assert_eq!(state.on_append_entries(append(3, id(1, 2), &[2, 3], 0), NOW), accepted(3));
    assert_eq!(terms(&restart(&state)), [1, 1, 2, 3]);
}

#[test]
fn a_conflicting_entry_goes_with_all_that_follow_it() {
    let mut state = follower(3, 3, &[1, 1, 2, 2, 2]);
    state.on_append_entries(append(3, id(1, 2), &[3], 0), NOW);
    assert_eq!(terms(&state), [1, 1, 3]);
    assert_eq!(terms(&restart(&state)), [1, 1, 3]);
}

#[test]
fn an_old_message_takes_nothing_away() {
    let mut state = follower(3, 3, &[1]);
    let early = append(3, id(1, 1), &[3], 0);
    let late = append(3, id(1, 1), &[3, 3, 3], 0);
    state.on_append_entries(late.clone(), NOW);
    for message in [early, append(3, id(1, 1), &[], 0), late] {
        assert_eq!(state.on_append_entries(message, NOW), accepted(3));
        assert_eq!(terms(&state), [1, 3, 3, 3]);
    }
}

#[test]
fn nothing_is_saved_when_nothing_is_new() {
    let mut state = follower(3, 3, &[1]);
    state.on_append_entries(append(3, id(1, 1), &[3], 0), NOW);
    let saves = state.disk.persister().saves();
    state.on_append_entries(append(3, id(1, 1), &[3], 1), NOW);
    state.on_append_entries(append(3, id(3, 2), &[], 2), NOW);
    assert_eq!(state.disk.persister().saves(), saves);
}

#[test]
fn a_heartbeat_tells_what_is_committed() {
    let mut state = follower(3, 3, &[1, 3]);
    state.on_append_entries(append(3, id(3, 2), &[], 1), NOW);
    assert_eq!(state.commit_index, LogIndex(1));
    assert_eq!(state.take_deliveries().len(), 1);
    assert!(!state.has_deliveries());
}

/// The stale tail beyond the last new entry may differ from what the leader committed there.
#[test]
fn nothing_is_committed_beyond_what_the_message_vouches_for() {
    let mut state = follower(3, 3, &[1, 1, 1, 1]);
    state.on_append_entries(append(3, id(1, 2), &[], 4), NOW);
    assert_eq!(state.commit_index, LogIndex(2));
    state.on_append_entries(append(3, id(1, 2), &[3], 4), NOW);
    assert_eq!((state.commit_index, terms(&state)), (LogIndex(3), vec![1, 1, 3]));
}

#[test]
fn the_commit_index_never_goes_back() {
    let mut state = follower(3, 3, &[1, 3]);
    state.on_append_entries(append(3, id(3, 2), &[], 2), NOW);
    state.on_append_entries(append(3, id(3, 2), &[], 1), NOW);
    state.on_append_entries(append(4, id(1, 1), &[], 0), NOW);
    assert_eq!(state.commit_index, LogIndex(2));
}

#[test]
#[should_panic(expected = "the leader contradicts i2; i2 is committed")]
fn a_leader_that_contradicts_what_is_committed_is_no_raft() {
    let mut state = follower(3, 3, &[1, 1]);
    state.on_append_entries(append(3, id(1, 2), &[], 2), NOW);
    state.on_append_entries(append(4, id(1, 1), &[4], 2), NOW);
}

#[test]
fn an_append_from_below_the_snapshot_adds_only_what_is_beyond_the_log() {
    let mut state = follower_with(3, 3, &log(id(2, 8), &[2]));
    let old = append(3, id(1, 5), &[1, 2, 2], 5); // 6 to 8, all in the snapshot
    assert_eq!(state.on_append_entries(old, NOW), accepted(3));
    assert_eq!(terms(&state), [2]);
    let longer = append(3, id(1, 5), &[1, 2, 2, 2, 3], 5); // 6 to 10
    assert_eq!(state.on_append_entries(longer, NOW), accepted(3));
    assert_eq!((terms(&state), state.commit_index), (vec![2, 3], LogIndex(8)));
}

// What a leader sends.

#[test]
fn a_refused_command_is_in_no_log() {
    let mut state = follower(3, 3, &[1]);
    assert_eq!(state.start(Bytes::from(b"no")), Err(NotLeader { leader: None }));
    assert_eq!(terms(&state), [1]);
}

#[test]
fn commands_get_consecutive_indices_and_no_election_takes_one() {
    let mut state = leader(3, 2, &[1]);
    assert_eq!(state.start(Bytes::from(b"a")), Ok(id(2, 2)));
    assert_eq!(state.start(Bytes::from(b"b")), Ok(id(2, 3)));
}

#[test]
fn a_command_leaves_at_once_and_is_saved_before() {
    let mut state = settled_leader(2, &[1]);
    let calls = send(&mut state, "T2:i2", NOW);
    for peer in [S1, S2] {
        let args = append_to(&calls, peer);
        assert_eq!((args.prev_log, args.entries), (id(1, 1), entries(2, &[2])));
    }
    assert_eq!(terms(&restart(&state)), [1, 2]);
}

#[test]
fn commands_that_come_during_a_call_go_together_after_it() {
    let mut state = settled_leader(2, &[1]);
    let first = send(&mut state, "a", NOW);
    assert_eq!(send(&mut state, "b", NOW), []);
    assert_eq!(send(&mut state, "c", NOW), []);
    let calls = state.on_append_reply(S1, &append_to(&first, S1), &accepted(2), NOW);
    assert_eq!(calls.len(), 1, "the other follower has not answered yet");
    let args = append_to(&calls, S1);
    assert_eq!((args.prev_log, args.entries.len()), (id(2, 2), 2));
}

#[test]
fn what_is_not_answered_is_sent_again_with_the_next_heartbeat() {
    let mut state = settled_leader(2, &[1]);
    let first = send(&mut state, "a", NOW);
    let later = state.deadline();
    assert_eq!(later, NOW + HEARTBEAT_INTERVAL);
    assert_eq!(state.on_timer(later), first);
}

#[test]
fn a_lost_call_is_made_again_soon() {
    let mut state = settled_leader(2, &[1]);
    let first = send(&mut state, "a", NOW);
    state.on_no_reply(S1, &first[0].request, NOW);
    assert_eq!(state.deadline(), NOW + RETRY_DELAY);
    assert_eq!(state.on_timer(NOW + RETRY_DELAY), first[..1]);
}

#[test]
fn a_silent_follower_gets_bare_heartbeats_until_it_answers() {
    let mut state = settled_leader(2, &[1]);
    send(&mut state, "a", NOW);
    let later = NOW + SILENT_AFTER;
    let heartbeat = append_to(&state.on_timer(later), S1);
    assert_eq!((heartbeat.prev_log, heartbeat.entries.len()), (id(1, 1), 0));
    assert_eq!(send(&mut state, "b", later), []);

    let calls = state.on_append_reply(S1, &heartbeat, &accepted(2), later);
    assert_eq!(append_to(&calls, S1).entries.len(), 2);
}

#[test]
fn a_heartbeats_answer_does_not_send_again_what_is_on_the_way() {
    let mut state = settled_leader(2, &[1]);
    let heartbeat = append_to(&state.on_timer(NOW + HEARTBEAT_INTERVAL), S1);
    send(&mut state, "a", NOW + HEARTBEAT_INTERVAL);
    let calls = state.on_append_reply(S1, &heartbeat, &accepted(2), NOW + HEARTBEAT_INTERVAL);
    assert_eq!(calls, []);
}

#[test]
fn followers_hear_soon_what_is_committed() {
    let mut state = settled_leader(2, &[1]);
    let calls = send(&mut state, "a", NOW);
    for peer in [S1, S2] {
        state.on_append_reply(peer, &append_to(&calls, peer), &accepted(2), NOW);
    }
    let later = NOW + COMMIT_NOTICE_DELAY;
    assert_eq!(state.deadline(), later);
    let notices = state.on_timer(later);
    assert_eq!(append_to(&notices, S1).leader_commit, LogIndex(2));
    assert_eq!(notices.len(), 2);
    assert_eq!(state.deadline(), later + HEARTBEAT_INTERVAL);
}

// What a leader learns.

#[test]
fn a_command_is_committed_when_a_majority_stores_it() {
    for servers in 2..=5 {
        let mut state = leader(servers, 2, &[]);
        let calls = send(&mut state, "a", NOW);
        for (answers, peer) in (2..).zip(state.others.clone()) {
            assert_eq!(state.commit_index.0, u64::from(2 * (answers - 1) > servers));
            state.on_append_reply(peer, &append_to(&calls, peer), &accepted(2), NOW);
        }
        assert_eq!(state.commit_index, LogIndex(1));
    }
}

#[test]
fn a_server_alone_commits_by_itself() {
    let mut state = leader(1, 2, &[]);
    assert_eq!(send(&mut state, "a", NOW), []);
    assert_eq!(state.commit_index, LogIndex(1));
    assert_eq!(terms(&restart(&state)), [2]);
}

#[test]
fn an_answer_counts_for_what_was_asked_and_not_for_what_came_since() {
    let mut state = settled_leader(2, &[1]);
    let calls = send(&mut state, "a", NOW);
    send(&mut state, "b", NOW);
    state.on_append_reply(S1, &append_to(&calls, S1), &accepted(2), NOW);
    assert_eq!((state.commit_index, progress(&state, S1)), (LogIndex(2), (2, 3)));
}

#[test]
fn late_and_repeated_acceptances_move_nothing_back() {
    let mut state = settled_leader(2, &[1]);
    let first = append_to(&send(&mut state, "a", NOW), S1);
    send(&mut state, "b", NOW);
    let second = append_to(&state.on_append_reply(S1, &first, &accepted(2), NOW), S1);
    state.on_append_reply(S1, &second, &accepted(2), NOW);
    let known = progress(&state, S1);
    state.on_append_reply(S1, &first, &accepted(2), NOW);
    assert_eq!(progress(&state, S1), known);
}

#[test]
fn a_refusal_that_came_late_changes_nothing() {
    let mut state = leader(3, 4, &[1, 1, 2, 2]);
    let probe = append(4, id(2, 4), &[], 0);
    state.on_append_reply(S1, &probe, &refused(4, id(1, 2)), NOW);
    assert_eq!(progress(&state, S1), (0, 3));
    // The same again, twice: about a place that is not asked about any more.
    assert_eq!(state.on_append_reply(S1, &probe, &refused(4, id(1, 1)), NOW), []);
    assert_eq!(progress(&state, S1), (0, 3));

    let rest = append(4, id(1, 2), &[2, 2], 0);
    state.on_append_reply(S1, &rest, &accepted(4), NOW);
    assert_eq!(progress(&state, S1), (4, 5));
    // And one that denies what was acknowledged since.
    assert_eq!(state.on_append_reply(S1, &probe, &refused(4, id(1, 1)), NOW), []);
    assert_eq!(progress(&state, S1), (4, 5));
}

#[test]
fn a_refusal_is_no_reason_to_step_down() {
    let mut state = leader(3, 4, &[1, 2]);
    let probe = append(4, id(2, 2), &[], 0);
    let calls = state.on_append_reply(S1, &probe, &refused(4, id(1, 1)), NOW);
    assert!(state.is_leader());
    assert_eq!(append_to(&calls, S1).prev_log, id(1, 1));
}

#[test]
fn a_reply_of_an_earlier_leadership_counts_for_nothing() {
    let mut state = leader(3, 2, &[1]);
    let old = append_to(&send(&mut state, "a", NOW), S1);
    state.on_append_entries(append(3, id(1, 1), &[3], 0), NOW); // the entry is gone
    let (mut state, _) = elect(state); // T4
    state.on_append_reply(S1, &old, &accepted(2), NOW);
    assert_eq!(progress(&state, S1), (0, 3));
    state.on_no_reply(S1, &Request::Append(old), NOW);
    assert_eq!(state.deadline(), NOW + HEARTBEAT_INTERVAL);
}

#[test]
fn a_newer_term_in_a_reply_ends_the_leadership() {
    let mut state = settled_leader(2, &[1]);
    let args = append_to(&send(&mut state, "a", NOW), S1);
    let reply = AppendEntriesReply { term: Term(7), outcome: AppendOutcome::Stale };
    assert_eq!(state.on_append_reply(S1, &args, &reply, NOW), []);
    assert_eq!((state.is_leader(), restart(&state).current_term), (false, Term(7)));
}

/// Lets a leader and one follower exchange messages until the leader has nothing to say. Gives
/// the number of round trips.
fn bring_in_line(leader: &mut State, follower: &mut State, mut calls: Vec<Call>) -> usize {
    let mut round_trips = 0;
    while let Some(call) = calls.iter().find(|call| call.to == S1).cloned() {
        round_trips += 1;
        calls = match call.request {
            Request::Append(args) => {
                let reply = follower.on_append_entries(args.clone(), NOW);
                leader.on_append_reply(S1, &args, &reply, NOW)
            }
            Request::Install(args) => {
                let reply = follower.on_install_snapshot(&args, NOW);
                leader.on_install_reply(S1, &args, &reply, NOW)
            }
            Request::Vote(_) => unreachable!("the leader is elected"),
        };
    }
    round_trips
}

/// Figure 7: whatever a follower's log, the leader of T8 makes it like its own.
#[test]
fn the_followers_of_figure_7_are_brought_in_line() {
    let leader_log = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    let followers: [(&str, &[u64]); 6] = [
        ("a", &[1, 1, 1, 4, 4, 5, 5, 6, 6]),
        ("b", &[1, 1, 1, 4]),
        ("c", &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]),
        ("d", &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]),
        ("e", &[1, 1, 1, 4, 4, 4, 4]),
        ("f", &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]),
    ];
    for (name, log) in followers {
        let mut follower = follower(7, 7, log);
        let (mut leader, calls) = elect(testing::follower(7, 7, &leader_log));
        let round_trips = bring_in_line(&mut leader, &mut follower, calls);
        assert!(round_trips <= 3, "({name}) took {round_trips} round trips");
        assert_eq!(terms(&follower)[..10], leader_log, "({name})");

        // The extra entries of (c) and (d) go when something else takes their place.
        let calls = send(&mut leader, "new", NOW);
        bring_in_line(&mut leader, &mut follower, calls);
        assert_eq!(follower.log, leader.log, "({name})");
        assert_eq!(restart(&follower).log, leader.log, "({name})");
    }
}

/// §5.3: one round trip for each conflicting term, not for each entry; here, for each two.
#[test]
fn backing_up_steps_over_whole_terms() {
    let alternating: Vec<u64> = (0..60).map(|index| 2 + 2 * (index / 6)).collect();
    let others: Vec<u64> = (0..60).map(|index| 1 + 2 * (index / 6)).collect();
    let mut follower = follower(3, 40, &others);
    let (mut leader, calls) = elect(testing::follower(3, 40, &alternating));
    let round_trips = bring_in_line(&mut leader, &mut follower, calls);
    assert!(round_trips <= 12, "10 terms took {round_trips} round trips");
    assert_eq!(follower.log, leader.log);
}

/// A follower whose log begins with a snapshot, behind a leader whose log does not, and the
/// other way round.
#[test]
fn logs_meet_though_one_of_them_is_compacted() {
    let whole = log(id(0, 0), &[1, 1, 2, 2, 3]);
    let compacted = log(id(2, 3), &[2]);
    for (leader_log, follower_log) in
        [(whole.clone(), compacted.clone()), (compacted, log(id(0, 0), &[1, 1, 2]))]
    {
        let mut follower = follower_with(3, 4, &follower_log);
        let (mut leader, calls) = elect(follower_with(3, 4, &leader_log));
        bring_in_line(&mut leader, &mut follower, calls);
        assert_eq!(follower.log.last_id(), leader.log.last_id());
    }
}

/// Figure 8: S0, leader of T2 and then of T4, has an entry of T2 on three of five servers. That
/// does not commit it, for in (d) it is erased. An entry of T4 on top of it does, as in (e).
#[test]
fn figure_8_an_old_entry_on_a_majority_commits_only_under_a_newer_one() {
    let mut state = leader(5, 4, &[1, 2]);
    for peer in [S1, S2] {
        state.on_append_reply(peer, &append(4, id(1, 1), &[2], 0), &accepted(4), NOW);
    }
    assert_eq!(progress(&state, S2), (2, 3));
    assert_eq!(state.commit_index, LogIndex(0), "(c): stored by three, and not committed");

    let calls = send(&mut state, "of T4", NOW);
    state.on_append_reply(S1, &append_to(&calls, S1), &accepted(4), NOW);
    assert_eq!(state.commit_index, LogIndex(0));
    state.on_append_reply(S2, &append_to(&calls, S2), &accepted(4), NOW);
    assert_eq!(state.commit_index, LogIndex(3), "(e): both are committed");
    assert_eq!(state.take_deliveries().len(), 3);
}

#[test]
fn a_new_leader_knows_nothing_of_its_followers_from_before() {
    let mut state = settled_leader(2, &[1, 1]);
    assert_eq!(progress(&state, S1), (2, 3));
    state.on_append_entries(append(3, id(1, 1), &[3, 3], 0), NOW);
    let (state, _) = elect(state);
    assert_eq!(progress(&state, S1), (0, 4));
}
