//! What is written is what is read.

#![expect(clippy::disallowed_types, reason = "std's maps are encoded too; no simulation runs here")]

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use labgob::{Bytes, DecodeError, Decoder, Encoder};
use proptest::{
    collection::{btree_map, hash_map, vec},
    prelude::*,
    test_runner::RngSeed,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct Entry {
    term: u64,
    command: Bytes,
    note: Vec<u8>,
}

/// Every shape that serde knows.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
enum Message {
    Nothing,
    Number(i64),
    Pair(u8, String),
    Append { entries: Vec<Entry>, last: Option<Box<Message>> },
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct Kinds {
    integers: (u8, u16, u32, u64, u128, i8, i16, i32, i64, i128),
    usize_and_bool: (usize, bool),
    floats: (f32, f64),
    letter: char,
    table: HashMap<String, Option<u32>>,
    nested: BTreeMap<i16, Vec<Option<Message>>>,
    array: [u16; 3],
    units: Vec<()>,
    wrapped: Wrapped,
    pause: Duration,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct Wrapped(Option<Box<Wrapped>>, Option<String>);

fn entries() -> impl Strategy<Value = Entry> {
    (any::<u64>(), vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..40))
        .prop_map(|(term, command, note)| Entry { term, command: command.into(), note })
}

fn messages() -> impl Strategy<Value = Message> {
    let leaf = prop_oneof![
        Just(Message::Nothing),
        any::<i64>().prop_map(Message::Number),
        any::<(u8, String)>().prop_map(|(n, text)| Message::Pair(n, text)),
    ];
    leaf.prop_recursive(8, 32, 4, |inner| {
        (vec(entries(), 0..4), proptest::option::of(inner.prop_map(Box::new)))
            .prop_map(|(entries, last)| Message::Append { entries, last })
    })
}

fn kinds() -> impl Strategy<Value = Kinds> {
    (
        any::<(u8, u16, u32, u64, u128, i8, i16, i32, i64, i128)>(),
        any::<((usize, bool), (f32, f64), char, [u16; 3], Duration)>(),
        hash_map(any::<String>(), any::<Option<u32>>(), 0..5),
        btree_map(any::<i16>(), vec(proptest::option::of(messages()), 0..3), 0..3),
        vec(Just(()), 0..100),
        any::<[Option<String>; 2]>()
            .prop_map(|[a, b]| Wrapped(Some(Box::new(Wrapped(None, a))), b)),
    )
        .prop_map(|(integers, others, table, nested, units, wrapped)| {
            let (usize_and_bool, floats, letter, array, pause) = others;
            Kinds {
                integers,
                usize_and_bool,
                floats,
                letter,
                table,
                nested,
                array,
                units,
                wrapped,
                pause,
            }
        })
}

fn config() -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::with_cases(500)
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn one_value(value in kinds()) {
        let bytes = labgob::to_bytes(&value);
        prop_assert_eq!(labgob::from_bytes::<Kinds>(&bytes), Ok(value));
    }

    #[test]
    fn several_values(a in messages(), b in kinds(), c in any::<Option<i8>>()) {
        let mut encoder = Encoder::new();
        encoder.encode(&a).encode(&b).encode(&c);
        let bytes = encoder.finish();
        let mut decoder = Decoder::new(&bytes);
        prop_assert_eq!(decoder.decode(), Ok(a));
        prop_assert_eq!(decoder.decode(), Ok(b));
        prop_assert_eq!(decoder.decode(), Ok(c));
        prop_assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn every_float_bit_for_bit(bits in any::<u64>()) {
        let back = labgob::from_bytes::<f64>(&labgob::to_bytes(&f64::from_bits(bits)));
        prop_assert_eq!(back.map(f64::to_bits), Ok(bits));
    }

    #[test]
    fn truncated_bytes_are_refused(value in messages(), cut in any::<prop::sample::Index>()) {
        let bytes = labgob::to_bytes(&value);
        let kept = &bytes[..cut.index(bytes.len())];
        prop_assert!(labgob::from_bytes::<Message>(kept).is_err());
    }

    #[test]
    fn trailing_bytes_are_refused(value in messages(), extra in vec(any::<u8>(), 1..9)) {
        let mut bytes = labgob::to_bytes(&value);
        bytes.extend_from_slice(&extra);
        let refused = labgob::from_bytes::<Message>(&bytes);
        prop_assert_eq!(refused, Err(DecodeError::TrailingBytes { left: extra.len() }));
    }
}

/// Byte fields of different kinds keep their places and contents.
#[test]
fn several_byte_fields() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Saved {
        state: Vec<u8>,
        snapshot: Bytes,
        empty: Vec<u8>,
        maybe: Option<Bytes>,
        chunks: Vec<Bytes>,
        last: Vec<Vec<u8>>,
    }
    let saved = Saved {
        state: (0..=255).collect(),
        snapshot: Bytes::from(vec![7; 70_000]),
        empty: Vec::new(),
        maybe: Some(Bytes::default()),
        chunks: vec![Bytes::from(b"a"), Bytes::default(), Bytes::from(b"bc")],
        last: vec![vec![0], vec![], vec![255; 300]],
    };
    let bytes = labgob::to_bytes(&saved);
    assert_eq!(labgob::from_bytes::<Saved>(&bytes), Ok(saved));
    // 256 and 300 take a marker and two bytes for their length, 70,000 a marker and four.
    assert_eq!(bytes.len(), (3 + 256) + (5 + 70_000) + 1 + 2 + (1 + 2 + 1 + 3) + (1 + 2 + 1 + 303));
}

#[test]
fn small_numbers_take_one_byte() {
    assert_eq!(labgob::to_bytes(&250_u64), [250]);
    assert_eq!(labgob::to_bytes(&251_u64), [251, 251, 0]);
    assert_eq!(labgob::to_bytes("hello"), [5, b'h', b'e', b'l', b'l', b'o']);
}

/// After an error the position is meaningless, so nothing more is read.
#[test]
fn a_decoder_stays_at_its_first_error() {
    let mut decoder = Decoder::new(&[9, 1, 2]);
    let error = decoder.decode::<bool>().expect_err("not of this type");
    assert_eq!(error, DecodeError::Invalid("expected a boolean, got 9".to_owned()));
    assert_eq!(decoder.decode::<u8>(), Err(error.clone()));
    assert_eq!(decoder.finish(), Err(error));
}

#[test]
fn a_forgotten_value_is_noticed() {
    let mut decoder = Decoder::new(&[1, 2]);
    assert_eq!(decoder.decode::<u8>(), Ok(1));
    assert_eq!(decoder.finish(), Err(DecodeError::TrailingBytes { left: 1 }));
}

#[test]
fn an_unknown_variant_is_named() {
    let error = labgob::from_bytes::<Message>(&[9]).expect_err("not of this type");
    assert_eq!(error.to_string(), "invalid value: integer `9`, expected variant index 0 <= i < 4");
}

#[test]
fn a_type_that_needs_names_is_told_so() {
    #[derive(Deserialize, Debug, PartialEq)]
    #[serde(untagged)]
    enum Either {
        Number(u8),
    }
    assert_ne!(Either::Number(1), Either::Number(2));
    assert_eq!(labgob::from_bytes::<Either>(&[1]), Err(DecodeError::NotSelfDescribing));
}

#[test]
#[should_panic(expected = "a value of type round_trip::Unsized cannot be encoded: a sequence")]
fn a_value_that_cannot_be_written_is_named() {
    labgob::to_bytes(&Unsized);
}

struct Unsized;

impl Serialize for Unsized {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..10).filter(|n| n % 3 == 0))
    }
}
