//! Everything that changes in a network, as plain data behind one lock.

use std::{collections::BTreeMap, sync::Arc};

use labrt::{node::Node, rand::Stream};

use crate::{Conditions, Service, Stats, calls::Calls, chance::Chance};

/// A name on the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServerId(u32);

/// One direction between two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinkId(u32);

/// The way from a caller to a server and back; shared by all ends between the two.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) from_name: Arc<str>,
    pub(crate) to_name: Arc<str>,
    pub(crate) to: ServerId,
    /// Requests take this link.
    pub(crate) there: LinkId,
    /// Replies take this one.
    pub(crate) back: LinkId,
    /// Tells the messages of this route from others in the trace.
    pub(crate) trace_mark: u64,
}

/// Who answers at a name.
pub(crate) struct Server {
    pub(crate) node: Node,
    pub(crate) service: Service,
}

pub(crate) struct Link {
    pub(crate) up: bool,
    /// `None` if those of the network hold.
    pub(crate) conditions: Option<Conditions>,
    /// Counts the requests sent on this link.
    pub(crate) requests: u64,
    /// Counts the replies sent on this link.
    pub(crate) replies: u64,
    pub(crate) streams: LinkStreams,
}

/// Where the fates of a link's messages come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkStreams {
    pub(crate) requests: Stream,
    pub(crate) replies: Stream,
    /// How late callers notice that their server has vanished.
    pub(crate) notices: Stream,
}

impl LinkStreams {
    /// Asks labrt for the run's seed, so the state must not be locked.
    fn new(from: &str, to: &str) -> LinkStreams {
        let stream = |what| labrt::rand::stream(&format!("link/{from}->{to}/{what}"));
        LinkStreams {
            requests: stream("requests"),
            replies: stream("replies"),
            notices: stream("notices"),
        }
    }

    /// Of both directions between two names, `from` to `to` first.
    pub(crate) fn both_ways(from: &str, to: &str) -> [LinkStreams; 2] {
        [LinkStreams::new(from, to), LinkStreams::new(to, from)]
    }
}

#[derive(Default)]
pub(crate) struct State {
    /// Names get their numbers as they first appear.
    ids: BTreeMap<Arc<str>, ServerId>,
    /// By number: who serves there, and how many requests the name's handlers have executed.
    servers: Vec<(Option<Arc<Server>>, u64)>,
    link_ids: BTreeMap<(ServerId, ServerId), LinkId>,
    links: Vec<Link>,
    routes: BTreeMap<(ServerId, ServerId), Arc<Route>>,
    pub(crate) conditions: Conditions,
    pub(crate) chance: Chance,
    pub(crate) calls: Calls,
    pub(crate) stats: Stats,
}

impl State {
    /// The number of a name, new or not.
    pub(crate) fn id(&mut self, name: &str) -> ServerId {
        if let Some(&id) = self.ids.get(name) {
            return id;
        }
        let id = ServerId(u32::try_from(self.servers.len()).expect("fewer than 2^32 names"));
        self.servers.push((None, 0));
        self.ids.insert(Arc::from(name), id);
        id
    }

    /// The number of a name, if it has one.
    pub(crate) fn known_id(&self, name: &str) -> Option<ServerId> {
        self.ids.get(name).copied()
    }

    /// The way between two names, with the links it needs.
    pub(crate) fn route(
        &mut self,
        from: &str,
        to: &str,
        [there, back]: [LinkStreams; 2],
    ) -> Arc<Route> {
        let (a, b) = (self.id(from), self.id(to));
        if let Some(route) = self.routes.get(&(a, b)) {
            return route.clone();
        }
        let there = self.link_between(a, b, there);
        let route = Arc::new(Route {
            from_name: Arc::from(from),
            to_name: Arc::from(to),
            to: b,
            there,
            back: self.link_between(b, a, back),
            trace_mark: u64::from(there.0) << 32,
        });
        self.routes.insert((a, b), route.clone());
        route
    }

    fn link_between(&mut self, from: ServerId, to: ServerId, streams: LinkStreams) -> LinkId {
        *self.link_ids.entry((from, to)).or_insert_with(|| {
            self.links.push(Link { up: true, conditions: None, requests: 0, replies: 0, streams });
            LinkId(u32::try_from(self.links.len() - 1).expect("fewer than 2^32 links"))
        })
    }

    /// The link between two names, if anybody has needed it yet.
    pub(crate) fn known_link(&self, from: &str, to: &str) -> Option<LinkId> {
        let names = (self.known_id(from)?, self.known_id(to)?);
        self.link_ids.get(&names).copied()
    }

    pub(crate) fn link(&self, link: LinkId) -> &Link {
        &self.links[link.0 as usize]
    }

    pub(crate) fn link_mut(&mut self, link: LinkId) -> &mut Link {
        &mut self.links[link.0 as usize]
    }

    /// The conditions that hold on a link.
    pub(crate) fn conditions_of(&self, link: LinkId) -> &Conditions {
        self.link(link).conditions.as_ref().unwrap_or(&self.conditions)
    }

    pub(crate) fn server(&self, id: ServerId) -> Option<&Arc<Server>> {
        self.servers[id.0 as usize].0.as_ref()
    }

    /// Puts a server, or none, at a name. Drop the earlier one when nothing is locked: its handlers
    /// may hold anything.
    #[must_use]
    pub(crate) fn replace_server(
        &mut self,
        id: ServerId,
        server: Option<Arc<Server>>,
    ) -> Option<Arc<Server>> {
        std::mem::replace(&mut self.servers[id.0 as usize].0, server)
    }

    pub(crate) fn served(&self, id: ServerId) -> u64 {
        self.servers[id.0 as usize].1
    }

    pub(crate) fn count_served(&mut self, id: ServerId) {
        self.servers[id.0 as usize].1 += 1;
    }
}
