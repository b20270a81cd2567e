//! The keys and values, and what an operation does to them. Nothing here knows of Raft or clients.

use labgob::{DecodeError, Decoder, Encoder};
use rpds::RedBlackTreeMapSync;

use crate::{
    message::{Op, Output},
    rsm::StateMachine,
};

/// The database. A clone shares all that neither side changes afterwards, and so takes no time.
///
/// The map is ordered, so that equal databases have equal snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KvState {
    values: RedBlackTreeMapSync<String, String>,
}

impl StateMachine for KvState {
    type Op = Op;
    type Output = Output;

    fn apply(&mut self, op: Op) -> Output {
        match op {
            Op::Get { key } => Output::Value(self.values.get(&key).cloned().unwrap_or_default()),
            Op::Put { key, value } => {
                self.values.insert_mut(key, value);
                Output::Done
            }
            Op::Append { key, value } => {
                match self.values.get_mut(&key) {
                    Some(present) => present.push_str(&value),
                    None => self.values.insert_mut(key, value),
                }
                Output::Done
            }
        }
    }

    fn is_read_only(op: &Op) -> bool {
        matches!(op, Op::Get { .. })
    }

    fn snapshot(&self, to: &mut Encoder) {
        to.encode(&self.values.size());
        for pair in &self.values {
            to.encode(&pair);
        }
    }

    fn restore(from: &mut Decoder<'_>) -> Result<KvState, DecodeError> {
        let size: usize = from.decode()?;
        let mut state = KvState::default();
        for _ in 0..size {
            let (key, value) = from.decode()?;
            state.values.insert_mut(key, value);
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(state: &mut KvState, key: &str) -> String {
        match state.apply(Op::Get { key: key.to_owned() }) {
            Output::Value(value) => value,
            Output::Done => panic!("a get returns a value"),
        }
    }

    fn put(state: &mut KvState, key: &str, value: &str) {
        let op = Op::Put { key: key.to_owned(), value: value.to_owned() };
        assert_eq!(state.apply(op), Output::Done);
    }

    fn append(state: &mut KvState, key: &str, value: &str) {
        let op = Op::Append { key: key.to_owned(), value: value.to_owned() };
        assert_eq!(state.apply(op), Output::Done);
    }

    fn snapshot(state: &KvState) -> Vec<u8> {
        let mut encoder = Encoder::new();
        state.snapshot(&mut encoder);
        encoder.finish()
    }

    #[test]
    fn operations_do_what_they_say() {
        let mut state = KvState::default();
        assert_eq!(get(&mut state, "k"), "");
        append(&mut state, "k", "a");
        append(&mut state, "k", "b");
        assert_eq!(get(&mut state, "k"), "ab");
        put(&mut state, "k", "c");
        assert_eq!(get(&mut state, "k"), "c");
        assert_eq!(get(&mut state, "another"), "");
    }

    #[test]
    fn a_clone_stays_as_it_was() {
        let mut state = KvState::default();
        put(&mut state, "put", "old");
        put(&mut state, "appended", "old");
        let mut clone = state.clone();
        put(&mut state, "put", "new");
        append(&mut state, "appended", "er");
        put(&mut state, "more", "x");
        assert_eq!(["put", "appended", "more"].map(|key| get(&mut clone, key)), ["old", "old", ""]);
        assert_eq!(
            ["put", "appended", "more"].map(|key| get(&mut state, key)),
            ["new", "older", "x"]
        );
    }

    #[test]
    fn a_snapshot_restores_the_state_whatever_led_to_it() {
        let mut forwards = KvState::default();
        let mut backwards = KvState::default();
        for n in 0..100 {
            put(&mut forwards, &n.to_string(), "value");
            put(&mut backwards, &(99 - n).to_string(), "value");
        }
        assert_eq!(snapshot(&forwards), snapshot(&backwards));

        let bytes = snapshot(&forwards);
        let mut decoder = Decoder::new(&bytes);
        let restored = KvState::restore(&mut decoder).unwrap();
        decoder.finish().unwrap();
        assert_eq!(restored, forwards);
    }
}
