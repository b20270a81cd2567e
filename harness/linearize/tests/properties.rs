//! The checker agrees with one that tries everything, on many small histories.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod common;

use std::cell::Cell;

use common::{Hist, Plain, any_history, before, demands, has_order, verify_order};
use linearize::models::{Kv, Queue, Register};
use linearize::{Budget, Verdict, Violation, check, format};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};

/// How often each verdict was given.
#[derive(Debug, Default)]
struct Seen {
    linearizable: Cell<u32>,
    not: Cell<u32>,
    contradictions: Cell<u32>,
}

fn bump(counter: &Cell<u32>) {
    counter.set(counter.get() + 1);
}

/// Everything that a verdict says about `history` is true.
fn verdict_is_true<M: Plain>(history: &Hist<M>, seen: &Seen) -> Result<(), TestCaseError> {
    let model = M::default();
    let all = demands::<M>(history);
    let of_key = |demands: &[common::Demand<M>], key: &M::Key| {
        let mut demands = demands.to_vec();
        demands.retain(|demand| model.key(&demand.op) == *key);
        demands
    };
    match check(&model, history, Budget::default()) {
        Verdict::Linearizable(proof) => {
            bump(&seen.linearizable);
            prop_assert!(has_order(&all));
            for demand in &all {
                prop_assert!(proof.orders.contains_key(&model.key(&demand.op)));
            }
            for (key, order) in &proof.orders {
                verify_order(&of_key(&all, key), order).map_err(TestCaseError::fail)?;
            }
        }
        Verdict::NotLinearizable(violation) => {
            bump(&seen.not);
            prop_assert!(!has_order(&all));
            let all = of_key(&all, &violation.key);
            blame_is_true(&all, &violation, seen)?;
            for (key, order) in &violation.others {
                let all = of_key(&demands::<M>(history), key);
                verify_order(&all, order).map_err(TestCaseError::fail)?;
            }
            let explanation = violation.explain(&model, history).to_string();
            prop_assert!(explanation.contains("cannot fit"));
        }
        Verdict::Unknown(_) => prop_assert!(false, "so small a history was not decided"),
    }
    Ok(())
}

/// The operation that cannot fit is the first, the prefix is explained, and the contradiction is one,
/// of no more operations than it takes.
fn blame_is_true<M: Plain>(
    all: &[common::Demand<M>],
    violation: &Violation<M::Key>,
    seen: &Seen,
) -> Result<(), TestCaseError> {
    let culprit = all.iter().find(|demand| demand.id == violation.operation).unwrap();
    let (end, _) = culprit.end.as_ref().unwrap();
    prop_assert!(violation.is_longest);
    let prefix = before(all, *end);
    prop_assert!(has_order(&prefix));
    verify_order(&prefix, &violation.prefix).map_err(TestCaseError::fail)?;
    let with_culprit = before(all, *end + 1);
    prop_assert!(!has_order(&with_culprit));

    let mut core = with_culprit.clone();
    for demand in &mut core {
        let part = violation.contradicts.iter().find(|part| part.operation == demand.id);
        match (part, &mut demand.end) {
            _ if demand.id == culprit.id => {}
            (None, end) => *end = None,
            (Some(part), Some((_, output))) if !part.by_answer => *output = None,
            (Some(_), end) => prop_assert!(end.is_some()),
        }
    }
    prop_assert!(!has_order(&core));
    for part in &violation.contradicts {
        bump(&seen.contradictions);
        let mut less = core.clone();
        let demand = less.iter_mut().find(|demand| demand.id == part.operation).unwrap();
        if part.by_answer {
            demand.end.as_mut().unwrap().1 = None;
        } else {
            demand.end = None;
        }
        prop_assert!(has_order(&less), "{:?} is not needed", part.operation);
    }
    Ok(())
}

fn agrees_with_brute_force<M: Plain>() {
    let seen = Seen::default();
    // Long enough for eight operations.
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 8000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome =
        runner.run(&any_history::<M>(16, 4), |history| verdict_is_true::<M>(&history, &seen));
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let (yes, no) = (seen.linearizable.get(), seen.not.get());
    assert!(yes > 300 && no > 300, "one verdict is rare, so little is tested: {seen:?}");
    assert!(seen.contradictions.get() > 30, "{seen:?}");
}

#[test]
fn kv_agrees_with_brute_force() {
    agrees_with_brute_force::<Kv>();
}

#[test]
fn register_agrees_with_brute_force() {
    agrees_with_brute_force::<Register>();
}

#[test]
fn queue_agrees_with_brute_force() {
    agrees_with_brute_force::<Queue>();
}

/// Histories in which most values are put once, and such in which all are alike.
fn kv_histories(turns: usize, wrong: u32) -> impl Strategy<Value = Hist<Kv>> {
    prop_oneof![
        any_history::<Kv>(turns, wrong),
        common::any_history_of::<Kv>(turns, wrong, common::few_puts(), common::few_values()),
        common::any_history_of::<Kv>(turns, wrong, common::many_puts(), common::many_values()),
        common::any_history_of::<Kv>(turns, wrong, common::long_appends(), common::long_values()),
    ]
}

/// Of histories that happened, none is refuted without a search, and none is with one.
#[test]
fn what_happened_is_never_refuted() {
    let none = Budget { blame_steps: 0, ..Budget::of_steps(0) };
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&kv_histories(24, 0), |history| {
        let refuted = matches!(check(&Kv, &history, none), Verdict::NotLinearizable(_));
        prop_assert!(!refuted, "refuted without a search");
        prop_assert!(check(&Kv, &history, Budget::default()).is_linearizable());
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// What is refuted without a step is not linearizable; and much of what is not is refuted like that.
#[test]
fn what_is_refuted_without_a_search_has_no_order() {
    let (refuted, illegal) = (Cell::new(0), Cell::new(0));
    let none = Budget { blame_steps: 0, ..Budget::of_steps(0) };
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&kv_histories(16, 6), |history| {
        let all = demands::<Kv>(&history);
        let is_legal = has_order(&all);
        if !is_legal {
            bump(&illegal);
        }
        if let Verdict::NotLinearizable(violation) = check(&Kv, &history, none) {
            bump(&refuted);
            prop_assert_eq!(violation.steps, 0);
            prop_assert!(!is_legal, "refuted, but linearizable");
            // And it cannot have happened up to the return that is named.
            let of_key: Vec<_> = all
                .into_iter()
                .filter(|demand| linearize::Model::key(&Kv, &demand.op) == violation.key)
                .collect();
            let culprit = of_key.iter().find(|demand| demand.id == violation.operation).unwrap();
            let (end, _) = culprit.end.as_ref().unwrap();
            prop_assert!(!has_order(&before(&of_key, *end + 1)));
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let (refuted, illegal) = (refuted.get(), illegal.get());
    assert!(refuted * 2 > illegal && illegal > 2000, "{refuted} of {illegal}");
}

/// Histories too long for brute force, in which nothing is wrong, have an order that is right.
fn long_right_histories_pass<M: Plain>(turns: usize) {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&any_history::<M>(turns, 0), |history| {
        let model = M::default();
        let proof = check(&model, &history, Budget::default())
            .into_result()
            .map_err(|rejection| TestCaseError::fail(rejection.to_string()))?;
        for (key, order) in &proof.orders {
            let mut of_key = demands::<M>(&history);
            of_key.retain(|demand| model.key(&demand.op) == *key);
            verify_order(&of_key, order).map_err(TestCaseError::fail)?;
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn long_right_histories_of_all_models_pass() {
    long_right_histories_pass::<Kv>(400);
    long_right_histories_pass::<Register>(400);
    // A queue of equal items, some taken by nobody knows whom, is much harder.
    long_right_histories_pass::<Queue>(100);
}

fn text_says_the_same<M: Plain>() {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    // An answer of the wrong kind cannot be written, so none is wrong here.
    let outcome = runner.run(&any_history::<M>(40, 0), |history| {
        let text = format::write(&M::default(), &history);
        let again = format::parse(&M::default(), &text);
        prop_assert_eq!(again.as_ref(), Ok(&history), "{}", text);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn histories_of_all_models_survive_being_written_and_read() {
    text_says_the_same::<Kv>();
    text_says_the_same::<Register>();
    text_says_the_same::<Queue>();
}
