//! What a server's return costs, against the length of the log, with and without snapshots.
//!
//! Time in a simulation passes for messages only, so what grows with the log is counted: bytes read
//! from the disk or sent over the network, and commands executed again.

use std::{fmt::Write as _, sync::atomic::Ordering::Relaxed, time::Duration};

use labbench::Clock;
use labrt::{
    sim::{self, Config},
    time::sleep,
};

use crate::{
    File,
    cluster::{Cluster, command},
};

const LENGTHS: [u64; 4] = [500, 5_500, 20_500, 50_500];

struct Measured {
    /// Bytes that a server which restarts reads from its disk.
    disk: usize,
    /// Commands that it executes again.
    executed: u64,
    /// Bytes that a server with an empty disk is sent.
    network: u64,
    /// CPU time from the restart until it is where it was; of this machine.
    cpu: Duration,
}

pub(crate) fn run() -> Vec<File> {
    let mut table = String::new();
    let mut cpu = format!("On {}:\n\n", labbench::machine::name());
    cpu.push_str("| log | log alone, ms of CPU | with snapshots |\n| ---: | ---: | ---: |\n");
    for length in LENGTHS {
        let [without, with] = [false, true].map(|snapshots| measure(length, snapshots));
        let _ = writeln!(
            table,
            "| {length} | {} | {} | {} | {} | {} | {} |",
            without.disk, with.disk, without.executed, with.executed, without.network, with.network
        );
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let _ = writeln!(cpu, "| {length} | {:.1} | {:.1} |", ms(without.cpu), ms(with.cpu));
    }
    vec![("recovery.md", table), ("recovery-cpu.md", cpu)]
}

fn measure(length: u64, snapshots: bool) -> Measured {
    const BATCH: u64 = 500;
    let story = move || {
        let mut cluster = Cluster::new(snapshots);
        cluster.start(0);
        cluster.start(1);
        let leader = cluster.leader().clone();
        let started = std::iter::from_fn({
            let mut next = 0;
            move || {
                next += 1;
                (next <= length).then(|| leader.start(command(next)).expect("it leads"))
            }
        });
        for id in started {
            if id.index.0 % BATCH == 0 {
                cluster.wait(0, id.index.0);
                cluster.wait(1, id.index.0);
            }
        }
        sleep(Duration::from_secs(1));

        let before = cluster.network.stats().bytes;
        cluster.start(2);
        cluster.wait(2, length);
        let network = cluster.network.stats().bytes - before;
        sleep(Duration::from_secs(1));

        let disk = cluster.disk(2).raft_state_size() + cluster.disk(2).snapshot_size();
        let cpu = Clock::Thread.time(|| {
            cluster.restart(2);
            cluster.wait(2, length);
        });
        let executed = cluster.progress(2).executed.load(Relaxed);
        Measured { disk, executed, network, cpu }
    };
    sim::run(Config::with_seed(1), story).result.expect("a cluster without faults works")
}
