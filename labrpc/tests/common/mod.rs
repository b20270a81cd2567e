//! What the tests of the network share: a few requests, and running a story on both engines.
//!
//! A story that runs on both waits for what it needs to have happened, instead of sleeping until it
//! should have. Bounds on time from below hold on both engines; those from above are [`at_most`].

#![allow(dead_code, reason = "each test file uses a part")]

use std::{sync::Arc, time::Duration};

use labrpc::{ClientEnd, NetEventKind, Network, NoReply, Rpc, Service};
use labrt::{
    node::Node,
    sim::{self, Config, Engine},
    thread, time,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Asks for a number in words, kept simple: `Name(3)` is answered by `"number 3"`.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct Name(pub(crate) u64);

impl Rpc for Name {
    const METHOD: &'static str = "Junk.Name";
    type Reply = String;
}

/// Asks for the length of a text.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct Length(pub(crate) String);

impl Rpc for Length {
    const METHOD: &'static str = "Junk.Length";
    type Reply = u64;
}

/// Is answered after a while.
#[derive(Serialize, Deserialize, Clone, Debug)]
pub(crate) struct Sleep(pub(crate) Duration);

impl Rpc for Sleep {
    const METHOD: &'static str = "Junk.Sleep";
    type Reply = ();
}

pub(crate) const FOR_EVER: Duration = Duration::from_secs(1_000_000);

/// A server for the requests above; it also keeps the numbers it was asked to name, in order.
#[derive(Clone, Default)]
pub(crate) struct Junk {
    named: Arc<Mutex<Vec<u64>>>,
}

impl Junk {
    pub(crate) fn service(&self) -> Service {
        let named = self.named.clone();
        Service::new()
            .on(move |Name(n)| {
                named.lock().push(n);
                format!("number {n}")
            })
            .on(|Length(text)| text.len() as u64)
            .on(|Sleep(pause)| time::sleep(pause))
    }

    /// The numbers of all `Name` requests executed so far.
    pub(crate) fn named(&self) -> Vec<u64> {
        self.named.lock().clone()
    }
}

/// A network, one server called `S0`, and one client called `C0`.
pub(crate) struct Pair {
    pub(crate) network: Network,
    pub(crate) server: Node,
    pub(crate) client: Node,
    pub(crate) junk: Junk,
    pub(crate) end: ClientEnd,
    /// The kinds of all events so far.
    pub(crate) events: Arc<Mutex<Vec<NetEventKind>>>,
}

pub(crate) fn pair() -> Pair {
    let network = Network::new();
    let (server, client) = (Node::new("S0"), Node::new("C0"));
    let junk = Junk::default();
    network.serve(&server, junk.service());
    let end = network.end(&client, "S0");
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = events.clone();
    network.observe(move |event| sink.lock().push(event.kind));
    Pair { network, server, client, junk, end, events }
}

impl Pair {
    /// Sets both directions between client and server.
    pub(crate) fn connect(&self, up: bool) {
        self.network.set_link("C0", "S0", up);
        self.network.set_link("S0", "C0", up);
    }

    /// Starts a call in a task of its own.
    pub(crate) fn call_in_background<R: Rpc + Clone>(&self, request: &R) -> Pending<R> {
        let (end, request) = (self.end.clone(), request.clone());
        let started = sim::elapsed();
        Pending(self.client.spawn(move || {
            let result = end.call(&request);
            (result, since(started))
        }))
    }

    /// As [`call_in_background`](Self::call_in_background), and returns when the call has come as
    /// far as `kind`.
    pub(crate) fn call_until<R: Rpc + Clone>(&self, kind: NetEventKind, request: &R) -> Pending<R> {
        let seen = self.seen(kind);
        let call = self.call_in_background(request);
        wait_until(|| self.seen(kind) > seen);
        call
    }

    /// How many events of this kind there were.
    pub(crate) fn seen(&self, kind: NetEventKind) -> usize {
        self.events.lock().iter().filter(|&&event| event == kind).count()
    }
}

/// A call in progress.
pub(crate) struct Pending<R: Rpc>(thread::JoinHandle<(Result<R::Reply, NoReply>, Duration)>);

impl<R: Rpc> Pending<R> {
    /// What came of it, and after how long.
    pub(crate) fn wait(self) -> (Result<R::Reply, NoReply>, Duration) {
        self.0.join().expect("the client is alive")
    }

    pub(crate) fn is_over(&self) -> bool {
        self.0.is_finished()
    }
}

pub(crate) fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The time that has passed since then.
pub(crate) fn since(then: Duration) -> Duration {
    sim::elapsed().checked_sub(then).expect("time does not go back")
}

/// Sleeps in small steps until it is so. Whoever waits in vain meets the time limit of the run.
pub(crate) fn wait_until(is_so: impl Fn() -> bool) {
    while !is_so() {
        time::sleep(Duration::from_micros(200));
    }
}

/// A bound from above: exact in the simulation; the wall clock's machine may be busy.
pub(crate) fn at_most(limit: Duration) -> Duration {
    if sim::active() { limit } else { limit + Duration::from_mins(1) }
}

/// One of two, by the engine: what costs nothing in virtual time may take too long on the wall
/// clock.
pub(crate) fn simulated_or_real<T>(simulated: T, real: T) -> T {
    if sim::active() { simulated } else { real }
}

/// Tells the story on several seeds of the simulation; each must end well.
#[track_caller]
pub(crate) fn on_seeds(seeds: u64, story: impl Fn() + Clone + Send + 'static) {
    for seed in 0..seeds {
        let config =
            Config { time_limit: Some(Duration::from_hours(1)), ..Config::with_seed(seed) };
        if let Err(failure) = sim::run(config, story.clone()).result {
            panic!("seed {seed}: {failure}");
        }
    }
}

/// Tells the story on OS threads and the wall clock, once.
#[track_caller]
pub(crate) fn really(story: impl FnOnce() + Send + 'static) {
    let time_limit = Some(Duration::from_mins(5));
    let config = Config { time_limit, engine: Engine::Real, ..Config::with_seed(1) };
    let outcome = sim::run(config, story);
    if let Err(failure) = outcome.result {
        panic!("on the real engine: {failure}");
    }
    assert_eq!(outcome.report.warnings, Vec::<String>::new());
}

/// Tells the story on several seeds of the simulation, and once on the real engine.
#[track_caller]
pub(crate) fn on_both_engines(seeds: u64, story: impl Fn() + Clone + Send + 'static) {
    on_seeds(seeds, story.clone());
    really(story);
}
