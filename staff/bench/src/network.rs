//! What calls cost. Each function gives the time of `n` round trips on a network without hardships.

use std::time::Duration;

use labrpc::{ClientEnd, Conditions, DelayRange, Network, Rpc, Service};
use labrt::{node::Node, thread};

use crate::{
    On,
    message::{Append, Ping},
    runtime::share,
};

const NODES: usize = 7;
const TASKS: usize = 70;

fn service() -> Service {
    Service::new().on(|Ping| ()).on(|append: Append| append.reply())
}

fn cluster() -> (Network, Vec<Node>) {
    let network = Network::new();
    // On the wall clock, waiting would be all that there is to see.
    if !labrt::sim::active() {
        network.set_conditions(Conditions { delay: DelayRange::NONE, ..Conditions::reliable() });
    }
    let nodes: Vec<_> = (0..NODES).map(|n| Node::new(&format!("S{n}"))).collect();
    for node in &nodes {
        network.serve(node, service());
    }
    (network, nodes)
}

fn call<R: Rpc>(end: &ClientEnd, request: &R, n: u64) {
    for _ in 0..n {
        assert!(end.call(request).is_ok(), "nothing is lost");
    }
}

/// One task, one call after the other.
pub fn calls<R: Rpc + Sync>(on: On, request: R, n: u64) -> Duration {
    on.run(move || {
        let (network, nodes) = cluster();
        let end = network.end(&nodes[0], "S1");
        on.clock().time(|| call(&end, &request, n))
    })
}

/// Seventy tasks on seven nodes, each calling the next node all the time with so many entries.
pub fn concurrent_calls(on: On, entries: usize, n: u64) -> Duration {
    on.run(move || {
        let (network, nodes) = cluster();
        let each = n.div_ceil(TASKS as u64);
        let time = on.clock().time(|| {
            let clients: Vec<thread::JoinHandle<()>> = (0..TASKS)
                .map(|task| {
                    let node = &nodes[task % NODES];
                    let end = network.end(node, &format!("S{}", (task + 1) % NODES));
                    node.spawn(move || call(&end, &Append::of(entries), each))
                })
                .collect();
            for client in clients {
                assert!(client.join().is_ok(), "no task is killed");
            }
        });
        share(time, n, each * TASKS as u64)
    })
}
