use std::{fmt, sync::Arc};

use labrt::node::Node;

use crate::{
    ClientEnd, Conditions, MessageId, NetEvent, Sending, Sentence, Service, Stats,
    chance::Chance,
    delivery::{Shared, tell_doomed},
    state::{LinkId, LinkStreams, Server},
};

/// The servers by name, the links between all names, and what is on its way.
///
/// A handle: clones mean the same network. It lives as long as a handle does; ends do not keep it.
/// Names need not be registered before they are used, and every pair of names has a link in each
/// direction, which is up at first.
#[derive(Clone, Default)]
pub struct Network {
    shared: Arc<Shared>,
}

impl Network {
    /// A network without servers, [reliable](Conditions::reliable), all links up. Its messages move
    /// by the clock of the run that the calling task belongs to.
    pub fn new() -> Network {
        Network::default()
    }

    /// What the incarnation `from` of a server holds to call `to`, registered or not.
    ///
    /// Several ends between the same names share their links.
    ///
    /// # Panics
    ///
    /// Outside a run of `labrt`.
    #[track_caller]
    pub fn end(&self, from: &Node, to: &str) -> ClientEnd {
        let name = from.name();
        let streams = LinkStreams::both_ways(&name, to);
        let route = self.shared.state.lock().route(&name, to, streams);
        ClientEnd::new(Arc::downgrade(&self.shared), from.clone(), route)
    }

    /// Answers requests to `node`'s name with `service` from now on, in tasks of `node`.
    ///
    /// An earlier incarnation of the name is replaced: its replies never arrive, and those who wait
    /// for it are told so within 100 ms.
    pub fn serve(&self, node: &Node, service: Service) {
        self.replace(&node.name(), Some(Server { node: node.clone(), service }));
    }

    /// Takes the server away from its name. Its calls in progress get no reply, and are told so
    /// within 100 ms; its handlers run on until its node is killed.
    pub fn remove(&self, name: &str) {
        self.replace(name, None);
    }

    fn replace(&self, name: &str, server: Option<Server>) {
        let mut state = self.shared.state.lock();
        let id = state.id(name);
        let earlier = state.replace_server(id, server.map(Arc::new));
        let doomed = state.calls.doom_server(id);
        drop(state);
        drop(earlier); // its handlers may own anything, and destructors may call labrt
        tell_doomed(&self.shared, doomed);
    }

    /// Lets messages from `from` to `to` pass, or not; the other direction is a link of its own.
    ///
    /// A request needs its link when it leaves and when it arrives. A reply is lost if its link goes down at
    /// any time between the request's arrival and its own, even if the link comes back meanwhile: its caller
    /// is told within 100 ms. Replies held back ([`Conditions::late_reply`]) arrive whatever happens.
    ///
    /// # Panics
    ///
    /// Outside a run of `labrt`.
    #[track_caller]
    pub fn set_link(&self, from: &str, to: &str, up: bool) {
        let link = self.link(from, to);
        let mut state = self.shared.state.lock();
        let was_up = std::mem::replace(&mut state.link_mut(link).up, up);
        let doomed = if was_up && !up { state.calls.doom_replies(link) } else { Vec::new() };
        drop(state);
        tell_doomed(&self.shared, doomed);
    }

    /// Do messages from `from` to `to` pass?
    pub fn link_is_up(&self, from: &str, to: &str) -> bool {
        let state = self.shared.state.lock();
        state.known_link(from, to).is_none_or(|link| state.link(link).up)
    }

    /// Sets what all links do to the messages sent from now on, except links with conditions of
    /// their own.
    pub fn set_conditions(&self, conditions: Conditions) {
        self.shared.state.lock().conditions = conditions;
    }

    /// Sets what the link from `from` to `to` does to requests and replies sent from now on; `None`
    /// for what all links do.
    ///
    /// # Panics
    ///
    /// Outside a run of `labrt`.
    #[track_caller]
    pub fn set_link_conditions(&self, from: &str, to: &str, conditions: Option<Conditions>) {
        let link = self.link(from, to);
        self.shared.state.lock().link_mut(link).conditions = conditions;
    }

    /// From now on chance touches these messages at most: it loses, repeats, delays or holds back no
    /// others, whatever the conditions say (unless they say that all are lost: that is certain). How long a message usually takes stays as it was, and so
    /// does the fate of those in the list: that is how a run is repeated with less befalling it.
    pub fn spare_all_but(&self, messages: impl IntoIterator<Item = MessageId>) {
        self.shared.state.lock().chance = Chance::only(messages);
    }

    /// From now on `judge` is asked about each message that is about to leave, whether it has a path or
    /// not, and its word goes before that of chance. As an [observer](Self::observe) it must not block, and
    /// runs wherever a message is sent from: the caller's task, or the handler's.
    ///
    /// # Panics
    ///
    /// If there is a judge already.
    pub fn judge(&self, judge: impl Fn(&Sending<'_>) -> Sentence + Send + Sync + 'static) {
        let appointed = self.shared.judge.appoint(Arc::new(judge));
        assert!(appointed.is_some(), "a network has one judge");
    }

    #[track_caller]
    fn link(&self, from: &str, to: &str) -> LinkId {
        let known = self.shared.state.lock().known_link(from, to);
        if let Some(link) = known {
            return link;
        }
        let streams = LinkStreams::both_ways(from, to);
        self.shared.state.lock().route(from, to, streams).there
    }

    /// How many requests the handlers at `name` have been given, over all incarnations, second
    /// copies included.
    pub fn requests_served(&self, name: &str) -> u64 {
        let state = self.shared.state.lock();
        state.known_id(name).map_or(0, |id| state.served(id))
    }

    /// What the network has carried so far.
    pub fn stats(&self) -> Stats {
        self.shared.state.lock().stats
    }

    /// Calls `observer` at every event of every message from now on, besides earlier observers.
    ///
    /// It runs wherever the event happens, in a task or none: so it must not block, and had better
    /// not hold a handle of this network, which would then never be dropped. On the real engine
    /// several threads may be in it at once, and events of different calls may come to it in another
    /// order than they happened in; those of one call do not, but for calls that are cut off.
    ///
    /// Independently of observers, each event is logged with `tracing`: level trace, target `rpc`.
    pub fn observe(&self, observer: impl Fn(&NetEvent<'_>) + Send + Sync + 'static) {
        self.shared.watch.observe(Arc::new(observer));
    }

    /// From now on events have the contents of the messages, as text ([`NetEvent::content`]). That
    /// takes some microseconds a message, and changes nothing of the run.
    pub fn show_contents(&self) {
        self.shared.watch.show_contents();
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({:?})", self.stats())
    }
}
