//! Part 4A: a key/value service on Raft, without snapshots (Raft 8).

use std::time::Duration;

use labrt::time::Instant;
use labsystem::lab;
use labtester::KvCluster;
use labtester::kv::Campaign;
use raftapi::ServerId;

/// A client reads what it wrote.
#[test]
fn basic() {
    lab("4A", "one client", 3).servers(5).kv(None).run_kv(|kv| {
        Campaign::of(1).own_keys().run(kv);
    });
}

/// An operation waits for a majority, and for nothing else.
#[test]
fn speed() {
    lab("4A", "ops complete fast enough", 4).kv(None).run_kv(|kv| {
        kv.expect_speed(1000);
        kv.expect_speed_of_a_leader_that_stutters(300);
    });
}

/// Many clients at once seem to work one at a time: the service is linearizable (Raft 8).
#[test]
fn concurrent() {
    lab("4A", "many clients", 3).servers(5).kv(None).run_kv(|kv| {
        Campaign::of(5).run(kv);
        kv.expect_progress_after_abandoned_requests();
    });
}

/// A client repeats what may have been lost, and still it is done once.
#[test]
fn unreliable() {
    lab("4A", "unreliable net, many clients", 4).servers(5).unreliable().kv(None).run_kv(|kv| {
        Campaign::of(5).run(kv);
        kv.expect_losses();
    });
}

/// The same with a single key, which all clients append to as fast as they can.
#[test]
fn unreliable_one_key() {
    const CLIENTS: usize = 5;
    const APPENDS: usize = 10;
    lab("4A", "concurrent append to same key, unreliable", 4).unreliable().kv(None).run_kv(|kv| {
        let mut reader = kv.client();
        reader.put("k", "");
        let pieces = |n: usize| (0..APPENDS).map(move |j| format!("C{n}.{j} "));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                kv.client().begin(move |client| {
                    pieces(n).for_each(|piece| client.append("k", &piece));
                })
            })
            .collect();
        for client in clients {
            client.wait();
        }
        let value = reader.get("k");
        for n in 0..CLIENTS {
            kv.expect_once_and_in_order(&value, pieces(n));
        }
        kv.expect_losses();
    });
}

/// A minority does nothing, a majority goes on; when they meet again, whoever waited is served.
#[test]
fn one_partition() {
    lab("4A", "progress in majority; completion after heal", 4).servers(5).kv(None).run_kv(|kv| {
        kv.client().put("1", "13");
        let old = kv.expect_settled_leader();
        let minority = [old, kv.after(old, 2)];
        let majority: Vec<ServerId> = kv.servers().filter(|s| !minority.contains(s)).collect();
        kv.partition(|server| usize::from(minority.contains(&server)));

        let mut client = kv.client_of(&majority).with_promise(WITH_AN_ELECTION);
        client.put("1", "14");
        client.expect("1", "14");

        let put = kv.client_of(&minority).begin(|client| client.put("1", "15"));
        let get = kv.client_of(&minority).begin(|client| client.get("1"));
        kv.sleep(Duration::from_secs(1));
        kv.expect_under_way(&put, "a put");
        kv.expect_under_way(&get, "a get");
        client.expect("1", "14");
        client.put("1", "16");
        client.expect("1", "16");

        // This one has hardly begun to wait.
        let late = kv.client_of(&minority).begin(|client| client.get("1"));
        kv.sleep(Duration::from_millis(400));

        // Nobody else does anything by then, so nothing new is committed that would wake those
        // who wait.
        kv.heal();
        kv.settle();
        let healed = Instant::now();
        let all: Vec<ServerId> = kv.servers().collect();
        put.reach(&all);
        get.reach(&all);
        late.reach(&all);
        put.expect_within(AFTER_HEALING, healed, "a put that waits in the minority");
        get.expect_within(AFTER_HEALING, healed, "a get that waits in the minority");
        late.expect_within(AFTER_HEALING, healed, "a get that has just begun to");
        kv.client().expect("1", "15");

        a_client_without_the_leader(kv);
        kv.expect_nothing_stale_from_a_sleeper();
        kv.expect_few_requests_without_a_leader();
        kv.expect_an_answer_past_a_candidate();
        kv.expect_no_answer_of_another_term();
        kv.expect_nothing_stale_by_late_answers();
    });
}

/// With a majority that has lost its leader, an operation takes an election, and not much more.
const WITH_AN_ELECTION: Duration = Duration::from_secs(5);

/// Whoever waits in a minority is served in this time since the healing: the old leader learns of the
/// new one within a heartbeat, and the client finds it. (The original allows four seconds.)
const AFTER_HEALING: Duration = Duration::from_millis(1500);

/// The leader is cut off from servers and clients alike: a client looks for another one.
fn a_client_without_the_leader(kv: &KvCluster) {
    let leader = kv.expect_settled_leader();
    let others: Vec<ServerId> = kv.servers().filter(|server| *server != leader).collect();
    let mut client = kv.client().with_promise(WITH_AN_ELECTION);
    client.put("2", "with the leader");
    client.reach(&others);
    kv.partition(|server| usize::from(server == leader));
    client.append("2", ", and without");
    client.expect("2", "with the leader, and without");
    kv.heal();
    kv.settle();
}

/// Partitions that change each second lose nothing.
#[test]
fn many_partitions_one_client() {
    lab("4A", "partitions, one client", 4).servers(5).kv(None).run_kv(|kv| {
        Campaign::of(1).own_keys().partitions().run(kv);
    });
}

/// Nor do they with many clients on the same keys.
#[test]
fn many_partitions_many_clients() {
    lab("4A", "partitions, many clients", 4).servers(5).kv(None).run_kv(|kv| {
        Campaign::of(5).partitions().run(kv);
    });
}

/// What was acknowledged survives crashes, those of all servers included.
#[test]
fn persist_one_client() {
    lab("4A", "restarts, one client", 4).servers(5).kv(None).run_kv(|kv| {
        Campaign::of(1).own_keys().crashes().run(kv);
    });
}

/// Also with many clients, whose operations are under way when servers crash.
#[test]
fn persist_concurrent() {
    lab("4A", "restarts, many clients", 4).servers(5).kv(None).run_kv(|kv| {
        Campaign::of(5).crashes().run(kv);
    });
}

/// A retry may meet a server that was down when the operation was done.
#[test]
fn persist_concurrent_unreliable() {
    lab("4A", "unreliable net, restarts, many clients", 4)
        .servers(5)
        .unreliable()
        .kv(None)
        .run_kv(|kv| Campaign::of(5).crashes().run(kv));
}

/// Crashes and partitions at once.
#[test]
fn persist_partition() {
    lab("4A", "restarts, partitions, many clients", 4).servers(5).kv(None).run_kv(|kv| {
        Campaign::of(5).crashes().partitions().run(kv);
    });
}

/// And a network that loses, delays and repeats messages.
#[test]
fn persist_partition_unreliable() {
    lab("4A", "unreliable net, restarts, partitions, many clients", 4)
        .servers(5)
        .unreliable()
        .kv(None)
        .run_kv(|kv| Campaign::of(5).crashes().partitions().run(kv));
}

/// All of it, with more servers and more clients.
#[test]
fn persist_partition_unreliable_linearizable() {
    lab("4A", "the same, 15 clients and 7 servers", 7)
        .servers(7)
        .unreliable()
        .kv(None)
        .run_kv(|kv| Campaign::of(15).crashes().partitions().run(kv));
}
