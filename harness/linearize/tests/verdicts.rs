//! What is said of histories that are wrong, and of those that are too hard.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use linearize::format::{self, Notation};
use linearize::models::{Kv, Queue, Register};
use linearize::{Budget, OpId, Rejection, Verdict, Violation, check};

/// The violation in a history, after a check of what the answer says of every history.
#[track_caller]
fn violation<M: Notation>(model: &M, text: &str) -> (Violation<M::Key>, String)
where
    M::Key: std::fmt::Debug,
{
    let history = format::parse(model, text).unwrap();
    match check(model, &history, Budget::default()) {
        Verdict::NotLinearizable(violation) => {
            assert!(violation.is_longest);
            let explanation = violation.explain(model, &history).to_string();
            (*violation, explanation)
        }
        other => panic!("not reported: {other:?}"),
    }
}

#[test]
fn kv_lost_append() {
    let (violation, explanation) = violation(
        &Kv,
        "
        C1, invoke, append, x a, 1ms
        C1, ok,     append, ,    2ms
        C1, invoke, append, x b, 3ms
        C1, ok,     append, ,    4ms
        C2, invoke, put,    y 1, 4ms
        C1, invoke, append, x c, 5ms
        C1, ok,     append, ,    6ms
        C2, ok,     put,    ,    6ms
        C2, invoke, get,    x,   7ms
        C3, invoke, append, x d, 8ms
        C2, ok,     get,    ac,  9ms
        C3, ok,     append, ,   10ms
        ",
    );
    assert_eq!(&*violation.key, "x");
    assert_eq!(violation.operation, OpId(4));
    assert_eq!(violation.prefix, [OpId(0), OpId(1), OpId(3)]);
    assert_eq!(
        explanation,
        r#"C2: get x → "ac" cannot fit: called at 0.007 s, returned at 0.009 s.
  It contradicts one operation, whatever the others did:
  - C1: append x "b", which had returned, at 0.004 s, before that was called.
  Everything that returned before can be explained, by 3 operations in an order that leaves x at "abc"; the answer was "ac"."#
    );
}

#[test]
fn kv_append_done_twice() {
    let (violation, explanation) = violation(
        &Kv,
        "C1, invoke, append, x a
         C1, ok,     append,
         C2, invoke, get,    x
         C2, ok,     get,    aa",
    );
    assert_eq!((violation.operation, violation.contradicts), (OpId(1), vec![]));
    assert!(explanation.contains("Nothing that was called on x by then can lead to this."));
}

#[test]
fn kv_two_orders_of_the_same_appends() {
    let (violation, explanation) = violation(
        &Kv,
        "C1, invoke, append, x a
         C2, invoke, append, x b
         C3, invoke, get,    x
         C4, invoke, get,    x
         C3, ok,     get,    ab
         C4, ok,     get,    ba
         C1, ok,     append,
         C2, ok,     append,",
    );
    assert_eq!(violation.operation, OpId(3));
    assert_eq!(violation.contradicts.len(), 1);
    assert_eq!(violation.contradicts[0].operation, OpId(2));
    assert!(violation.contradicts[0].by_answer);
    assert!(explanation.contains(r#"C3: get x → "ab", which overlaps it"#), "{explanation}");
}

#[test]
fn register_swap_that_could_not_be() {
    let (violation, explanation) = violation(
        &Register,
        "1, invoke, write, r 1
         1, ok,     write,
         2, invoke, cas,   r 1 2
         3, invoke, cas,   r 1 3
         2, ok,     cas,   true
         3, ok,     cas,   true
         1, invoke, read,  r
         1, ok,     read,  2",
    );
    assert_eq!(violation.operation, OpId(2));
    let others: Vec<_> = violation.contradicts.iter().map(|other| other.operation).collect();
    assert_eq!(others, [OpId(1)]);
    assert!(explanation.contains("3: cas r 1 3 → true cannot fit"), "{explanation}");
}

#[test]
fn register_stale_read() {
    let (violation, _) = violation(
        &Register,
        "1, invoke, write, r 1
         1, info,   write,
         2, invoke, read,  r
         2, ok,     read,  1
         3, invoke, read,  r
         3, ok,     read,  nil",
    );
    assert_eq!(violation.operation, OpId(2));
    assert_eq!(violation.contradicts[0].operation, OpId(1));
}

#[test]
fn queue_out_of_order() {
    let (violation, explanation) = violation(
        &Queue,
        "A, invoke, enqueue, q 1
         A, ok,     enqueue,
         A, invoke, enqueue, q 2
         A, ok,     enqueue,
         B, invoke, dequeue, q
         B, ok,     dequeue, 2",
    );
    assert_eq!(violation.operation, OpId(2));
    let others: Vec<_> = violation.contradicts.iter().map(|other| other.operation).collect();
    assert_eq!(others, [OpId(0)], "{explanation}");
    assert!(explanation.contains("leaves q at [1, 2]; the answer was 2."), "{explanation}");
}

#[test]
fn queue_item_taken_twice() {
    let (violation, _) = violation(
        &Queue,
        "A, invoke, enqueue, q 1
         B, invoke, dequeue, q
         C, invoke, dequeue, q
         B, ok,     dequeue, 1
         C, ok,     dequeue, 1
         A, ok,     enqueue,",
    );
    assert_eq!(violation.operation, OpId(2));
    assert_eq!(violation.contradicts[0].operation, OpId(1));
}

/// Twenty writes at once, and a read of what nobody wrote: a million sets of writes to go through.
fn hard(key: &str) -> String {
    let calls = (0..20).map(|n| format!("{key}{n}, invoke, write, {key} {n}\n"));
    let read = format!("{key}r, invoke, read, {key}\n{key}r, ok, read, 99\n");
    let returns = (0..20).map(|n| format!("{key}{n}, ok, write,\n"));
    calls.chain([read]).chain(returns).collect()
}

#[test]
fn a_search_that_is_cut_off_says_unknown_and_does_not_pass() {
    let history = format::parse(&Register, &hard("a")).unwrap();
    let verdict = check(&Register, &history, Budget::of_steps(10_000));
    assert_eq!(verdict.steps(), 10_000);
    assert!(!verdict.is_linearizable());
    assert!(matches!(&verdict, Verdict::Unknown(undecided) if undecided.undecided.len() == 1));
    let rejection = verdict.into_result().unwrap_err();
    assert!(matches!(rejection, Rejection::Unknown(_)));
    assert_eq!(
        rejection.to_string(),
        "not known to be linearizable: no answer after 10000 steps; the budget of steps is used up"
    );
}

#[test]
fn without_any_steps_only_what_needs_none_is_known() {
    let history = format::parse(&Register, "1, invoke, write, r 1").unwrap();
    assert!(check(&Register, &history, Budget::of_steps(0)).is_linearizable());
    let history = format::parse(&Register, "1, invoke, write, r 1\n1, ok, write,").unwrap();
    assert!(!check(&Register, &history, Budget::of_steps(0)).is_linearizable());
    assert!(check(&Register, &history, Budget::of_steps(1)).is_linearizable());
}

#[test]
fn a_violation_is_found_beside_partitions_that_are_too_hard() {
    let stale = "1, invoke, read, z\n1, ok, read, 5\n";
    let text = hard("a") + &hard("b") + stale;
    let history = format::parse(&Register, &text).unwrap();
    let verdict = check(&Register, &history, Budget::default());
    let Verdict::NotLinearizable(violation) = verdict else { panic!("{verdict:?}") };
    assert_eq!(&*violation.key, "z");
    assert!(violation.steps < 1000);
}

#[test]
fn the_answer_depends_on_the_history_alone() {
    let history = format::parse(&Register, &hard("a")).unwrap();
    let answer = || check(&Register, &history, Budget::of_steps(5000));
    assert_eq!(answer(), answer());
}

#[test]
fn bad_lines_are_named() {
    let error = |text: &str| format::parse(&Kv, text).unwrap_err().to_string();
    assert_eq!(
        error("# a comment\n\nC1, invoke, get"),
        "line 3: expected `process, invoke|ok|fail|info, operation, value`"
    );
    assert_eq!(
        error("C1, call, get, x"),
        r#"line 1: expected invoke, ok, fail or info, not "call""#
    );
    assert_eq!(error("C1, ok, get, x"), "line 1: process C1 is doing nothing that could end here");
    assert_eq!(
        error("C1, invoke, get, x\nC1, invoke, get, x"),
        "line 2: process C1 has not finished its get of line 1"
    );
    assert_eq!(
        error("C1, invoke, get, x\nC1, ok, put,"),
        "line 2: process C1 called get, at line 1, not put"
    );
    assert_eq!(
        error("C1, invoke, take, x"),
        r#"line 1: the operations are get, put and append, not "take""#
    );
    assert_eq!(error("C1, invoke, put, x"), "line 1: put is called with a key and a value");
    assert_eq!(
        error("C1, invoke, get, x\nC1, ok, get, a b"),
        "line 2: a get answers with a value, or ? if it is not known"
    );
    assert_eq!(error("C1, invoke, put, x \"a"), "line 1: this is not a JSON string: \"a");
    assert_eq!(
        error("C1, invoke, get, x, 1ms\nC1, ok, get, a"),
        "line 2: no time, but the lines before have one"
    );
    assert_eq!(
        error("C1, invoke, get, x, 1"),
        r#"line 1: expected a time such as 1.25ms (s, ms, us or ns), not "1""#
    );
    let error = format::parse(&Register, "1, invoke, write, r one").unwrap_err();
    assert_eq!(error.to_string(), r#"line 1: expected a whole number, not "one""#);
}
