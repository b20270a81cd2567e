//! The links between servers: connected, cut, and partitioned.

use raftapi::ServerId;

use super::Cluster;
use crate::choices::Verb;
use crate::fault::Fault;
use crate::log;

impl Cluster {
    /// Links a server with every connected one on its side of the network, both ways.
    pub fn connect(&self, server: ServerId) {
        tracing::info!(target: log::FAULT, "connect {server}");
        {
            let mut servers = self.shared.servers.lock();
            servers[server.0].connected = true;
            servers[server.0].told.connected = true;
        }
        self.link(server);
    }

    /// Sets the links of a connected server: up to whoever is connected and on its side.
    fn link(&self, server: ServerId) {
        for other in self.reachable() {
            let together = {
                let servers = self.shared.servers.lock();
                servers[server.0].side == servers[other.0].side
            };
            self.set_links(server, other, together);
        }
    }

    /// Parts the network: `side_of` says on which side each server is from now on. Links between
    /// servers of different sides go down, those between connected servers of one side come up.
    /// Clients reach all servers as before.
    pub fn partition(&self, side_of: impl Fn(ServerId) -> usize) {
        let mut sides: Vec<usize> = self.servers().map(side_of).collect();
        if Fault::Partition.is_dead() {
            sides.fill(0);
        }
        let parts = sides.iter().any(|side| *side != sides[0]);
        if parts && !self.choices().fault(Verb::Partition, || format!("{sides:?}")) {
            sides.fill(0);
        }
        tracing::info!(target: log::FAULT, "partition {sides:?}");
        for (entry, side) in self.shared.servers.lock().iter_mut().zip(sides) {
            entry.side = side;
        }
        for server in self.reachable() {
            self.link(server);
        }
    }

    /// Ends a [`partition`](Self::partition).
    pub fn heal(&self) {
        self.partition(|_| 0);
    }

    /// Cuts every link from and to a server. It goes on running, and the test can still talk to it.
    pub fn disconnect(&self, server: ServerId) {
        let happens = self.choices().fault(Verb::Disconnect, || server.to_string());
        {
            let mut servers = self.shared.servers.lock();
            servers[server.0].told.connected = false;
            if !happens {
                return;
            }
            servers[server.0].connected = false;
        }
        tracing::info!(target: log::FAULT, "disconnect {server}");
        if Fault::Disconnect.is_dead() {
            return;
        }
        self.cut(server);
    }

    pub(super) fn cut(&self, server: ServerId) {
        for other in self.servers() {
            self.set_links(server, other, false);
        }
    }

    fn set_links(&self, one: ServerId, other: ServerId, up: bool) {
        if one != other {
            self.set_link(one, other, up);
            self.set_link(other, one, up);
        }
    }

    fn set_link(&self, from: ServerId, to: ServerId, up: bool) {
        self.shared.recorder.link(from, to, up);
        self.shared.network.set_link(&from.to_string(), &to.to_string(), up);
    }

    /// Connects these servers, one after the other.
    pub fn connect_each(&self, servers: &[ServerId]) {
        for server in servers {
            self.connect(*server);
        }
    }

    /// Disconnects these servers, one after the other.
    pub fn disconnect_each(&self, servers: &[ServerId]) {
        for server in servers {
            self.disconnect(*server);
        }
    }

    /// Connects every server.
    pub fn connect_all(&self) {
        for server in self.servers() {
            self.connect(server);
        }
    }

    /// Disconnects every server.
    pub fn disconnect_all(&self) {
        for server in self.servers() {
            self.disconnect(server);
        }
    }
}
