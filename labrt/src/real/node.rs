//! Nodes of the real engine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::{Condvar, Mutex};

use crate::kernel::{MAIN_NODE, NodeId, Rate};
use crate::rand::{Rng, node_stream};

/// Never sent: such a channel only ever gets disconnected, which wakes all who wait on it.
pub(crate) enum Never {}

/// One incarnation of a node.
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) name: Arc<str>,
    pub(super) incarnation: u32,
    pub(super) rng: Mutex<Rng>,
    rate: Mutex<Rate>,
    alive: AtomicBool,
    /// Disconnected when the node is killed.
    pub(super) killed: Receiver<Never>,
    kill: Mutex<Option<Sender<Never>>>,
    paused: AtomicBool,
    /// Tasks that live here, and visitors.
    present: Mutex<usize>,
    /// Notified when the node is resumed or killed, and when nobody is present any more.
    changed: Condvar,
}

impl Node {
    fn new(seed: u64, id: NodeId, name: Arc<str>, incarnation: u32) -> Arc<Self> {
        let (kill, killed) = crossbeam_channel::bounded(0);
        Arc::new(Node {
            id,
            rng: Mutex::new(node_stream(seed, &name, incarnation)),
            name,
            incarnation,
            rate: Mutex::new(Rate::TRUE),
            alive: AtomicBool::new(true),
            killed,
            kill: Mutex::new(Some(kill)),
            paused: AtomicBool::new(false),
            present: Mutex::new(0),
            changed: Condvar::new(),
        })
    }

    pub(super) fn is_alive(&self) -> bool {
        self.alive.load(SeqCst)
    }

    /// Counts one more task or visitor, unless the node is dead.
    pub(super) fn enter(&self) -> bool {
        let mut present = self.present.lock();
        let alive = self.is_alive();
        *present += usize::from(alive);
        alive
    }

    pub(super) fn leave(&self) {
        let mut present = self.present.lock();
        *present -= 1;
        if *present == 0 {
            self.changed.notify_all();
        }
    }

    pub(super) fn mark_dead(&self) {
        let present = self.present.lock();
        self.alive.store(false, SeqCst);
        self.paused.store(false, SeqCst);
        self.changed.notify_all();
        drop(present);
        drop(self.kill.lock().take());
    }

    pub(super) fn wait_until_empty(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut present = self.present.lock();
        while *present > 0 && !self.changed.wait_until(&mut present, deadline).timed_out() {}
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.load(SeqCst)
    }

    pub(super) fn set_paused(&self, paused: bool) {
        let _present = self.present.lock();
        self.paused.store(paused && self.is_alive(), SeqCst);
        self.changed.notify_all();
    }

    pub(super) fn wait_while_paused(&self) {
        let mut present = self.present.lock();
        while self.is_paused() {
            self.changed.wait(&mut present);
        }
    }

    pub(super) fn local_at(&self, now: u64) -> u64 {
        self.rate.lock().local_at(now)
    }

    pub(super) fn true_at(&self, local: u64) -> u64 {
        self.rate.lock().true_at(local)
    }

    pub(super) fn set_clock_rate(&self, now: u64, rate: f64) {
        let mut current = self.rate.lock();
        *current = current.changed_at(now, rate);
    }
}

/// All nodes of a run.
pub(super) struct Nodes(Mutex<Vec<Arc<Node>>>);

impl Nodes {
    /// Only that of the test's own task.
    pub(super) fn new(seed: u64) -> Self {
        Nodes(Mutex::new(vec![Node::new(seed, MAIN_NODE, "main".into(), 0)]))
    }

    pub(super) fn main(&self) -> Arc<Node> {
        self.get(MAIN_NODE)
    }

    pub(super) fn get(&self, id: NodeId) -> Arc<Node> {
        self.0.lock()[id.index()].clone()
    }

    /// A new incarnation of the node called `name`.
    pub(super) fn add(&self, seed: u64, name: &str) -> NodeId {
        let mut nodes = self.0.lock();
        let incarnation = nodes.iter().filter(|node| *node.name == *name).count();
        let incarnation = u32::try_from(incarnation).expect("fewer than 2^32 restarts");
        let id = NodeId::from_index(nodes.len());
        nodes.push(Node::new(seed, id, name.into(), incarnation));
        id
    }

    /// Kills all nodes and waits for their tasks to end.
    pub(super) fn end_all(&self, patience: Duration) {
        let nodes = self.0.lock().clone();
        for node in &nodes {
            node.mark_dead();
        }
        let deadline = Instant::now() + patience;
        for node in &nodes {
            node.wait_until_empty(deadline.saturating_duration_since(Instant::now()));
        }
    }
}
