//! The positions that the search has been in (Lowe, "Testing for linearizability", 2017).
//!
//! A position is the set of the operations that have taken effect, and the state. Operations that
//! never returned are kept apart in the set: if a position was met before that had used *fewer* of
//! them and is the same otherwise, everything that can follow now could follow then.

/// A set of operations as words of bits, in two parts.
#[derive(Clone, Copy)]
pub(crate) struct Placed<'a> {
    /// Operations that returned, in the order of their calls.
    pub returned: &'a [u64],
    /// Operations that never returned.
    pub open: &'a [u64],
}

/// Positions met so far: an open-addressed table of indices into `entries`.
pub(crate) struct Cache<S> {
    /// 0 is an empty slot, otherwise the index of an entry plus one. A power of two long.
    slots: Vec<u32>,
    entries: Vec<Entry<S>>,
    /// The sets of all entries, one after another.
    words: Vec<u64>,
    /// Words compared up to now.
    compared: u64,
    /// What all this takes, apart from what the states refer to.
    bytes: u64,
}

struct Entry<S> {
    hash: u64,
    /// Where its words begin: first `returned` of them, then `open`.
    start: usize,
    /// How many full words were left out at the beginning of the set: all early operations are
    /// in nearly every set. Empty words at the end are left out too.
    full: u32,
    returned: u32,
    open: u32,
    state: S,
    /// More sets of open operations that were met with the same set of the others and the same
    /// state, one after another, each of all its words. They lie together because every new one is
    /// compared with all of them.
    more: Vec<u64>,
}

impl<S: Eq + Clone> Cache<S> {
    pub(crate) fn new() -> Self {
        let slots = vec![0; 64];
        let bytes = size_of_val(&*slots) as u64;
        Self { slots, entries: Vec::new(), words: Vec::new(), compared: 0, bytes }
    }

    /// Words of sets that were compared up to now.
    pub(crate) fn compared(&self) -> u64 {
        self.compared
    }

    /// What the positions take, in bytes, apart from what their states refer to. By what there is, and
    /// not by what was asked of the allocator, so that it is the same everywhere.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a position, and says whether it is new. `hash` is one of `placed.returned` and `state`;
    /// on equal hashes both are compared. `placed.open` has the same length in all calls.
    pub(crate) fn insert(&mut self, hash: u64, placed: Placed<'_>, state: &S) -> bool {
        let (full, returned) = trim(placed.returned);
        let open = trim_end(placed.open);
        let mut slot = self.slot(hash);
        while let Some(index) = self.slots[slot].checked_sub(1) {
            self.compared += 1;
            let entry = &mut self.entries[index as usize];
            if entry.hash == hash && entry.full as usize == full {
                let words = &self.words[entry.start..][..(entry.returned + entry.open) as usize];
                let (old_returned, old_open) = words.split_at(entry.returned as usize);
                self.compared += words.len() as u64;
                if old_returned == returned && entry.state == *state {
                    self.compared += entry.more.len() as u64;
                    if is_subset(old_open, open) || has_subset(&entry.more, placed.open) {
                        return false;
                    }
                    entry.more.extend_from_slice(placed.open);
                    self.bytes += size_of_val(placed.open) as u64;
                    return true;
                }
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        let start = self.words.len();
        self.words.extend_from_slice(returned);
        self.words.extend_from_slice(open);
        self.bytes += (size_of::<Entry<S>>() + size_of_val(returned) + size_of_val(open)) as u64;
        self.entries.push(Entry {
            hash,
            start,
            full: small(full),
            returned: small(returned.len()),
            open: small(open.len()),
            state: state.clone(),
            more: Vec::new(),
        });
        self.slots[slot] = small(self.entries.len());
        if self.entries.len() * 2 > self.slots.len() {
            self.bytes += size_of_val(&*self.slots) as u64;
            self.grow();
        }
        true
    }

    fn grow(&mut self) {
        self.slots = vec![0; self.slots.len() * 2];
        for index in 0..self.entries.len() {
            let mut slot = self.slot(self.entries[index].hash);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (self.slots.len() - 1);
            }
            self.slots[slot] = small(index + 1);
        }
    }

    /// Where the search for `hash` begins.
    #[expect(clippy::cast_possible_truncation, reason = "only the low bits are wanted")]
    fn slot(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }
}

fn small(number: usize) -> u32 {
    u32::try_from(number).expect("fewer than 2^32 positions fit into memory")
}

/// The set without its full words at the beginning, which are counted, and its empty words at the end.
fn trim(words: &[u64]) -> (usize, &[u64]) {
    let full = words.iter().take_while(|&&word| word == u64::MAX).count();
    (full, trim_end(&words[full..]))
}

fn trim_end(words: &[u64]) -> &[u64] {
    &words[..words.iter().rposition(|&word| word != 0).map_or(0, |last| last + 1)]
}

fn is_subset(small: &[u64], large: &[u64]) -> bool {
    small.len() <= large.len() && small.iter().zip(large).all(|(s, l)| s & !l == 0)
}

/// Whether one of the sets in `sets`, each as long as `large`, is a subset of `large`.
fn has_subset(sets: &[u64], large: &[u64]) -> bool {
    match *large {
        [] => false,
        // By far the most frequent: at most 64 open operations. Blocks without a branch in them are
        // several times faster.
        [large] => sets
            .chunks(64)
            .any(|block| block.iter().fold(u64::MAX, |least, set| least.min(set & !large)) == 0),
        _ => sets.chunks_exact(large.len()).any(|set| is_subset(set, large)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Cache, Placed};

    #[test]
    fn equal_hashes_do_not_make_positions_equal() {
        let mut cache = Cache::new();
        let mut insert = |returned: &[u64], open: &[u64], state: u8| {
            cache.insert(7, Placed { returned, open }, &state)
        };
        assert!(insert(&[1], &[], 0));
        assert!(insert(&[1], &[], 1), "another state");
        assert!(insert(&[2], &[], 0), "another set");
        assert!(insert(&[u64::MAX, 1], &[], 0), "another set, the same after its full words");
        assert!(!insert(&[1, 0], &[], 0), "the same set in more words");
        assert!(!insert(&[1], &[8], 0), "more open operations used");
    }

    #[test]
    fn fewer_open_operations_are_better() {
        let mut cache = Cache::new();
        let mut insert = |open: &[u64]| cache.insert(7, Placed { returned: &[5], open }, &());
        assert!(insert(&[6]));
        assert!(insert(&[1]));
        assert!(!insert(&[7]));
        assert!(insert(&[2]));
        assert!(insert(&[0]));
        assert!(!insert(&[4]));
    }

    #[test]
    fn it_grows() {
        let mut cache = Cache::new();
        for round in [true, false] {
            for n in 0..10_000_u64 {
                let placed = Placed { returned: &[n], open: &[] };
                assert_eq!(cache.insert(crate::hash::mix(n), placed, &n), round);
            }
        }
    }
}
