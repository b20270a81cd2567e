//! What befalls servers while clients are at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use labrpc::NetEventKind;
use labrt::rand::Rng;
use labrt::thread::JoinHandle;
use labrt::time::{self, Duration, Instant};
use labrt::{channel, thread};
use raftapi::ServerId;
use rand::RngExt as _;

use super::KvCluster;
use super::client::is_client;
use crate::nemesis::server;

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hardships {
    pub(crate) crashes: bool,
    pub(crate) partitions: bool,
}

impl Hardships {
    pub(crate) const fn are_none(self) -> bool {
        !self.crashes && !self.partitions
    }
}

/// All servers are down for so long at the end of a round.
const ALL_DOWN: Duration = Duration::from_secs(1);

/// Of the answers that clients get, such a part is the last thing that the server does.
const CRASH_AFTER_ANSWER: f64 = 0.003;

/// Faults that are going on.
pub(crate) struct Faults {
    kv: KvCluster,
    hardships: Hardships,
    round: u64,
    clients: u64,
    over: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Faults {
    /// They begin, in this round of a campaign with so many clients.
    pub(crate) fn begin(kv: &KvCluster, hardships: Hardships, round: u64, clients: u64) -> Faults {
        kv.disturb();
        let (over, tasks) = (Arc::new(AtomicBool::new(false)), Vec::new());
        let mut faults = Faults { kv: kv.clone(), hardships, round, clients, over, tasks };
        faults.start("sleeping client", put_a_client_to_sleep);
        if hardships.partitions {
            faults.start("partitions", part_the_servers);
        }
        if hardships.crashes {
            faults.start("crashes", crash_one_at_a_time);
            faults.start("crashes after answers", crash_after_answers);
        }
        faults
    }

    fn start(&mut self, name: &str, run: fn(&KvCluster, &Until, &mut Rng)) {
        let kv = self.kv.clone();
        let until = Until { over: Arc::clone(&self.over), clients: self.clients };
        let mut dice = kv.dice(&format!("{name} in round {}", self.round));
        let task = thread::Builder::new().name(format!("tester: {name}"));
        let task = task.spawn(move || run(&kv, &until, &mut dice));
        self.tasks.push(task.expect("a simulation can start a task"));
    }

    /// Lets them go on for a while, ends them, and mends everything.
    pub(crate) fn run_for(self, length: Duration) {
        time::sleep(length);
        self.over.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.join().expect("whatever goes wrong ends the run");
        }
        if self.hardships.crashes {
            // With all that clients have under way.
            self.kv.servers().for_each(|server| self.kv.crash(server));
            time::sleep(ALL_DOWN);
        }
        self.kv.heal();
        for server in self.kv.servers().filter(|server| !self.kv.is_up(*server)) {
            self.kv.start_again(server);
        }
        self.kv.settle();
    }
}

/// When faults end.
struct Until {
    over: Arc<AtomicBool>,
    clients: u64,
}

impl Until {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Sleeps, but not longer than needed. Says if faults go on.
    fn sleep(&self, length: Duration) -> bool {
        let deadline = Instant::now() + length;
        while !self.is_over() && Instant::now() < deadline {
            time::sleep(Duration::from_millis(20).min(deadline - Instant::now()));
        }
        !self.is_over()
    }
}

fn millis(dice: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_millis(dice.random_range(from..to))
}

/// Two groups by the toss of a coin, or a minority with the leader in it; each second others.
fn part_the_servers(kv: &KvCluster, until: &Until, dice: &mut Rng) {
    let all = kv.len();
    while !until.is_over() {
        let mut sides: Vec<usize> = kv.servers().map(|_| dice.random_range(0..2)).collect();
        if dice.random_bool(1.0 / 3.0)
            && let Some((_, leader)) = kv.leader_now()
        {
            sides.fill(0);
            sides[leader.0] = 1;
            let (companions, first) =
                (dice.random_range(0..(all - 1) / 2), dice.random_range(0..all));
            for n in 0..companions {
                sides[kv.after(leader, 1 + (first + n) % (all - 1)).0] = 1;
            }
        }
        kv.partition(|server| sides[server.0]);
        until.sleep(millis(dice, 1000, 1200));
    }
}

/// A client, with an operation or without, stands still for a second or so.
fn put_a_client_to_sleep(kv: &KvCluster, until: &Until, dice: &mut Rng) {
    until.sleep(millis(dice, 0, 2000));
    let sleeper = kv.recent_client(until.clients, dice);
    kv.event(format!("{} sleeps", sleeper.name()));
    sleeper.pause();
    until.sleep(millis(dice, 500, 2000));
    sleeper.resume();
    kv.event(format!("{} wakes up", sleeper.name()));
}

/// Every second or so a server crashes, half of the time the leader; it is back at once, or within a
/// second.
fn crash_one_at_a_time(kv: &KvCluster, until: &Until, dice: &mut Rng) {
    while until.sleep(millis(dice, 300, 1000)) {
        let anybody = ServerId(dice.random_range(0..kv.len()));
        let leader = kv.leader_now().filter(|_| dice.random_bool(0.5));
        let victim = leader.map_or(anybody, |(_, leader)| leader);
        let away = if dice.random_bool(0.3) { Duration::ZERO } else { millis(dice, 1, 1000) };
        crash_for(kv, until, victim, away);
    }
}

/// A server that has just answered a client crashes, and is back at once.
fn crash_after_answers(kv: &KvCluster, until: &Until, dice: &mut Rng) {
    let (victims, next) = channel::unbounded::<ServerId>();
    let fate = labrt::rand::stream(&format!("test/crash after answer {}", dice.random::<u64>()));
    let over = Arc::clone(&until.over);
    kv.network().observe(move |event| {
        let strikes = event.kind == NetEventKind::ReplyDelivered
            && !over.load(Ordering::Relaxed)
            && is_client(event.from)
            && fate.at(event.call).random_bool(CRASH_AFTER_ANSWER);
        if strikes && let Some(victim) = server(event.to) {
            let _ = victims.send(victim);
        }
    });
    while !until.is_over() {
        if let Ok(victim) = next.recv_timeout(Duration::from_millis(20))
            && !until.is_over()
        {
            crash_for(kv, until, victim, Duration::ZERO);
        }
    }
}

/// Unless it is down already.
fn crash_for(kv: &KvCluster, until: &Until, victim: ServerId, away: Duration) {
    if kv.is_up(victim) {
        kv.crash(victim);
        if away.is_zero() || until.sleep(away) {
            kv.start_again(victim);
        }
    }
}
