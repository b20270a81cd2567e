//! Clients: a clerk whose operations are in the history.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use labrpc::ClientEnd;
use labrt::node::Node;
use labrt::rand::Rng;
use labrt::sim;
use labrt::thread::{self, JoinHandle};
use labrt::time::{self, Duration, Instant};
use linearize::models::{KvOp, KvOutput};
use raftapi::ServerId;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use super::KvCluster;
use crate::choices::Verb;
use crate::cluster::LEFT_OUT;
use crate::log;
use crate::report::Failure;
use crate::system::Clerk;
use crate::text::{at, span};

/// A client of the service: a clerk, on a node of its own, whose operations are recorded.
pub struct Client {
    kv: KvCluster,
    name: Arc<str>,
    node: Node,
    /// Whom its clerk has ends to, in their order.
    servers: Vec<ServerId>,
    clerk: Box<dyn Clerk>,
    /// Has this clerk done nothing yet?
    is_new: bool,
    /// Operations that it has done.
    done: Arc<AtomicU64>,
    /// Each of its operations has to end within this time, whatever befalls the servers. If `None`,
    /// the cluster's own rule holds.
    promise: Option<Duration>,
}

impl KvCluster {
    /// A client that reaches all servers. Its clerk's ends are in an order of their own, since
    /// clerks must not rely on it.
    pub fn client(&self) -> Client {
        let n = self.shared.clients.load(Ordering::Relaxed);
        let mut servers: Vec<ServerId> = self.servers().collect();
        servers.shuffle(&mut self.dice(&format!("ends of client {n}")));
        self.client_with(&servers)
    }

    /// A client whose clerk has ends to these servers, in this order.
    pub fn client_with(&self, servers: &[ServerId]) -> Client {
        let n = self.shared.clients.fetch_add(1, Ordering::Relaxed);
        let node = Node::new(&format!("C{n}"));
        self.shared.client_nodes.lock().push(node.clone());
        let clerk = new_clerk(self, &node, servers);
        Client {
            kv: self.clone(),
            name: node.name(),
            node,
            servers: servers.to_vec(),
            clerk,
            is_new: true,
            done: Arc::default(),
            promise: None,
        }
    }

    /// A client that knows all servers and reaches only these; see [`Client::reach`].
    pub fn client_of(&self, servers: &[ServerId]) -> Client {
        let client = self.client();
        client.reach(servers);
        client
    }

    /// One of the last so many clients.
    pub(crate) fn recent_client(&self, among: u64, dice: &mut Rng) -> Node {
        let nodes = self.shared.client_nodes.lock();
        let last = nodes.len() - 1;
        let back = usize::try_from(dice.random_range(0..among)).unwrap_or(usize::MAX);
        nodes[last - back.min(last)].clone()
    }

    /// Requests that clients have sent so far.
    pub fn requests_of_clients(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Operations that clients have begun so far.
    pub fn operations(&self) -> u64 {
        self.shared.measures.commands.load(Ordering::Relaxed)
    }
}

impl Client {
    /// `C0`, `C1`, ...
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Goes on with a new clerk, as if it were another client.
    pub fn take_new_clerk(&mut self) {
        self.clerk = new_clerk(&self.kv, &self.node, &self.servers);
        self.is_new = true;
    }

    /// Each operation has to end within this time, whatever befalls the servers.
    #[must_use]
    pub fn with_promise(self, promise: Duration) -> Client {
        Client { promise: Some(promise), ..self }
    }

    /// From now on it reaches these servers and no others.
    pub fn reach(&self, servers: &[ServerId]) {
        reach(&self.kv, &self.name, servers);
    }

    /// The value of a key; empty if it is absent.
    pub fn get(&mut self, key: &str) -> String {
        self.perform(KvOp::get(key), |clerk| {
            let value = clerk.get(key);
            (KvOutput::value(value.clone()), value)
        })
    }

    /// Sets the value of a key.
    pub fn put(&mut self, key: &str, value: &str) {
        self.perform(KvOp::put(key, value), |clerk| (KvOutput::Done, clerk.put(key, value)));
    }

    /// Adds to the end of a key's value.
    pub fn append(&mut self, key: &str, value: &str) {
        self.perform(KvOp::append(key, value), |clerk| (KvOutput::Done, clerk.append(key, value)));
    }

    fn perform<T: Default>(
        &mut self,
        op: KvOp,
        action: impl FnOnce(&mut dyn Clerk) -> (KvOutput, T),
    ) -> T {
        let shared = Arc::clone(&self.kv.shared);
        let what = linearize::Model::show_op(&linearize::models::Kv, &op);
        let Some(step) = self.kv.choices().command(Verb::Operation) else {
            time::sleep(LEFT_OUT);
            return T::default();
        };
        self.kv.choices().given(step, || format!("{what} by {}", self.name));
        tracing::debug!(target: log::CLIENT, "{} calls {what}", self.name);
        shared.measures.commands.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let call = shared.history.call(Arc::clone(&self.name), sim::elapsed(), op);
        let id = call.id();
        let is_first = std::mem::take(&mut self.is_new);
        shared.patience.begins(id, &self.name, what, self.promise, is_first);
        // Also where the story's own task calls: what the clerk does is the client's doing.
        let done = self.node.run(|| action(&mut *self.clerk));
        let (output, result) = done.expect("nobody kills a client's node");
        call.returned(sim::elapsed(), output);
        let overdue = shared.patience.ends(id);
        let took = began.elapsed();
        tracing::debug!(target: log::CLIENT, "{} has its answer after {took:?}", self.name);
        if let Some(failure) = overdue {
            self.kv.fail(failure);
        }
        self.done.fetch_add(1, Ordering::Relaxed);
        self.kv.expect_sizes();
        result
    }

    /// A get that has to give this value.
    pub fn expect(&mut self, key: &str, value: &str) {
        let found = self.get(key);
        if found != value {
            self.kv.fail(wrong_value(&self.name, key, value, &found));
        }
    }

    /// Does something in a task of its own, on the client's node. The result says how it goes.
    ///
    /// # Panics
    ///
    /// If no more tasks can be started.
    pub fn begin<T: Send + 'static>(
        mut self,
        action: impl FnOnce(&mut Client) -> T + Send + 'static,
    ) -> Begun<T> {
        let ended = Arc::new(AtomicBool::new(false));
        let (kv, name, done) = (self.kv.clone(), Arc::clone(&self.name), Arc::clone(&self.done));
        let (node, has_ended) = (self.node.clone(), Arc::clone(&ended));
        let task = node.run(|| {
            let task = thread::Builder::new().name(format!("client {name}"));
            task.spawn(move || {
                let result = action(&mut self);
                has_ended.store(true, Ordering::Relaxed);
                result
            })
        });
        let task = task.expect("nobody kills a client's node");
        Begun { kv, name, done, ended, task: task.expect("a simulation can start a task") }
    }
}

fn new_clerk(kv: &KvCluster, node: &Node, servers: &[ServerId]) -> Box<dyn Clerk> {
    let end = |to: &ServerId| kv.network().end(node, &to.to_string());
    let ends: Vec<ClientEnd> = servers.iter().map(end).collect();
    node.run(|| (kv.setup().system.clerk)(ends)).expect("nobody kills a client's node")
}

fn reach(kv: &KvCluster, client: &str, servers: &[ServerId]) {
    for server in kv.servers() {
        let (up, server) = (servers.contains(&server), server.to_string());
        kv.network().set_link(client, &server, up);
        kv.network().set_link(&server, client, up);
    }
}

/// What a client does in a task of its own.
pub struct Begun<T> {
    kv: KvCluster,
    name: Arc<str>,
    done: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    task: JoinHandle<T>,
}

impl<T> Begun<T> {
    /// Has it ended?
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Who does it.
    pub fn client(&self) -> &str {
        &self.name
    }

    /// Operations that the client has done so far.
    pub fn operations(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// The client reaches these servers from now on, and no others.
    pub fn reach(&self, servers: &[ServerId]) {
        reach(&self.kv, &self.name, servers);
    }

    /// Waits for the end, and gives the result. How long operations may take has its own rules.
    ///
    /// # Panics
    ///
    /// If the task was killed, which nobody does.
    pub fn wait(self) -> T {
        self.task.join().expect("whatever goes wrong in a client's task ends the run")
    }

    /// Waits for the end, which must come within this time since then.
    pub fn expect_within(self, limit: Duration, since: Instant, what: &str) -> T {
        let deadline = since + limit;
        while !self.has_ended() && Instant::now() < deadline {
            time::sleep(Duration::from_millis(1));
        }
        if !self.has_ended() {
            let failure = Failure::liveness("an operation does not end")
                .expected(format!("{what} ends within {}", span(limit)))
                .happened(format!("{} still waits for it {}", self.name, at(sim::elapsed())))
                .look_at("what wakes a request that waits in a server when leadership is lost, and whom the clerk asks next");
            self.kv.fail(failure);
        }
        self.wait()
    }
}

/// Is this the name of a client on the network?
pub(crate) fn is_client(name: &str) -> bool {
    name.strip_prefix('C').is_some_and(|n| n.bytes().all(|byte| byte.is_ascii_digit()))
}

pub(crate) fn wrong_value(client: &str, key: &str, expected: &str, found: &str) -> Failure {
    Failure::safety("a get returned a wrong value")
        .expected(format!("the value of {key:?} is {}", shorten(expected, found)))
        .happened(format!("{client} was answered {}, {}", shorten(found, expected), at(sim::elapsed())))
        .look_at("what makes a get see all that was done before it was called; what a retry does; what a restart and a snapshot bring back")
}

/// A value as far as it matters: where two differ, if they are long.
fn shorten(value: &str, other: &str) -> String {
    const SHOWN: usize = 60;
    if value.len() <= SHOWN {
        return format!("{value:?}");
    }
    let same = value.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    let mut from = same.saturating_sub(SHOWN / 3);
    while !value.is_char_boundary(from) {
        from -= 1;
    }
    let shown: String = value[from..].chars().take(SHOWN).collect();
    let before = if from > 0 { "... " } else { "" };
    let after = if from + shown.len() < value.len() { " ..." } else { "" };
    format!("{before}{shown:?}{after} ({} bytes)", value.len())
}
