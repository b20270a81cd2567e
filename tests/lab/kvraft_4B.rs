//! Part 4B: the service with snapshots (Raft 7, 8).

use std::time::Duration;

use labsystem::lab;
use labtester::KvCluster;
use labtester::kv::Campaign;
use raftapi::ServerId;

/// Bytes that the saved Raft state is to be kept within, as in the original.
const LIMIT: Option<usize> = Some(1000);

/// A server that was away is brought back by a snapshot, and knows all that is in it: also when it
/// leads, and also whom it must not serve twice.
#[test]
fn snapshot_rpc() {
    lab("4B", "InstallSnapshot RPC", 5).kv(LIMIT).run_kv(|kv| {
        let [s0, s1, s2] = [0, 1, 2].map(ServerId);
        let mut early = kv.client();
        early.put("a", "A");
        early.expect("a", "A");

        // Far more than anybody keeps in its log.
        kv.partition(|server| usize::from(server == s2));
        let mut client = kv.client_of(&[s0, s1]).with_promise(WITH_AN_ELECTION);
        let value = |i: u32| format!("{i} {:.<100}", "");
        for i in 0..50 {
            client.put(&i.to_string(), &value(i));
        }
        kv.sleep(Duration::from_secs(1));
        client.put("b", "B");

        // Now S2 is needed for a majority, and can only be served by a snapshot.
        kv.partition(|server| usize::from(server == s1));
        let mut client = kv.client_of(&[s0, s2]).with_promise(WITH_AN_ELECTION);
        client.put("c", "C");
        client.put("d", "D");
        for (key, value) in [("a", "A"), ("b", "B"), ("1", &value(1)), ("49", &value(49))] {
            client.expect(key, value);
        }
        kv.expect_snapshot_on(s2, "it missed more than the others keep in their logs");

        // S1 lacks `c` and `d`, so S2 has to lead (Raft 5.4.1).
        kv.partition(|server| usize::from(server == s0));
        let mut client = kv.client_of(&[s1, s2]).with_promise(WITH_AN_ELECTION);
        let all = [("a", "A"), ("b", "B"), ("c", "C"), ("d", "D"), ("1", &value(1))];
        for (key, value) in all {
            client.expect(key, value);
        }

        kv.heal();
        kv.settle();
        early.put("e", "E");
        for (key, value) in [("c", "C"), ("e", "E"), ("1", &value(1)), ("49", &value(49))] {
            early.expect(key, value);
        }
    });
}

/// A majority has to be found, and a leader that may have been deposed.
const WITH_AN_ELECTION: Duration = Duration::from_secs(5);

/// A snapshot holds what is needed, and no history of it.
#[test]
fn snapshot_size() {
    const ROUNDS: u64 = 200;
    lab("4B", "snapshot size is reasonable", 4).kv(LIMIT).run_kv(|kv| {
        let mut client = kv.expect_prompt_answers();
        for _ in 0..ROUNDS {
            for value in ["0", "1"] {
                client.put("x", value);
                client.expect("x", value);
            }
        }
        kv.sleep(Duration::from_secs(1));
        let leader = kv.expect_one_leader();
        kv.expect_snapshot_on(leader, "the log of 800 operations does not fit in 1000 bytes");
        kv.expect_state_within(
            4 * LIMIT.unwrap_or_default(),
            "with one client and no faults it can be kept near its limit of 1000 bytes",
        );
        kv.expect_snapshots_within(500, "a key, its value, and what is known of two clients");
        kv.expect_snapshots_at_most(
            ROUNDS * 2,
            "one for two operations would be many: it is taken when the Raft state nears its limit",
        );
    });
}

/// Snapshots are in nobody's way.
#[test]
fn speed() {
    lab("4B", "ops complete fast enough", 4).kv(LIMIT).run_kv(|kv| kv.expect_speed(1000));
}

/// A server comes back from a snapshot and the log after it.
#[test]
fn snapshot_recover() {
    lab("4B", "restarts, snapshots, one client", 4).servers(5).kv(LIMIT).run_kv(|kv| {
        Campaign::of(1).own_keys().crashes().run(kv);
        expect_snapshots(kv);
    });
}

/// Also when twenty clients are at work.
#[test]
fn snapshot_recover_many_clients() {
    lab("4B", "restarts, snapshots, many clients", 5).servers(5).kv(LIMIT).run_kv(|kv| {
        Campaign::of(20).crashes().run(kv);
        expect_snapshots(kv);
    });
}

/// Snapshots on a network that loses, delays and repeats messages.
#[test]
fn snapshot_unreliable() {
    lab("4B", "unreliable net, snapshots, many clients", 4)
        .servers(5)
        .unreliable()
        .kv(LIMIT)
        .run_kv(|kv| {
            Campaign::of(5).run(kv);
            expect_snapshots(kv);
        });
}

/// And crashes: a retry may meet a server that has the operation in its snapshot.
#[test]
fn snapshot_unreliable_recover() {
    lab("4B", "unreliable net, restarts, snapshots, many clients", 5)
        .servers(5)
        .unreliable()
        .kv(LIMIT)
        .run_kv(|kv| {
            Campaign::of(5).crashes().run(kv);
            expect_snapshots(kv);
        });
}

/// And partitions.
#[test]
fn snapshot_unreliable_recover_concurrent_partition() {
    lab("4B", "unreliable net, restarts, partitions, snapshots", 5)
        .servers(5)
        .unreliable()
        .kv(LIMIT)
        .run_kv(|kv| {
            Campaign::of(5).crashes().partitions().run(kv);
            expect_snapshots(kv);
        });
}

/// All of it, with more servers and more clients.
#[test]
fn snapshot_unreliable_recover_concurrent_partition_linearizable() {
    lab("4B", "the same, 15 clients and 7 servers", 7).servers(7).unreliable().kv(LIMIT).run_kv(
        |kv| {
            Campaign::of(15).crashes().partitions().run(kv);
            expect_snapshots(kv);
        },
    );
}

/// Every server has taken or been given one: the log alone would be many times its limit.
fn expect_snapshots(kv: &KvCluster) {
    for server in kv.servers() {
        kv.expect_snapshot_on(server, "all that was done is far more than fits in the log");
    }
}
