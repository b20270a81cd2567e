//! What the tests of the network share: a few requests, and running a story on several seeds.

#![allow(dead_code, reason = "each test file uses a part")]

use std::{sync::Arc, time::Duration};

use labrpc::{ClientEnd, NetEventKind, Network, NoReply, Rpc, Service};
use labrt::{
    node::Node,
    sim::{self, Config},
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
}

pub(crate) fn pair() -> Pair {
    let network = Network::new();
    let (server, client) = (Node::new("S0"), Node::new("C0"));
    let junk = Junk::default();
    network.serve(&server, junk.service());
    let end = network.end(&client, "S0");
    Pair { network, server, client, junk, end }
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
            (result, sim::elapsed().checked_sub(started).expect("time passes"))
        }))
    }

    /// Collects the kinds of all events from now on.
    pub(crate) fn events(&self) -> Arc<Mutex<Vec<NetEventKind>>> {
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = events.clone();
        self.network.observe(move |event| sink.lock().push(event.kind));
        events
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

/// Tells the story on several seeds; each must end well.
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
