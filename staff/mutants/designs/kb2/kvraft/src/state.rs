//! What the log has led to so far: keys and values, and which operations were executed (§8).

use std::collections::BTreeMap;

use labgob::{Decoder, Encoder};
use raft::EntryId;

use crate::message::{Op, Request};

#[derive(Default)]
pub(crate) struct State {
    /// The last entry that is in here.
    pub(crate) applied: EntryId,
    values: BTreeMap<String, String>,
    /// The last write of each client.
    last: BTreeMap<u128, u64>,
}

impl State {
    pub(crate) fn get(&self, key: &str) -> String {
        self.values.get(key).cloned().unwrap_or_default()
    }

    /// Executes the operation of the next entry, unless it was executed before; gives its result.
    pub(crate) fn apply(&mut self, entry: EntryId, request: Request) -> String {
        self.applied = entry;
        let Request { client, seq, op } = request;
        if let Op::Get { key } = &op {
            return self.get(key);
        }
        let last = self.last.entry(client).or_default();
        if seq <= *last {
            return String::new();
        }
        *last = seq;
        match op {
            Op::Get { .. } => {}
            Op::Put { key, value } => {
                self.values.insert(key, value);
            }
            Op::Append { key, value } => self.values.entry(key).or_default().push_str(&value),
        }
        String::new()
    }

    pub(crate) fn snapshot(&self) -> Vec<u8> {
        let mut encoder = Encoder::new();
        encoder.encode(&self.applied).encode(&self.values).encode(&self.last);
        encoder.finish()
    }

    pub(crate) fn restore(snapshot: &[u8]) -> State {
        let mut decoder = Decoder::new(snapshot);
        let unreadable = "the snapshot was taken by this crate";
        State {
            applied: decoder.decode().expect(unreadable),
            values: decoder.decode().expect(unreadable),
            last: decoder.decode().expect(unreadable),
        }
    }
}
