//! The tester, tested: what it prints, what it reads, which histories it lets pass.

mod failing;
mod histories;
mod logs;
mod replays;
mod reports;
mod settings;
mod views;

use std::time::Duration;

use raftapi::{EntryId, LogIndex, ServerId, Term};

const S0: ServerId = ServerId(0);
const S1: ServerId = ServerId(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn id(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: LogIndex(index) }
}
