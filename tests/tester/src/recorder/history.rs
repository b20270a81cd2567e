//! What clients did, and in which order it took effect, if there is one.

use std::collections::BTreeMap;
use std::time::Duration;

use linearize::models::{Kv, KvOp, KvOutput};
use linearize::{Budget, History, Model, OpId, Outcome, Verdict, check};
use timeline::Run;
use timeline::model::{Mark, Operation, micros};

/// An answer or a value is shown up to here.
const SHOWN: usize = 80;

/// Adds the operations to the run.
pub(super) fn add(history: &History<KvOp, KvOutput>, run: &mut Run) {
    let verdict = check(&Kv, history, Budget::default());
    let mut marks = BTreeMap::new();
    let mut orders: Vec<&[OpId]> = Vec::new();
    match &verdict {
        Verdict::Linearizable(proof) => orders.extend(proof.orders.values().map(Vec::as_slice)),
        Verdict::NotLinearizable(violation) => {
            orders.extend(violation.others.values().map(Vec::as_slice));
            orders.push(&violation.prefix);
            for against in &violation.contradicts {
                marks.insert(against.operation, Mark::Against);
            }
            marks.insert(violation.operation, Mark::Culprit);
        }
        Verdict::Unknown(undecided) => {
            run.gaps.push("Whether the clients' history is linearizable is not known.".to_owned());
            orders.extend(undecided.others.values().map(Vec::as_slice));
        }
    }
    let points = points(history, &orders);
    for (id, operation) in history.operations() {
        let (to, answer) = match &operation.outcome {
            Outcome::Returned { at, output } => {
                let answer = output.as_ref().map(|output| Kv.show_output(output));
                (Some(at.time), answer.filter(|answer| !answer.is_empty()))
            }
            Outcome::Open => (None, None),
            Outcome::Failed { at } => (Some(at.time), Some("no effect".to_owned())),
        };
        run.operations.push(Operation {
            client: operation.client.to_string(),
            key: Kv.key(&operation.op).to_string(),
            call: clip(Kv.show_op(&operation.op)),
            answer: answer.map(clip),
            from: micros(operation.called.time),
            to: to.map(micros),
            point: points.get(&id).copied().map(micros),
            mark: marks.get(&id).copied(),
        });
    }
}

/// For each operation that took effect the earliest instant at which it can have: after its own
/// call, and after the one before it in the order.
fn points(history: &History<KvOp, KvOutput>, orders: &[&[OpId]]) -> BTreeMap<OpId, Duration> {
    let mut points = BTreeMap::new();
    for order in orders {
        let mut last = Duration::ZERO;
        for id in *order {
            last = last.max(history[*id].called.time);
            points.insert(*id, last);
        }
    }
    points
}

fn clip(text: String) -> String {
    match text.char_indices().nth(SHOWN) {
        None => text,
        Some((end, _)) => format!("{}... ({} characters)", &text[..end], text.chars().count()),
    }
}
