//! A cluster of the Raft in this repository: how its cost grows, and what its log lines cost.

mod common;

use common::{criterion, measure};
use labbench::{
    cluster::{self, SavedLog},
    listener::{self, Listener},
};

fn main() {
    let mut c = criterion();
    for servers in [3, 5, 7, 9, 11, 13, 15] {
        measure(&mut c, &format!("cluster of {servers}: an idle second"), |n| {
            cluster::idle_seconds(servers, n)
        });
        measure(&mut c, &format!("cluster of {servers}: a command"), |n| {
            cluster::commands(servers, Listener::Nobody, n)
        });
    }
    for length in [0, 100, 1000, 10_000] {
        let saved = SavedLog::of(length);
        measure(&mut c, &format!("log of {length}: one more command"), |n| {
            cluster::commands_on_log(&saved, n)
        });
    }
    // Last, and nobody first: tracing remembers for each line that somebody has wanted it.
    for listener in [Listener::Nobody, Listener::Deaf, Listener::Reader] {
        measure(&mut c, &format!("tracing: a line, {listener:?}"), |n| {
            listener::lines(listener, n)
        });
        measure(&mut c, &format!("tracing: a command, 5 servers, {listener:?}"), |n| {
            cluster::commands(5, listener, n)
        });
    }
    c.final_summary();
}
