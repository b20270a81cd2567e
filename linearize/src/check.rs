//! The question and its three answers.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::blame;
use crate::history::{History, OpId, Outcome};
use crate::model::Model;
use crate::search::{End, Found, Item, Search};

/// How much work may be done, counted in steps so that the answer is the same on every machine.
///
/// A step is one operation tried in one state, some 100 ns; each may leave some 100 bytes of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Steps for the answer, over all partitions.
    pub steps: u64,
    /// Steps for finding out which operations contradict each other, once there is a violation.
    pub blame_steps: u64,
}

impl Budget {
    /// So many steps for the answer, and the usual number for the explanation.
    pub fn of_steps(steps: u64) -> Self {
        Self { steps, ..Self::default() }
    }
}

impl Default for Budget {
    /// Two million steps for the answer: within a few seconds, and hundreds of times of what the
    /// history of a right server needs. And a tenth of that for the explanation.
    fn default() -> Self {
        Self { steps: 2_000_000, blame_steps: 200_000 }
    }
}

/// Whether a history is linearizable.
///
/// There is deliberately no way to ask whether it is *not* illegal: [`Verdict::Unknown`] is not
/// a pass. Match on all three, or use [`Verdict::into_result`], where it is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a history that was not found to be linearizable has to fail its test"]
pub enum Verdict<K> {
    /// It is, and here is how.
    Linearizable(Proof<K>),
    /// It is not.
    NotLinearizable(Box<Violation<K>>),
    /// The budget was used up before either was known. Not a pass.
    Unknown(Undecided<K>),
}

/// Why a history is linearizable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof<K> {
    /// For each key, all operations that took effect, in an order that explains every answer. All
    /// that returned are in it, and of the others those that were seen.
    pub orders: BTreeMap<K, Vec<OpId>>,
    /// Steps that it took.
    pub steps: u64,
}

/// Why a history is not linearizable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation<K> {
    /// The key whose operations have no order. Others were not looked at any further.
    pub key: K,
    /// The operation that cannot fit: until it returned, everything could be explained.
    pub operation: OpId,
    /// Operations that `operation` contradicts, in the order of their calls. Whatever all others
    /// did or did not do, these and `operation` cannot have happened as recorded. Empty if
    /// `operation` is impossible by itself.
    pub contradicts: Vec<Contradiction>,
    /// Operations in an order that explains every return up to that of `operation`, exclusively:
    /// the linearization of the longest prefix of the history that has one.
    pub prefix: Vec<OpId>,
    /// Whether `prefix` is known to be the longest. False only if the budget for the explanation
    /// was used up; then `operation` may be later than need be, though it is still impossible.
    pub is_longest: bool,
    /// The orders of the keys that were found to be in order before this.
    pub others: BTreeMap<K, Vec<OpId>>,
    /// Steps up to the discovery.
    pub steps: u64,
}

/// An operation that takes part in a contradiction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contradiction {
    /// The operation.
    pub operation: OpId,
    /// Whether its answer matters. If not, the contradiction is that it had taken effect by the time
    /// it returned.
    pub by_answer: bool,
}

/// What is known of a history when the budget is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided<K> {
    /// The keys without an answer, each with the order that explains most of it so far.
    pub undecided: BTreeMap<K, Vec<OpId>>,
    /// The orders of the keys that are linearizable.
    pub others: BTreeMap<K, Vec<OpId>>,
    /// Steps that were made, that is the whole budget.
    pub steps: u64,
}

/// Why a history does not pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection<K: Display> {
    /// It is not linearizable. [`Violation::explain`] says more.
    #[error("not linearizable: operation {} on {} cannot fit", .0.operation.0, .0.key)]
    NotLinearizable(Box<Violation<K>>),
    /// Whether it is linearizable is not known.
    #[error("not known to be linearizable: no answer after {} steps", .0.steps)]
    Unknown(Undecided<K>),
}

impl<K: Display> Verdict<K> {
    /// The proof, or else why there is none. Use it with `?` or `expect`.
    ///
    /// # Errors
    ///
    /// [`Rejection`] for a history that is not linearizable and for one of which it is not known.
    pub fn into_result(self) -> Result<Proof<K>, Rejection<K>> {
        match self {
            Self::Linearizable(proof) => Ok(proof),
            Self::NotLinearizable(violation) => Err(Rejection::NotLinearizable(violation)),
            Self::Unknown(undecided) => Err(Rejection::Unknown(undecided)),
        }
    }
}

impl<K> Verdict<K> {
    /// Whether it is known that the history is linearizable.
    pub fn is_linearizable(&self) -> bool {
        matches!(self, Self::Linearizable(_))
    }

    /// Steps of the search.
    pub fn steps(&self) -> u64 {
        match self {
            Self::Linearizable(proof) => proof.steps,
            Self::NotLinearizable(violation) => violation.steps,
            Self::Unknown(undecided) => undecided.steps,
        }
    }
}

/// Steps that each partition gets in the first round; twice as many in each round after that.
const FIRST_SLICE: u64 = 256;

/// Looks for an order of the operations in which each takes effect between its call and its return
/// and `model` gives the recorded answers.
///
/// Depends on nothing but its arguments. The partitions are searched in turns of growing length, so
/// that a violation in one is found even if another is too hard; the first one found is reported.
pub fn check<M: Model>(
    model: &M,
    history: &History<M::Op, M::Output>,
    budget: Budget,
) -> Verdict<M::Key> {
    let mut running: Vec<(M::Key, Search<'_, M>)> = partitions(model, history)
        .into_iter()
        .map(|(key, items)| {
            let search = Search::new(model, model.initial(&key), items);
            (key, search)
        })
        .collect();
    let mut orders = BTreeMap::new();
    let mut steps = 0;
    let mut slice = FIRST_SLICE;
    while !running.is_empty() {
        let mut rest = Vec::with_capacity(running.len());
        for (key, mut search) in running {
            let before = search.steps();
            let found = search.run(slice.min(budget.steps - steps));
            steps += search.steps() - before;
            match found {
                Some(Found::Order(order)) => {
                    orders.insert(key, order);
                }
                Some(Found::Nothing) => {
                    let items = partitions(model, history).remove(&key).unwrap_or_default();
                    let initial = model.initial(&key);
                    let from = search.furthest();
                    let blame = blame::find(model, &initial, &items, from, budget.blame_steps);
                    return Verdict::NotLinearizable(Box::new(Violation {
                        key,
                        operation: blame.operation,
                        contradicts: blame.contradicts,
                        prefix: blame.prefix,
                        is_longest: blame.is_longest,
                        others: orders,
                        steps,
                    }));
                }
                None => rest.push((key, search)),
            }
        }
        if steps == budget.steps && !rest.is_empty() {
            let undecided = rest
                .into_iter()
                .map(|(key, search)| (key, search.furthest().order.clone()))
                .collect();
            return Verdict::Unknown(Undecided { undecided, others: orders, steps });
        }
        running = rest;
        slice *= 2;
    }
    Verdict::Linearizable(Proof { orders, steps })
}

/// The operations that may have had an effect, by key, in the order of their calls.
fn partitions<'a, M: Model>(
    model: &M,
    history: &'a History<M::Op, M::Output>,
) -> BTreeMap<M::Key, Vec<Item<'a, M>>> {
    let mut partitions: BTreeMap<M::Key, Vec<Item<'a, M>>> = BTreeMap::new();
    for (id, operation) in history.operations() {
        let end = match &operation.outcome {
            Outcome::Returned { at, output } => {
                End::Returned { place: at.place, output: output.as_ref() }
            }
            Outcome::Open => End::Open,
            Outcome::Failed { .. } => continue,
        };
        let item = Item { id, op: &operation.op, call: operation.called.place, end };
        partitions.entry(model.key(&operation.op)).or_default().push(item);
    }
    partitions
}
