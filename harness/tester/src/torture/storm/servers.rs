//! Servers that crash and come back, stand still, stall, or have a wrong clock.

use labrt::node::Node;
use labrt::rand::Rng;
use labrt::time::{self, Duration};
use raftapi::ServerId;

use super::{Storm, around, up_to};
use crate::choices::Verb;
use crate::coverage::Met;
use crate::fault::Fault;
use crate::log;
use crate::torture::environment::Every;

impl Storm {
    pub(super) fn drift(&self, server: ServerId) {
        let rate = self.shared.environment.clocks[server.0];
        if (rate - 1.0).abs() > f64::EPSILON
            && let Some((node, ..)) = self.cluster.running(server)
            && !Fault::Drift.is_dead()
            && self.cluster.choices().fault(Verb::Drift, || format!("{server} at {rate:.2}"))
        {
            node.set_clock_rate(rate);
        }
    }

    /// One server after the other crashes, and comes back.
    pub(super) fn crash(&self, every: Every, dice: &mut Rng) {
        while self.sleep(around(every.interval, dice)) {
            let victim = self.victim(self.shared.environment.crashes.leader, dice);
            {
                let _hands = self.shared.hands.lock();
                if !self.cluster.is_up(victim) {
                    continue;
                }
                if let Some((node, ..)) = self.cluster.running(victim) {
                    node.resume(); // to be told of its end
                }
                self.shared.coverage.met(Met::CrashesAnyTime);
                self.cluster.crash(victim);
            }
            self.sleep(up_to(every.length, dice));
            let _hands = self.shared.hands.lock();
            self.cluster.restart_if_down(victim);
            self.cluster.connect(victim);
        }
    }

    pub(super) fn pause(&self, every: Every, dice: &mut Rng) {
        while self.sleep(around(every.interval, dice)) {
            let victim = self.victim(0.5, dice);
            if !self.cluster.choices().fault(Verb::Pause, || victim.to_string()) {
                continue;
            }
            // Nobody may be kept waiting in it: start() has to return at once.
            while !self.shared.close(victim) {
                time::sleep(Duration::from_micros(500));
            }
            let node = {
                let _hands = self.shared.hands.lock();
                self.cluster.running(victim).map(|(node, ..)| node).filter(Node::is_alive)
            };
            if let Some(node) = node {
                tracing::info!(target: log::FAULT, "{victim} stands still");
                if !Fault::Pause.is_dead() {
                    node.pause();
                }
                let pause = self.shared.effects.pause(Met::Pauses, victim);
                self.sleep(up_to(every.length, dice));
                drop(pause);
                tracing::info!(target: log::FAULT, "{victim} goes on");
                node.resume();
            }
            self.shared.open(victim);
        }
    }

    pub(super) fn stall(&self, every: Every, dice: &mut Rng) {
        while self.sleep(around(every.interval, dice)) {
            let victim = self.victim(0.3, dice);
            let stall = self.cluster.stall_service(victim);
            self.sleep(up_to(every.length, dice));
            self.shared.coverage.met_times(Met::Stalls, u64::from(stall.kept_it_waiting()));
            drop(stall);
        }
    }
}
