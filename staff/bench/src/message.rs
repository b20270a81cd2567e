//! Messages as Raft sends them, and what their bytes cost. Each function gives the time of `n`.

use std::{hint::black_box, time::Duration};

use labgob::Bytes;
use labrpc::Rpc;
use serde::{Deserialize, Serialize};

use crate::Clock;

/// A request that says nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ping;

impl Rpc for Ping {
    const METHOD: &'static str = "Bench.Ping";
    type Reply = ();
}

/// The arguments of `AppendEntries` (Figure 2).
#[derive(Debug, Serialize, Deserialize)]
pub struct Append {
    term: u64,
    leader: usize,
    prev: (u64, u64),
    entries: Vec<(u64, Bytes)>,
    leader_commit: u64,
}

impl Append {
    /// With so many entries, each a command of 20 bytes.
    pub fn of(entries: usize) -> Append {
        let command = Bytes::from(vec![7; 20]);
        Append {
            term: 3,
            leader: 1,
            prev: (3, 1000),
            entries: (0..entries).map(|_| (3, command.clone())).collect(),
            leader_commit: 999,
        }
    }

    /// What a follower answers.
    pub fn reply(&self) -> AppendReply {
        AppendReply { term: self.term, success: self.entries.len() < usize::MAX }
    }
}

/// The answer to [`Append`].
#[derive(Debug, Serialize, Deserialize)]
pub struct AppendReply {
    term: u64,
    success: bool,
}

impl Rpc for Append {
    const METHOD: &'static str = "Bench.Append";
    type Reply = AppendReply;
}

/// Values to bytes.
pub fn encodings(entries: usize, n: u64) -> Duration {
    let message = Append::of(entries);
    Clock::Thread.time(|| (0..n).for_each(|_| _ = black_box(labgob::to_bytes(black_box(&message)))))
}

/// Bytes to values.
pub fn decodings(entries: usize, n: u64) -> Duration {
    let bytes = labgob::to_bytes(&Append::of(entries));
    Clock::Thread.time(|| {
        for _ in 0..n {
            let message = labgob::from_bytes::<Append>(black_box(&bytes));
            black_box(message.expect("written by labgob"));
        }
    })
}
