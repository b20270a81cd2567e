//! What is plain about the operations on one key of [`Kv`], without a search.
//!
//! A value is a base (what was put last, or "" at first) with appended pieces behind it. So an answer
//! is impossible if it cannot be cut into a base and pieces that were called by the time it was given,
//! if no set of these pieces is as long as it, or if it needs a piece more often than it was appended.
//! Before the first put, values only grow. And an answer that can only have begun with one certain put
//! tells that this put was the last one at that time: so the times of different puts, as far as they are
//! known, must not overlap (Gibbons and Korach, "Testing shared memories", 1997).
//!
//! Everything here errs on the side of silence. Whatever could take long is given up after an amount of
//! work that is about linear in the history.

use std::collections::BTreeMap;

use super::kv::{Kv, KvOp, KvOutput};
use crate::model::{Known, Survey};

/// Comparisons that may be made for cutting answers and for adding up lengths.
const WORK: usize = 1 << 24;

/// See [`Model::survey`](crate::Model::survey).
pub(super) fn survey(operations: &[Known<'_, Kv>]) -> Survey {
    let history = History::new(operations);
    let mut cutter = Cutter::new(&history);
    let bases = history.gets.iter().map(|get| cutter.cut(get)).collect::<Vec<_>>();
    cutter.finish();
    let impossible_at = cutter
        .impossible_at
        .or_else(|| impossible_length(&history, &mut cutter.left))
        .or_else(|| shrinks(&history))
        .or_else(|| overlap(&history, &bases));
    let ranks = operations
        .iter()
        .map(|operation| match operation.op {
            KvOp::Append(_, piece) => cutter.ranks.get(piece.as_str().as_bytes()).copied(),
            _ => None,
        })
        .map(|rank| rank.unwrap_or(0))
        .collect();
    Survey { impossible_at, ranks, work: (WORK - cutter.left) as u64 }
}

/// A put or an append of something.
struct Write<'a> {
    text: &'a [u8],
    call: u64,
    returned: Option<u64>,
}

/// A get of which the answer is known.
struct Get<'a> {
    value: &'a [u8],
    call: u64,
    returned: u64,
}

/// The operations, each kind in the order of the calls.
struct History<'a> {
    puts: Vec<Write<'a>>,
    /// Without those of nothing.
    appends: Vec<Write<'a>>,
    gets: Vec<Get<'a>>,
    /// What happened when, in order.
    events: Vec<(u64, Event)>,
}

/// The number is that of the operation among those of its kind.
#[derive(Clone, Copy)]
enum Event {
    AppendCalled(usize),
    AppendReturned(usize),
    GetCalled(usize),
    GetReturned(usize),
}

impl<'a> History<'a> {
    fn new(operations: &[Known<'a, Kv>]) -> Self {
        let (mut puts, mut appends, mut gets) = (Vec::new(), Vec::new(), Vec::new());
        let mut events = Vec::new();
        for &Known { op, output, call, returned } in operations {
            match (op, output) {
                (KvOp::Put(_, text), _) => {
                    puts.push(Write { text: text.as_str().as_bytes(), call, returned });
                }
                (KvOp::Append(_, text), _) if !text.as_str().is_empty() => {
                    let number = appends.len();
                    appends.push(Write { text: text.as_str().as_bytes(), call, returned });
                    events.push((call, Event::AppendCalled(number)));
                    events.extend(returned.map(|place| (place, Event::AppendReturned(number))));
                }
                (KvOp::Get(_), Some(KvOutput::Value(value))) => {
                    let Some(returned) = returned else { continue };
                    let number = gets.len();
                    gets.push(Get { value: value.as_str().as_bytes(), call, returned });
                    events.push((call, Event::GetCalled(number)));
                    events.push((returned, Event::GetReturned(number)));
                }
                _ => {}
            }
        }
        events.sort_unstable_by_key(|(place, _)| *place);
        Self { puts, appends, gets, events }
    }

    /// Up to this place, no put has been called.
    fn first_put(&self) -> u64 {
        self.puts.first().map_or(u64::MAX, |put| put.call)
    }
}

/// What a value began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Base {
    /// Certainly with "", before any put.
    Initial,
    /// Certainly with what this put wrote.
    Put(usize),
    /// With one of several, or it is not known.
    Several,
}

/// What is known of a beginning of a text.
#[derive(Clone, Copy)]
struct Spot {
    /// It cannot have been a value before this place. `u64::MAX`: never.
    since: u64,
    /// What it began with. Of use only if it can have been a value.
    base: Base,
    /// Length without the last piece; the whole length if it is a base. Of use as `base` is.
    before: usize,
    /// Whether this is the only way to cut it.
    is_only: bool,
}

impl Spot {
    const NEVER: Self = Self { since: u64::MAX, base: Base::Several, before: 0, is_only: false };

    /// Either of two ways to cut the same text.
    fn or(self, other: Self) -> Self {
        match (self.since, other.since) {
            (u64::MAX, _) => other,
            (_, u64::MAX) => self,
            (a, b) => Self {
                since: a.min(b),
                base: if self.base == other.base { self.base } else { Base::Several },
                before: self.before,
                is_only: false,
            },
        }
    }
}

/// Cuts answers into a base and pieces. Most answers continue each other, so what is known of the
/// beginning of one is kept for the next.
struct Cutter<'a> {
    bases: BTreeMap<&'a [u8], Spot>,
    /// When each piece was called, in order: as often as it was appended.
    pieces: BTreeMap<&'a [u8], Vec<u64>>,
    base_lengths: Vec<usize>,
    piece_lengths: Vec<usize>,
    text: &'a [u8],
    /// `spots[n]` is about the first `n` bytes of `text`.
    spots: Vec<Spot>,
    /// Gets whose answers are beginnings of `text`: their lengths, and when they returned.
    waiting: Vec<(usize, u64)>,
    impossible_at: Option<u64>,
    /// When each piece took effect, compared with the others that were seen.
    ranks: BTreeMap<&'a [u8], u32>,
    left: usize,
}

impl<'a> Cutter<'a> {
    fn new(history: &History<'a>) -> Self {
        let whole = |len| Spot { since: 0, base: Base::Initial, before: len, is_only: true };
        let mut bases = BTreeMap::from([(&b""[..], whole(0))]);
        for (number, put) in history.puts.iter().enumerate() {
            bases
                .entry(put.text)
                // The same text was put before, or is the initial value.
                .and_modify(|spot| spot.base = Base::Several)
                .or_insert(Spot {
                    since: put.call,
                    base: Base::Put(number),
                    ..whole(put.text.len())
                });
        }
        let mut pieces: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for append in &history.appends {
            pieces.entry(append.text).or_default().push(append.call);
        }
        Self {
            base_lengths: lengths(bases.keys()),
            piece_lengths: lengths(pieces.keys()),
            bases,
            pieces,
            text: b"",
            spots: Vec::new(),
            waiting: Vec::new(),
            impossible_at: None,
            ranks: BTreeMap::new(),
            left: WORK,
        }
    }

    /// What the answer of `get` began with; notes if it is impossible.
    fn cut(&mut self, get: &Get<'a>) -> Base {
        if !self.text.starts_with(get.value) {
            let same = if get.value.starts_with(self.text) {
                self.text.len()
            } else {
                self.finish();
                self.text.iter().zip(get.value).take_while(|(a, b)| a == b).count()
            };
            self.spots.truncate(same + 1);
            self.text = get.value;
        }
        while self.spots.len() <= get.value.len() {
            let Some(spot) = self.next_spot() else {
                // Too much work: the rest stays unknown.
                self.text = &self.text[..self.spots.len().saturating_sub(1)];
                return Base::Several;
            };
            self.spots.push(spot);
        }
        let spot = self.spots[get.value.len()];
        if spot.since > get.returned {
            self.note_impossible(get.returned);
            return Base::Several;
        }
        self.waiting.push((get.value.len(), get.returned));
        spot.base
    }

    /// Notes the gets that need a piece more often than it was appended by then, and the ranks of the
    /// pieces. To be called before `text` becomes another that does not continue it.
    fn finish(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let Some(&(longest, _)) = waiting.iter().max_by_key(|(len, _)| *len) else { return };
        // The ends of the pieces of the longest answer.
        let mut ends = Vec::new();
        let mut end = longest;
        while self.spots[end].before < end {
            ends.push(end);
            end = self.spots[end].before;
        }
        let Some(left) = self.left.checked_sub(ends.len()) else { return };
        self.left = left;
        let is_only = self.spots[longest].is_only;
        // From each end on, no value can have been before this.
        let mut since = BTreeMap::from([(end, 0)]);
        let mut used: BTreeMap<&[u8], usize> = BTreeMap::new();
        let mut latest = 0;
        for (&end, rank) in ends.iter().rev().zip(self.next_rank()..) {
            let piece = &self.text[self.spots[end].before..end];
            self.ranks.entry(piece).or_insert(rank);
            let number = used.entry(piece).or_default();
            latest = latest.max(self.pieces[piece].get(*number).copied().unwrap_or(u64::MAX));
            *number += 1;
            since.insert(end, latest);
        }
        if is_only {
            for (len, returned) in waiting {
                if since.get(&len).is_some_and(|&since| since > returned) {
                    self.note_impossible(returned);
                }
            }
        }
    }

    fn next_rank(&self) -> u32 {
        u32::try_from(self.ranks.len()).map_or(u32::MAX, |len| len + 1)
    }

    fn note_impossible(&mut self, place: u64) {
        self.impossible_at = Some(self.impossible_at.map_or(place, |other| other.min(place)));
    }

    /// What is known of one byte more; `None` if that is too much work.
    fn next_spot(&mut self) -> Option<Spot> {
        let len = self.spots.len();
        let mut spot = Spot::NEVER;
        for &base in self.base_lengths.iter().take_while(|base| **base <= len) {
            self.left = self.left.checked_sub(1)?;
            if base == len {
                self.left = self.left.checked_sub(len)?;
                spot = self.bases.get(&self.text[..len]).copied().unwrap_or(spot);
            }
        }
        for &length in self.piece_lengths.iter().take_while(|length| **length <= len) {
            self.left = self.left.checked_sub(1)?;
            let before = self.spots[len - length];
            if before.since == u64::MAX {
                continue;
            }
            self.left = self.left.checked_sub(length)?;
            let piece = &self.text[len - length..len];
            if let Some(first) = self.pieces.get(piece).and_then(|calls| calls.first()) {
                spot = spot.or(Spot {
                    since: before.since.max(*first),
                    before: len - length,
                    ..before
                });
            }
        }
        Some(spot)
    }
}

/// The lengths that occur, each once, the shortest first.
fn lengths<'a>(texts: impl Iterator<Item = &'a &'a [u8]>) -> Vec<usize> {
    let mut lengths: Vec<usize> = texts.map(|text| text.len()).collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}

/// The return of a get whose answer is longer or shorter than anything that can be made of what was
/// called by then.
fn impossible_length(history: &History<'_>, left: &mut usize) -> Option<u64> {
    let longest = history.gets.iter().map(|get| get.value.len()).max()?;
    let words = longest / 64 + 1;
    let mut bases: Vec<(usize, u64)> = vec![(0, 0)];
    bases.extend(history.puts.iter().map(|put| (put.text.len(), put.call)));
    // Of each length, the base that was called first.
    bases.sort_unstable();
    bases.dedup_by_key(|(len, _)| *len);
    let work = history.appends.len() * words + history.gets.len() * bases.len();
    *left = left.checked_sub(work)?;
    let mut sums = vec![0; words];
    sums[0] = 1;
    for &(_, event) in &history.events {
        match event {
            Event::AppendCalled(number) => add_all(&mut sums, history.appends[number].text.len()),
            Event::GetReturned(number) => {
                let Get { value, returned, .. } = history.gets[number];
                let is_sum = |len: usize| sums[len / 64] >> (len % 64) & 1 == 1;
                let mut rests = bases
                    .iter()
                    .filter(|(_, call)| *call < returned)
                    .filter_map(|(base, _)| value.len().checked_sub(*base));
                if !rests.any(is_sum) {
                    return Some(returned);
                }
            }
            Event::AppendReturned(_) | Event::GetCalled(_) => {}
        }
    }
    None
}

/// Adds to a set of numbers each of them with `length` added, as far as there are bits.
fn add_all(sums: &mut [u64], length: usize) {
    let (words, bits) = (length / 64, length % 64);
    for to in (words..sums.len()).rev() {
        let low = sums[to - words] << bits;
        let high = if bits > 0 && to > words { sums[to - words - 1] >> (64 - bits) } else { 0 };
        sums[to] |= low | high;
    }
}

/// The return of a get, before any put was called, whose answer lacks what had been appended before its
/// call, or neither continues an earlier answer nor is continued by it.
fn shrinks(history: &History<'_>) -> Option<u64> {
    let first_put = history.first_put();
    let mut longest: &[u8] = b"";
    let mut appended = 0;
    // For each get, how long its answer is at least.
    let mut least = vec![0; history.gets.len()];
    for &(_, event) in history.events.iter().take_while(|(place, _)| *place < first_put) {
        match event {
            Event::AppendReturned(number) => appended += history.appends[number].text.len(),
            Event::GetCalled(number) => least[number] = longest.len().max(appended),
            Event::GetReturned(number) => {
                let Get { value, returned, .. } = history.gets[number];
                let (short, long) =
                    if value.len() < longest.len() { (value, longest) } else { (longest, value) };
                if value.len() < least[number] || !long.starts_with(short) {
                    return Some(returned);
                }
                longest = long;
            }
            Event::AppendCalled(_) => {}
        }
    }
    None
}

/// The time in which the value certainly began with the same base, or might have, in places plus one.
#[derive(Clone, Copy)]
struct Reign {
    /// The first return among those of the put and the gets that saw it.
    first_return: u64,
    /// The last call.
    last_call: u64,
    /// By this place, all that is known.
    known: u64,
}

impl Reign {
    fn new(call: u64, returned: Option<u64>) -> Self {
        let first_return = returned.unwrap_or(u64::MAX);
        Self { first_return, last_call: call, known: returned.unwrap_or(0) }
    }

    fn add(&mut self, get: &Get<'_>) {
        self.first_return = self.first_return.min(get.returned + 1);
        self.last_call = self.last_call.max(get.call + 1);
        self.known = self.known.max(get.returned + 1);
    }

    /// Whether it certainly lasted from the first return to the last call.
    fn is_certain(&self) -> bool {
        self.first_return < self.last_call
    }
}

/// The return by which two different puts must both have been the last one at the same time.
/// `bases` are those of the gets.
fn overlap(history: &History<'_>, bases: &[Base]) -> Option<u64> {
    // The first is that of the initial value.
    let mut reigns = vec![Reign::new(0, Some(0))];
    let of_puts = history
        .puts
        .iter()
        .map(|put| Reign::new(put.call + 1, put.returned.map(|place| place + 1)));
    reigns.extend(of_puts);
    for (get, base) in history.gets.iter().zip(bases) {
        match base {
            Base::Initial => reigns[0].add(get),
            Base::Put(number) => reigns[number + 1].add(get),
            Base::Several => {}
        }
    }
    let (mut certain, points): (Vec<Reign>, Vec<Reign>) =
        reigns.into_iter().partition(Reign::is_certain);
    certain.sort_unstable_by_key(|reign| reign.first_return);
    let known = |a: &Reign, b: &Reign| Some(a.known.max(b.known) - 1);
    for pair in certain.windows(2) {
        if let [a, b] = pair
            && b.first_return < a.last_call
        {
            return known(a, b);
        }
    }
    for point in points {
        let after = certain.partition_point(|reign| reign.first_return < point.last_call);
        if let Some(reign) = after.checked_sub(1).map(|before| &certain[before])
            && point.first_return < reign.last_call
        {
            return known(reign, &point);
        }
    }
    None
}
