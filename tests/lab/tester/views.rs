//! What servers show of themselves, and acknowledge: which of it the tester lets pass.

use labtester::acks::Acknowledged;
use labtester::{Acks, Applied, Failure, Views};
use raftapi::{EntryId, LogIndex, RaftView, RoleView, ServerId, Term};

use super::{S0, S1, id, ms};

/// A follower of T2 whose log has entries of these terms after nothing, the first `commit` committed.
fn view(terms: &[u64], commit: u64) -> RaftView {
    RaftView {
        current_term: Term(2),
        role: RoleView::Follower { leader: Some(S0) },
        voted_for: Some(S0),
        last_included: EntryId::default(),
        entries: terms.iter().map(|term| Term(*term)).collect(),
        commit_index: LogIndex(commit),
        last_applied: LogIndex(commit),
        followers: Vec::new(),
    }
}

fn leader(view: RaftView) -> RaftView {
    RaftView { role: RoleView::Leader, ..view }
}

/// Shows them one after the other, a second apart, and says what is wrong with the last one.
fn shows(views: &[(ServerId, RaftView)]) -> Option<Failure> {
    let mut history = Views::new(2);
    let mut outcome = Ok(());
    for (n, (server, view)) in (0..).zip(views) {
        let state = (view.current_term, view.role == RoleView::Leader);
        let known = (Some(ms(1000 * n)), &Applied::new(2));
        outcome.unwrap();
        outcome = history.saw((*server, 0), state, view.clone(), known, ms(1000 * n + 1));
    }
    outcome.err()
}

#[test]
fn the_five_properties_are_checked_from_look_to_look() {
    let title = |views: &[(ServerId, RaftView)]| shows(views).map(|failure| failure.title);
    let fine = [(S0, view(&[1, 1], 1)), (S0, view(&[1, 2, 2], 3)), (S1, view(&[1, 2], 2))];
    assert_eq!(title(&fine), None, "a follower replaces what is not committed");

    let replaced = [(S0, leader(view(&[1, 2], 0))), (S0, leader(view(&[1, 1], 0)))];
    assert_eq!(title(&replaced).as_deref(), Some("a leader changed its own log"));
    let shorter = [(S0, leader(view(&[1, 2], 0))), (S0, leader(view(&[1], 0)))];
    assert_eq!(title(&shorter).as_deref(), Some("a leader changed its own log"));

    let counted = [(S0, leader(view(&[1], 0))), (S0, leader(view(&[1], 1)))];
    let by_counting = Some("a leader committed an entry of an earlier term by counting");
    assert_eq!(title(&counted).as_deref(), by_counting);
    let rode = [(S0, leader(view(&[1, 2], 0))), (S0, leader(view(&[1, 2], 2)))];
    assert_eq!(title(&rode), None);

    let no_match = [(S0, view(&[1, 2], 0)), (S1, view(&[2, 2], 0))];
    assert_eq!(
        title(&no_match).as_deref(),
        Some("two logs share an entry but not the one before it")
    );
    let incomplete = [(S0, view(&[1, 1], 2)), (S1, leader(view(&[1], 0)))];
    assert_eq!(title(&incomplete).as_deref(), Some("a leader lacks a committed entry"));
    let two = [(S0, view(&[1, 1], 2)), (S1, view(&[1, 2], 2))];
    assert_eq!(
        title(&two).as_deref(),
        Some("two servers committed different entries at one index")
    );
    let back = [(S0, view(&[1, 1], 2)), (S0, view(&[1, 1], 1))];
    assert_eq!(title(&back).as_deref(), Some("the commit index went back"));
    let twice = [(S0, view(&[], 0)), (S0, RaftView { voted_for: Some(S1), ..view(&[], 0) })];
    assert_eq!(title(&twice).as_deref(), Some("a server changed its vote within a term"));
}

/// A report names both sides, and when.
#[test]
fn a_leader_that_lacks_an_entry_is_named_with_it() {
    let failure = shows(&[(S0, view(&[1, 1], 2)), (S1, leader(view(&[1], 0)))]).unwrap();
    assert_eq!(
        failure.happened,
        "S0 shows T1:i1 as committed, at 0.001 s; S1 leads T2 at 1.001 s, and has T1:i1"
            .replace("shows T1:i1", "shows T1:i2")
            .replace("has T1:i1", "has a log that ends at T1:i1")
    );
}

/// A view that contradicts what the server says is no evidence against it, and is named.
#[test]
fn a_wrong_view_is_not_held_against_a_right_server() {
    let mut history = Views::new(2);
    let applied = Applied::new(2);
    for n in 0..20 {
        // It leads T3, and shows a follower of T2 whose log changes at will.
        let view = view(if n % 2 == 0 { &[1, 1] } else { &[2, 2] }, 2);
        history.saw((S0, 0), (Term(3), true), view, (None, &applied), ms(10 * n)).unwrap();
    }
    let remarks = history.remarks();
    assert_eq!(
        remarks,
        [
            "view() contradicts get_state(): S0 shows T2, not leading, and says T3, leading, from 0.000 to \
          0.050 s; nothing that S0 shows was believed from then on"
        ]
    );
    history.nothing();
    assert!(history.remarks()[0].starts_with("Raft::view() shows nothing: not checked are "));
}

/// What a reply acknowledges was saved between the request and the reply, if nothing else was done
/// meanwhile.
#[test]
fn an_acknowledgement_comes_after_a_save() {
    let answer = |before: RaftView, after: RaftView, saves: u64| {
        let mut acks = Acks::new(2);
        acks.asked((S1, 0), 7, 5, Some(before));
        let outcome = acks.answered(S1, (7, S0), 5 + saves, Some(&after), ms(20));
        outcome.map_err(|failure| failure.title)
    };
    let no_vote = RaftView { voted_for: None, ..view(&[1], 0) };
    assert_eq!(
        answer(no_vote.clone(), view(&[1], 0), 0),
        Err("a vote was granted before it was saved".into())
    );
    assert_eq!(answer(no_vote, view(&[1], 0), 1), Ok(Some(Acknowledged::Vote(S0))));
    assert_eq!(
        answer(view(&[1], 0), view(&[1, 2], 0), 0),
        Err("entries were acknowledged before they were saved".into())
    );
    let entries = Acknowledged::Entries(id(2, 2));
    assert_eq!(answer(view(&[1], 0), view(&[1, 2], 0), 1), Ok(Some(entries)));
    // What is deleted is not acknowledged, nor what a leader appends.
    assert_eq!(answer(view(&[1, 1], 0), view(&[1], 0), 0), Ok(None));
    assert_eq!(answer(leader(view(&[1], 0)), leader(view(&[1, 2], 0)), 0), Ok(None));

    // With another request under way nobody can tell which of the two it was.
    let mut acks = Acks::new(2);
    acks.asked((S1, 0), 7, 5, Some(view(&[1], 0)));
    acks.asked((S1, 0), 8, 5, Some(view(&[1], 0)));
    for call in [7, 8] {
        assert_eq!(acks.answered(S1, (call, S0), 5, Some(&view(&[1, 2], 0)), ms(20)), Ok(None));
    }
}
