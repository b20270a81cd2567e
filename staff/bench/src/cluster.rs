//! What a cluster of Raft servers costs, and how that grows.

use std::{sync::Arc, time::Duration};

use labrpc::Network;
use labrt::{
    channel::{self, Receiver},
    node::Node,
    time,
};
use raft::{ApplyMsg, LogIndex, Persister, Raft, SnapshotWrite};

use crate::{
    On,
    listener::{self, Listener},
};

/// Servers on a reliable network, and what they apply.
struct Cluster {
    servers: Vec<Raft>,
    /// Who applied which index.
    applied: Receiver<(usize, LogIndex)>,
    /// They would die with it.
    _network: Network,
}

impl Cluster {
    /// Starts the servers from equal disks.
    fn start(servers: usize, saved: &[u8]) -> Cluster {
        let network = Network::new();
        let (tell, applied) = channel::unbounded();
        let start = |me: usize| {
            let node = Node::new(&format!("S{me}"));
            let peers = (0..servers).map(|peer| network.end(&node, &format!("S{peer}"))).collect();
            let disk = Persister::new();
            disk.save(saved.to_vec(), SnapshotWrite::Keep);
            let (apply, messages) = channel::unbounded();
            let raft = node.run(|| Raft::new(peers, me, Arc::new(disk), apply));
            let raft = raft.expect("a new node is alive");
            network.serve(&node, raft.service());
            let tell = tell.clone();
            node.spawn(move || {
                for message in messages {
                    if let ApplyMsg::Command { index, .. } = message {
                        let _ = tell.send((me, index)); // the benchmark may be over
                    }
                }
            });
            raft
        };
        Cluster { servers: (0..servers).map(start).collect(), applied, _network: network }
    }

    fn leader(&self) -> usize {
        loop {
            if let Some(leader) = self.servers.iter().position(|raft| raft.get_state().1) {
                return leader;
            }
            time::sleep(Duration::from_millis(10));
        }
    }

    /// Hands a command of 20 bytes to the leader.
    fn start_command(&self, leader: usize) -> LogIndex {
        self.servers[leader].start(vec![7; 20]).expect("the network is reliable").index
    }

    /// Waits until this server has applied this index.
    fn wait(&self, server: usize, index: LogIndex) {
        while self.applied.recv().expect("the servers run") != (server, index) {}
    }

    /// Commits so many commands, one after the other, at the leader.
    fn commit(&self, leader: usize, commands: u64) {
        for _ in 0..commands {
            let index = self.start_command(leader);
            self.wait(leader, index);
        }
    }
}

/// `n` virtual seconds of a cluster with a leader and nothing to do.
pub fn idle_seconds(servers: usize, n: u64) -> Duration {
    On::Coroutines.run(move || {
        let cluster = Cluster::start(servers, &[]);
        cluster.leader();
        On::Coroutines.clock().time(|| time::sleep(Duration::from_secs(n)))
    })
}

/// `n` commands, one after the other; every hundred in a new cluster, so that logs stay short.
pub fn commands(servers: usize, listener: Listener, n: u64) -> Duration {
    let (whole, rest) = (n / 100, n % 100);
    let hundreds = (0..whole).map(|_| commands_after(servers, &[], listener, 100));
    hundreds.sum::<Duration>() + commands_after(servers, &[], listener, rest)
}

/// `n` commands, one after the other, in a cluster of three whose log is so long already.
pub fn commands_on_log(saved: &SavedLog, n: u64) -> Duration {
    commands_after(3, &saved.0, Listener::Nobody, n)
}

fn commands_after(servers: usize, saved: &[u8], listener: Listener, commands: u64) -> Duration {
    let saved = saved.to_vec();
    On::Coroutines.run(move || {
        listener::with(listener, || {
            let cluster = Cluster::start(servers, &saved);
            let leader = cluster.leader();
            cluster.commit(leader, 1); // and with it all that was saved
            time::sleep(Duration::from_secs(1));
            On::Coroutines.clock().time(|| cluster.commit(leader, commands))
        })
    })
}

/// What a server with a long log has on its disk.
pub struct SavedLog(Vec<u8>);

impl SavedLog {
    /// Of a log with so many commands of 20 bytes.
    pub fn of(commands: u64) -> SavedLog {
        SavedLog(On::Coroutines.run(move || {
            let network = Network::new();
            let node = Node::new("S0");
            let disk = Arc::new(Persister::new());
            let (apply, _messages) = channel::unbounded();
            let peers = vec![network.end(&node, "S0")];
            let raft = node.run(|| Raft::new(peers, 0, disk.clone(), apply));
            let raft = raft.expect("a new node is alive");
            while !raft.get_state().1 {
                time::sleep(Duration::from_millis(10));
            }
            for _ in 0..commands {
                raft.start(vec![7; 20]).expect("it is alone");
            }
            time::sleep(Duration::from_secs(1));
            disk.read_raft_state()
        }))
    }
}
