//! What operations cost, and whether snapshots stall them:
//! `cargo run --release -p kvraft --example figures`.
//!
//! In the simulation a snapshot takes no virtual time, however long it takes. So the second part is
//! also run on OS threads and the wall clock, where an operation that has to wait for one shows.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kvraft::{Clerk, KvServer};
use labrpc::{ClientEnd, Network};
use labrt::{
    node::Node,
    sim::{self, Config, Engine},
    thread::{self, JoinHandle},
    time::{Instant, sleep},
};
use raft::harness::Disk as _;
use raft::{Persister, SnapshotWrite};

const KEYS: usize = 100_000;

struct Cluster {
    network: Network,
    disks: Vec<Arc<Persister>>,
}

/// Raft state and snapshot.
type Saved = (Vec<u8>, Vec<u8>);

/// What a clerk does in its n-th operation.
type Work = fn(&mut Clerk, usize);

/// Three servers. If a saved state is given they start with it.
fn cluster(max_raft_state: Option<usize>, saved: Option<&Saved>) -> Cluster {
    let network = Network::new();
    let disks: Vec<_> = (0..3).map(|_| Arc::new(Persister::new())).collect();
    for (me, disk) in disks.iter().enumerate() {
        if let Some((state, snapshot)) = saved {
            disk.save(state.clone(), SnapshotWrite::Replace(snapshot.clone()));
        }
        let node = Node::new(&format!("S{me}"));
        let (ends, disk) = (ends(&network, &node), Arc::clone(disk));
        let server = node.run(|| KvServer::new(ends, me, disk, max_raft_state)).expect("alive");
        network.serve(&node, server.service());
    }
    Cluster { network, disks }
}

fn ends(network: &Network, from: &Node) -> Vec<ClientEnd> {
    (0..3).map(|server| network.end(from, &format!("S{server}"))).collect()
}

impl Cluster {
    fn clerk(&self, number: usize) -> Clerk {
        let node = Node::new(&format!("C{number}"));
        node.run(|| Clerk::new(ends(&self.network, &node))).expect("alive")
    }

    /// `clients` clerks with an equal part of `operations` each.
    fn run(&self, clients: usize, operations: usize, work: Work) {
        let tasks: Vec<JoinHandle<()>> = (0..clients)
            .map(|client| {
                let mut clerk = self.clerk(client);
                thread::spawn(move || {
                    for n in (client..operations).step_by(clients) {
                        work(&mut clerk, n);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.join().expect("not killed");
        }
    }
}

fn key(n: usize) -> String {
    format!("key{n:06}")
}

/// CPU time of the calling thread, which is that of the whole simulation in a simulation.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = Duration::from_secs(time.tv_sec.try_into().expect("not negative"));
    seconds + Duration::from_nanos(time.tv_nsec.try_into().expect("not negative"))
}

fn simulate<T: Send + 'static>(main: impl FnOnce() -> T + Send + 'static) -> T {
    sim::run(Config::with_seed(1), main).result.expect("no panic, no deadlock")
}

/// Virtual time, calls and CPU of an operation, and how large the log gets.
fn costs() {
    println!("three servers, reliable network, snapshots at 1000 bytes; for each operation:");
    println!("  clients  operation  virtual ms  calls  CPU us  largest log");
    for clients in [1, 5, 20] {
        let operations: [(&str, Work); 3] = [
            ("get", |clerk, n| drop(clerk.get(&key(n % 10)))),
            ("put", |clerk, n| clerk.put(&key(n % 10), "x 0 100 y")),
            ("append", |clerk, n| clerk.append(&key(n % 100), "x 0 100 y")),
        ];
        for (name, work) in operations {
            const OPERATIONS: u32 = 5000;
            let (virtual_time, calls, cpu, peak) = simulate(move || {
                let cluster = cluster(Some(1000), None);
                cluster.clerk(100).put("warm", "up");
                let peak = Arc::new(AtomicUsize::new(0));
                for disk in &cluster.disks {
                    let peak = Arc::clone(&peak);
                    disk.on_save(move |disk| {
                        peak.fetch_max(disk.raft_state_size(), Ordering::Relaxed);
                    });
                }
                let (begin, cpu) = (Instant::now(), cpu_time());
                let before = cluster.network.stats().requests;
                cluster.run(clients, OPERATIONS as usize, work);
                let calls = cluster.network.stats().requests - before;
                (
                    begin.elapsed(),
                    calls,
                    cpu_time().saturating_sub(cpu),
                    peak.load(Ordering::Relaxed),
                )
            });
            let virtual_time = virtual_time.as_secs_f64() * 1e3 / f64::from(OPERATIONS);
            let calls = f64::from(u32::try_from(calls).expect("few")) / f64::from(OPERATIONS);
            let cpu = cpu.as_secs_f64() * 1e6 / f64::from(OPERATIONS);
            println!(
                "  {clients:>7}  {name:<9}  {virtual_time:>10.2}  {calls:>5.2}  {cpu:>6.1}  {peak:>11}"
            );
        }
    }
}

/// What a server has on its disk when it holds all keys.
fn large_state() -> Saved {
    simulate(|| {
        let cluster = cluster(Some(1_000_000), None);
        cluster.run(100, KEYS, |clerk, n| clerk.put(&key(n), "a value of 24 characters"));
        // Until a snapshot has all of them.
        let mut clerk = cluster.clerk(100);
        let disk = Arc::clone(&cluster.disks[0]);
        let size = disk.snapshot_size();
        while disk.snapshot_size() <= size || disk.snapshot_size() < KEYS * 30 {
            clerk.put(&key(0), &"x".repeat(10_000));
        }
        clerk.put(&key(0), "small again");
        (disk.read_raft_state(), disk.read_snapshot())
    })
}

/// Percentiles of the latencies of single operations, in microseconds; and how many snapshots
/// were written.
fn latencies(engine: Engine, max_raft_state: Option<usize>, state: Saved) -> ([u128; 5], usize) {
    // Another seed than the state was made with, or the clerk would be one of those who made it.
    let config = Config { engine, ..Config::with_seed(2) };
    let outcome = sim::run(config, move || {
        let cluster = cluster(max_raft_state, Some(&state));
        let mut clerk = cluster.clerk(0);
        clerk.put("warm", "up");
        sleep(Duration::from_millis(300));
        let snapshots = Arc::new(AtomicUsize::new(0));
        for disk in &cluster.disks {
            let (snapshots, size) =
                (Arc::clone(&snapshots), AtomicUsize::new(disk.raft_state_size()));
            disk.on_save(move |disk| {
                // The log gets shorter by a snapshot only, in a healthy cluster.
                if disk.raft_state_size() < size.swap(disk.raft_state_size(), Ordering::Relaxed) {
                    snapshots.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut latencies: Vec<u128> = (0..3000)
            .map(|n| {
                let begin = Instant::now();
                clerk.append(&key(n * 33 % KEYS), "and more");
                begin.elapsed().as_micros()
            })
            .collect();
        latencies.sort_unstable();
        let at = |per_mille: usize| latencies[(latencies.len() - 1) * per_mille / 1000];
        ([500, 900, 990, 999, 1000].map(at), snapshots.load(Ordering::Relaxed))
    });
    outcome.result.expect("no panic, no deadlock")
}

fn stalls() {
    let state = large_state();
    let megabytes = Duration::from_micros(state.1.len() as u64).as_secs_f64();
    println!(
        "\n{KEYS} keys, a snapshot of {megabytes:.1} MB; latency of 3000 appends, microseconds:"
    );
    println!("  clock    snapshots  median   90 %   99 %  99.9 %    max");
    for (name, engine, rounds) in [("virtual", Engine::Simulated, 1), ("wall", Engine::Real, 5)] {
        // By turns, and the best of each counts: on the wall clock other programs are in the way.
        let limits = [None, Some(20_000)];
        let mut best = limits.map(|_| ([u128::MAX; 5], 0));
        for _ in 0..rounds {
            for (limit, best) in limits.iter().zip(&mut best) {
                let (found, snapshots) = latencies(engine, *limit, state.clone());
                best.1 = snapshots;
                best.0.iter_mut().zip(found).for_each(|(best, found)| *best = found.min(*best));
            }
        }
        for ([median, p90, p99, p999, max], snapshots) in best {
            println!(
                "  {name:<7}  {snapshots:>9}  {median:>6}  {p90:>5}  {p99:>5}  {p999:>6}  {max:>5}"
            );
        }
    }
}

/// The parts of a snapshot, on a map like the service's.
fn parts() {
    let mut map = rpds::RedBlackTreeMapSync::new_sync();
    for n in 0..KEYS {
        map.insert_mut(key(n), "a value of 24 characters".to_owned());
    }
    let time = |action: &mut dyn FnMut()| {
        let begin = cpu_time();
        action();
        cpu_time().saturating_sub(begin)
    };
    let writes = |map: &mut rpds::RedBlackTreeMapSync<String, String>| {
        for n in 0..1000 {
            map.insert_mut(key(n * 97 % KEYS), "another value".to_owned());
        }
    };
    let alone = time(&mut || writes(&mut map)) / 1000;
    let mut clone = None;
    let cloning = time(&mut || clone = Some(map.clone()));
    let shared = time(&mut || writes(&mut map)) / 1000;
    let pairs: Vec<_> = map.iter().collect();
    let encoding = time(&mut || drop(black_box(labgob::to_bytes(&pairs))));
    println!(
        "\nCPU time with {KEYS} keys: clone {cloning:.1?}, encode {encoding:.1?}; \
         one write {alone:.1?}, while a clone exists {shared:.1?}"
    );
    drop(clone);
}

fn main() {
    costs();
    stalls();
    parts();
}
