//! Channels against `crossbeam_channel`: random programs of a few threads, run in the simulation under
//! many seeds and on the real engine, which is `crossbeam_channel` itself.
//!
//! A small model of what `crossbeam_channel` promises tries every order in which the operations of a
//! program can happen. Whatever an engine does must be one of the outcomes that the model finds, a deadlock
//! included.

mod common;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use common::really;
use labrt::channel::{Receiver, Select, Sender, bounded, unbounded};
use labrt::sim::{Config, FailureKind, run};
use labrt::thread;
use parking_lot::Mutex;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

/// What the threads do, each from first to last. Then it drops its ends of all channels.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Program {
    /// `None` for no limit.
    capacities: Vec<Option<usize>>,
    threads: Vec<Vec<Op>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Op {
    /// One operation, or the first possible of several.
    Do { arms: Vec<Arm>, patience: Patience },
    /// Drops this thread's sender of a channel, or its receiver.
    Drop(Arm),
}

/// A send to the channel with this number, or a receive from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Arm {
    Send(usize),
    Recv(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Patience {
    Forever,
    /// In milliseconds: a power of two that no other operation of the program has.
    Millis(u64),
    None,
}

/// What came of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Done {
    Sent(usize),
    /// The channel, the thread that sent, and the place of the operation in it.
    Received(usize, usize, usize),
    Disconnected(Arm),
    /// It took too long, or was not possible at once.
    GaveUp,
}

/// For each thread what came of its operations: all of them, unless it waits for ever.
type Outcome = Vec<Vec<Done>>;

const CHANNELS: usize = 2;

fn program(rng: &mut Xoshiro256PlusPlus) -> Program {
    let capacity = |rng: &mut Xoshiro256PlusPlus| match rng.random_range(0..6) {
        0..3 => Some(0),
        3 => Some(1),
        4 => Some(2),
        _ => None,
    };
    let capacities = (0..CHANNELS).map(|_| capacity(rng)).collect();
    let mut clock = 0;
    let threads = (0..rng.random_range(2..=3))
        .map(|_| (0..rng.random_range(1..=3)).map(|_| op(rng, &mut clock)).collect())
        .collect();
    Program { capacities, threads }
}

fn op(rng: &mut Xoshiro256PlusPlus, clock: &mut u64) -> Op {
    if rng.random_bool(0.1) {
        return Op::Drop(arm(rng));
    }
    let arms = (0..rng.random_range(1..=2)).map(|_| arm(rng)).collect();
    let patience = match rng.random_range(0..4) {
        0 => Patience::None,
        1 => {
            *clock += 1;
            Patience::Millis(1 << *clock)
        }
        _ => Patience::Forever,
    };
    Op::Do { arms, patience }
}

fn arm(rng: &mut Xoshiro256PlusPlus) -> Arm {
    let channel = rng.random_range(0..CHANNELS);
    if rng.random_bool(0.5) { Arm::Send(channel) } else { Arm::Recv(channel) }
}

// ---- The engines ----

type Message = (usize, usize);

/// The ends that one thread holds.
struct Ends {
    send: Vec<Option<Sender<Message>>>,
    receive: Vec<Option<Receiver<Message>>>,
}

/// Runs the program with labrt's channels, and notes what happens as it happens.
fn play(program: &Program, outcome: &Arc<Mutex<Outcome>>) {
    let ends: Vec<_> =
        program.capacities.iter().map(|c| c.map_or_else(unbounded, bounded)).collect();
    let threads: Vec<_> = program
        .threads
        .iter()
        .cloned()
        .enumerate()
        .map(|(id, ops)| {
            let mut ends = Ends {
                send: ends.iter().map(|(send, _)| Some(send.clone())).collect(),
                receive: ends.iter().map(|(_, receive)| Some(receive.clone())).collect(),
            };
            let outcome = outcome.clone();
            move || {
                for (place, op) in ops.iter().enumerate() {
                    if let Some(done) = ends.perform(op, (id, place)) {
                        outcome.lock()[id].push(done);
                    }
                }
            }
        })
        .collect();
    drop(ends);
    let threads: Vec<_> = threads.into_iter().map(thread::spawn).collect();
    for thread in threads {
        thread.join().expect("no thread panics");
    }
}

impl Ends {
    fn perform(&mut self, op: &Op, message: Message) -> Option<Done> {
        match op {
            Op::Drop(Arm::Send(channel)) => self.send[*channel] = None,
            Op::Drop(Arm::Recv(channel)) => self.receive[*channel] = None,
            Op::Do { arms, patience } => {
                let arms: Vec<Arm> = arms.iter().copied().filter(|arm| self.has(*arm)).collect();
                return match arms[..] {
                    [] => None,
                    [arm] => Some(self.single(arm, *patience, message)),
                    _ => Some(self.select(&arms, *patience, message)),
                };
            }
        }
        None
    }

    fn has(&self, arm: Arm) -> bool {
        match arm {
            Arm::Send(channel) => self.send[channel].is_some(),
            Arm::Recv(channel) => self.receive[channel].is_some(),
        }
    }

    fn single(&self, arm: Arm, patience: Patience, message: Message) -> Done {
        use labrt::channel::{RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError};
        let received = |channel, (id, place)| Done::Received(channel, id, place);
        match arm {
            Arm::Send(channel) => {
                let send = self.send[channel].as_ref().expect("this thread has it");
                match patience {
                    Patience::Forever => send.send(message).map_err(|_| Done::Disconnected(arm)),
                    Patience::None => send.try_send(message).map_err(|e| match e {
                        TrySendError::Full(_) => Done::GaveUp,
                        TrySendError::Disconnected(_) => Done::Disconnected(arm),
                    }),
                    Patience::Millis(n) => {
                        send.send_timeout(message, Duration::from_millis(n)).map_err(|e| match e {
                            SendTimeoutError::Timeout(_) => Done::GaveUp,
                            SendTimeoutError::Disconnected(_) => Done::Disconnected(arm),
                        })
                    }
                }
                .map_or_else(|done| done, |()| Done::Sent(channel))
            }
            Arm::Recv(channel) => {
                let receive = self.receive[channel].as_ref().expect("this thread has it");
                match patience {
                    Patience::Forever => receive.recv().map_err(|_| Done::Disconnected(arm)),
                    Patience::None => receive.try_recv().map_err(|e| match e {
                        TryRecvError::Empty => Done::GaveUp,
                        TryRecvError::Disconnected => Done::Disconnected(arm),
                    }),
                    Patience::Millis(n) => {
                        receive.recv_timeout(Duration::from_millis(n)).map_err(|e| match e {
                            RecvTimeoutError::Timeout => Done::GaveUp,
                            RecvTimeoutError::Disconnected => Done::Disconnected(arm),
                        })
                    }
                }
                .map_or_else(|done| done, |message| received(channel, message))
            }
        }
    }

    fn select(&self, arms: &[Arm], patience: Patience, message: Message) -> Done {
        let mut select = Select::new();
        for arm in arms {
            match *arm {
                Arm::Send(channel) => {
                    select.send(self.send[channel].as_ref().expect("this thread has it"))
                }
                Arm::Recv(channel) => {
                    select.recv(self.receive[channel].as_ref().expect("this thread has it"))
                }
            };
        }
        let chosen = match patience {
            Patience::Forever => Some(select.select()),
            Patience::None => select.try_select().ok(),
            Patience::Millis(n) => select.select_timeout(Duration::from_millis(n)).ok(),
        };
        let Some(chosen) = chosen else { return Done::GaveUp };
        let arm = arms[chosen.index()];
        match arm {
            Arm::Send(channel) => {
                let sent =
                    chosen.send(self.send[channel].as_ref().expect("this thread has it"), message);
                sent.map_or(Done::Disconnected(arm), |()| Done::Sent(channel))
            }
            Arm::Recv(channel) => {
                let received =
                    chosen.recv(self.receive[channel].as_ref().expect("this thread has it"));
                received.map_or(Done::Disconnected(arm), |(id, place)| {
                    Done::Received(channel, id, place)
                })
            }
        }
    }
}

fn nothing_yet(program: &Program) -> Arc<Mutex<Outcome>> {
    Arc::new(Mutex::new(vec![Vec::new(); program.threads.len()]))
}

/// What the simulation makes of it, and whether all threads came to their end.
fn simulated(program: &Program, seed: u64) -> (Outcome, bool) {
    let outcome = nothing_yet(program);
    let (copy, notes) = (program.clone(), outcome.clone());
    let config = Config { quiet: true, ..Config::with_seed(seed) };
    let ended = match run(config, move || play(&copy, &notes)).result {
        Ok(()) => true,
        Err(failure) if failure.kind == FailureKind::Deadlock => false,
        Err(failure) => panic!("{program:#?}: {failure}"),
    };
    let outcome = outcome.lock().clone();
    (outcome, ended)
}

/// What `crossbeam_channel` makes of it.
fn real(program: &Program) -> Outcome {
    let outcome = nothing_yet(program);
    let (copy, notes) = (program.clone(), outcome.clone());
    really(move || play(&copy, &notes));
    outcome.lock().clone()
}

// ---- The model ----

/// When a timeout may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    /// While nothing else can happen, and the shortest first, as in virtual time.
    Virtual,
    /// Whenever its operation waits.
    Real,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    channels: Vec<Channel>,
    threads: Vec<Thread>,
    /// Virtual time, in milliseconds.
    now: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Channel {
    capacity: Option<usize>,
    messages: VecDeque<Message>,
    senders: usize,
    receivers: usize,
}

/// How long an operation waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Until {
    Forever,
    Millis(u64),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Thread {
    next: usize,
    /// Waits in the operation `next`, until then if it has a timeout.
    waits: Option<Until>,
    has_send: Vec<bool>,
    has_receive: Vec<bool>,
    done: Vec<Done>,
}

struct Model<'a> {
    program: &'a Program,
    clock: Clock,
    seen: HashSet<World>,
    outcomes: BTreeSet<(Outcome, bool)>,
}

/// All that can come of the program, each with whether all threads come to their end.
fn possible(program: &Program, clock: Clock) -> BTreeSet<(Outcome, bool)> {
    let threads = program.threads.len();
    let channel = |capacity: &Option<usize>| Channel {
        capacity: *capacity,
        messages: VecDeque::new(),
        senders: threads,
        receivers: threads,
    };
    let thread = Thread {
        next: 0,
        waits: None,
        has_send: vec![true; CHANNELS],
        has_receive: vec![true; CHANNELS],
        done: Vec::new(),
    };
    let world = World {
        channels: program.capacities.iter().map(channel).collect(),
        threads: vec![thread; threads],
        now: 0,
    };
    let mut model = Model { program, clock, seen: HashSet::new(), outcomes: BTreeSet::new() };
    model.explore(world);
    model.outcomes
}

impl Model<'_> {
    fn explore(&mut self, world: World) {
        if !self.seen.insert(world.clone()) {
            return;
        }
        let mut moved = false;
        for id in 0..world.threads.len() {
            for next in self.steps(&world, id) {
                moved = true;
                self.explore(next);
            }
        }
        let due = |thread: &Thread| match thread.waits? {
            Until::Millis(at) => Some(at),
            Until::Forever => None,
        };
        let first = world.threads.iter().filter_map(due).min();
        for id in 0..world.threads.len() {
            let Some(at) = due(&world.threads[id]) else { continue };
            if self.clock == Clock::Real || (!moved && Some(at) == first) {
                let mut world = world.clone();
                if self.clock == Clock::Virtual {
                    world.now = at;
                }
                self.complete(&mut world, id, Some(Done::GaveUp));
                self.explore(world);
            }
        }
        if !moved && first.is_none() {
            let ended =
                |(id, thread): (usize, &Thread)| thread.next > self.program.threads[id].len();
            let all = world.threads.iter().enumerate().all(ended);
            let outcome = world.threads.into_iter().map(|thread| thread.done).collect();
            self.outcomes.insert((outcome, all));
        }
    }

    /// What a thread can do next.
    fn steps(&self, world: &World, id: usize) -> Vec<World> {
        let thread = &world.threads[id];
        let mut world = world.clone();
        let Some(op) = self.program.threads[id].get(thread.next) else {
            if thread.next > self.program.threads[id].len() {
                return Vec::new();
            }
            for channel in 0..CHANNELS {
                drop_end(&mut world, id, Arm::Send(channel));
                drop_end(&mut world, id, Arm::Recv(channel));
            }
            world.threads[id].next += 1;
            return vec![world];
        };
        let (arms, patience) = match op {
            Op::Drop(arm) => {
                drop_end(&mut world, id, *arm);
                self.complete(&mut world, id, None);
                return vec![world];
            }
            Op::Do { arms, patience } => (arms, *patience),
        };
        let arms: Vec<Arm> = arms.iter().copied().filter(|arm| has(thread, *arm)).collect();
        if arms.is_empty() {
            self.complete(&mut world, id, None);
            return vec![world];
        }
        let mut next: Vec<World> = arms.iter().flat_map(|arm| self.act(&world, id, *arm)).collect();
        if next.is_empty() && thread.waits.is_none() {
            if patience == Patience::None {
                self.complete(&mut world, id, Some(Done::GaveUp));
            } else {
                world.threads[id].waits = Some(match patience {
                    Patience::Millis(n) => Until::Millis(world.now + n),
                    Patience::Forever | Patience::None => Until::Forever,
                });
            }
            next.push(world);
        }
        next
    }

    /// The ways in which one operation can go ahead now.
    fn act(&self, world: &World, id: usize, arm: Arm) -> Vec<World> {
        let with = |change: &dyn Fn(&mut World) -> Done| {
            let mut world = world.clone();
            let done = change(&mut world);
            self.complete(&mut world, id, Some(done));
            world
        };
        let (Arm::Send(number) | Arm::Recv(number)) = arm;
        let channel = &world.channels[number];
        let message = (id, world.threads[id].next);
        match (arm, channel.capacity) {
            (Arm::Send(_), _) if channel.receivers == 0 => vec![with(&|_| Done::Disconnected(arm))],
            (Arm::Send(_), Some(0)) => {
                let meet = |&other: &usize| {
                    let done = Done::Received(number, message.0, message.1);
                    with(&|world| {
                        self.complete(world, other, Some(done));
                        Done::Sent(number)
                    })
                };
                self.waiting(world, id, Arm::Recv(number)).iter().map(meet).collect()
            }
            (Arm::Send(_), capacity) => {
                let room = capacity.is_none_or(|capacity| channel.messages.len() < capacity);
                let put = |world: &mut World| {
                    world.channels[number].messages.push_back(message);
                    Done::Sent(number)
                };
                room.then(|| with(&put)).into_iter().collect()
            }
            (Arm::Recv(_), Some(0)) => {
                let meet = |&other: &usize| {
                    let place = world.threads[other].next;
                    with(&|world| {
                        self.complete(world, other, Some(Done::Sent(number)));
                        Done::Received(number, other, place)
                    })
                };
                let next: Vec<World> =
                    self.waiting(world, id, Arm::Send(number)).iter().map(meet).collect();
                if next.is_empty() && channel.senders == 0 {
                    return vec![with(&|_| Done::Disconnected(arm))];
                }
                next
            }
            (Arm::Recv(_), _) => match channel.messages.front() {
                Some(&(from, place)) => vec![with(&|world| {
                    world.channels[number].messages.pop_front();
                    Done::Received(number, from, place)
                })],
                None if channel.senders == 0 => vec![with(&|_| Done::Disconnected(arm))],
                None => Vec::new(),
            },
        }
    }

    /// The other threads that wait in such an operation.
    fn waiting(&self, world: &World, id: usize, arm: Arm) -> Vec<usize> {
        let waits = |&other: &usize| {
            let thread = &world.threads[other];
            let op = self.program.threads[other].get(thread.next);
            other != id
                && thread.waits.is_some()
                && has(thread, arm)
                && matches!(op, Some(Op::Do { arms, .. }) if arms.contains(&arm))
        };
        (0..world.threads.len()).filter(waits).collect()
    }

    fn complete(&self, world: &mut World, id: usize, done: Option<Done>) {
        let thread = &mut world.threads[id];
        thread.done.extend(done);
        thread.next += 1;
        thread.waits = None;
        assert!(thread.next <= self.program.threads[id].len());
    }
}

fn has(thread: &Thread, arm: Arm) -> bool {
    match arm {
        Arm::Send(channel) => thread.has_send[channel],
        Arm::Recv(channel) => thread.has_receive[channel],
    }
}

fn drop_end(world: &mut World, id: usize, arm: Arm) {
    if !has(&world.threads[id], arm) {
        return;
    }
    match arm {
        Arm::Send(channel) => {
            world.threads[id].has_send[channel] = false;
            world.channels[channel].senders -= 1;
        }
        Arm::Recv(channel) => {
            world.threads[id].has_receive[channel] = false;
            world.channels[channel].receivers -= 1;
            if world.channels[channel].receivers == 0 {
                world.channels[channel].messages.clear();
            }
        }
    }
}

// ---- The comparison ----

/// How many programs to try: `CHANNEL_PROGRAMS`, for a longer search.
fn programs() -> u64 {
    let set = std::env::var("CHANNEL_PROGRAMS").ok();
    set.map_or(300, |n| n.parse().expect("CHANNEL_PROGRAMS is a number"))
}

#[test]
fn the_simulation_does_only_what_crossbeam_may_do() {
    for number in 0..programs() {
        let program = program(&mut Xoshiro256PlusPlus::seed_from_u64(number));
        let possible = possible(&program, Clock::Virtual);
        for seed in 0..20 {
            let came = simulated(&program, seed);
            assert!(
                possible.contains(&came),
                "program {number}, seed {seed}: {program:#?}\nhas come to {came:?}\nand not to any of \
                 {possible:#?}"
            );
        }
    }
}

/// The simulation does all of it, too: what the model finds possible is not more than what happens.
#[test]
fn all_that_is_possible_happens_under_some_seed() {
    let (mut possible_ones, mut seen_ones) = (0, 0);
    for number in 0..30 {
        let program = program(&mut Xoshiro256PlusPlus::seed_from_u64(number));
        let possible = possible(&program, Clock::Virtual);
        let seen: BTreeSet<_> = (0..400).map(|seed| simulated(&program, seed)).collect();
        possible_ones += possible.len();
        seen_ones += possible.intersection(&seen).count();
    }
    assert!(
        seen_ones * 10 >= possible_ones * 8,
        "of {possible_ones} outcomes only {seen_ones} were seen"
    );
}

#[test]
fn the_real_engine_does_what_the_model_says() {
    for number in 0..programs() {
        let program = program(&mut Xoshiro256PlusPlus::seed_from_u64(number));
        let possible = possible(&program, Clock::Real);
        if possible.iter().any(|(_, ended)| !ended) {
            continue; // it could block for ever
        }
        let came = (real(&program), true);
        assert!(
            possible.contains(&came),
            "program {number}: {program:#?}\nhas come to {came:?}\nand not to any of {possible:#?}"
        );
    }
}
