//! How much CPU a call costs in the simulation: `cargo run --release -p labrpc --example rpc_rate`.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::time::Instant;

use labrpc::{ClientEnd, Conditions, Network, Rpc, Service};
use labrt::{
    node::Node,
    sim::{self, Config, Preempt},
};
use serde::{Deserialize, Serialize};

/// As small as a heartbeat.
#[derive(Serialize, Deserialize)]
struct Ping {
    term: u64,
    leader: usize,
}

impl Rpc for Ping {
    const METHOD: &'static str = "Bench.Ping";
    type Reply = (u64, bool);
}

const NODES: usize = 7;
const CLIENTS: usize = 10;

fn cluster(conditions: Conditions) -> (Network, Vec<Node>) {
    let network = Network::new();
    network.set_conditions(conditions);
    let nodes: Vec<_> = (0..NODES).map(|n| Node::new(&format!("S{n}"))).collect();
    for node in &nodes {
        network.serve(node, Service::new().on(|Ping { term, leader }| (term, leader > 0)));
    }
    (network, nodes)
}

fn call_often(end: &ClientEnd, calls: usize) {
    for term in 0..calls as u64 {
        let _ = end.call(&Ping { term, leader: 3 });
    }
}

/// Ten tasks on each of seven nodes, each calling the next node all the time.
fn concurrent(conditions: Conditions, calls: usize) {
    let (network, nodes) = cluster(conditions);
    let clients: Vec<_> = (0..NODES * CLIENTS)
        .map(|c| {
            let end = network.end(&nodes[c % NODES], &format!("S{}", (c + 1) % NODES));
            nodes[c % NODES].spawn(move || call_often(&end, calls / (NODES * CLIENTS)))
        })
        .collect();
    for client in clients {
        client.join().expect("nobody is killed");
    }
}

/// One task, one call after the other.
fn sequential(calls: usize) {
    let (network, nodes) = cluster(Conditions::reliable());
    call_often(&network.end(&nodes[0], "S1"), calls);
}

fn measure(what: &str, preempt: f64, calls: usize, story: impl Fn(usize) + Copy + Send + 'static) {
    let best = (0..5)
        .map(|seed| {
            let config =
                Config { preempt: Preempt::Probability(preempt), ..Config::with_seed(seed) };
            #[expect(clippy::disallowed_methods, reason = "measures the simulation from outside")]
            let start = Instant::now();
            sim::run(config, move || story(calls)).result.expect("all calls end");
            start.elapsed()
        })
        .min()
        .expect("it ran five times");
    let each = best.as_secs_f64() / f64::from(u32::try_from(calls).expect("a few million"));
    println!("{what:<40} {:6.3} us per call, {:9.0} calls per second", each * 1e6, 1.0 / each);
}

fn main() {
    let calls = 210_000;
    measure("70 tasks on 7 nodes", 0.0, calls, |n| concurrent(Conditions::reliable(), n));
    measure("the same, preempted in 10 %", 0.1, calls, |n| concurrent(Conditions::reliable(), n));
    measure("the same, unreliable network", 0.0, calls, |n| {
        concurrent(Conditions::unreliable(), n);
    });
    measure("one task, one call after the other", 0.0, calls, sequential);
}
