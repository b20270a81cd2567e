//! The question and its three answers.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use crate::blame;
use crate::history::{History, OpId, Outcome};
use crate::model::{Known, Model};
use crate::search::{End, Found, Furthest, Item, Search};

/// How much may be done, counted so that the answer is the same on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Steps for the answer, over all partitions. A step is one operation tried in one state, some
    /// 100 ns to 1 µs.
    pub steps: u64,
    /// What goes with the steps and may be much more, over all partitions: words compared with those
    /// of positions met before, and what the model compares. Some nanoseconds each.
    pub work: u64,
    /// Memory for the positions met, in bytes, over all partitions.
    pub bytes: u64,
    /// Steps for finding out which operations contradict each other, once there is a violation. No more
    /// are made than for the answer, or than 100,000 and 64 for each operation if that is more.
    pub blame_steps: u64,
}

impl Budget {
    /// So many steps for the answer, and the usual amount of everything else.
    pub fn of_steps(steps: u64) -> Self {
        Self { steps, ..Self::default() }
    }
}

impl Default for Budget {
    /// Two million steps for the answer: within a few seconds, and hundreds of times of what the
    /// history of a correct server needs. And a tenth of that for the explanation. The memory is half of
    /// what a graded run has.
    fn default() -> Self {
        Self { steps: 2_000_000, work: 1_000_000_000, bytes: 512 << 20, blame_steps: 200_000 }
    }
}

/// What a [`Budget`] bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// [`Budget::steps`].
    Steps,
    /// [`Budget::work`].
    Work,
    /// [`Budget::bytes`].
    Memory,
}

impl Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Steps => "steps",
            Self::Work => "comparisons",
            Self::Memory => "memory",
        })
    }
}

/// What a search takes, or may take.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Effort {
    pub steps: u64,
    pub work: u64,
    pub bytes: u64,
}

impl Effort {
    /// What has reached the limit.
    pub(crate) fn used_up(self, limit: Self) -> Option<Resource> {
        match self {
            Self { steps, .. } if steps >= limit.steps => Some(Resource::Steps),
            Self { work, .. } if work >= limit.work => Some(Resource::Work),
            Self { bytes, .. } if bytes >= limit.bytes => Some(Resource::Memory),
            _ => None,
        }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            steps: self.steps + other.steps,
            work: self.work + other.work,
            bytes: self.bytes + other.bytes,
        }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            steps: self.steps.saturating_sub(other.steps),
            work: self.work.saturating_sub(other.work),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
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
    /// Steps that went into finding out the rest. See [`Budget::blame_steps`].
    pub blame_steps: u64,
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
    /// Steps that were made.
    pub steps: u64,
    /// Which part of the budget was used up.
    pub used_up: Resource,
}

/// Why a history does not pass.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection<K: Display> {
    /// It is not linearizable. [`Violation::explain`] says more.
    #[error("not linearizable: operation {} on {} cannot fit", .0.operation.0, .0.key)]
    NotLinearizable(Box<Violation<K>>),
    /// Whether it is linearizable is not known.
    #[error("not known to be linearizable: no answer after {} steps; the budget of {} is used up", .0.steps, .0.used_up)]
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
    let mut running = Vec::new();
    let mut orders = BTreeMap::new();
    let mut spent = Effort::default();
    for (key, mut items) in partitions(model, history) {
        let (impossible_at, work) = survey(model, &mut items);
        spent.work += work;
        if let Some(place) = impossible_at {
            let from = Furthest::default();
            return violation(model, key, &items, &from, Some(place), orders, spent, budget);
        }
        let search = Search::new(model, model.initial(&key), items);
        spent = spent.plus(search.effort());
        running.push((key, search));
    }
    let total = Effort { steps: budget.steps, work: budget.work, bytes: budget.bytes };
    let mut slice = FIRST_SLICE;
    while !running.is_empty() {
        let mut rest = Vec::with_capacity(running.len());
        let mut used_up = None;
        for (key, mut search) in running {
            let before = search.effort();
            let left = total.minus(spent);
            let turn = Effort { steps: left.steps.min(slice), ..left };
            let found = search.run(before.plus(turn));
            spent = spent.plus(search.effort().minus(before));
            match found {
                Ok(Found::Order(order)) => {
                    spent.bytes -= search.effort().bytes;
                    orders.insert(key, order);
                }
                Ok(Found::Nothing) => {
                    let mut items = partitions(model, history).remove(&key).unwrap_or_default();
                    survey(model, &mut items);
                    let from = search.furthest().clone();
                    // The explanation needs the memory.
                    drop((search, rest));
                    return violation(model, key, &items, &from, None, orders, spent, budget);
                }
                Err(_) => {
                    used_up = spent.used_up(total);
                    rest.push((key, search));
                }
            }
        }
        if let Some(used_up) = used_up {
            let undecided = rest
                .into_iter()
                .map(|(key, search)| (key, search.furthest().order.clone()))
                .collect();
            let steps = spent.steps;
            return Verdict::Unknown(Undecided { undecided, others: orders, steps, used_up });
        }
        running = rest;
        slice *= 2;
    }
    Verdict::Linearizable(Proof { orders, steps: spent.steps })
}

/// Notes the ranks of `items`. Gives the place by which they plainly cannot be in order, and the work
/// that it took to see this.
pub(crate) fn survey<M: Model>(model: &M, items: &mut [Item<'_, M>]) -> (Option<u64>, u64) {
    let known: Vec<Known<'_, M>> = items
        .iter()
        .map(|item| {
            let (returned, output) = match item.end {
                End::Returned { place, output } => (Some(place), output),
                End::Open => (None, None),
            };
            Known { op: item.op, output, call: item.call, returned }
        })
        .collect();
    let survey = model.survey(&known);
    for (item, rank) in items.iter_mut().zip(survey.ranks) {
        item.rank = rank;
    }
    (survey.impossible_at, survey.work)
}

/// Steps that an explanation may always take, even of what needed no search, and those that it may take
/// in addition for each operation: some ten milliseconds, with which most explanations are as short as
/// they can be.
const BLAME_FLOOR: u64 = 100_000;
const BLAME_STEPS_EACH: u64 = 64;
/// The least work that an explanation may take for each of its steps.
const BLAME_WORK_EACH: u64 = 256;

/// The violation of `items`, which have no order. It took `spent` to find that out.
#[expect(clippy::too_many_arguments, reason = "all that is known of it")]
fn violation<M: Model>(
    model: &M,
    key: M::Key,
    items: &[Item<'_, M>],
    from: &Furthest,
    impossible_at: Option<u64>,
    others: BTreeMap<M::Key, Vec<OpId>>,
    spent: Effort,
    budget: Budget,
) -> Verdict<M::Key> {
    let floor = BLAME_FLOOR + BLAME_STEPS_EACH * items.len() as u64;
    let steps = spent.steps.max(floor).min(budget.blame_steps);
    let work = spent.work.max(steps * BLAME_WORK_EACH).min(budget.work);
    let limit = Effort { steps, work, bytes: budget.bytes };
    let blame = blame::find(model, &model.initial(&key), items, from, impossible_at, limit);
    let blame_steps = steps - blame.left.steps;
    Verdict::NotLinearizable(Box::new(Violation {
        key,
        operation: blame.operation,
        contradicts: blame.contradicts,
        prefix: blame.prefix,
        is_longest: blame.is_longest,
        others,
        steps: spent.steps,
        blame_steps,
    }))
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
        let item = Item { id, op: &operation.op, call: operation.called.place, end, rank: 0 };
        partitions.entry(model.key(&operation.op)).or_default().push(item);
    }
    partitions
}
