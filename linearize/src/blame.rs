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

use crate::check::Contradiction;
use crate::history::OpId;
use crate::model::Model;
use crate::search::{End, Found, Furthest, Item, Search};

/// What is to blame. The fields are those of [`Violation`](crate::Violation).
pub(crate) struct Blame {
    pub operation: OpId,
    pub contradicts: Vec<Contradiction>,
    pub prefix: Vec<OpId>,
    pub is_longest: bool,
}

/// Explains why `items` have no order, within about `steps` steps. `from` is what the search that
/// found this out has to say.
pub(crate) fn find<M: Model>(
    model: &M,
    initial: &M::State,
    items: &[Item<'_, M>],
    from: &Furthest,
    steps: u64,
) -> Blame {
    let mut court = Court { model, initial, left: steps };
    let (last, prefix, is_longest) = court.first_illegal_return(items, from);
    let mut items = cut(items, last);
    let culprit = items
        .iter()
        .position(|item| matches!(item.end, End::Returned { place, .. } if place == last))
        .expect("the last return of an illegal history is that of one of its operations");
    let contradicts = court.weaken(&mut items, culprit);
    Blame { operation: items[culprit].id, contradicts, prefix, is_longest }
}

/// Asks the search about variants of one history, as long as there are steps left.
struct Court<'a, M: Model> {
    model: &'a M,
    initial: &'a M::State,
    left: u64,
}

impl<M: Model> Court<'_, M> {
    /// What the search finds within `limit` steps; `None` if it does not come to an end.
    fn ask(&mut self, items: &[Item<'_, M>], limit: u64) -> Option<Found> {
        let mut search = Search::new(self.model, self.initial.clone(), items.to_vec());
        let found = search.run(limit.min(self.left));
        self.left -= search.steps();
        found
    }

    /// The place of the first return with which the history is illegal, an order that explains what
    /// comes before it, and whether both are certain.
    fn first_illegal_return(
        &mut self,
        items: &[Item<'_, M>],
        from: &Furthest,
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
        let mut prefix = from.order.clone();
        let mut known_legal = low;
        while low < high {
            let middle = low.midpoint(high);
            match self.ask(&cut(items, returns[middle]), self.left / 4) {
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
        self.weaken_all(items, &others, &mut contradicts);
        contradicts
    }

    /// Weakens `which` together if that leaves the history illegal, or else each half of it.
    /// Early ones first, so that what remains is near to the operation that cannot fit.
    fn weaken_all(
        &mut self,
        items: &mut [Item<'_, M>],
        which: &[usize],
        contradicts: &mut Vec<Contradiction>,
    ) {
        if which.is_empty() {
            return;
        }
        let saved: Vec<_> = which.iter().map(|&i| items[i].end).collect();
        for &i in which {
            items[i].end = End::Open;
        }
        if self.is_illegal(items) {
            return;
        }
        for (&i, &end) in which.iter().zip(&saved) {
            items[i].end = end;
        }
        if let (&[i], End::Returned { place, output }) = (which, saved[0]) {
            items[i].end = End::Returned { place, output: None };
            let by_answer = output.is_some() && !self.is_illegal(items);
            if by_answer {
                items[i].end = saved[0];
            }
            contradicts.push(Contradiction { operation: items[i].id, by_answer });
        } else {
            let (early, late) = which.split_at(which.len() / 2);
            self.weaken_all(items, early, contradicts);
            self.weaken_all(items, late, contradicts);
        }
    }

    fn is_illegal(&mut self, items: &[Item<'_, M>]) -> bool {
        matches!(self.ask(items, self.left / 16), Some(Found::Nothing))
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
