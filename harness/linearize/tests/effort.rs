//! Histories on which a search could take forever get an answer all the same. All bounds are of steps
//! and of other things that are counted, so that they hold on every machine.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::time::Duration;

use linearize::models::{Kv, KvOp, KvOutput, Register, RegisterOp, RegisterOutput};
use linearize::{Budget, History, OpId, Resource, Undecided, Verdict, Violation, check};

type KvHistory = History<KvOp, KvOutput>;

/// Operations that never return, called one after the other.
fn open(ops: impl IntoIterator<Item = KvOp>) -> KvHistory {
    let mut history = History::new();
    for (op, client) in ops.into_iter().zip(0..) {
        history.call(format!("C{client}"), Duration::ZERO, op);
    }
    history
}

fn get(history: &mut KvHistory, answer: &str) {
    let id = history.call("G", Duration::ZERO, KvOp::get("x"));
    history.returned(id, Duration::ZERO, KvOutput::value(answer));
}

fn append(history: &mut KvHistory, text: &str) {
    let id = history.call("A", Duration::ZERO, KvOp::append("x", text));
    history.returned(id, Duration::ZERO, KvOutput::Done);
}

#[track_caller]
fn refuted(history: &KvHistory) -> Violation<std::sync::Arc<str>> {
    match check(&Kv, history, Budget::of_steps(0)) {
        Verdict::NotLinearizable(violation) => *violation,
        other => panic!("not refuted at once: {other:?}"),
    }
}

#[test]
fn thirty_open_operations_and_an_answer_that_no_pieces_give() {
    let texts = |n: usize| "a".repeat(2 * n + 2);
    let appends = || (0..30).map(|n| KvOp::append("x", texts(n)));
    // A letter that nobody wrote; a length that is odd; one that is too much.
    for answer in ["a".repeat(100) + "b", "a".repeat(101), "a".repeat(932)] {
        let mut history = open(appends());
        get(&mut history, &answer);
        assert_eq!(refuted(&history).operation, OpId(30));
    }
    let mut history = open(appends());
    get(&mut history, &"a".repeat(930));
    assert!(check(&Kv, &history, Budget::default()).is_linearizable());
}

#[test]
fn thirty_open_puts_and_an_answer_that_nobody_put() {
    let mut history = open((0..30).map(|n| KvOp::put("x", format!("v{n}"))));
    get(&mut history, "v30");
    // Put, but not by then.
    history.call("D", Duration::ZERO, KvOp::put("x", "v30"));
    assert_eq!(refuted(&history).operation, OpId(30));
}

#[test]
fn a_piece_more_often_than_it_was_appended() {
    let mut history = open((0..30).map(|n| KvOp::append("x", format!("<{n}>"))));
    get(&mut history, "<3><1><20><3>");
    assert_eq!(refuted(&history).operation, OpId(30));
}

#[test]
fn a_value_that_shrinks() {
    let mut history = open((0..16).map(|_| KvOp::append("x", "a")));
    get(&mut history, "aaaaaaaa");
    get(&mut history, "aaaaaaa");
    let violation = refuted(&history);
    assert_eq!(violation.operation, OpId(17));
    assert!(violation.contradicts.iter().any(|other| other.operation == OpId(16)), "{violation:?}");
}

#[test]
fn a_value_that_lacks_what_had_been_appended() {
    let mut history = open((0..30).map(|n| KvOp::append("x", format!("<{n}>"))));
    append(&mut history, "long enough");
    get(&mut history, "<3><1>");
    assert_eq!(refuted(&history).operation, OpId(31));
}

#[test]
fn the_order_of_two_puts_is_seen_both_ways() {
    let mut history = open((0..30).map(|n| KvOp::put("x", format!("v{n}"))));
    for answer in ["v1", "v2"] {
        get(&mut history, answer);
    }
    assert!(check(&Kv, &history, Budget::default()).is_linearizable());
    get(&mut history, "v1");
    let violation = refuted(&history);
    assert_eq!(violation.operation, OpId(32));

    // The same of values that were appended to.
    let puts = (0..30).map(|n| KvOp::put("x", format!("v{n};")));
    let mut history = open(puts.chain([KvOp::append("x", "a")]));
    for answer in ["v1;", "v2;a", "v1;"] {
        get(&mut history, answer);
    }
    assert_eq!(refuted(&history).operation, OpId(33));
}

#[test]
fn a_put_that_had_returned_is_passed_over() {
    let mut history = open((0..30).map(|n| KvOp::put("x", format!("v{n}"))));
    get(&mut history, "v1");
    let put = history.call("P", Duration::ZERO, KvOp::put("x", "other"));
    history.returned(put, Duration::ZERO, KvOutput::Done);
    get(&mut history, "v1");
    assert_eq!(refuted(&history).operation, OpId(32));
}

/// Equal puts of something else between the appends, so that nothing is plain before the search.
#[test]
fn equal_open_operations_are_one_and_the_same() {
    for open_appends in [12, 16, 64] {
        let mut history = open((0..open_appends).map(|_| KvOp::append("x", "a")));
        for _ in 0..3 {
            let put = history.call("P", Duration::ZERO, KvOp::put("x", "a"));
            history.returned(put, Duration::ZERO, KvOutput::Done);
            for answer in ["aaaa", "aaa"] {
                get(&mut history, answer);
            }
        }
        let verdict = check(&Kv, &history, Budget::of_steps(10_000));
        assert!(matches!(verdict, Verdict::NotLinearizable(_)), "{verdict:?}");
    }
}

#[test]
fn equal_operations_that_returned_are_tried_in_one_order() {
    let mut history: History<RegisterOp, RegisterOutput> = History::new();
    let writes: Vec<OpId> = (0..40)
        .map(|n| {
            history.call(format!("C{n}"), Duration::ZERO, RegisterOp::Write("r".into(), n % 3))
        })
        .collect();
    let read = history.call("R", Duration::ZERO, RegisterOp::Read("r".into()));
    history.returned(read, Duration::ZERO, RegisterOutput::Value(Some(9)));
    for write in writes {
        history.returned(write, Duration::ZERO, RegisterOutput::Done);
    }
    let verdict = check(&Register, &history, Budget::of_steps(50_000));
    assert!(matches!(verdict, Verdict::NotLinearizable(_)), "{verdict:?}");
}

/// 30 writes that never return, and a read of what nobody wrote: to the register nothing is plain.
fn thirty_open_writes() -> History<RegisterOp, RegisterOutput> {
    let mut history = History::new();
    for n in 0..30 {
        history.call(format!("C{n}"), Duration::ZERO, RegisterOp::Write("r".into(), n));
    }
    let read = history.call("R", Duration::ZERO, RegisterOp::Read("r".into()));
    history.returned(read, Duration::ZERO, RegisterOutput::Value(Some(99)));
    history
}

#[track_caller]
fn undecided(budget: Budget) -> Undecided<std::sync::Arc<str>> {
    match check(&Register, &thirty_open_writes(), budget) {
        Verdict::Unknown(undecided) => undecided,
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_part_of_the_budget_is_kept_and_named() {
    let all = Budget::default();
    assert_eq!(undecided(Budget { steps: 5000, ..all }).used_up, Resource::Steps);
    let by_work = undecided(Budget { work: 1_000_000, ..all });
    assert_eq!(by_work.used_up, Resource::Work);
    assert_eq!(by_work, undecided(Budget { work: 1_000_000, ..all }));
    let by_memory = undecided(Budget { bytes: 100_000, ..all });
    assert_eq!(by_memory.used_up, Resource::Memory);
    // A position takes eight bytes at least.
    assert!(by_memory.steps < by_work.steps + 100_000, "{}", by_memory.steps);
    let rejection = check(&Register, &thirty_open_writes(), Budget { bytes: 100_000, ..all })
        .into_result()
        .unwrap_err()
        .to_string();
    assert!(rejection.ends_with("the budget of memory is used up"), "{rejection}");
}

#[test]
fn comparisons_end_a_search_long_before_its_steps() {
    let undecided = undecided(Budget { work: 100_000_000, ..Budget::default() });
    assert_eq!(undecided.used_up, Resource::Work);
    assert!(undecided.steps < 500_000, "{}", undecided.steps);
}

/// The search begins with the order that the answers tell.
#[test]
fn five_thousand_appends_at_once_in_another_order_than_called() {
    let mut history = History::new();
    let text = |n: usize| format!("x {n} y");
    let appends: Vec<OpId> = (0..5000)
        .map(|n| history.call(format!("C{n}"), Duration::ZERO, KvOp::append("x", text(n))))
        .collect();
    for id in appends {
        history.returned(id, Duration::ZERO, KvOutput::Done);
    }
    // 1237 and 5000 have no divisor in common, so this is each number once.
    let value: String = (0..5000).map(|n| text(n * 1237 % 5000)).collect();
    get(&mut history, &value);
    let verdict = check(&Kv, &history, Budget::of_steps(6000));
    assert!(verdict.is_linearizable());
}

/// A store that is right, and clients that are always busy: 50 operations are under way at any time.
fn fifty_clients(operations: usize, is_stale: bool) -> KvHistory {
    let mut history = History::new();
    let (mut value, mut before) = (String::new(), String::new());
    let mut busy: Vec<(OpId, KvOutput)> = Vec::new();
    let mut random = 1_u64;
    for n in 0..operations {
        if busy.len() == 50 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (id, output) = busy.swap_remove(usize::try_from((random >> 33) % 50).unwrap());
            history.returned(id, Duration::ZERO, output);
        }
        if n == operations / 2 {
            before.clone_from(&value);
        }
        let op = match n % 4 {
            _ if n % 200 == 7 => KvOp::put("x", format!("<{n}>")),
            0 | 1 => KvOp::append("x", format!("<{n}>")),
            _ => KvOp::get("x"),
        };
        let output = match &op {
            KvOp::Put(_, text) => {
                value = text.to_string();
                KvOutput::Done
            }
            KvOp::Append(_, text) => {
                value += text.as_str();
                KvOutput::Done
            }
            KvOp::Get(_) if is_stale && n == operations - 200 - 1 => KvOutput::value(&*before),
            KvOp::Get(_) => KvOutput::value(&*value),
        };
        busy.push((history.call(format!("C{n}"), Duration::ZERO, op), output));
    }
    for (id, output) in busy {
        history.returned(id, Duration::ZERO, output);
    }
    history
}

#[test]
fn five_thousand_operations_of_fifty_clients_on_one_key() {
    let verdict = check(&Kv, &fifty_clients(5000, false), Budget::default());
    assert!(verdict.is_linearizable());
    let verdict = check(&Kv, &fifty_clients(5000, true), Budget::default());
    let Verdict::NotLinearizable(violation) = verdict else { panic!("{verdict:?}") };
    assert_eq!(violation.operation, OpId(4799));
}

#[test]
fn an_explanation_takes_no_more_than_the_discovery_or_a_small_number_of_steps() {
    let hard = |writes: i64| {
        let mut history = thirty_open_writes();
        let calls: Vec<OpId> = (0..writes)
            .map(|n| {
                history.call(format!("W{n}"), Duration::ZERO, RegisterOp::Write("s".into(), n))
            })
            .collect();
        let read = history.call("S", Duration::ZERO, RegisterOp::Read("s".into()));
        history.returned(read, Duration::ZERO, RegisterOutput::Value(Some(99)));
        for id in calls {
            history.returned(id, Duration::ZERO, RegisterOutput::Done);
        }
        history
    };
    for writes in [4, 8, 12] {
        let history = hard(writes);
        let verdict = check(&Register, &history, Budget::default());
        let Verdict::NotLinearizable(violation) = verdict else { panic!("{verdict:?}") };
        let floor = 100_000 + 64 * history.len() as u64;
        assert!(violation.blame_steps <= violation.steps.max(floor), "{violation:?}");
    }
    let verdict = check(&Kv, &fifty_clients(1000, true), Budget::default());
    let Verdict::NotLinearizable(violation) = verdict else { panic!("{verdict:?}") };
    assert!(violation.blame_steps <= violation.steps.max(100_000 + 64 * 1000));
    assert!(violation.is_longest);
}
