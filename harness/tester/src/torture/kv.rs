//! The campaign over the key/value service.

use labrpc::Conditions;
use labrt::rand::seed;
use labrt::time::Duration;
use raftapi::ServerId;
use raftapi::harness::Disk as _;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use super::aftermath;
use super::environment::{Environment, KV};
use super::raft::{OLD_MESSAGES, announce, conclude};
use super::storm::Storm;
use crate::coverage::Met;
use crate::kv::{Begun, KvCluster};

/// With a majority up and connected, an operation ends within this time, whatever it waited for before.
const PROGRESS: Duration = Duration::from_secs(20);

/// Few keys, so that clients meet.
const KEYS: u64 = 3;

/// Runs it.
pub fn kv(kv: &KvCluster) {
    let environment = Environment::draw(seed(), KV);
    announce(kv, &environment);
    let storm = Storm::gather(kv, environment.clone());
    let mut clients: Vec<Begun<()>> = Vec::new();
    if kv.time_is_free() {
        kv.disturb();
        storm.begin();
        clients = (0..environment.clients).map(|n| begin_client(kv, &storm, n)).collect();
        kv.sleep(environment.length);
    }
    storm.end();
    a_majority_serves(kv);
    kv.set_conditions(Conditions::reliable());
    kv.servers().for_each(|server| kv.restart_if_down(server));
    kv.connect_all();
    kv.settle();
    for client in clients {
        storm.shared.coverage.met_times(Met::Operations, client.operations());
        client.wait();
    }
    let mut reader = kv.client();
    for key in 0..KEYS {
        reader.get(&key.to_string());
    }
    let operations = storm.shared.coverage.count(Met::Operations);
    storm
        .shared
        .coverage
        .met_times(Met::Retries, kv.requests_of_clients().saturating_sub(operations));
    let snapshots = kv.servers().map(|server| kv.persister(server).snapshots()).sum();
    storm.shared.coverage.met_times(Met::SnapshotsTaken, snapshots);
    conclude(kv, &storm);
    kv.sleep(OLD_MESSAGES); // and so whoever asks for something when all are killed
    aftermath::expect_an_end(kv);
}

fn begin_client(kv: &KvCluster, storm: &Storm, n: u64) -> Begun<()> {
    let (kv, storm) = (kv.clone(), storm.clone());
    let client = kv.client();
    let mut dice = kv.dice(&format!("torture/client {n}"));
    client.begin(move |client| {
        let Environment { commands, burst, between_bursts, clients, command_bytes, .. } =
            storm.shared.environment.clone();
        let mut left = commands / clients;
        while left > 0 && storm.sleep(between_bursts.mul_f64(dice.random_range(0.0..2.0))) {
            for _ in 0..burst.min(left) {
                left -= 1;
                let key = dice.random_range(0..KEYS).to_string();
                let mut value = format!("{}.{left} ", client.name());
                while value.len() < command_bytes {
                    value.push('.');
                }
                match dice.random_range(0..100) {
                    0..45 => client.append(&key, &value),
                    45..55 => client.put(&key, &value),
                    _ => drop(client.get(&key)),
                }
                if dice.random_bool(0.02) {
                    client.take_new_clerk();
                }
                if storm.shared.is_over() {
                    return;
                }
            }
        }
    })
}

/// A minority goes down or is cut off; the rest must serve.
fn a_majority_serves(kv: &KvCluster) {
    let mut dice = kv.dice("torture/majority");
    let mut servers: Vec<ServerId> = kv.servers().collect();
    servers.shuffle(&mut dice);
    let (majority, others) = servers.split_at(kv.len() / 2 + 1);
    for server in others {
        if dice.random_bool(0.5) {
            kv.crash(*server);
        } else {
            kv.disconnect(*server);
        }
    }
    let mut client = kv.client_of(majority).with_promise(PROGRESS);
    for key in 0..KEYS {
        client.append(&key.to_string(), "and on ");
        client.get(&key.to_string());
    }
}
