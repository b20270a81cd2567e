//! The search for a linearization of one partition (Wing and Gong 1993, with Lowe's cache).
//!
//! The calls and returns of all operations that have not taken effect stand in a list, in the order
//! in which they happened. Whatever is called before the first return in the list may take effect
//! next: the search tries one, takes it out of the list, and goes on from the new state. When
//! nothing fits before the first return, the operation that returns there is late, and the search
//! takes back what it tried last.
//!
//! Reads that fit are placed first, and for good: to put one off never helps. Operations that never
//! returned are tried last: most histories are explained without them. Of equal operations, those
//! called and returned first are placed first: to exchange them makes no difference.

use std::cell::Cell;

use crate::cache::{Cache, Placed};
use crate::check::{Effort, Resource};
use crate::hash::{hash_of, mix};
use crate::history::OpId;
use crate::model::{Coming, Model};

/// An operation as the search sees it.
pub(crate) struct Item<'a, M: Model> {
    pub id: OpId,
    pub op: &'a M::Op,
    /// Place of its call in the history.
    pub call: u64,
    pub end: End<'a, M>,
    /// Of operations called with no return between, those of lower rank are tried first.
    pub rank: u32,
}

/// How the search has to take the end of an operation.
pub(crate) enum End<'a, M: Model> {
    /// It took effect before `place`.
    Returned { place: u64, output: Option<&'a M::Output> },
    /// It takes effect at any time after its call, or never.
    Open,
}

// Not derived: that would ask for `M: Clone`.
impl<M: Model> Clone for Item<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M: Model> Copy for Item<'_, M> {}
impl<M: Model> Clone for End<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M: Model> Copy for End<'_, M> {}

impl<'a, M: Model> Item<'a, M> {
    fn output(&self) -> Option<&'a M::Output> {
        match self.end {
            End::Returned { output, .. } => output,
            End::Open => None,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.end, End::Open)
    }
}

/// What a search finds out.
#[derive(Debug)]
pub(crate) enum Found {
    /// The operations in an order that explains everything; all that returned are among them.
    Order(Vec<OpId>),
    /// There is no such order.
    Nothing,
}

/// The furthest that the search got.
#[derive(Debug, Clone, Default)]
pub(crate) struct Furthest {
    /// An order that explains all returns before `place`.
    pub order: Vec<OpId>,
    /// Place in the history of the return that this order does not explain.
    pub place: u64,
}

/// A search that can be stopped and continued.
pub(crate) struct Search<'a, M: Model> {
    model: &'a M,
    items: Vec<Item<'a, M>>,
    list: List,
    /// In which pass each item is tried.
    passes: Vec<Pass>,
    /// Bit of each item in `returned` or in `open`.
    bits: Vec<u32>,
    /// An equal item that has to be placed before this one.
    twins: Vec<Option<u32>>,
    returned: Vec<u64>,
    open: Vec<u64>,
    /// Combines the numbers of all bits in `returned`; changes with each by one operation.
    set_hash: u64,
    /// How many operations that returned have not taken effect.
    missing: usize,
    state: M::State,
    /// What took effect, in order, each with the state before it.
    stack: Vec<(u32, M::State)>,
    pass: Pass,
    /// The event to be looked at next.
    cursor: u32,
    cache: Cache<M::State>,
    furthest: Furthest,
    effort: Effort,
}

/// Events and comparisons of [`Model::foresee`] that are part of a step; the others are work.
const AHEAD_FREE: u64 = 256;

/// Which operations are being tried between the beginning of the list and its first return; the
/// passes of one position follow each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Those that returned and are [reads](Model::is_read).
    Reads,
    /// The others that returned.
    Others,
    /// Those that never returned.
    Open,
}

impl<'a, M: Model> Search<'a, M> {
    /// `items` are in the order of their calls.
    pub(crate) fn new(model: &'a M, initial: M::State, mut items: Vec<Item<'a, M>>) -> Self {
        // A read of which nothing is known could be left out or put anywhere.
        items.retain(|item| !(item.is_open() && model.is_read(item.op, None)));
        let (mut returned, mut open) = (0, 0);
        let bits = items
            .iter()
            .map(|item| {
                let counter = if item.is_open() { &mut open } else { &mut returned };
                *counter += 1;
                *counter - 1
            })
            .collect();
        let passes: Vec<Pass> = items
            .iter()
            .map(|item| match item.end {
                End::Open => Pass::Open,
                End::Returned { output, .. } if model.is_read(item.op, output) => Pass::Reads,
                End::Returned { .. } => Pass::Others,
            })
            .collect();
        let twins = twins(&items, &passes);
        let list = List::new(&items);
        let mut search = Self {
            model,
            items,
            cursor: list.first(),
            list,
            passes,
            bits,
            twins,
            returned: vec![0; (returned as usize).div_ceil(64)],
            open: vec![0; (open as usize).div_ceil(64)],
            set_hash: 0,
            missing: returned as usize,
            state: initial,
            stack: Vec::new(),
            pass: Pass::Reads,
            cache: Cache::new(),
            furthest: Furthest::default(),
            effort: Effort::default(),
        };
        let state = search.state.clone();
        search.is_new(&state);
        search
    }

    /// Goes on until it has an answer, or has taken as much as `limit` since it began. A step is one
    /// operation tried in one state.
    pub(crate) fn run(&mut self, limit: Effort) -> Result<Found, Resource> {
        loop {
            if self.missing == 0 {
                return Ok(Found::Order(self.order()));
            }
            let event = self.list.events[self.cursor as usize];
            if event.is_return {
                match self.pass {
                    Pass::Reads => self.start_pass(Pass::Others),
                    Pass::Others => self.start_pass(Pass::Open),
                    Pass::Open => {
                        self.note_furthest();
                        if !self.take_back() {
                            return Ok(Found::Nothing);
                        }
                    }
                }
                continue;
            }
            if self.passes[event.item as usize] != self.pass {
                self.cursor = self.list.after(self.cursor);
                continue;
            }
            if self.waits(event.item) {
                self.cursor = self.list.after(self.cursor);
                continue;
            }
            if let Some(used_up) = self.effort().used_up(limit) {
                return Err(used_up);
            }
            self.effort.steps += 1;
            if self.try_item(event.item) {
                self.start_pass(Pass::Reads);
            } else {
                self.cursor = self.list.after(self.cursor);
            }
        }
    }

    /// What the search has taken up to now.
    pub(crate) fn effort(&self) -> Effort {
        Effort { work: self.effort.work + self.cache.compared(), ..self.effort }
    }

    /// Whether an equal item has to be placed first.
    fn waits(&self, item: u32) -> bool {
        self.twins[item as usize].is_some_and(|twin| !self.is_placed(twin))
    }

    fn is_placed(&self, item: u32) -> bool {
        let bit = self.bits[item as usize];
        let is_open = self.items[item as usize].is_open();
        let words = if is_open { &self.open } else { &self.returned };
        words[(bit / 64) as usize] >> (bit % 64) & 1 == 1
    }

    /// The order that explains the longest beginning of the history, among those tried up to now.
    pub(crate) fn furthest(&self) -> &Furthest {
        &self.furthest
    }

    /// Lets the item take effect, if it can and if that leads to a position that is worth a look.
    fn try_item(&mut self, item: u32) -> bool {
        let Item { op, .. } = self.items[item as usize];
        let output = self.items[item as usize].output();
        let Some(next) = self.model.step(&self.state, op, output) else { return false };
        self.place(item);
        let (read, mut compared) = (Cell::new(0), 0);
        let next = self.model.foresee(next, self.coming(&read), &mut compared);
        self.effort.work += (read.get() + compared).saturating_sub(AHEAD_FREE);
        if let Some(next) = next
            && self.is_new(&next)
        {
            self.stack.push((item, std::mem::replace(&mut self.state, next)));
            true
        } else {
            self.displace(item);
            false
        }
    }

    fn start_pass(&mut self, pass: Pass) {
        self.pass = pass;
        self.cursor = self.list.first();
    }

    /// Undoes the last step that was a choice, and the reads placed since; false if there is none.
    fn take_back(&mut self) -> bool {
        while let Some((item, before)) = self.stack.pop() {
            self.state = before;
            self.displace(item);
            self.pass = self.passes[item as usize];
            if self.pass != Pass::Reads {
                self.cursor = self.list.after(self.list.call_of[item as usize]);
                return true;
            }
        }
        false
    }

    fn place(&mut self, item: u32) {
        self.list.remove(item);
        self.flip(item);
        self.missing -= usize::from(!self.items[item as usize].is_open());
    }

    fn displace(&mut self, item: u32) {
        self.list.restore(item);
        self.flip(item);
        self.missing += usize::from(!self.items[item as usize].is_open());
    }

    fn flip(&mut self, item: u32) {
        let bit = self.bits[item as usize];
        let (word, mask) = ((bit / 64) as usize, 1 << (bit % 64));
        if self.items[item as usize].is_open() {
            self.open[word] ^= mask;
        } else {
            self.returned[word] ^= mask;
            self.set_hash ^= mix(u64::from(bit) + 1);
        }
    }

    /// Remembers the current set with `state`; false if that position was met before.
    fn is_new(&mut self, state: &M::State) -> bool {
        let hash = mix(self.set_hash ^ hash_of(state));
        let placed = Placed { returned: &self.returned, open: &self.open };
        let before = self.cache.bytes();
        let is_new = self.cache.insert(hash, placed, state);
        self.effort.bytes += self.cache.bytes() - before;
        if is_new {
            self.effort.bytes += self.model.bytes(state);
        }
        is_new
    }

    /// The events of what has not taken effect. `read` counts those that are looked at.
    fn coming<'b>(&'b self, read: &'b Cell<u64>) -> impl Iterator<Item = Coming<'b, M>> {
        let mut at = self.list.first();
        std::iter::from_fn(move || {
            let event = self.list.events.get(at as usize)?;
            at = self.list.after(at);
            read.set(read.get() + 1);
            let item = &self.items[event.item as usize];
            Some(Coming { is_return: event.is_return, op: item.op, output: item.output() })
        })
    }

    /// The cursor stands at a return that the current order does not explain.
    fn note_furthest(&mut self) {
        let item = self.list.events[self.cursor as usize].item;
        let End::Returned { place, .. } = self.items[item as usize].end else { return };
        if place >= self.furthest.place {
            let is_longer = self.stack.len() > self.furthest.order.len();
            if place > self.furthest.place || is_longer {
                self.furthest = Furthest { order: self.order(), place };
            }
        }
    }

    fn order(&self) -> Vec<OpId> {
        self.stack.iter().map(|(item, _)| self.items[*item as usize].id).collect()
    }
}

/// For each item, an equal one that was called before it and returned before it, or that did not
/// return either. In any order that has the second before the first, or without the first, the two
/// can be exchanged; so the search need not try such orders.
fn twins<M: Model>(items: &[Item<'_, M>], passes: &[Pass]) -> Vec<Option<u32>> {
    let mut twins = vec![None; items.len()];
    let mut sorted: Vec<(u64, u32)> = (0..)
        .zip(items)
        // Reads have no need of it: they are placed as soon as they fit.
        .filter(|&(i, _)| passes[i as usize] != Pass::Reads)
        .map(|(i, item)| (hash_of(&(item.op, item.output(), item.is_open())), i))
        .collect();
    sorted.sort_unstable();
    for pair in sorted.windows(2) {
        let &[(first_hash, first), (second_hash, second)] = pair else { continue };
        let [a, b] = [first, second].map(|i| &items[i as usize]);
        let in_order = match (a.end, b.end) {
            (End::Open, End::Open) => true,
            (End::Returned { place: a, .. }, End::Returned { place: b, .. }) => a < b,
            _ => false,
        };
        if in_order && first_hash == second_hash && a.op == b.op && a.output() == b.output() {
            twins[second as usize] = Some(first);
        }
    }
    twins
}

/// The calls and returns of the operations that have not taken effect: a doubly linked list in
/// which the neighbours of what was removed are kept, so that it can be restored.
struct List {
    events: Vec<Event>,
    /// `next[e + 1]` follows event `e`; `next[0]` is the first event. `events.len()` is the end.
    next: Vec<u32>,
    /// `prev[e + 1]` stands before event `e`, plus one.
    prev: Vec<u32>,
    call_of: Vec<u32>,
    return_of: Vec<Option<u32>>,
}

#[derive(Clone, Copy)]
struct Event {
    item: u32,
    is_return: bool,
}

impl List {
    fn new<M: Model>(items: &[Item<'_, M>]) -> Self {
        let mut places: Vec<(u64, Event)> = Vec::with_capacity(items.len() * 2);
        for (item, index) in items.iter().zip(0..) {
            places.push((item.call, Event { item: index, is_return: false }));
            if let End::Returned { place, .. } = item.end {
                places.push((place, Event { item: index, is_return: true }));
            }
        }
        places.sort_by_key(|(place, _)| *place);
        // With no return between them, it makes no difference which was called first.
        for calls in places.chunk_by_mut(|(_, a), (_, b)| !a.is_return && !b.is_return) {
            calls.sort_by_key(|(_, event)| items[event.item as usize].rank);
        }
        let events: Vec<Event> = places.into_iter().map(|(_, event)| event).collect();
        let mut call_of = vec![0; items.len()];
        let mut return_of = vec![None; items.len()];
        for (event, index) in events.iter().zip(0..) {
            if event.is_return {
                return_of[event.item as usize] = Some(index);
            } else {
                call_of[event.item as usize] = index;
            }
        }
        let count = u32::try_from(events.len()).expect("fewer than 2^32 events");
        Self {
            events,
            next: (0..=count).collect(),
            prev: (0..=count + 1).map(|i| i.saturating_sub(1)).collect(),
            call_of,
            return_of,
        }
    }

    fn first(&self) -> u32 {
        self.next[0]
    }

    fn after(&self, event: u32) -> u32 {
        self.next[event as usize + 1]
    }

    /// Takes the call and the return of `item` out.
    fn remove(&mut self, item: u32) {
        self.unlink(self.call_of[item as usize]);
        if let Some(event) = self.return_of[item as usize] {
            self.unlink(event);
        }
    }

    /// Undoes the last [`List::remove`] that has not been undone.
    fn restore(&mut self, item: u32) {
        if let Some(event) = self.return_of[item as usize] {
            self.link(event);
        }
        self.link(self.call_of[item as usize]);
    }

    fn unlink(&mut self, event: u32) {
        let (before, after) = (self.prev[event as usize + 1], self.after(event));
        self.next[before as usize] = after;
        self.prev[after as usize + 1] = before;
    }

    fn link(&mut self, event: u32) {
        let (before, after) = (self.prev[event as usize + 1], self.after(event));
        self.next[before as usize] = event;
        self.prev[after as usize + 1] = event + 1;
    }
}
