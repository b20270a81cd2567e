//! Rounds of load: clients at work, faults meanwhile, and a look at the result.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use labrt::time::{self, Duration};
use rand::RngExt as _;

use super::client::{Begun, wrong_value};
use super::faults::{Faults, Hardships};
use super::{Client, KvCluster};
use crate::report::Failure;
use crate::text::span;

/// As in the original.
const ROUNDS: u64 = 3;

/// The beginning of a round, in which nothing befalls the servers.
const CALM: Duration = Duration::from_secs(1);

/// How long faults last then.
const LOAD: Duration = Duration::from_secs(4);

/// Clients go on for so long when the faults are over.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// With nothing in its way a client does at least so many operations in a round, pauses included: one
/// in 200 ms.
const FEWEST: u64 = 25;

/// Clients at work in three rounds of six seconds, and what befalls the servers meanwhile.
///
/// Most clients share keys: what one does, others see. Operations are under way whenever a server
/// crashes or a link breaks; all of them end in the second after the faults are over, or at least
/// soon. Some clerks are replaced by new ones, and clients sleep for a while in the middle of an
/// operation.
#[derive(Debug, Clone, Copy)]
#[must_use = "a campaign does nothing before `run`"]
pub struct Campaign {
    clients: u64,
    own_keys: bool,
    hardships: Hardships,
}

impl Campaign {
    /// So many clients, on keys that they share; nothing befalls the servers.
    pub const fn of(clients: u64) -> Campaign {
        let hardships = Hardships { crashes: false, partitions: false };
        Campaign { clients, own_keys: false, hardships }
    }

    /// Each client has a key of its own, so that it knows at once what a get must give.
    pub const fn own_keys(self) -> Campaign {
        Campaign { own_keys: true, ..self }
    }

    /// Servers crash one at a time under load, the leader more often than others, some of them just
    /// when they have answered; and at the end of each round all at once, for a second.
    pub const fn crashes(self) -> Campaign {
        Campaign { hardships: Hardships { crashes: true, ..self.hardships }, ..self }
    }

    /// Servers are parted into two groups at random, each second others; every third time the leader
    /// is in the minority.
    pub const fn partitions(self) -> Campaign {
        Campaign { hardships: Hardships { partitions: true, ..self.hardships }, ..self }
    }

    /// Runs it.
    pub fn run(self, kv: &KvCluster) {
        let mut reader = kv.expect_prompt_answers();
        if !self.is_calm(kv) {
            kv.set_patience(super::patience::PATIENCE);
        }
        for round in 0..ROUNDS {
            self.round(kv, round, &mut reader);
        }
    }

    /// Is nothing in the way of the clients?
    fn is_calm(&self, kv: &KvCluster) -> bool {
        self.hardships.are_none() && kv.setup().conditions == labrpc::Conditions::reliable()
    }

    fn round(self, kv: &KvCluster, round: u64, reader: &mut Client) {
        let stop = Arc::new(AtomicBool::new(false));
        let workers: Vec<Begun<String>> = (0..self.clients)
            .map(|n| {
                let work = Work {
                    kv: kv.clone(),
                    stop: Arc::clone(&stop),
                    name: format!("client {n} in round {round}"),
                    n,
                    keys: self.keys(),
                };
                let own = self.own_keys;
                kv.client().begin(move |client| {
                    if own { work.on_own_key(client) } else { work.on_shared_keys(client) }
                })
            })
            .collect();

        kv.sleep(CALM);
        if self.hardships.are_none() {
            kv.sleep(LOAD);
        } else {
            Faults::begin(kv, self.hardships, round, self.clients).run_for(LOAD);
        }
        kv.sleep(AFTERWARDS);
        stop.store(true, Ordering::Relaxed);
        for (n, worker) in (0..).zip(workers) {
            let done = worker.operations();
            let last = worker.wait();
            if self.is_calm(kv) && done < FEWEST {
                idle(n, done).raise();
            }
            if self.own_keys {
                reader.expect(&n.to_string(), &last);
            }
        }
        if !self.own_keys {
            for key in 0..self.keys() {
                reader.get(&key.to_string());
            }
        }
    }

    /// How many keys there are: few enough for clients to meet.
    fn keys(&self) -> u64 {
        if self.own_keys { self.clients } else { self.clients.div_ceil(3) }
    }
}

/// What one client does in one round.
struct Work {
    kv: KvCluster,
    stop: Arc<AtomicBool>,
    name: String,
    n: u64,
    keys: u64,
}

impl Work {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Writes to a key that only this client writes, and compares what it reads. Returns the last
    /// value.
    fn on_own_key(&self, client: &mut Client) -> String {
        let mut dice = self.kv.dice(&self.name);
        let key = self.n.to_string();
        let mut last = String::new();
        client.put(&key, "");
        for j in 0.. {
            if self.is_over() {
                break;
            }
            if dice.random_bool(0.5) {
                let value = format!("{}.{j} ", client.name());
                client.append(&key, &value);
                last.push_str(&value);
            } else {
                let found = client.get(&key);
                if found != last {
                    self.kv.fail(wrong_value(client.name(), &key, &last, &found));
                }
            }
            pause(&mut dice, 0.1);
        }
        last
    }

    /// Reads and writes keys that others write, too. What may be read is for the history to say.
    fn on_shared_keys(&self, client: &mut Client) -> String {
        let mut dice = self.kv.dice(&self.name);
        for j in 0.. {
            if self.is_over() {
                break;
            }
            let key = dice.random_range(0..self.keys).to_string();
            let value = format!("{}.{j} ", client.name());
            match dice.random_range(0..100) {
                0..45 => client.append(&key, &value),
                45..50 => client.put(&key, &value),
                _ => drop(client.get(&key)),
            }
            if dice.random_bool(0.01) {
                client.take_new_clerk();
            }
            pause(&mut dice, 0.2);
        }
        String::new()
    }
}

/// Bursts of operations with pauses between them: fifty or a hundred in a second if all goes well.
fn pause(dice: &mut labrt::rand::Rng, probability: f64) {
    if dice.random_bool(probability) {
        time::sleep(Duration::from_millis(dice.random_range(0..200)));
    }
}

fn idle(n: u64, done: u64) -> Failure {
    Failure::liveness("a client gets little done")
        .expected(format!(
            "on a healthy cluster each client does at least {FEWEST} operations in {}",
            span(CALM + LOAD + AFTERWARDS)
        ))
        .happened(format!("client {n} did {done}"))
        .look_at("what a request waits for, and whether clients wait for each other")
}
