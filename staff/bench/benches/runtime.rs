//! The operations of labrt in the simulation, on both backends.

mod common;

use common::{criterion, measure};
use labbench::{On, runtime};

fn main() {
    let mut c = criterion();
    for on in [On::Coroutines, On::Baton] {
        let mut measure = |what: &str, time_of: &dyn Fn(u64) -> std::time::Duration| {
            measure(&mut c, &format!("{on:?}: {what}"), time_of);
        };
        measure("switch, 2 tasks", &|n| runtime::switches(on, 2, n));
        measure("switch, 70 tasks", &|n| runtime::switches(on, 70, n));
        measure("spawn and join", &|n| runtime::spawns(on, n));
        measure("sleep", &|n| runtime::sleeps(on, n));
        measure("lock and unlock, uncontended", &|n| runtime::locks(on, n));
        measure("message to oneself", &|n| runtime::messages(on, n));
        measure("channel round trip", &|n| runtime::channel_round_trips(on, n));
        measure("condvar round trip", &|n| runtime::condvar_round_trips(on, n));
    }
    c.final_summary();
}
