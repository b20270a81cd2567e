//! Hardships that leave links up and servers alive: messages lost or late, deaf servers, stalled services.

use labrpc::{Conditions, DelayRange};
use raftapi::ServerId;

use super::Cluster;
use crate::choices::Verb;
use crate::fault::Fault;
use crate::log;
use crate::stall::{Stall, Stalls};

impl Cluster {
    /// Changes the network's hardships. In Lab 3, long delays on dead links are added.
    pub fn set_conditions(&self, conditions: Conditions) {
        tracing::info!(target: log::FAULT, "the network changes");
        self.set_conditions_unseen(conditions);
    }

    pub(super) fn set_conditions_unseen(&self, mut conditions: Conditions) {
        let hard = conditions != Conditions::reliable();
        if hard && !self.choices().fault(Verb::Hardships, || "of the network".to_owned()) {
            conditions = Conditions::reliable();
        }
        self.shared.network.set_conditions(self.shared.setup.hardships(conditions));
    }

    /// Holds back every reply of `from` to `to` from now on, by 200 to 2199 ms; or no more.
    pub fn hold_back_replies(&self, from: ServerId, to: ServerId, hold: bool) {
        self.delay_replies(from, to, hold.then_some(Conditions::reliable().late_reply_delay));
    }

    /// From now on every reply of `from` to `to` takes so much longer, whatever happens to the link
    /// meanwhile; or no more.
    pub fn delay_replies(&self, from: ServerId, to: ServerId, by: Option<DelayRange>) {
        let by = by.filter(|_| !Fault::HoldBackReplies.is_dead());
        let late =
            |by| Conditions { late_reply: 1.0, late_reply_delay: by, ..Conditions::reliable() };
        self.hold_back(&format!("replies of {from} to {to}"), (from, to), by.map(late));
    }

    /// From now on every request of `from` to `to` takes so much longer; or no more. Requests overtake
    /// each other, and their callers wait.
    pub fn delay_requests(&self, from: ServerId, to: ServerId, by: Option<DelayRange>) {
        let by = by.filter(|_| !Fault::DelayRequests.is_dead());
        let late = |by| Conditions { extra_request_delay: by, ..Conditions::reliable() };
        self.hold_back(&format!("requests of {from} to {to}"), (from, to), by.map(late));
    }

    fn hold_back(&self, what: &str, (from, to): (ServerId, ServerId), late: Option<Conditions>) {
        let late = late.filter(|_| self.choices().fault(Verb::HoldBack, || what.to_owned()));
        tracing::info!(target: log::FAULT, "{what} are late: {}", late.is_some());
        self.set_link_conditions(from, to, late);
    }

    /// Loses every reply of `from` to `to` from now on; or no more.
    pub fn lose_replies(&self, from: ServerId, to: ServerId, lose: bool) {
        let about = || format!("replies of {from} to {to}");
        let lose = lose && self.choices().fault(Verb::LoseReplies, about);
        tracing::info!(target: log::FAULT, "replies of {from} to {to} are lost: {lose}");
        let lose = lose && !Fault::LoseReplies.is_dead();
        let conditions = Conditions { reply_loss: 1.0, ..Conditions::reliable() };
        self.set_link_conditions(from, to, lose.then_some(conditions));
    }

    /// From now on every request to this server is lost, and so is every reply, if `replies_too`.
    /// What it sends arrives.
    pub fn deafen(&self, server: ServerId, replies_too: bool) {
        if !self.choices().fault(Verb::Deafen, || server.to_string()) {
            return;
        }
        tracing::info!(target: log::FAULT, "{server} goes deaf, replies too: {replies_too}");
        let reply_loss = f64::from(u8::from(replies_too));
        let deaf = Conditions { request_loss: 1.0, reply_loss, ..Conditions::reliable() };
        self.set_conditions_to(server, Some(deaf).filter(|_| !Fault::Deafen.is_dead()));
    }

    /// Undoes [`deafen`](Self::deafen).
    pub fn undeafen(&self, server: ServerId) {
        tracing::info!(target: log::FAULT, "{server} hears again");
        self.set_conditions_to(server, None);
    }

    fn set_conditions_to(&self, server: ServerId, conditions: Option<Conditions>) {
        for other in self.servers().filter(|other| *other != server) {
            self.set_link_conditions(other, server, conditions);
        }
    }

    fn set_link_conditions(&self, from: ServerId, to: ServerId, conditions: Option<Conditions>) {
        let conditions = conditions.map(|conditions| self.shared.setup.hardships(conditions));
        self.shared.network.set_link_conditions(&from.to_string(), &to.to_string(), conditions);
    }

    /// Makes the links among these servers reliable, whatever the network's hardships are; or no more.
    pub(crate) fn spare_links_among(&self, servers: &[ServerId], spare: bool) {
        for (from, to) in servers.iter().flat_map(|from| servers.iter().map(move |to| (from, to))) {
            self.set_link_conditions(*from, *to, spare.then_some(Conditions::reliable()));
        }
    }

    /// From now on this server's service takes nothing more from its apply channel, until the
    /// result is dropped.
    pub fn stall_service(&self, server: ServerId) -> Stall {
        let happens = self.choices().fault(Verb::Stall, || format!("the service of {server}"));
        if happens {
            tracing::info!(target: log::FAULT, "the service of {server} stalls");
        }
        Stalls::begin(&self.shared.stalls, server, happens && !Fault::Stall.is_dead())
    }
}
