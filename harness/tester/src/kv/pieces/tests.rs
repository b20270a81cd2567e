//! Short histories, and the flaws that are found in them.

use super::*;

/// Operations one after the other: `+a` appends, `=a` puts, `?a` is a get that was answered so.
fn after(steps: &[&str]) -> History<KvOp, KvOutput> {
    let mut history = History::new();
    for (n, step) in (0..).zip(steps) {
        let (kind, text) = step.split_at(1);
        let (op, output) = match kind {
            "+" => (KvOp::append("k", text), KvOutput::Done),
            "*" => (KvOp::append("other", text), KvOutput::Done),
            "=" => (KvOp::put("k", text), KvOutput::Done),
            _ => (KvOp::get("k"), KvOutput::value(text)),
        };
        let id = history.call(format!("C{n}"), Duration::from_millis(10 * n), op);
        history.returned(id, Duration::from_millis(10 * n + 5), output);
    }
    history
}

fn flaw(steps: &[&str]) -> Option<Flaw> {
    let history = after(steps);
    let ops: Vec<_> = (0..history.len()).map(|n| (OpId(n), &history[OpId(n)])).collect();
    Key::of("k", &ops)?.first_flaw().map(|(_, _, flaw)| flaw)
}

#[test]
fn right_answers_have_no_flaw() {
    assert_eq!(flaw(&["?", "+a ", "?a ", "+b ", "?a b ", "=c ", "?c ", "+d ", "?c d "]), None);
}

#[test]
fn what_is_there_twice_is_named_and_shown() {
    let history = after(&["+a ", "+b ", "?a b a "]);
    let says = find(&history, false).unwrap().says;
    assert!(says.contains("`a ` is in it twice; it was appended once, by C0"), "{says}");
    assert!(says.contains("`a b a `"), "{says}");
}

#[test]
fn kinds_of_what_is_missing() {
    assert_eq!(flaw(&["+a ", "+b ", "?b "]), Some(Flaw::Never(OpId(0))));
    assert_eq!(flaw(&["+a ", "?a ", "+b ", "?b "]), Some(Flaw::Hole(OpId(0))));
    assert_eq!(flaw(&["+a ", "+b ", "?a b ", "?a "]), Some(Flaw::Gone(OpId(1))));
    assert_eq!(flaw(&["+a ", "+b ", "?a ", "?a b "]), Some(Flaw::Old(OpId(1))));
    assert_eq!(flaw(&["+a ", "?a ", "?", "?a "]), Some(Flaw::Empty(OpId(0))));
    assert_eq!(flaw(&["+a ", "*b ", "?b "]), Some(Flaw::Foreign(OpId(1))));
}

#[test]
fn only_what_was_restored_is_blamed_on_snapshots() {
    let history = after(&["+a ", "?a ", "+b ", "?b "]);
    let look_at = |restored| find(&history, restored).unwrap().look_at;
    assert!(look_at(true).contains("snapshot"), "{}", look_at(true));
    assert!(look_at(false).contains("worked out"), "{}", look_at(false));
}

#[test]
fn a_put_may_have_taken_it_away() {
    assert_eq!(flaw(&["+a ", "=c ", "?c "]), None);
    assert_eq!(flaw(&["=c ", "+a ", "?c "]), Some(Flaw::Never(OpId(1))));
}

#[test]
fn pieces_that_are_not_unique_say_nothing() {
    assert_eq!(flaw(&["+a", "+a", "?aa"]), None);
    assert_eq!(flaw(&["+a", "+ab", "?ab"]), None);
}
