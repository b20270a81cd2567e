//! What clients did, in which log entries that is, and in which order it took effect, if there is one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use linearize::models::{Flaw, Kv, KvOp, KvOutput, flaw};
use linearize::{Budget, History, Model, OpId, Outcome, Verdict, check};
use timeline::Run;
use timeline::model::{Mark, Operation, What, micros};

use super::commands::Commands;

/// An answer or a value is shown up to here.
const SHOWN: usize = 80;

/// Adds the operations to the run.
pub(super) fn add(history: &History<KvOp, KvOutput>, commands: &Commands, run: &mut Run) {
    let verdict = check(&Kv, history, Budget::default());
    let mut marks = BTreeMap::new();
    let mut orders: Vec<&[OpId]> = Vec::new();
    let mut culprit = None;
    match &verdict {
        Verdict::Linearizable(proof) => orders.extend(proof.orders.values().map(Vec::as_slice)),
        Verdict::NotLinearizable(violation) => {
            orders.extend(violation.others.values().map(Vec::as_slice));
            orders.push(&violation.prefix);
            for against in &violation.contradicts {
                marks.insert(against.operation, Mark::Against);
            }
            marks.insert(violation.operation, Mark::Culprit);
            culprit = Some(violation.operation);
        }
        Verdict::Unknown(undecided) => {
            run.gaps.push("Whether the clients' history is linearizable is not known.".to_owned());
            orders.extend(undecided.others.values().map(Vec::as_slice));
        }
    }
    let points = points(history, &orders);
    let entries = entries(history, commands);
    if let Some(culprit) = culprit {
        compare(history, culprit, &executed(&entries, run), &mut marks);
    }
    name(history, &entries, commands, run);
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
            entries: entries.get(&id).cloned().unwrap_or_default(),
        });
    }
}

/// The operations by the first of their entries that was applied: the order in which a right service
/// executes them.
fn executed(entries: &BTreeMap<OpId, Vec<(u64, u64)>>, run: &Run) -> Vec<OpId> {
    let applied: BTreeSet<(u64, u64)> = run
        .events
        .iter()
        .filter_map(|event| match event.what {
            What::Applied { index, term, .. } => Some((index, term)),
            _ => None,
        })
        .collect();
    let first = |entries: &Vec<(u64, u64)>| entries.iter().copied().find(|e| applied.contains(e));
    let mut order: Vec<(u64, OpId)> =
        entries.iter().filter_map(|(id, entries)| Some((first(entries)?.0, *id))).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, id)| id).collect()
}

/// What the answer of a get lacks, or has twice, is another place to look at.
fn compare(
    history: &History<KvOp, KvOutput>,
    culprit: OpId,
    executed: &[OpId],
    marks: &mut BTreeMap<OpId, Mark>,
) {
    let (KvOp::Get(key), Outcome::Returned { output: Some(KvOutput::Value(value)), .. }) =
        (&history[culprit].op, &history[culprit].outcome)
    else {
        return;
    };
    let executed = executed.iter().map(|id| (*id, &history[*id].op));
    match flaw(key, value.as_str(), executed) {
        Some(Flaw::Missing(id)) => marks.insert(id, Mark::Missing),
        Some(Flaw::Twice(id)) => marks.insert(id, Mark::Twice),
        None => None,
    };
}

/// The entries that each operation is in: those that contain what it writes, if nothing else writes
/// that.
fn entries(
    history: &History<KvOp, KvOutput>,
    commands: &Commands,
) -> BTreeMap<OpId, Vec<(u64, u64)>> {
    let mut writes: BTreeMap<&str, Vec<OpId>> = BTreeMap::new();
    for (id, operation) in history.operations() {
        if let KvOp::Put(_, value) | KvOp::Append(_, value) = &operation.op
            && !value.as_str().is_empty()
        {
            writes.entry(value.as_str()).or_default().push(id);
        }
    }
    let mut entries: BTreeMap<OpId, Vec<(u64, u64)>> = BTreeMap::new();
    for (value, ids) in writes {
        let [id] = ids[..] else { continue };
        let value = value.as_bytes();
        let has = |command: &[u8]| command.windows(value.len()).any(|part| part == value);
        let found = commands.iter().filter(|(_, command)| has(command));
        entries.insert(id, found.map(|(entry, _)| *entry).collect());
    }
    entries
}

/// Says which operation each applied command is.
fn name(
    history: &History<KvOp, KvOutput>,
    entries: &BTreeMap<OpId, Vec<(u64, u64)>>,
    commands: &Commands,
    run: &mut Run,
) {
    let mut names: BTreeMap<(u64, u64), String> = commands
        .iter()
        .map(|(entry, command)| (*entry, format!("({} bytes)", command.len())))
        .collect();
    for (id, entries) in entries {
        let operation = &history[*id];
        let name = clip(format!("{}: {}", operation.client, Kv.show_op(&operation.op)));
        names.extend(entries.iter().map(|entry| (*entry, name.clone())));
    }
    for event in &mut run.events {
        if let What::Applied { index, term, command } = &mut event.what
            && let Some(name) = names.get(&(*index, *term))
        {
            command.clone_from(name);
        }
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
