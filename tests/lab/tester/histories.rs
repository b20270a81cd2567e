//! Which histories of elections and applied commands the tester lets pass.

use labgob::Bytes;
use labtester::{Applied, Elections};
use raftapi::{EntryId, LogIndex, ServerId, Term};

use super::{S0, S1, id, ms};

#[test]
fn a_term_has_one_leader_for_ever() {
    let mut elections = Elections::new(3);
    elections.saw(S0, 0, (Term(1), true), ms(1)).unwrap();
    elections.saw(S0, 0, (Term(2), false), ms(2)).unwrap();
    let failure = elections.saw(S1, 0, (Term(1), true), ms(900)).unwrap_err();
    assert_eq!(failure.title, "two leaders in one term");
    assert_eq!(
        failure.happened,
        "S0 led T1, first seen at 0.001 s; S1 leads T1 too, seen at 0.900 s"
    );
}

#[test]
fn a_term_never_goes_back() {
    let mut elections = Elections::new(3);
    elections.saw(S0, 0, (Term(3), false), ms(1)).unwrap();
    let failure = elections.saw(S0, 0, (Term(2), false), ms(2)).unwrap_err();
    assert_eq!(failure.title, "a term went back");
}

#[test]
fn a_term_survives_a_crash_once_it_was_surely_saved() {
    let mut elections = Elections::new(3);
    elections.saw(S0, 0, (Term(3), false), ms(0)).unwrap();
    elections.saw(S0, 0, (Term(4), false), ms(200)).unwrap();
    elections.crashed(S0, ms(249)); // T4 may not have been saved, T3 must
    elections.started(S0, 1);
    elections.clone().saw(S0, 1, (Term(3), false), ms(251)).unwrap();
    // A look that was under way when the server crashed is not held against its successor.
    elections.saw(S0, 0, (Term(4), false), ms(251)).unwrap();
    let failure = elections.saw(S0, 1, (Term(2), false), ms(251)).unwrap_err();
    assert_eq!(failure.title, "a term was forgotten in a crash");
}

/// Two servers, started, and a command that S0 took in as T1:i1.
fn history() -> Applied {
    let mut history = Applied::new(2);
    history.started(S0, 0, &[], ms(0)).unwrap();
    history.started(S1, 0, &[], ms(0)).unwrap();
    accept(&mut history, id(1, 1), "a");
    history
}

fn accept(history: &mut Applied, id: EntryId, command: &str) {
    let call = history.starting(&bytes(command));
    history.accepted(call, S0, id).unwrap();
}

fn apply(
    history: &mut Applied,
    server: ServerId,
    id: EntryId,
    command: &str,
) -> Result<(), String> {
    history.command(server, 0, id, &bytes(command), ms(10)).map_err(|failure| failure.title)
}

fn bytes(text: &str) -> Bytes {
    Bytes::from(text.as_bytes())
}

#[test]
fn all_servers_apply_the_same() {
    let mut history = history();
    apply(&mut history, S0, id(1, 1), "a").unwrap();
    apply(&mut history, S1, id(1, 1), "a").unwrap();
    assert_eq!(history.count(LogIndex(1)), 2);

    accept(&mut history, id(1, 2), "b");
    accept(&mut history, id(2, 2), "c");
    apply(&mut history, S0, id(1, 2), "b").unwrap();
    let title = apply(&mut history, S1, id(2, 2), "c").unwrap_err();
    assert_eq!(title, "two servers applied different commands at one index");
}

#[test]
fn a_server_applies_every_index_once() {
    let mut history = history();
    accept(&mut history, id(1, 2), "b");
    let gap = apply(&mut history.clone(), S0, id(1, 2), "b").unwrap_err();
    apply(&mut history, S0, id(1, 1), "a").unwrap();
    let again = apply(&mut history, S0, id(1, 1), "a").unwrap_err();
    assert_eq!([gap, again], ["apply out of order", "apply out of order"]);
}

#[test]
fn after_a_restart_it_begins_anew() {
    let mut history = history();
    apply(&mut history, S0, id(1, 1), "a").unwrap();
    history.crashed(S0);
    assert_eq!(history.count(LogIndex(1)), 0);
    apply(&mut history, S0, id(1, 2), "its last words").unwrap();
    history.started(S0, 1, &[], ms(5)).unwrap();
    history.command(S0, 1, id(1, 1), &bytes("a"), ms(6)).unwrap();
}

#[test]
fn what_start_promised_is_what_is_applied() {
    let mut history = history();
    let title = apply(&mut history, S0, id(1, 1), "z").unwrap_err();
    assert_eq!(title, "start() named an entry that holds another command");
}

#[test]
fn a_refused_command_is_never_applied() {
    let mut history = history();
    apply(&mut history, S0, id(1, 1), "a").unwrap();
    let call = history.starting(&bytes("b"));
    // While start() runs, its command may be applied already.
    apply(&mut history, S0, id(1, 2), "b").unwrap();
    assert_eq!(
        history.clone().refused(call).unwrap_err().title,
        "a command that no leader took in was applied"
    );
    history.accepted(call, S0, id(1, 2)).unwrap();

    let call = history.starting(&bytes("c"));
    history.refused(call).unwrap();
    let title = apply(&mut history, S0, id(1, 3), "c").unwrap_err();
    assert_eq!(title, "a command that no leader took in was applied");
}

#[test]
fn a_start_cut_short_by_a_crash_may_have_worked() {
    let mut history = history();
    apply(&mut history, S0, id(1, 1), "a").unwrap();
    let call = history.starting(&bytes("b"));
    history.cut_short(call);
    apply(&mut history, S0, id(1, 2), "b").unwrap();
}

#[test]
fn a_snapshot_holds_what_was_applied() {
    let mut history = history();
    apply(&mut history, S0, id(1, 1), "a").unwrap();
    let snapshot = labgob::to_bytes(&history.snapshot_at(LogIndex(1)));

    let install = |id, data: &[u8]| {
        let mut history = history.clone();
        let outcome = history.installed(S1, 0, id, data, ms(9));
        outcome.map(|()| history.progress(S1)).map_err(|failure| failure.title)
    };
    assert_eq!(install(id(1, 1), &snapshot), Ok(Some(LogIndex(1))));
    assert_eq!(install(id(2, 1), &snapshot), Err("a snapshot came with a wrong label".into()));
    assert_eq!(install(id(1, 2), &snapshot), Err("a snapshot came with a wrong label".into()));
    assert_eq!(install(id(1, 1), &snapshot[1..]), Err("a snapshot is damaged".into()));
}

#[test]
fn a_saved_snapshot_survives_a_crash() {
    let mut history = history();
    apply(&mut history, S0, id(1, 1), "a").unwrap();
    let snapshot = labgob::to_bytes(&history.snapshot_at(LogIndex(1)));
    history.saved(S0, &snapshot, ms(20)).unwrap();
    history.crashed(S0);
    history.clone().started(S0, 1, &snapshot, ms(30)).unwrap();
    let failure = history.started(S0, 1, &[], ms(30)).unwrap_err();
    assert_eq!(failure.title, "a snapshot was lost in a crash");
}
