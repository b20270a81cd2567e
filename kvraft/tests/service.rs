//! The key/value service over many seeds: healthy, on bad networks, cut in two, and crashing.

mod common;

use raft::harness::Disk as _;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use common::{Cluster, History, millis, on_many_seeds, terrible, within};
use kvraft::KvServer;
use labrpc::Conditions;
use labrt::{
    sim::{self, Config, Engine},
    thread,
    time::{Duration, Instant, sleep},
};

type Kv = Cluster<KvServer>;

#[test]
fn a_clerk_finds_what_it_wrote() {
    on_many_seeds(|| {
        for servers in [1, 3, 5] {
            let cluster = Kv::of(servers, None);
            let mut clerk = cluster.clerk();
            assert_eq!(clerk.get("k"), "");
            clerk.append("k", "a");
            clerk.append("k", "b");
            assert_eq!(clerk.get("k"), "ab");
            clerk.put("k", "");
            assert_eq!(clerk.get("k"), "");
            clerk.put("k", "c");
            clerk.put("another", "d");
            assert_eq!(cluster.clerk().get("k"), "c");
            assert_eq!(cluster.clerk().get("another"), "d");
        }
    });
}

/// On a healthy cluster an operation takes two round trips and no heartbeat; the calls are the
/// clerk's one, and one to each follower.
#[test]
fn an_operation_costs_two_round_trips() {
    on_many_seeds(|| {
        let cluster = Kv::of(3, None);
        let mut clerk = cluster.clerk();
        clerk.put("k", "");
        let (begin, before) = (Instant::now(), cluster.network.stats().requests);
        for _ in 0..50 {
            within(millis(5), "an append", || clerk.append("k", "x"));
            within(millis(5), "a get", || clerk.get("k"));
        }
        let calls = cluster.network.stats().requests - before;
        assert!(calls <= 310, "{calls} calls for 100 operations");
        assert!(begin.elapsed() < millis(160), "100 operations took {:?}", begin.elapsed());
    });
}

#[test]
fn many_clerks_share_a_key() {
    on_many_seeds(|| {
        let cluster = Kv::of(5, None);
        let history = History::of("shared");
        let load = (0..5).map(|_| history.load(cluster.clerk())).collect();
        sleep(millis(800));
        history.stop(load);
        assert!(history.len() > 50, "only {} operations", history.len());
        history.expect_linearizable(&mut cluster.clerk());
        for disk in &cluster.disks {
            assert_eq!(disk.snapshot_size(), 0, "a snapshot, though there were to be none");
        }
    });
}

#[test]
fn a_bad_network_repeats_nothing() {
    on_many_seeds(|| {
        let cluster = Kv::of(3, Some(1000));
        cluster.expect_leader();
        cluster.network.set_conditions(terrible());
        let history = History::of("shared");
        let load = (0..4).map(|_| history.load(cluster.clerk())).collect();
        sleep(millis(2000));
        history.stop(load);
        cluster.network.set_conditions(Conditions::reliable());
        assert!(history.len() > 40, "only {} operations", history.len());
        sleep(millis(6000)); // all that is late arrives
        history.expect_linearizable(&mut cluster.clerk());
    });
}

/// Two replies of three are seconds late, so that most operations are repeated elsewhere or after
/// they were executed.
#[test]
fn late_replies_repeat_nothing() {
    on_many_seeds(|| {
        let cluster = Kv::of(3, Some(1000));
        cluster.expect_leader();
        cluster.network.set_conditions(terrible().with_long_reordering());
        let history = History::of("shared");
        let load = (0..3).map(|_| history.load(cluster.clerk())).collect();
        sleep(millis(5000));
        history.stop(load);
        cluster.network.set_conditions(Conditions::reliable());
        history.expect_linearizable(&mut cluster.clerk());
    });
}

/// The leader is cut off with a clerk that knows nobody else. Nothing is done there; what was asked
/// for is done after the healing, though nobody else does anything by then.
#[test]
fn a_minority_waits_and_then_goes_on() {
    on_many_seeds(|| {
        let cluster = Kv::of(5, None);
        cluster.clerk().put("k", "old ");
        let old = cluster.expect_leader();
        let companion = (old + 1) % 5;
        let majority: Vec<usize> =
            cluster.all().into_iter().filter(|&s| s != old && s != companion).collect();
        cluster.partition(&[old, companion]);

        let done = Arc::new(AtomicUsize::new(0));
        let (reader, mut reading) = cluster.clerk_cut_off_from(&majority);
        let (writer, mut writing) = cluster.clerk_cut_off_from(&majority);
        let (read, written) = (Arc::clone(&done), Arc::clone(&done));
        let reading = thread::spawn(move || {
            let value = reading.get("k");
            read.fetch_add(1, Ordering::Relaxed);
            value
        });
        let writing = thread::spawn(move || {
            writing.append("k", "minority ");
            written.fetch_add(1, Ordering::Relaxed);
        });

        let mut clerk = cluster.clerk_to(&majority);
        within(millis(5000), "an append by the majority", || clerk.append("k", "majority "));
        assert_eq!(clerk.get("k"), "old majority ");
        sleep(millis(3000));
        assert_eq!(done.load(Ordering::Relaxed), 0, "a minority did something");
        let log = cluster.server(old).raft().view().expect("this Raft has views");
        let uncommitted = log.last().index.0 - log.commit_index.0;
        assert_eq!(uncommitted, 2, "each of the two operations is in the log once");

        cluster.heal();
        cluster.connect_client(&reader);
        cluster.connect_client(&writer);
        let value = within(millis(2000), "the operations after the healing", || {
            writing.join().expect("not killed");
            reading.join().expect("not killed")
        });
        assert!(value.starts_with("old majority "), "a stale read: {value}");
        assert_eq!(clerk.get("k"), "old majority minority ");
    });
}

/// A leader that sleeps while another one is elected answers no read from what it remembers.
#[test]
fn a_leader_that_slept_reads_nothing_stale() {
    on_many_seeds(|| {
        let cluster = Kv::of(3, None);
        let mut pinned = cluster.clerk();
        pinned.put("k", "old");
        let sleeper = cluster.expect_leader();
        let mut reader = cluster.clerk_to(&[sleeper, (sleeper + 1) % 3, (sleeper + 2) % 3]);
        cluster.node(sleeper).pause();
        let reading = thread::spawn(move || {
            sleep(millis(3000));
            reader.get("k")
        });
        within(millis(5000), "a put elsewhere", || {
            cluster.clerk_to(&cluster.all_but(sleeper)).put("k", "new");
        });
        sleep(millis(3000));
        cluster.node(sleeper).resume();
        let value = within(millis(2000), "the read", || reading.join().expect("not killed"));
        assert_eq!(value, "new");
    });
}

#[test]
fn partitions_under_load_lose_nothing() {
    on_many_seeds(|| {
        let cluster = Kv::of(5, Some(1000));
        let history = History::of("shared");
        let load: Vec<_> = (0..4).map(|_| history.load(cluster.clerk())).collect();
        for round in 0..6 {
            sleep(millis(900));
            let leader = cluster.expect_leader();
            match round % 3 {
                0 => cluster.partition(&[leader]),
                1 => cluster.partition(&[leader, (leader + 1 + round % 4) % 5]),
                _ => cluster.heal(),
            }
        }
        cluster.heal();
        within(millis(3000), "the operations under way", || history.stop(load));
        within(millis(3000), "a read", || history.expect_linearizable(&mut cluster.clerk()));
    });
}

#[test]
fn crashes_of_single_servers_under_load_lose_nothing() {
    on_many_seeds(|| {
        let mut cluster = Kv::of(3, Some(1000));
        let history = History::of("shared");
        let load: Vec<_> = (0..4).map(|_| history.load(cluster.clerk())).collect();
        for round in 0..6 {
            sleep(millis(100 + round * 37));
            let leader = cluster.expect_leader();
            let victim = if round % 2 == 0 { leader } else { (leader + 1) % 3 };
            cluster.crash(victim);
            if round % 3 > 0 {
                sleep(millis(1200));
            }
            cluster.start(victim);
        }
        within(millis(4000), "the operations under way", || history.stop(load));
        assert!(history.len() > 50, "only {} operations", history.len());
        history.expect_linearizable(&mut cluster.clerk());
    });
}

#[test]
fn a_crash_of_all_under_load_loses_nothing() {
    on_many_seeds(|| {
        for limit in [None, Some(1000)] {
            let mut cluster = Kv::of(3, limit);
            let history = History::of("shared");
            let load: Vec<_> = (0..4).map(|_| history.load(cluster.clerk())).collect();
            for _ in 0..3 {
                sleep(millis(1000));
                for server in 0..3 {
                    cluster.crash(server);
                }
                sleep(millis(200));
                for server in 0..3 {
                    cluster.start(server);
                }
            }
            within(millis(4000), "the operations under way", || history.stop(load));
            history.expect_linearizable(&mut cluster.clerk());
        }
    });
}

#[test]
fn everything_at_once_loses_nothing() {
    on_many_seeds(everything_at_once);
}

fn everything_at_once() {
    let mut cluster = Kv::of(5, Some(1000));
    cluster.network.set_conditions(terrible());
    let history = History::of("shared");
    let load: Vec<_> = (0..5).map(|_| history.load(cluster.clerk())).collect();
    for round in 0..6 {
        sleep(millis(700));
        let leader = cluster.leader_among(&cluster.all());
        let victim = leader.filter(|_| round % 2 == 0).unwrap_or(round * 3 % 5);
        cluster.partition(&[round % 5, (round + 2) % 5]);
        cluster.crash(victim);
        sleep(millis(50 * round as u64));
        cluster.start(victim);
        if round % 3 == 2 {
            cluster.heal();
        }
    }
    cluster.heal();
    cluster.network.set_conditions(Conditions::reliable());
    within(millis(4000), "the operations under way", || history.stop(load));
    history.expect_linearizable(&mut cluster.clerk());
}

/// A server that was away for so long that the others have forgotten what it lacks can still take
/// over all that they know.
#[test]
fn a_server_that_missed_much_gets_a_snapshot() {
    on_many_seeds(|| {
        let mut cluster = Kv::of(3, Some(1000));
        let mut clerk = cluster.clerk();
        clerk.put("a", "A");
        let behind = (cluster.expect_leader() + 1) % 3;
        cluster.partition(&[behind]);
        for n in 0..60 {
            clerk.put(&n.to_string(), &n.to_string());
        }
        cluster.heal();
        sleep(millis(1500));
        let view = cluster.server(behind).raft().view().expect("this Raft has views");
        assert!(view.last_included.index.0 > 1, "no snapshot came: {view:?}");

        // Now it is needed, and knows all: also what was done by whom.
        let other = cluster.all_but(behind)[cluster.all_but(behind).len() - 1];
        cluster.crash(other);
        clerk.put("c", "C");
        for (key, value) in [("a", "A"), ("c", "C"), ("0", "0"), ("49", "49"), ("59", "59")] {
            assert_eq!(clerk.get(key), value);
        }
    });
}

/// The log stays near the limit at every moment, with few clients and with many.
#[test]
fn the_log_stays_near_its_limit() {
    on_many_seeds(|| {
        for clients in [1, 20] {
            let peak = Arc::new(AtomicUsize::new(0));
            let cluster = Kv::of(3, Some(1000));
            for disk in &cluster.disks {
                let peak = Arc::clone(&peak);
                disk.on_save(move |disk| {
                    peak.fetch_max(disk.raft_state_size(), Ordering::Relaxed);
                });
            }
            let load: Vec<_> = (0..clients)
                .map(|client| {
                    let mut clerk = cluster.clerk();
                    thread::spawn(move || {
                        for n in 0..40 {
                            clerk.put(&client.to_string(), &n.to_string());
                        }
                    })
                })
                .collect();
            for client in load {
                client.join().expect("not killed");
            }
            let (peak, limit) =
                (peak.load(Ordering::Relaxed), if clients == 1 { 1000 } else { 2500 });
            assert!(peak <= limit, "{clients} clients: the log had {peak} bytes");
        }
    });
}

/// A killed server answers at once, and does not hang.
#[test]
fn a_killed_server_sends_its_clients_away() {
    on_many_seeds(|| {
        let cluster = Kv::of(3, None);
        let mut clerk = cluster.clerk();
        clerk.put("k", "v");
        let killed = cluster.expect_leader();
        cluster.server(killed).kill(); // but it stays on the network
        assert_eq!(within(millis(3000), "a get", || clerk.get("k")), "v");
        assert!(!cluster.server(killed).raft().get_state().1);
    });
}

/// The same code on OS threads and the wall clock. Bounds are wide: the machine may be busy.
#[test]
fn it_works_in_real_time_too() {
    let config = Config {
        engine: Engine::Real,
        time_limit: Some(Duration::from_mins(2)),
        ..Config::with_seed(7)
    };
    let outcome = sim::run(config, || {
        let mut cluster = Kv::of(3, Some(1000));
        let history = History::of("shared");
        let load: Vec<_> = (0..3).map(|_| history.load(cluster.clerk())).collect();
        sleep(millis(1500));
        let leader = cluster.expect_leader();
        cluster.crash(leader);
        sleep(millis(100));
        cluster.start(leader);
        sleep(millis(1000));
        within(Duration::from_secs(30), "the operations under way", || history.stop(load));
        history.expect_linearizable(&mut cluster.clerk());
    });
    outcome.result.expect("no panic, no deadlock");
}

/// Nothing in the service depends on anything but the seed.
#[test]
fn one_seed_is_one_run() {
    for seed in 0..3 {
        if let Err(difference) =
            sim::check_determinism(&Config::with_seed(seed), everything_at_once)
        {
            panic!("seed {seed}: {difference:?}");
        }
    }
}
