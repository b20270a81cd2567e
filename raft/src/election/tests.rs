use labgob::Bytes;
use raftapi::EntryId;

use super::*;
use crate::{
    progress::HEARTBEAT_INTERVAL,
    testing::{
        NOW, S0, S1, S2, append, append_to, elect, follower, follower_with, granted, id, leader,
        log, restart, vote_request,
    },
};

fn refused_vote(term: u64) -> RequestVoteReply {
    RequestVoteReply { term: Term(term), vote_granted: false }
}

/// A server whose timer has just run out.
fn candidate(servers: usize, term: u64, terms: &[u64]) -> State {
    let mut state = follower(servers, term - 1, terms);
    let deadline = state.deadline();
    state.on_timer(deadline);
    state
}

#[test]
fn a_server_that_hears_nothing_campaigns_with_its_own_vote() {
    let mut state = follower(3, 4, &[1, 4]);
    let deadline = state.deadline();
    assert!((ELECTION_TIMEOUT_MIN..=ELECTION_TIMEOUT_MAX).contains(&deadline));
    assert_eq!(state.on_timer(ELECTION_TIMEOUT_MIN.mul_f64(0.99)), []);

    let calls = state.on_timer(deadline);
    let request = |to| {
        let args = RequestVoteArgs { term: Term(5), candidate_id: S0, last_log: id(4, 2) };
        Call { to, request: Request::Vote(args) }
    };
    assert_eq!(calls, [request(S1), request(S2)]);
    assert_eq!((state.current_term, state.voted_for), (Term(5), Some(S0)));
    let again = restart(&state);
    assert_eq!((again.current_term, again.voted_for), (Term(5), Some(S0)));
}

#[test]
fn a_candidate_that_does_not_win_tries_again_in_the_next_term() {
    let mut state = candidate(3, 1, &[]);
    let deadline = state.deadline();
    assert!(deadline > ELECTION_TIMEOUT_MIN, "the timer was set anew");
    assert_eq!(state.on_timer(deadline).len(), 2);
    assert_eq!(state.current_term, Term(2));
}

#[test]
fn timeouts_differ_from_time_to_time() {
    let mut state = follower(3, 0, &[]);
    let mut drawn: Vec<Time> = (0..20)
        .map(|_| {
            state.reset_election_timer(NOW);
            state.deadline()
        })
        .collect();
    drawn.sort_unstable();
    drawn.dedup();
    assert!(drawn.len() > 15, "{drawn:?}");
}

#[test]
fn a_majority_makes_a_leader_which_is_heard_at_once() {
    let mut state = candidate(5, 3, &[1]);
    assert_eq!(state.on_vote_reply(S1, Term(3), &granted(Term(3)), NOW), []);
    assert!(!state.is_leader());
    let calls = state.on_vote_reply(S2, Term(3), &granted(Term(3)), NOW);
    assert!(state.is_leader());
    assert_eq!(calls.len(), 4);
    let heartbeat = append_to(&calls, S1);
    assert_eq!((heartbeat.term, heartbeat.prev_log), (Term(3), id(1, 1)));
    assert_eq!(heartbeat.entries, []);
    assert_eq!(state.deadline(), NOW + HEARTBEAT_INTERVAL);
}

#[test]
fn the_same_vote_twice_is_one_vote() {
    let mut state = candidate(5, 3, &[]);
    for _ in 0..3 {
        assert_eq!(state.on_vote_reply(S1, Term(3), &granted(Term(3)), NOW), []);
    }
    assert!(!state.is_leader());
}

#[test]
fn a_refusal_is_no_vote() {
    let mut state = candidate(3, 3, &[]);
    assert_eq!(state.on_vote_reply(S1, Term(3), &refused_vote(3), NOW), []);
    assert!(!state.is_leader());
}

#[test]
fn a_vote_of_an_earlier_election_counts_for_nothing() {
    let mut state = candidate(3, 3, &[]);
    let deadline = state.deadline();
    state.on_timer(deadline); // T4
    assert_eq!(state.on_vote_reply(S1, Term(3), &granted(Term(3)), NOW), []);
    assert!(!state.is_leader());
    assert_eq!(state.current_term, Term(4), "the term does not go back to that of an old reply");
}

#[test]
fn a_vote_that_comes_after_the_election_changes_nothing() {
    let mut state = leader(5, 3, &[1]);
    state.start(Bytes::from(b"new")).unwrap();
    state.replicate(NOW);
    assert_eq!(state.on_vote_reply(ServerId(4), Term(3), &granted(Term(3)), NOW), []);
    assert!(state.is_leader());
    assert_eq!(state.replicate(NOW), [], "what is on the way is not sent again");
}

#[test]
fn a_lost_request_is_repeated_in_the_same_election() {
    let mut state = candidate(5, 3, &[]);
    let calls = state.request_votes(&[S1, S2]);
    state.on_vote_lost(S1, Term(3), NOW);
    state.on_vote_lost(S2, Term(3), NOW + RETRY_DELAY / 2);
    state.on_vote_lost(S2, Term(2), NOW); // of an election that is over
    state.election_deadline = NOW + ELECTION_TIMEOUT_MIN;
    assert_eq!(state.deadline(), NOW + RETRY_DELAY);
    assert_eq!(state.on_timer(NOW + RETRY_DELAY), calls);
    assert_eq!(state.deadline(), NOW + ELECTION_TIMEOUT_MIN);
    assert_eq!(state.current_term, Term(3));
}

#[test]
fn a_server_alone_elects_itself() {
    let (state, calls) = elect(follower(1, 0, &[]));
    assert!(state.is_leader());
    assert_eq!(calls, []);
    assert_eq!(state.deadline(), Time::MAX, "nobody waits for its heartbeats");
}

#[test]
fn the_first_candidate_gets_the_vote_and_only_he() {
    let mut state = follower(3, 1, &[1]);
    assert!(state.on_request_vote(&vote_request(2, S1, id(1, 1)), NOW).vote_granted);
    assert!(!state.on_request_vote(&vote_request(2, S2, id(1, 9)), NOW).vote_granted);
    // His request may come twice, or its reply may have been lost.
    assert!(state.on_request_vote(&vote_request(2, S1, id(1, 1)), NOW).vote_granted);
}

#[test]
fn a_vote_outlives_a_crash() {
    let mut state = follower(3, 1, &[1]);
    // The term is known before the vote is cast: the vote must be saved all the same.
    assert!(!state.on_request_vote(&vote_request(2, S2, id(0, 0)), NOW).vote_granted);
    assert!(state.on_request_vote(&vote_request(2, S1, id(1, 1)), NOW).vote_granted);
    let mut state = restart(&state);
    assert_eq!((state.current_term, state.voted_for), (Term(2), Some(S1)));
    assert!(!state.on_request_vote(&vote_request(2, S2, id(1, 1)), NOW).vote_granted);
}

#[test]
fn a_new_term_brings_a_new_vote() {
    let mut state = follower(3, 1, &[1]);
    assert!(state.on_request_vote(&vote_request(2, S1, id(1, 1)), NOW).vote_granted);
    assert!(state.on_request_vote(&vote_request(3, S2, id(1, 1)), NOW).vote_granted);
}

#[test]
fn a_candidate_votes_for_no_other_in_its_term() {
    let mut state = candidate(3, 2, &[1]);
    assert!(!state.on_request_vote(&vote_request(2, S1, id(1, 1)), NOW).vote_granted);
    assert!(matches!(state.role, Role::Candidate { .. }));
}

#[test]
fn a_candidate_of_an_old_term_is_refused_and_told_the_new_one() {
    let mut state = follower(3, 5, &[1]);
    assert_eq!(state.on_request_vote(&vote_request(4, S1, id(9, 9)), NOW), refused_vote(5));
    assert_eq!(state.voted_for, None);
}

/// §5.4.1: later term first, then longer log.
#[test]
fn only_an_up_to_date_candidate_gets_the_vote() {
    let cases: [(EntryId, bool); 6] = [
        (id(4, 3), true),   // equal
        (id(4, 4), true),   // longer
        (id(4, 2), false),  // shorter
        (id(5, 1), true),   // shorter, but of a later term
        (id(3, 99), false), // longer, but of an earlier term
        (id(0, 0), false),  // empty
    ];
    for (last, expected) in cases {
        let mut state = follower(3, 6, &[1, 1, 4]);
        let reply = state.on_request_vote(&vote_request(7, S1, last), NOW);
        assert_eq!(reply.vote_granted, expected, "{last}");
    }
}

/// §7: the last entry may be in the snapshot, and indices count from the beginning of time.
#[test]
fn a_compacted_log_is_as_up_to_date_as_it_was() {
    for log in [log(id(2, 30), &[]), log(id(2, 27), &[2, 2, 2])] {
        let mut state = follower_with(3, 6, &log);
        assert!(!state.on_request_vote(&vote_request(7, S1, id(2, 12)), NOW).vote_granted);
        assert!(state.on_request_vote(&vote_request(8, S2, id(2, 30)), NOW).vote_granted);
    }
}

#[test]
fn a_refused_candidate_raises_the_term_but_does_not_put_off_the_election() {
    let mut state = follower(3, 1, &[1]);
    let deadline = state.deadline();
    assert_eq!(state.on_request_vote(&vote_request(9, S1, id(0, 0)), NOW), refused_vote(9));
    assert_eq!(restart(&state).current_term, Term(9), "the new term is saved");
    assert_eq!(state.deadline(), deadline);
}

#[test]
fn a_vote_puts_off_the_voters_own_election() {
    let mut state = follower(3, 1, &[1]);
    assert!(state.on_request_vote(&vote_request(2, S1, id(1, 1)), NOW).vote_granted);
    assert!(state.deadline() >= NOW + ELECTION_TIMEOUT_MIN);
}

#[test]
fn a_newer_term_in_a_request_or_a_reply_ends_a_leadership() {
    let by_request = |state: &mut State| {
        state.on_request_vote(&vote_request(9, S1, id(0, 0)), NOW);
    };
    let by_reply = |state: &mut State| {
        assert_eq!(state.on_vote_reply(S1, Term(3), &refused_vote(9), NOW), []);
    };
    let by_leader = |state: &mut State| {
        state.on_append_entries(append(9, id(0, 0), &[], 0), NOW);
    };
    let ways: [&dyn Fn(&mut State); 3] = [&by_request, &by_reply, &by_leader];
    for way in ways {
        let mut state = leader(3, 3, &[1]);
        way(&mut state);
        assert!(!state.is_leader());
        assert_eq!((state.current_term, state.voted_for), (Term(9), None));
        assert_eq!(restart(&state).current_term, Term(9));
        assert!(state.deadline() >= NOW + ELECTION_TIMEOUT_MIN, "it waits before it campaigns");
    }
}

#[test]
fn a_rival_of_the_same_term_does_not_depose_a_leader() {
    let mut state = leader(3, 3, &[1]);
    assert_eq!(state.on_request_vote(&vote_request(3, S1, id(1, 1)), NOW), refused_vote(3));
    assert!(state.is_leader());
}
