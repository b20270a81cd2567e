//! Throughput and latency against the number of commands that are started together.
//!
//! A leader that has entries on the way to a follower lets further commands wait for the answer,
//! and sends them together (raft/src/replication.rs). So the more commands there are at a time, the
//! fewer messages each of them costs.

use std::{fmt::Write as _, sync::atomic::Ordering::Relaxed, time::Duration};

use labbench::Clock;
use labrt::{
    sim::{self, Config},
    time::sleep,
};

use crate::{
    File,
    cluster::{Cluster, command},
    plot::{Line, Plot},
};

/// Commands that are started together; the next ones when the last of these is applied.
const SIZES: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/// So many commands are measured for each size, at least.
const COMMANDS: u64 = 2000;

struct Measured {
    size: u64,
    /// Virtual time from `start` to the moment in which the leader has applied it, on average.
    latency: Duration,
    /// Commands in a virtual second.
    throughput: f64,
    requests: f64,
    /// Bytes on the network for a command of 19 bytes.
    bytes: f64,
    /// CPU time for a command, on three servers together; of this machine.
    cpu: Duration,
}

pub(crate) fn run() -> Vec<File> {
    let all: Vec<Measured> = SIZES.into_iter().map(measure).collect();
    let mut table = String::new();
    let mut cpu = format!("On {}:\n\n", labbench::machine::name());
    cpu.push_str("| batch | µs of CPU per command |\n| ---: | ---: |\n");
    for m in &all {
        let _ = writeln!(
            table,
            "| {} | {:.2} | {:.0} | {:.2} | {:.0} |",
            m.size,
            m.latency.as_secs_f64() * 1e3,
            m.throughput,
            m.requests,
            m.bytes
        );
        let _ = writeln!(cpu, "| {} | {:.0} |", m.size, m.cpu.as_secs_f64() * 1e6);
    }
    vec![("batches.svg", plot(&all)), ("batches.md", table), ("batches-cpu.md", cpu)]
}

fn measure(size: u64) -> Measured {
    let story = move || {
        let mut cluster = Cluster::new(true);
        (0..3).for_each(|server| cluster.start(server));
        let leader = cluster.leader();
        let me = (0..3).find(|server| {
            leader.view().is_some_and(|view| view.voted_for == Some(raft::ServerId(*server)))
        });
        let me = me.expect("a leader has voted for itself");
        sleep(Duration::from_secs(1));

        let rounds = COMMANDS.div_ceil(size);
        let (before, began) = (cluster.network.stats(), sim::elapsed());
        let mut waited = Duration::ZERO;
        let mut next = 0;
        let cpu = Clock::Thread.time(|| {
            for _ in 0..rounds {
                let started = sim::elapsed();
                for _ in 0..size {
                    next += 1;
                    leader.start(command(next)).expect("nothing disturbs this leader");
                }
                cluster.wait(me, next);
                waited += sim::elapsed().saturating_sub(started);
            }
        });
        assert_eq!(cluster.progress(me).executed.load(Relaxed), next, "each one once");
        let took = sim::elapsed().saturating_sub(began);
        let spent = cluster.network.stats();
        #[expect(clippy::cast_precision_loss, reason = "thousands of messages, millions of bytes")]
        let each = |total: u64| total as f64 / next as f64;
        Measured {
            size,
            latency: waited / u32::try_from(rounds).expect("a few thousand rounds"),
            throughput: 1.0 / (each(1) * took.as_secs_f64()),
            requests: each(spent.requests - before.requests),
            bytes: each(spent.bytes - before.bytes),
            cpu: cpu / u32::try_from(next).expect("a few thousand commands"),
        }
    };
    sim::run(Config::with_seed(1), story).result.expect("a cluster without faults works")
}

/// Requests for each command: where batching saves.
fn plot(all: &[Measured]) -> String {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let points = all.iter().map(|m| (m.size as f64, m.requests)).collect();
    Plot {
        x_title: "commands started together / 同时提交的命令数",
        y_title: "RPCs per command / 每条命令的 RPC 数",
        x: (1.0, 1000.0),
        y: (0.0, 2.5),
        lines: vec![Line { label: "3 servers".into(), points }],
    }
    .svg()
}
