//! Three servers of the reference Raft with a small service above each: a hundred registers.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use labrpc::Network;
use labrt::{channel, node::Node, time::sleep};
use raft::harness::Disk as _;
use raft::{ApplyMsg, LogIndex, Persister, Raft};

/// So many entries are kept before a snapshot is taken, where there are snapshots.
pub(crate) const KEPT: u64 = 1000;

/// A command sets one of so many registers, 20 bytes each.
const REGISTERS: u64 = 100;

pub(crate) struct Cluster {
    pub(crate) network: Network,
    servers: BTreeMap<usize, Server>,
    snapshots: bool,
}

struct Server {
    node: Node,
    raft: Raft,
    disk: Arc<Persister>,
    progress: Arc<Progress>,
}

/// What a service has done since it started.
#[derive(Default)]
pub(crate) struct Progress {
    /// Index of the last command that its state includes.
    pub(crate) applied: AtomicU64,
    /// Commands that it executed one by one.
    pub(crate) executed: AtomicU64,
}

/// The `n`-th command.
pub(crate) fn command(n: u64) -> Vec<u8> {
    format!("{:03} := {n:012}", n % REGISTERS).into_bytes()
}

impl Cluster {
    /// No servers yet. With `snapshots`, each takes one when it has [`KEPT`] entries.
    pub(crate) fn new(snapshots: bool) -> Cluster {
        Cluster { network: Network::new(), servers: BTreeMap::new(), snapshots }
    }

    /// Starts a server, one of S0, S1 and S2, with an empty disk.
    pub(crate) fn start(&mut self, me: usize) {
        self.start_with(me, Persister::new());
    }

    /// Crashes a server, and starts it with what it had saved.
    pub(crate) fn restart(&mut self, me: usize) {
        let old = self.servers.remove(&me).expect("it was started");
        old.node.kill();
        self.start_with(me, old.disk.copy());
    }

    fn start_with(&mut self, me: usize, disk: Persister) {
        let node = Node::new(&format!("S{me}"));
        let (disk, progress) = (Arc::new(disk), Arc::new(Progress::default()));
        let ends = (0..3).map(|to| self.network.end(&node, &format!("S{to}"))).collect();
        let (apply, messages) = channel::unbounded();
        let start = || Raft::new(ends, me, Arc::clone(&disk), apply);
        let raft = node.run(start).expect("a new node is alive");
        let mut service = Service {
            raft: raft.clone(),
            registers: BTreeMap::new(),
            since_snapshot: 0,
            snapshots: self.snapshots,
            progress: Arc::clone(&progress),
        };
        service.restore(&disk.read_snapshot());
        node.spawn(move || messages.into_iter().for_each(|message| service.take(message)));
        self.network.serve(&node, raft.service());
        self.servers.insert(me, Server { node, raft, disk, progress });
    }

    /// Waits until one server leads.
    pub(crate) fn leader(&self) -> &Raft {
        loop {
            let leader = self.servers.values().find(|server| server.raft.get_state().1);
            if let Some(leader) = leader {
                return &leader.raft;
            }
            sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn progress(&self, server: usize) -> &Progress {
        &self.servers[&server].progress
    }

    pub(crate) fn disk(&self, server: usize) -> &Persister {
        &self.servers[&server].disk
    }

    /// Waits until a server's state includes everything up to `index`.
    pub(crate) fn wait(&self, server: usize, index: u64) {
        while self.progress(server).applied.load(Relaxed) < index {
            sleep(Duration::from_micros(20));
        }
    }
}

struct Service {
    raft: Raft,
    registers: BTreeMap<Vec<u8>, Vec<u8>>,
    since_snapshot: u64,
    snapshots: bool,
    progress: Arc<Progress>,
}

impl Service {
    fn take(&mut self, message: ApplyMsg) {
        match message {
            ApplyMsg::Command { index, command, .. } => {
                self.registers.insert(command[..3].to_vec(), command);
                self.progress.executed.fetch_add(1, Relaxed);
                self.progress.applied.store(index.0, Relaxed);
                self.since_snapshot += 1;
                if self.snapshots && self.since_snapshot == KEPT {
                    self.since_snapshot = 0;
                    self.raft.snapshot(index, self.encode(index));
                }
            }
            ApplyMsg::Snapshot { data, .. } => self.restore(&data),
        }
    }

    fn encode(&self, index: LogIndex) -> Vec<u8> {
        let values = self.registers.values().flatten().copied();
        index.0.to_le_bytes().into_iter().chain(values).collect()
    }

    fn restore(&mut self, snapshot: &[u8]) {
        let Some((index, values)) = snapshot.split_first_chunk::<8>() else { return };
        let length = command(0).len();
        let values = values.chunks(length).map(|value| (value[..3].to_vec(), value.to_vec()));
        self.registers = values.collect();
        self.since_snapshot = 0;
        self.progress.applied.store(u64::from_le_bytes(*index), Relaxed);
    }
}
