//! A checker that tries everything, and models that are as plain as can be: what the real ones are
//! compared with. Nothing here uses the crate's search, models, or cut by keys.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use linearize::models::{
    Kv, KvOp, KvOutput, Queue, QueueOp, QueueOutput, Register, RegisterOp, RegisterOutput,
};
use linearize::{History, OpId, Outcome};
use proptest::prelude::*;

/// A model with a plain twin.
pub(crate) trait Plain:
    linearize::format::Notation<
        Op: Clone + PartialEq + Debug + 'static,
        Output: Clone + PartialEq + Debug + 'static,
        Key: Debug,
    > + Clone
    + Debug
    + Default
    + 'static
{
    /// The state of all keys together.
    type Whole: Clone + Default;
    /// Does `op`.
    fn apply(whole: &mut Self::Whole, op: &Self::Op) -> Self::Output;
    /// Operations on few keys with few values, so that they meet.
    fn any_op() -> BoxedStrategy<Self::Op>;
    /// Answers that may well be wrong.
    fn any_output() -> BoxedStrategy<Self::Output>;
}

fn any_key() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just("x"), 1 => Just("y")]
}

impl Plain for Kv {
    type Whole = BTreeMap<String, String>;

    fn apply(whole: &mut Self::Whole, op: &KvOp) -> KvOutput {
        let (KvOp::Get(key) | KvOp::Put(key, _) | KvOp::Append(key, _)) = op;
        let value = whole.entry(key.to_string()).or_default();
        match op {
            KvOp::Get(_) => return KvOutput::value(value.as_str()),
            KvOp::Put(_, new) => *value = new.to_string(),
            KvOp::Append(_, new) => *value += new.as_str(),
        }
        KvOutput::Done
    }

    fn any_op() -> BoxedStrategy<KvOp> {
        prop_oneof![
            4 => any_key().prop_map(KvOp::get),
            1 => (any_key(), "[ab]{0,2}").prop_map(|(key, value)| KvOp::put(key, value)),
            3 => (any_key(), "[ab]{0,2}").prop_map(|(key, value)| KvOp::append(key, value)),
        ]
        .boxed()
    }

    fn any_output() -> BoxedStrategy<KvOutput> {
        prop_oneof![
            9 => "[ab]{0,3}".prop_map(KvOutput::value),
            1 => Just(KvOutput::Done),
        ]
        .boxed()
    }
}

impl Plain for Register {
    type Whole = BTreeMap<String, i64>;

    fn apply(whole: &mut Self::Whole, op: &RegisterOp) -> RegisterOutput {
        match op {
            RegisterOp::Read(key) => RegisterOutput::Value(whole.get(&**key).copied()),
            RegisterOp::Write(key, value) => {
                whole.insert(key.to_string(), *value);
                RegisterOutput::Done
            }
            RegisterOp::Cas(key, old, new) => {
                let is_old = whole.get(&**key) == Some(old);
                if is_old {
                    whole.insert(key.to_string(), *new);
                }
                RegisterOutput::Swapped(is_old)
            }
        }
    }

    fn any_op() -> BoxedStrategy<RegisterOp> {
        prop_oneof![
            any_key().prop_map(|key| RegisterOp::Read(key.into())),
            (any_key(), 1..4_i64).prop_map(|(key, value)| RegisterOp::Write(key.into(), value)),
            (any_key(), 1..4_i64, 1..4_i64).prop_map(|(key, old, new)| RegisterOp::Cas(
                key.into(),
                old,
                new
            )),
        ]
        .boxed()
    }

    fn any_output() -> BoxedStrategy<RegisterOutput> {
        prop_oneof![
            proptest::option::of(1..4_i64).prop_map(RegisterOutput::Value),
            any::<bool>().prop_map(RegisterOutput::Swapped),
            Just(RegisterOutput::Done),
        ]
        .boxed()
    }
}

impl Plain for Queue {
    type Whole = BTreeMap<String, Vec<i64>>;

    fn apply(whole: &mut Self::Whole, op: &QueueOp) -> QueueOutput {
        let (QueueOp::Enqueue(key, _) | QueueOp::Dequeue(key)) = op;
        let items = whole.entry(key.to_string()).or_default();
        match op {
            QueueOp::Enqueue(_, item) => {
                items.push(*item);
                QueueOutput::Done
            }
            QueueOp::Dequeue(_) if items.is_empty() => QueueOutput::Item(None),
            QueueOp::Dequeue(_) => QueueOutput::Item(Some(items.remove(0))),
        }
    }

    fn any_op() -> BoxedStrategy<QueueOp> {
        prop_oneof![
            (any_key(), 1..4_i64).prop_map(|(key, item)| QueueOp::Enqueue(key.into(), item)),
            any_key().prop_map(|key| QueueOp::Dequeue(key.into())),
        ]
        .boxed()
    }

    fn any_output() -> BoxedStrategy<QueueOutput> {
        prop_oneof![
            4 => proptest::option::of(1..4_i64).prop_map(QueueOutput::Item),
            1 => Just(QueueOutput::Done),
        ]
        .boxed()
    }
}

/// One turn of one client: it calls `op` if it is idle, or else `ending` happens to what it does.
#[derive(Debug, Clone)]
pub(crate) struct Turn<M: Plain> {
    client: usize,
    op: M::Op,
    ending: Ending<M::Output>,
}

#[derive(Debug, Clone)]
enum Ending<O> {
    /// Takes effect and returns.
    Right,
    /// Takes effect, and returns when the client has its next turn.
    Slow,
    /// Takes effect and returns, with an answer that nobody saw.
    Unseen,
    /// Takes effect and never returns.
    LostReply,
    /// Never returns, and takes effect just before the next operation does.
    Late,
    /// Never returns, without effect.
    LostRequest,
    Failed,
    /// Returns this answer. Whether it takes effect, says the flag.
    Wrong(O, bool),
    /// Returns what was right some operations ago, and has no effect.
    Stale(usize),
}

pub(crate) type Hist<M> = History<<M as linearize::Model>::Op, <M as linearize::Model>::Output>;

/// Histories of a few clients; most operations behave. `wrong` is how many do not, for each 17 that do.
pub(crate) fn any_history<M: Plain>(turns: usize, wrong: u32) -> BoxedStrategy<Hist<M>> {
    any_history_of::<M>(turns, wrong, M::any_op(), M::any_output())
}

/// Puts of a few values, each hardly more than once in a history, and gets.
pub(crate) fn few_puts() -> BoxedStrategy<KvOp> {
    prop_oneof![
        3 => Just(KvOp::get("x")),
        2 => "[a-h]".prop_map(|value| KvOp::put("x", value)),
        1 => "[pq]".prop_map(|value| KvOp::append("x", value)),
    ]
    .boxed()
}

pub(crate) fn few_values() -> BoxedStrategy<KvOutput> {
    "[a-h][pq]?".prop_map(KvOutput::value).boxed()
}

/// Puts as often as anything else, also of nothing and of what was there before.
pub(crate) fn many_puts() -> BoxedStrategy<KvOp> {
    prop_oneof![
        Just(KvOp::get("x")),
        "(|a|ab|b|c|d)".prop_map(|value| KvOp::put("x", value)),
        "(|a|b|bc|d)".prop_map(|value| KvOp::append("x", value)),
    ]
    .boxed()
}

pub(crate) fn many_values() -> BoxedStrategy<KvOutput> {
    "[abcd]{0,3}".prop_map(KvOutput::value).boxed()
}

/// Appends of one letter only, of several lengths.
pub(crate) fn long_appends() -> BoxedStrategy<KvOp> {
    prop_oneof![
        2 => Just(KvOp::get("x")),
        3 => "(aa|aaa|ab|aaaaa)".prop_map(|value| KvOp::append("x", value)),
    ]
    .boxed()
}

pub(crate) fn long_values() -> BoxedStrategy<KvOutput> {
    "(aa|aaa|ab){0,3}".prop_map(KvOutput::value).boxed()
}

/// The same with operations and wrong answers of a certain kind.
pub(crate) fn any_history_of<M: Plain>(
    turns: usize,
    wrong: u32,
    any_op: BoxedStrategy<M::Op>,
    any_output: BoxedStrategy<M::Output>,
) -> BoxedStrategy<Hist<M>> {
    let right = prop_oneof![
        8 => Just(Ending::Right),
        4 => Just(Ending::Slow),
        2 => Just(Ending::Unseen),
        1 => Just(Ending::LostReply),
        1 => Just(Ending::Late),
        1 => Just(Ending::LostRequest),
        1 => Just(Ending::Failed),
    ];
    let answer = (any_output, any::<bool>()).prop_map(|(o, took)| Ending::Wrong(o, took));
    let ending = if wrong == 0 {
        right.boxed()
    } else {
        let stale = (0..3_usize).prop_map(Ending::Stale);
        prop_oneof![34 => right, wrong => answer, wrong => stale].boxed()
    };
    let turn = (0..4_usize, any_op, ending).prop_map(|(client, op, ending)| Turn::<M> {
        client,
        op,
        ending,
    });
    proptest::collection::vec(turn, 0..=turns).prop_map(play).boxed()
}

fn play<M: Plain>(turns: Vec<Turn<M>>) -> Hist<M> {
    let mut history = History::new();
    let mut whole = M::Whole::default();
    // The states before the latest operations, the latest first.
    let mut past = vec![whole.clone(); 3];
    // What is under way, with its answer if it has taken effect.
    let mut busy: BTreeMap<usize, (OpId, Option<M::Output>)> = BTreeMap::new();
    let mut late: Vec<OpId> = Vec::new();
    for (turn, micros) in turns.into_iter().zip(1..) {
        let time = Duration::from_micros(micros * 7);
        let id = match busy.remove(&turn.client) {
            None => {
                let id = history.call(format!("C{}", turn.client), time, turn.op);
                busy.insert(turn.client, (id, None));
                continue;
            }
            Some((id, Some(output))) => {
                history.returned(id, time, output);
                continue;
            }
            Some((id, None)) => id,
        };
        let mut apply = || {
            for id in late.drain(..) {
                M::apply(&mut whole, &history[id].op);
            }
            past.rotate_right(1);
            past[0] = whole.clone();
            M::apply(&mut whole, &history[id].op)
        };
        match turn.ending {
            Ending::Right => {
                let output = apply();
                history.returned(id, time, output);
            }
            Ending::Unseen => {
                apply();
                history.returned_unknown(id, time);
            }
            Ending::LostReply => {
                apply();
            }
            Ending::Slow => {
                busy.insert(turn.client, (id, Some(apply())));
            }
            Ending::Late => late.push(id),
            Ending::LostRequest => {}
            Ending::Failed => history.failed(id, time),
            Ending::Wrong(output, took_effect) => {
                if took_effect {
                    apply();
                }
                history.returned(id, time, output);
            }
            Ending::Stale(age) => {
                let output = M::apply(&mut past[age].clone(), &history[id].op);
                history.returned(id, time, output);
            }
        }
    }
    history
}

/// What the checkers of this file demand of an operation.
#[derive(Debug, Clone)]
pub(crate) struct Demand<M: Plain> {
    pub id: OpId,
    pub op: M::Op,
    pub call: u64,
    /// Place of the return, and the answer if it counts.
    pub end: Option<(u64, Option<M::Output>)>,
}

pub(crate) fn demands<M: Plain>(history: &Hist<M>) -> Vec<Demand<M>> {
    history
        .operations()
        .filter_map(|(id, operation)| {
            let end = match &operation.outcome {
                Outcome::Returned { at, output } => Some((at.place, output.clone())),
                Outcome::Open => None,
                Outcome::Failed { .. } => return None,
            };
            Some(Demand { id, op: operation.op.clone(), call: operation.called.place, end })
        })
        .collect()
}

/// The history before the event at `place`.
pub(crate) fn before<M: Plain>(demands: &[Demand<M>], place: u64) -> Vec<Demand<M>> {
    let mut demands = demands.to_vec();
    demands.retain(|demand| demand.call < place);
    for demand in &mut demands {
        demand.end.take_if(|(at, _)| *at >= place);
    }
    demands
}

/// Whether there is an order, found by trying all of them.
pub(crate) fn has_order<M: Plain>(demands: &[Demand<M>]) -> bool {
    try_all::<M>(&mut demands.iter().collect(), &M::Whole::default())
}

fn try_all<M: Plain>(left: &mut Vec<&Demand<M>>, whole: &M::Whole) -> bool {
    let Some(first_return) = left.iter().filter_map(|d| d.end.as_ref()).map(|(at, _)| *at).min()
    else {
        return true;
    };
    for i in 0..left.len() {
        let demand = left[i];
        if demand.call > first_return {
            continue;
        }
        let mut next = whole.clone();
        let answer = M::apply(&mut next, &demand.op);
        if demand.end.as_ref().is_some_and(|(_, o)| o.as_ref().is_some_and(|o| *o != answer)) {
            continue;
        }
        left.remove(i);
        let found = try_all::<M>(left, &next);
        left.insert(i, demand);
        if found {
            return true;
        }
    }
    false
}

/// Says what is wrong with an order of the operations in `demands`; they are of one key.
pub(crate) fn verify_order<M: Plain>(demands: &[Demand<M>], order: &[OpId]) -> Result<(), String> {
    let mut whole = M::Whole::default();
    let mut latest_call = 0;
    for (i, id) in order.iter().enumerate() {
        let demand = demands.iter().find(|d| d.id == *id).ok_or(format!("{id:?} is not there"))?;
        if order[..i].contains(id) {
            return Err(format!("{id:?} is there twice"));
        }
        latest_call = latest_call.max(demand.call);
        let answer = M::apply(&mut whole, &demand.op);
        if let Some((at, output)) = &demand.end {
            if *at < latest_call {
                return Err(format!("{id:?} had returned before"));
            }
            if output.as_ref().is_some_and(|output| *output != answer) {
                return Err(format!("{id:?} would answer {answer:?}"));
            }
        }
    }
    match demands.iter().find(|d| d.end.is_some() && !order.contains(&d.id)) {
        Some(demand) => Err(format!("{:?} has returned and is not there", demand.id)),
        None => Ok(()),
    }
}
