//! How long the checker takes, in CPU time.
//!
//! `cargo run --release -p linearize --example speed`
//!
//! The histories come from simulated clients of a right object: each operation takes a random time and
//! takes effect at a random instant of it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use linearize::models::{Kv, KvOp, KvOutput, Register, RegisterOp, RegisterOutput};
use linearize::{Budget, History, Model, OpId, Verdict, check};

fn main() {
    let mut out = String::new();
    let kv: Vec<_> = (0..10).map(|seed| kv(seed, &KV)).collect();
    report(
        &mut out,
        "kv: 50 clients, 2,000 operations, 10 keys, half of them appends (10x)",
        &Kv,
        &kv,
    );
    let one = KvLoad { keys: 1, operations: 2000, clients: 15, ..KV };
    let kv: Vec<_> = (0..10).map(|seed| kv_lossy(seed, &one)).collect();
    report(
        &mut out,
        "kv: 15 clients, 2,000 operations, 1 key, 5 % without an answer (10x)",
        &Kv,
        &kv,
    );
    let wrong: Vec<_> = (0..10).map(|seed| kv_wrong(seed, &KV)).collect();
    report(&mut out, "kv: as the first, with one stale read (10x)", &Kv, &wrong);
    let registers: Vec<_> = (0..100).map(|seed| register(seed, 0, 0)).collect();
    report(&mut out, "register: 10 clients, 170 operations (100x)", &Register, &registers);
    let registers: Vec<_> = (0..100).map(|seed| register(seed, 5, 5)).collect();
    report(&mut out, "register: the same, 5 % lost and 5 % wrong (100x)", &Register, &registers);
    std::io::stdout().write_all(out.as_bytes()).expect("the output is open");
}

/// Checks all histories, and says how long it took.
fn report<M: Model>(
    out: &mut String,
    title: &str,
    model: &M,
    histories: &[History<M::Op, M::Output>],
) {
    let mut steps = 0;
    let [mut yes, mut no, mut unknown] = [0; 3];
    let begin = cpu_time();
    for history in histories {
        let verdict = check(model, history, Budget::default());
        steps += verdict.steps();
        match verdict {
            Verdict::Linearizable(_) => yes += 1,
            Verdict::NotLinearizable(_) => no += 1,
            Verdict::Unknown(_) => unknown += 1,
        }
    }
    let time = cpu_time().saturating_sub(begin);
    writeln!(
        out,
        "{title}\n    {:.1} ms, {steps} steps; {yes} linearizable, {no} not, {unknown} unknown",
        time.as_secs_f64() * 1e3
    )
    .expect("a string takes everything");
}

#[cfg(unix)]
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("CPU time does not begin before it is counted")
}

#[cfg(not(unix))]
fn cpu_time() -> Duration {
    use std::time::Instant;
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    #[expect(clippy::disallowed_methods, reason = "measures real time, outside any simulation")]
    let now = Instant::now();
    now - *START.get_or_init(|| now)
}

/// A small generator of random numbers (splitmix64), so that the histories are always the same.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % limit
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Plays `operations` operations of `clients` clients. `next` makes the n-th operation; `effect`
/// does it and gives its answer, or `None` if the client never hears of it.
fn play<Op: Clone, Output>(
    random: &mut Random,
    clients: u64,
    operations: usize,
    mut next: impl FnMut(&mut Random, usize) -> Op,
    mut effect: impl FnMut(&mut Random, &Op) -> Option<Output>,
) -> History<Op, Output> {
    enum Client<Output> {
        Idle,
        Called(OpId),
        Done(OpId, Option<Output>),
    }
    let mut history = History::new();
    let mut state: Vec<Client<Output>> = (0..clients).map(|_| Client::Idle).collect();
    let mut now = Duration::ZERO;
    while history.len() < operations || state.iter().any(|c| !matches!(c, Client::Idle)) {
        now += Duration::from_micros(1 + random.below(100));
        let number = random.below(clients);
        let client = &mut state[usize::try_from(number).expect("a small number")];
        *client = match std::mem::replace(client, Client::Idle) {
            Client::Idle if history.len() == operations => Client::Idle,
            Client::Idle => {
                let op = next(random, history.len());
                Client::Called(history.call(format!("C{number}"), now, op))
            }
            Client::Called(id) => Client::Done(id, effect(random, &history[id].op)),
            Client::Done(id, Some(output)) => {
                history.returned(id, now, output);
                Client::Idle
            }
            Client::Done(_, None) => Client::Idle,
        };
    }
    history
}

/// The load of the lab's tests: gets and appends, and now and then a put.
#[derive(Clone, Copy)]
struct KvLoad {
    clients: u64,
    operations: usize,
    keys: u64,
    put_percent: u64,
    lost_percent: u64,
    stale_percent: u64,
}

const KV: KvLoad = KvLoad {
    clients: 50,
    operations: 2000,
    keys: 10,
    put_percent: 2,
    lost_percent: 0,
    stale_percent: 0,
};

fn kv(seed: u64, load: &KvLoad) -> History<KvOp, KvOutput> {
    let mut values = std::collections::BTreeMap::<String, Vec<String>>::new();
    play(
        &mut Random(seed),
        load.clients,
        load.operations,
        |random, n| {
            let key = format!("k{}", random.below(load.keys));
            match random.below(100) {
                p if p < load.put_percent => KvOp::put(key, format!("x {n} y")),
                p if p < 50 => KvOp::append(key, format!("x {n} y")),
                _ => KvOp::get(key),
            }
        },
        |random, op| {
            let (KvOp::Get(key) | KvOp::Put(key, _) | KvOp::Append(key, _)) = op;
            let versions = values.entry(key.to_string()).or_insert_with(|| vec![String::new()]);
            let latest = versions.last().cloned().unwrap_or_default();
            let is_lost = random.percent(load.lost_percent);
            if is_lost && random.percent(50) {
                return None;
            }
            let output = match op {
                KvOp::Get(_) if random.percent(load.stale_percent) => {
                    let old = versions.len().saturating_sub(8);
                    KvOutput::value(versions[old].as_str())
                }
                KvOp::Get(_) => KvOutput::value(latest),
                KvOp::Put(_, value) => {
                    versions.push(value.to_string());
                    KvOutput::Done
                }
                KvOp::Append(_, value) => {
                    versions.push(latest + value.as_str());
                    KvOutput::Done
                }
            };
            (!is_lost).then_some(output)
        },
    )
}

fn kv_lossy(seed: u64, load: &KvLoad) -> History<KvOp, KvOutput> {
    kv(seed, &KvLoad { lost_percent: 5, ..*load })
}

fn kv_wrong(seed: u64, load: &KvLoad) -> History<KvOp, KvOutput> {
    kv(seed, &KvLoad { stale_percent: 1, ..*load })
}

fn register(seed: u64, lost: u64, wrong: u64) -> History<RegisterOp, RegisterOutput> {
    let mut value = None;
    play(
        &mut Random(seed),
        10,
        170,
        |random, _| match random.below(3) {
            0 => RegisterOp::Read("r".into()),
            1 => RegisterOp::Write("r".into(), random.below(5).cast_signed()),
            _ => {
                let [old, new] = [0; 2].map(|_| random.below(5).cast_signed());
                RegisterOp::Cas("r".into(), old, new)
            }
        },
        |random, op| {
            let is_lost = random.percent(lost);
            if is_lost && random.percent(50) {
                return None;
            }
            let output = match *op {
                RegisterOp::Read(_) if random.percent(wrong) => {
                    RegisterOutput::Value(Some(random.below(5).cast_signed()))
                }
                RegisterOp::Read(_) => RegisterOutput::Value(value),
                RegisterOp::Write(_, new) => {
                    value = Some(new);
                    RegisterOutput::Done
                }
                RegisterOp::Cas(_, old, new) => {
                    let is_old = value == Some(old);
                    if is_old {
                        value = Some(new);
                    }
                    RegisterOutput::Swapped(is_old)
                }
            };
            (!is_lost).then_some(output)
        },
    )
}
