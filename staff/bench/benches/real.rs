//! The real engine beside what it is made of: the difference is what labrt's names cost there.

mod common;

use std::time::Duration;

use common::{criterion, measure};
use labbench::{On, message::Ping, network, raw, runtime};

fn main() {
    let mut c = criterion();
    let mut pair = |what: &str, on: fn(On, u64) -> Duration, raw: fn(u64) -> Duration| {
        measure(&mut c, &format!("{what}: raw"), raw);
        measure(&mut c, &format!("{what}: labrt"), |n| on(On::Real, n));
    };
    pair("lock and unlock, uncontended", runtime::locks, raw::locks);
    pair("message to oneself", runtime::messages, raw::messages);
    pair("channel round trip", runtime::channel_round_trips, raw::channel_round_trips);
    pair("condvar round trip", runtime::condvar_round_trips, raw::condvar_round_trips);
    pair("spawn and join", runtime::spawns, raw::spawns);
    measure(&mut c, "RPC round trip, no payload, no delay: labrt", |n| {
        network::calls(On::Real, Ping, n)
    });
    c.final_summary();
}
