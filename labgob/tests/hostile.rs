//! Bytes that lie cost an error: no panic, no more memory than they justify, no endless loop, no
//! overflow of a small stack.

#![expect(clippy::disallowed_types, reason = "std's maps are decoded too; no simulation runs here")]
#![expect(unsafe_code, reason = "a global allocator, here one that counts, is an unsafe trait")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    any::type_name,
    cell::Cell,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque},
    ffi::CString,
    time::Duration,
};

use labgob::{Bytes, DecodeError, limits};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The system's allocator, counting what each thread holds.
struct Counting;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn count(grown: usize, shrunk: usize) {
    LIVE.with(|live| {
        live.set(live.get().wrapping_add(grown).wrapping_sub(shrunk));
        // Freed on another thread than it came from, the count would wrap: no new peak then.
        if live.get() < usize::MAX / 2 {
            PEAK.with(|peak| peak.set(peak.get().max(live.get())));
        }
    });
}

// SAFETY: everything is the system allocator's; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How many bytes of memory `f` held at most beyond what was held before.
fn peak_memory<T>(f: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = f();
    (result, PEAK.get() - before)
}

/// Memory that any input may cost: error messages, and the smallest capacity that collections
/// start with (a B-tree's first node holds 11 entries).
const FIXED: usize = 4096;

/// Decodes `bytes` and checks that memory stays below `factor` times their number.
fn decode_within<T: DeserializeOwned>(bytes: &[u8], factor: usize) -> Result<T, DecodeError> {
    let (result, peak) = peak_memory(|| labgob::from_bytes::<T>(bytes));
    let allowed = FIXED + factor * bytes.len();
    assert!(
        peak <= allowed,
        "{} bytes made {} hold {peak} bytes, {allowed} are justified; they begin {:02x?}",
        bytes.len(),
        type_name::<T>(),
        &bytes[..bytes.len().min(32)],
    );
    result
}

/// A length of 2^60 as the format writes it, then `rest`.
fn huge_length(rest: &[u8]) -> Vec<u8> {
    let mut bytes = labgob::to_bytes(&(1_u64 << 60));
    bytes.extend_from_slice(rest);
    bytes
}

#[test]
fn a_length_that_lies_allocates_nothing() {
    fn refused<T: DeserializeOwned>() {
        for length in [1 << 60, u64::MAX, 1 << 20, 300] {
            let bytes = labgob::to_bytes(&length);
            let error = decode_within::<T>(&bytes, 0).err().expect("nothing follows the length");
            assert!(matches!(error, DecodeError::UnexpectedEnd { .. }), "{error:?}");
        }
    }
    refused::<Vec<u8>>();
    refused::<Vec<u64>>();
    refused::<Vec<[u64; 32]>>();
    refused::<Vec<String>>();
    refused::<Vec<Vec<String>>>();
    refused::<VecDeque<String>>();
    refused::<BinaryHeap<u64>>();
    refused::<String>();
    refused::<Box<str>>();
    refused::<Box<[u64]>>();
    refused::<Bytes>();
    refused::<CString>();
    refused::<HashMap<String, String>>();
    refused::<HashMap<u64, [u64; 32]>>();
    refused::<HashSet<u64>>();
    refused::<BTreeMap<u64, String>>();
    refused::<BTreeSet<String>>();
}

/// Each level promises 2^60 elements; what is reserved is bounded over all levels together.
#[test]
fn lengths_that_lie_on_every_level_share_one_allowance() {
    #[derive(Deserialize)]
    struct Tree {
        _children: Vec<Tree>,
    }
    let levels = limits::MAX_DEPTH;
    let mut bytes: Vec<u8> = Vec::new();
    for _ in 0..levels / 3 {
        bytes.extend(huge_length(&[]));
    }
    bytes.extend(vec![0; 100_000]);
    // The vectors of one level only could reserve 24 bytes for each byte there is.
    let result = decode_within::<Tree>(&bytes, 3 * size_of::<Tree>());
    assert!(result.is_err());
}

/// 2^60 elements of no bytes would be honest, and take for ever.
#[test]
fn elements_without_bytes_are_counted() {
    #[derive(Deserialize, PartialEq, Eq, Hash)]
    struct Empty;

    #[derive(Deserialize)]
    struct Skipped {
        #[serde(skip)]
        _value: u64,
    }
    let bytes = huge_length(&[]);
    let too_many = Some(DecodeError::TooManyEmptyElements);
    assert_eq!(decode_within::<Vec<()>>(&bytes, 0).err(), too_many);
    assert_eq!(decode_within::<Vec<Empty>>(&bytes, 0).err(), too_many);
    assert_eq!(decode_within::<Vec<[u64; 0]>>(&bytes, 0).err(), too_many);
    assert_eq!(decode_within::<HashSet<()>>(&bytes, 0).err(), too_many);
    assert_eq!(decode_within::<HashMap<Empty, Skipped>>(&bytes, 0).err(), too_many);
    assert_eq!(decode_within::<Vec<Vec<()>>>(&huge_length(&bytes), 0).err(), too_many);
    // These do take memory, for at most the allowed number.
    let (result, peak) = peak_memory(|| labgob::from_bytes::<Vec<Skipped>>(&bytes));
    assert_eq!(result.err(), too_many);
    assert!(peak <= 4 * size_of::<Skipped>() * limits::MAX_EMPTY_ELEMENTS, "{peak}");

    let at_the_limit = labgob::to_bytes(&vec![(); limits::MAX_EMPTY_ELEMENTS]);
    assert_eq!(labgob::from_bytes::<Vec<()>>(&at_the_limit).map(|units| units.len()), Ok(1024));
}

/// A recursive type recurses as deep as the bytes say, and must not overflow a stack: here one of
/// 64 KiB, a quarter of a task's.
#[test]
#[expect(clippy::disallowed_methods, reason = "a stack of a chosen size, outside any simulation")]
fn deep_values_are_refused_before_the_stack_is_full() {
    #[derive(Deserialize, Serialize)]
    struct List(Option<Box<List>>);

    #[derive(Deserialize, Serialize)]
    struct Tree {
        padding: [u64; 16],
        children: Vec<Tree>,
    }

    #[derive(Deserialize, Serialize)]
    enum Expression {
        Not(Box<Expression>),
        Of { map: BTreeMap<u8, Expression> },
    }

    std::thread::Builder::new()
        .stack_size(64 * 1024)
        .spawn(|| {
            let ones = vec![1; 1_000_000];
            assert_eq!(labgob::from_bytes::<List>(&ones).err(), Some(DecodeError::TooDeep));
            assert_eq!(labgob::from_bytes::<Tree>(&ones).err(), Some(DecodeError::TooDeep));
            assert_eq!(labgob::from_bytes::<Expression>(&ones).err(), Some(DecodeError::TooDeep));
            let nots = vec![0; 1_000_000];
            assert_eq!(labgob::from_bytes::<Expression>(&nots).err(), Some(DecodeError::TooDeep));

            let mut list = List(None);
            for _ in 1..limits::MAX_DEPTH / 2 {
                list = List(Some(Box::new(list)));
            }
            let bytes = labgob::to_bytes(&list);
            assert!(labgob::from_bytes::<List>(&bytes).is_ok());
            list = List(Some(Box::new(List(Some(Box::new(list))))));
            let bytes = labgob::to_bytes(&list);
            assert_eq!(labgob::from_bytes::<List>(&bytes).err(), Some(DecodeError::TooDeep));
        })
        .expect("the system has threads")
        .join()
        .expect("no assertion failed");
}

#[derive(Serialize, Deserialize, Default)]
struct Everything {
    term: u64,
    entries: Vec<(u64, Bytes, Option<Vec<u8>>)>,
    table: HashMap<String, Vec<String>>,
    ordered: BTreeMap<i64, Option<Box<Everything>>>,
    set: BTreeSet<char>,
    floats: Vec<f64>,
    units: Vec<()>,
    role: Role,
    pause: Duration,
    last: [u16; 4],
}

#[derive(Serialize, Deserialize, Default)]
enum Role {
    #[default]
    Follower,
    Candidate(HashSet<u8>),
    Leader {
        next: VecDeque<u32>,
        signed: i128,
    },
}

fn example(depth: u32) -> Everything {
    Everything {
        term: 300,
        entries: vec![
            (1, Bytes::from(b"put x"), None),
            (70_000, Bytes::default(), Some(vec![9; 9])),
        ],
        table: HashMap::from([("x".to_owned(), vec![String::new(), "yes".to_owned()])]),
        ordered: (0..depth)
            .map(|n| (-i64::from(n), (n > 0).then(|| Box::new(example(n - 1)))))
            .collect(),
        set: BTreeSet::from(['a', '\u{1F980}']),
        floats: vec![0.5, -1e300],
        units: vec![(); 3],
        role: match depth % 3 {
            0 => Role::Follower,
            1 => Role::Candidate(HashSet::from([2])),
            _ => Role::Leader { next: VecDeque::from([1, 100_000]), signed: -5 },
        },
        pause: Duration::from_millis(1500),
        last: [1, 2, 3, 65_535],
    }
}

/// splitmix64: the inputs are the same on every machine and in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("less than a usize")
    }

    fn byte(&mut self) -> u8 {
        // The markers of long numbers and the flags of options come far more often than by chance.
        match self.below(4) {
            0 => [250, 251, 252, 253, 254, 255][self.below(6)],
            1 => [0, 1, 2][self.below(3)],
            _ => self.next().to_le_bytes()[0],
        }
    }

    /// Changes `bytes` in one to four places.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(5) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.byte()),
                2 => drop(bytes.splice(at..at, huge_length(&[]))),
                _ => {
                    let byte = self.byte();
                    if let Some(place) = bytes.get_mut(at) {
                        *place = byte;
                    }
                }
            }
        }
    }
}

/// A million inputs, half invented, half honest ones with a few bytes changed.
#[test]
fn a_million_inputs_never_panic_nor_take_more_than_they_justify() {
    // An element of one byte can need this much memory; a table has up to twice the room, and
    // while it grows the old one still stands beside it.
    let factor = 4 * size_of::<Everything>();
    let honest: Vec<Vec<u8>> = (0..5).map(|depth| labgob::to_bytes(&example(depth))).collect();
    let mut random = Random(0x5eed);
    let mut accepted = [0; 3];
    for round in 0..250_000 {
        let mut bytes = honest[round % honest.len()].clone();
        random.mutate(&mut bytes);
        accepted[0] += usize::from(decode_within::<Everything>(&bytes, factor).is_ok());

        let mut bytes = labgob::to_bytes(&example(2).table);
        random.mutate(&mut bytes);
        let result = decode_within::<HashMap<String, Vec<String>>>(&bytes, factor);
        accepted[1] += usize::from(result.is_ok());

        let length = random.below(60);
        let invented: Vec<u8> = (0..length).map(|_| random.byte()).collect();
        accepted[2] += usize::from(decode_within::<Everything>(&invented, factor).is_ok());
        accepted[2] += usize::from(decode_within::<Vec<Role>>(&invented, factor).is_ok());
    }
    // Changes inside of numbers and text leave honest messages; both outcomes were exercised.
    assert!(accepted.iter().all(|&n| n > 100 && n < 250_000), "{accepted:?}");
}
