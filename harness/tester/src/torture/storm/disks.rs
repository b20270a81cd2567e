//! Slow disks: a save takes its time, and its server may crash in it or after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use labrt::event;
use labrt::node::Node;
use labrt::rand::stream;
use labrt::time;
use raftapi::ServerId;
use raftapi::harness::Disk as _;
use rand::RngExt as _;

use super::Storm;
use crate::choices::Verb;
use crate::coverage::Met;
use crate::fault::Fault;
use crate::torture::environment::{Environment, SLOW_SAVE};

impl Storm {
    /// Whoever saves something waits for the disk, and may crash before anything is saved.
    pub(super) fn slow_the_disk(&self, server: ServerId) {
        let Environment { slow_disk, crashes, .. } = self.shared.environment;
        if slow_disk == 0.0 {
            return;
        }
        let (shared, choices) = (Arc::clone(&self.shared), Arc::clone(self.cluster.choices()));
        let fate = stream(&format!("torture/the disk of {server}"));
        let saves = AtomicU64::new(0);
        self.cluster.persister(server).before_save(move |_| {
            let mut dice = fate.at(saves.fetch_add(1, Ordering::Relaxed));
            if !shared.is_over()
                && !Fault::SlowDisk.is_dead()
                && dice.random_bool(slow_disk)
                && choices.fault(Verb::Pause, || format!("a task of {server}, at a save"))
            {
                time::sleep(SLOW_SAVE.mul_f64(dice.random()));
                shared.coverage.met(Met::SlowDisk);
                if !shared.is_over()
                    && dice.random_bool(crashes.in_save)
                    && choices.fault(Verb::Strike, || format!("{server}, in a save"))
                {
                    shared.strike_here(server, Met::CrashesInSave);
                }
            }
        });
    }

    /// Whoever has just saved something crashes, or takes its time.
    pub(super) fn strike_at_saves(&self, server: ServerId) {
        let (crash, slow) =
            (self.shared.environment.crashes.at_save, self.shared.environment.slow_saves);
        if crash == 0.0 && slow == 0.0 {
            return;
        }
        let (shared, choices) = (Arc::clone(&self.shared), Arc::clone(self.cluster.choices()));
        let fate = stream(&format!("torture/saves of {server}"));
        self.cluster.persister(server).on_save(move |disk| {
            if shared.is_over() {
                return;
            }
            let mut dice = fate.at(disk.saves());
            let (crashes, is_slow) = (dice.random_bool(crash), dice.random_bool(slow));
            if crashes && choices.fault(Verb::Strike, || format!("{server}, at a save")) {
                shared.strike_here(server, Met::CrashesAtSave);
            } else if is_slow && choices.fault(Verb::Pause, || format!("{server}, at a save")) {
                let node = Node::current();
                if !Fault::SlowSaves.is_dead() {
                    shared.coverage.met(Met::SlowSaves);
                    node.pause();
                }
                event::after(SLOW_SAVE.mul_f64(dice.random()), move || node.resume());
            }
        });
    }
}
