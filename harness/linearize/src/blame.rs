//! Which operation of an illegal partition cannot fit, and with which others it is at odds.
//!
//! Both questions are answered by asking the search again, about histories that demand less. A
//! history that demands less of a linearizable one is linearizable too; so if a weaker history is
//! still illegal, what it no longer demands is not to blame.
//!
//! - The operation that cannot fit is the one at whose return the history becomes illegal. Before
//!   that return the operation counts as one that has not returned.
//! - The operations that it contradicts are those that cannot be weakened to "took effect at any
//!   time after its call, or never" without making the history legal.

use crate::check::{Contradiction, Effort, survey};
use crate::history::OpId;
use crate::model::Model;
use crate::search::{End, Found, Furthest, Item, Search};

/// What is to blame. The fields are those of [`Violation`](crate::Violation), and the unused part of
/// the budget.
pub(crate) struct Blame {
    pub operation: OpId,
    pub contradicts: Vec<Contradiction>,
    pub prefix: Vec<OpId>,
    pub is_longest: bool,
    pub left: Effort,
}

/// Explains why `items` have no order, within about `limit`. `from` is what the search that found
/// this out has to say, and `impossible_at` is a return up to which they are known to have none.
pub(crate) fn find<M: Model>(
    model: &M,
    initial: &M::State,
    items: &[Item<'_, M>],
    from: &Furthest,
    impossible_at: Option<u64>,
    limit: Effort,
) -> Blame {
    let mut court = Court { model, initial, left: limit };
    let (last, prefix, is_longest) = court.first_illegal_return(items, from, impossible_at);
    let mut items = cut(items, last);
    let culprit = items
        .iter()
        .position(|item| matches!(item.end, End::Returned { place, .. } if place == last))
        .expect("the last return of an illegal history is that of one of its operations");
    let contradicts = court.weaken(&mut items, culprit);
    Blame { operation: items[culprit].id, contradicts, prefix, is_longest, left: court.left }
}

/// Asks the search about variants of one history, as long as something is left of the budget.
struct Court<'a, M: Model> {
    model: &'a M,
    initial: &'a M::State,
    /// The memory is for each search by itself.
    left: Effort,
}

/// Looking at this number of operations costs as much as a step.
const PREPARED: u64 = 16;

impl<M: Model> Court<'_, M> {
    /// What the search finds with one part in `parts` of the remaining budget; `None` if it does not
    /// come to an end.
    fn ask(&mut self, mut items: Vec<Item<'_, M>>, parts: u64) -> Option<Found> {
        if self.is_exhausted() {
            return None;
        }
        let limit =
            Effort { steps: self.left.steps / parts, work: self.left.work / parts, ..self.left };
        let (impossible_at, work) = survey(self.model, &mut items);
        let steps = items.len() as u64 / PREPARED;
        self.left = self.left.minus(Effort { steps, work, bytes: 0 });
        if impossible_at.is_some() {
            return Some(Found::Nothing);
        }
        let mut search = Search::new(self.model, self.initial.clone(), items);
        let found = search.run(limit);
        self.left = self.left.minus(Effort { bytes: 0, ..search.effort() });
        found.ok()
    }

    /// The place of the first return with which the history is illegal, an order that explains what
    /// comes before it, and whether both are certain.
    fn first_illegal_return(
        &mut self,
        items: &[Item<'_, M>],
        from: &Furthest,
        impossible_at: Option<u64>,
    ) -> (u64, Vec<OpId>, bool) {
        let mut returns: Vec<u64> = items
            .iter()
            .filter_map(|item| match item.end {
                End::Returned { place, .. } => Some(place),
                End::Open => None,
            })
            .collect();
        returns.sort_unstable();
        // `from` explains the returns before number `low`; those up to number `high` are illegal.
        let mut low = returns.partition_point(|&place| place < from.place);
        let mut high = returns.len() - 1;
        if let Some(place) = impossible_at {
            high = high.min(returns.partition_point(|&other| other < place));
        }
        let mut prefix = from.order.clone();
        let mut known_legal = low;
        while low < high {
            let middle = low.midpoint(high);
            match self.ask(cut(items, returns[middle]), 4) {
                Some(Found::Order(order)) => {
                    prefix = order;
                    low = middle + 1;
                    known_legal = low;
                }
                Some(Found::Nothing) => high = middle,
                // Not known: what is reported must be certain, so look for a later one.
                None => low = middle + 1,
            }
        }
        (returns[high], prefix, known_legal == high)
    }

    /// Demands as little as possible of all `items` but `culprit` while they stay illegal. Gives
    /// those of which something has to be demanded.
    fn weaken(&mut self, items: &mut [Item<'_, M>], culprit: usize) -> Vec<Contradiction> {
        let others: Vec<usize> =
            (0..items.len()).filter(|&i| i != culprit && !items[i].is_open()).collect();
        let mut contradicts = Vec::new();
        for i in self.needed(items, &others) {
            let end = items[i].end;
            let End::Returned { place, output } = end else { continue };
            items[i].end = End::Returned { place, output: None };
            let by_answer = output.is_some() && !self.is_illegal(items);
            if by_answer {
                items[i].end = end;
            }
            contradicts.push(Contradiction { operation: items[i].id, by_answer });
        }
        contradicts
    }

    /// Weakens all of `others` but those that are needed to keep the history illegal.
    fn needed(&mut self, items: &mut [Item<'_, M>], others: &[usize]) -> Vec<usize> {
        let ends: Vec<_> = others.iter().map(|&i| items[i].end).collect();
        let mut needed = Vec::new();
        let mut from = 0;
        while !self.is_exhausted() {
            from = self.first_needed(items, others, &ends, from);
            let Some(&i) = others.get(from) else { break };
            needed.push(i);
            from += 1;
        }
        needed.extend(others.iter().skip(from));
        needed
    }

    /// Weakens `others` from number `from` on, early ones first, so that what remains is near to the
    /// operation that cannot fit. Gives the number of the first that cannot be weakened, too: all after
    /// it stay as they are. `ends` are those of `others` at first.
    fn first_needed<'a>(
        &mut self,
        items: &mut [Item<'a, M>],
        others: &[usize],
        ends: &[End<'a, M>],
        from: usize,
    ) -> usize {
        let demand = |items: &mut [Item<'a, M>], first: usize| {
            for (n, (&i, &end)) in others.iter().zip(ends).enumerate().skip(from) {
                items[i].end = if n < first { End::Open } else { end };
            }
        };
        // Illegal with those from `low` on; not so, or not known, with those from `high` on.
        let (mut low, mut high) = (from, others.len() + 1);
        // Few are needed, most of the time, and to ask about few is cheap.
        let mut near = 1;
        while high - low > 1 {
            let middle = low.midpoint(high).max(high.saturating_sub(near));
            near = near.saturating_mul(2);
            demand(items, middle);
            if self.is_illegal(items) {
                low = middle;
            } else {
                high = middle;
            }
        }
        demand(items, low);
        low
    }

    fn is_exhausted(&self) -> bool {
        self.left.steps == 0 || self.left.work == 0
    }

    fn is_illegal(&mut self, items: &[Item<'_, M>]) -> bool {
        matches!(self.ask(items.to_vec(), 16), Some(Found::Nothing))
    }
}

/// The history up to the event at `last`, inclusively.
fn cut<'a, M: Model>(items: &[Item<'a, M>], last: u64) -> Vec<Item<'a, M>> {
    items
        .iter()
        .filter(|item| item.call <= last)
        .map(|item| match item.end {
            End::Returned { place, .. } if place > last => Item { end: End::Open, ..*item },
            _ => *item,
        })
        .collect()
}
