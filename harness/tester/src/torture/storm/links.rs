//! Links that are cut: between halves of the network, in one direction, again and again, or of a leader.

use labrpc::Conditions;
use labrt::rand::Rng;
use labrt::time::Duration;
use raftapi::ServerId;
use rand::RngExt as _;

use super::{Storm, around, up_to};
use crate::choices::Verb;
use crate::coverage::Met;
use crate::fault::{self, Fault};
use crate::log;
use crate::torture::environment::Every;

/// Is a message one from this server, or to it?
fn involves(server: ServerId) -> impl Fn(ServerId, ServerId) -> bool + Send + 'static {
    move |from, to| from == server || to == server
}

impl Storm {
    pub(super) fn part(&self, every: Every, dice: &mut Rng) {
        let all = self.cluster.len();
        while self.sleep(around(every.interval, dice)) {
            let mut sides: Vec<usize> = (0..all).map(|_| dice.random_range(0..2)).collect();
            let mut leader_cut_off = None;
            if dice.random_bool(self.shared.environment.partitions.follow_leader)
                && let Some((_, leader)) = self.newest_leader()
            {
                sides.fill(0);
                let companions = dice.random_range(0..all.div_ceil(2));
                let first = dice.random_range(0..all);
                for n in 0..companions {
                    sides[(first + n) % all] = 1;
                }
                sides[leader.0] = 1;
                leader_cut_off =
                    Some(self.shared.effects.cut(Met::LeadersCutOff, involves(leader)));
            }
            self.cluster.partition(|server| sides[server.0]);
            let is_cut = move |from: ServerId, to: ServerId| sides[from.0] != sides[to.0];
            let partition = self.shared.effects.cut(Met::Partitions, is_cut);
            self.sleep(up_to(every.length, dice));
            drop((partition, leader_cut_off));
            self.cluster.heal();
        }
    }

    pub(super) fn one_way(&self, every: Every, dice: &mut Rng) {
        while self.sleep(around(every.interval, dice)) {
            let victim = self.victim(self.shared.environment.partitions.follow_leader, dice);
            let other = self.cluster.after(victim, dice.random_range(1..self.cluster.len()));
            let others = self.cluster.servers().filter(|other| *other != victim);
            let (what, links): (_, Vec<_>) = match dice.random_range(0..3) {
                0 => ("hears nobody", others.map(|other| (other, victim)).collect()),
                1 => ("is heard by nobody", others.map(|other| (victim, other)).collect()),
                _ => ("is not heard by one", vec![(victim, other)]),
            };
            if !self.cluster.choices().fault(Verb::OneWay, || format!("{victim} {what}")) {
                continue;
            }
            tracing::info!(target: log::FAULT, "{victim} {what}");
            let dead = Conditions {
                request_loss: 1.0,
                reply_loss: 1.0,
                ..self.shared.environment.conditions
            };
            self.set_links(&links, Some(dead).filter(|_| !Fault::OneWay.is_dead()));
            let lost = links.clone();
            let cut =
                self.shared.effects.cut(Met::OneWay, move |from, to| lost.contains(&(from, to)));
            self.sleep(up_to(every.length, dice));
            drop(cut);
            tracing::info!(target: log::FAULT, "the links of {victim} work both ways");
            self.set_links(&links, None);
        }
    }

    fn set_links(&self, links: &[(ServerId, ServerId)], conditions: Option<Conditions>) {
        let conditions = conditions.map(fault::that_work);
        for (from, to) in links {
            let (from, to) = (from.to_string(), to.to_string());
            self.cluster.network().set_link_conditions(&from, &to, conditions);
        }
    }

    pub(super) fn flap(&self, every: Every, dice: &mut Rng) {
        let mut victim = self.victim(0.5, dice);
        while self.sleep(around(every.interval, dice)) {
            if dice.random_bool(0.1) {
                victim = self.victim(0.5, dice);
            }
            if self.cluster.is_up(victim) {
                let cut = self.shared.effects.cut(Met::Flaps, involves(victim));
                self.cluster.disconnect(victim);
                self.sleep(up_to(every.length, dice));
                drop(cut);
                if self.cluster.is_up(victim) {
                    self.cluster.connect(victim);
                }
            }
        }
    }

    /// A server that has just applied something is cut off, and is back in time.
    pub(super) fn cut_off(&self, server: ServerId, length: Duration) {
        if self.shared.is_over() || !self.cluster.is_connected(server) {
            return;
        }
        let cut = self.shared.effects.cut(Met::LeadersCutOffAtApply, involves(server));
        self.cluster.disconnect(server);
        self.start(&format!("{server} is back"), move |storm, _| {
            storm.sleep(length);
            drop(cut);
            if storm.cluster.is_up(server) {
                storm.cluster.connect(server);
            }
        });
    }
}
