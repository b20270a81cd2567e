//! Calls in the simulation, and the encoding of what they carry.

mod common;

use common::{criterion, measure};
use labbench::{
    On,
    message::{self, Append, Ping},
    network,
};

fn main() {
    let mut c = criterion();
    measure(&mut c, "RPC: no payload", |n| network::calls(On::Coroutines, Ping, n));
    for entries in [0, 1, 10, 100] {
        measure(&mut c, &format!("RPC: AppendEntries, {entries} entries"), |n| {
            network::calls(On::Coroutines, Append::of(entries), n)
        });
    }
    measure(&mut c, "RPC: AppendEntries, 0 entries, 70 tasks", |n| {
        network::concurrent_calls(On::Coroutines, 0, n)
    });
    for entries in [0, 1, 10, 100] {
        measure(&mut c, &format!("labgob: encode {entries} entries"), |n| {
            message::encodings(entries, n)
        });
        measure(&mut c, &format!("labgob: decode {entries} entries"), |n| {
            message::decodings(entries, n)
        });
    }
    c.final_summary();
}
