//! Own snapshots, and those of leaders (Figure 13).

use crate::model::{Micros, Role, What};
use crate::replay::State;

use super::{Act, Report, Rule, SOON, Scene};

/// A snapshot is saved within this time.
const PATIENCE: Micros = 100_000;

/// A service has handed a snapshot over.
#[derive(Debug, Clone, Copy)]
struct Taken {
    at: Micros,
    event: usize,
    index: u64,
    /// The log's base at that time.
    base: u64,
}

pub(super) struct Snapshots {
    taken: Vec<Option<Taken>>,
}

impl Snapshots {
    pub(super) fn new(servers: usize) -> Snapshots {
        Snapshots { taken: vec![None; servers] }
    }

    pub(super) fn started(&mut self, server: usize) {
        self.taken[server] = None;
    }

    /// It cannot even look at the snapshot.
    pub(super) fn closed(&mut self, server: usize) {
        self.taken[server] = None;
    }

    pub(super) fn taken(&mut self, scene: &Scene, index: u64) {
        let base = scene.memory().base.0;
        self.taken[scene.server] = Some(Taken { at: scene.at, event: scene.event, index, base });
    }

    pub(super) fn state(&mut self, scene: &Scene, report: &mut Report, old: &State, new: &State) {
        self.unsaved(scene, report, false);
        if new.base == old.base {
            return;
        }
        let server = scene.server;
        let installs = scene.talk.installs[server].is_some_and(|at| at + SOON > scene.at);
        let own = self.taken[server].is_some_and(|taken| taken.index == new.base.0) || !installs;
        let act = if own { Act::Snapshot } else { Act::Install };
        let (index, term) = new.base;
        let mut add = |index, text| report.add((Rule::Compaction, act), new.term, index, text);
        if index < old.base.0 {
            let text = format!(
                "S{server} goes back to a snapshot up to i{index}, and had one up to i{}",
                old.base.0
            );
            return add(Some(index), text);
        }
        let was = old.term_at(index);
        if let Some(was) = was.filter(|was| own && *was != term) {
            let text = format!(
                "S{server} takes a snapshot up to i{index} and labels it T{term}; that entry is of T{was}"
            );
            return add(Some(index), text);
        }
        let kept = new.last().0 > index && new.term_at(index + 1) == old.term_at(index + 1);
        if let Some(was) = was.filter(|was| *was != term && kept) {
            let text = format!(
                "S{server} takes a snapshot up to T{term}:i{index} and keeps the entries after its own T{was}:i{index}"
            );
            return add(Some(index), text);
        }
        if was == Some(term) && new.last().0 < old.last().0 {
            let text = format!(
                "S{server} takes a snapshot up to i{index}, and the entries after it, up to i{}, are gone from its log, too",
                old.last().0
            );
            return add(Some(new.last().0 + 1), text);
        }
        let fed = scene.talk.fed[server].is_some_and(|at| at + SOON > scene.at)
            || !scene.talk.open[server].is_empty()
            || commanded(scene, new);
        if was == Some(term) && new.last().0 > old.last().0 && own && !fed {
            let text = format!(
                "S{server} takes a snapshot up to i{index}, and its log, which ended at i{}, now ends at i{}",
                old.last().0,
                new.last().0
            );
            return add(Some(new.last().0), text);
        }
        if new.commit < index {
            let text = format!(
                "S{server} has a snapshot up to i{index} and commits up to i{} only",
                new.commit
            );
            add(Some(index), text);
        }
    }

    pub(super) fn saved(
        &mut self,
        scene: &Scene,
        report: &mut Report,
        (old, known): (Option<&State>, bool),
        same: bool,
    ) {
        let server = scene.server;
        let Some(disk) = scene.replay.servers[server].disk.as_ref().filter(|_| known) else {
            return;
        };
        let base = old.map_or(0, |old| old.base.0);
        let term = scene.memory().term;
        if disk.base.0 > base && same {
            let text = format!(
                "S{server} saves its log without what is up to i{}, and not the snapshot that includes that",
                disk.base.0
            );
            report.add((Rule::Compaction, Act::Save), term, Some(disk.base.0), text);
        }
        let Some(taken) = self.taken[server] else { return };
        if !same && taken.index <= taken.base && taken.at + SOON > scene.at {
            let text = format!(
                "S{server} replaces its snapshot up to i{} by an older one of its service, up to i{}",
                taken.base, taken.index
            );
            report.add((Rule::Compaction, Act::Snapshot), term, Some(taken.index), text);
        } else if !same && disk.base.0 < taken.index && taken.at + SOON > scene.at {
            let text = format!(
                "S{server} saves a snapshot up to i{} with a log that begins after i{} as before",
                taken.index, disk.base.0
            );
            report.add((Rule::Compaction, Act::Snapshot), term, Some(taken.index), text);
        }
        if disk.base.0 >= taken.index || taken.index <= taken.base || !same {
            self.taken[server] = None;
        }
    }

    /// A snapshot that was handed over and is not saved.
    fn unsaved(&mut self, scene: &Scene, report: &mut Report, at_last: bool) {
        for server in 0..scene.run.servers {
            let Some(taken) = self.taken[server] else { continue };
            let peer = &scene.replay.servers[server];
            let due = taken.at + PATIENCE < scene.at || (at_last && taken.at + SOON < scene.at);
            if taken.index <= taken.base || !peer.up {
                self.taken[server] = None;
            } else if due && peer.disk.is_some() {
                self.taken[server] = None;
                let text = format!(
                    "S{server} is given a snapshot up to i{} by its service, and does not save it",
                    taken.index
                );
                let place = (taken.at, taken.event, server);
                let what = (Rule::Compaction, Act::Snapshot);
                report.add_at(place, what, peer.memory.term, Some(taken.index), text);
            }
        }
    }

    pub(super) fn end(&mut self, scene: &Scene, report: &mut Report) {
        self.unsaved(scene, report, true);
    }
}

/// Is there a command at this instant, which a leader adds to its log? What clients' services start is
/// not seen, so with clients there may always be one.
fn commanded(scene: &Scene, new: &State) -> bool {
    if !scene.run.operations.is_empty() {
        return new.role == Role::Leader;
    }
    scene.run.events[scene.event..].iter().take_while(|event| event.at <= scene.at + SOON).any(
        |event| event.server == Some(scene.server) && matches!(event.what, What::Command { .. }),
    )
}

/// The first look at a server that has started anew.
pub(super) fn restarts(report: &mut Report, new: &State) {
    let server = report.server;
    let (base, first) = (new.base.0, new.applied.min(new.commit));
    if first < base {
        let what = if new.applied < base { "applied" } else { "committed" };
        let text = format!(
            "S{server} starts with a snapshot up to i{base} and takes i{first} for the last that it has {what}"
        );
        report.add((Rule::Compaction, Act::Restart), new.term, Some(base), text);
    }
}
