//! Whoever commits, and whoever applies.

use std::collections::BTreeMap;

use crate::model::{Micros, Role};
use crate::replay::State;

use super::talk::{Message, Method, Way};
use super::{Act, Report, Rule, Scene};

/// A leader that knows of a majority commits within this time.
const PATIENCE: Micros = 200_000;

pub(super) struct Commits {
    /// For each committed index: its term, who committed it, and in which term.
    committed: BTreeMap<u64, (u64, usize, u64)>,
    applied: BTreeMap<u64, (u64, String, usize)>,
    /// What each server applied last; `None` until its new incarnation has applied something.
    last_applied: Vec<Option<u64>>,
    /// The highest index that a leader has committed.
    by_leaders: u64,
    leaders: BTreeMap<u64, usize>,
    /// Since when each leader could commit an index, and does not.
    idle: Vec<Option<(u64, Micros, usize)>>,
}

impl Commits {
    pub(super) fn new(servers: usize) -> Commits {
        Commits {
            committed: BTreeMap::new(),
            applied: BTreeMap::new(),
            last_applied: vec![None; servers],
            by_leaders: 0,
            leaders: BTreeMap::new(),
            idle: vec![None; servers],
        }
    }

    pub(super) fn started(&mut self, server: usize) {
        self.last_applied[server] = None;
        self.idle[server] = None;
    }

    pub(super) fn installed(&mut self, server: usize, index: u64) {
        self.last_applied[server] = Some(index);
    }

    pub(super) fn applied(&mut self, report: &mut Report, index: u64, term: u64, command: &str) {
        let server = report.server;
        if let Some(last) = self.last_applied[server].replace(index)
            && index != last + 1
        {
            let text = format!("S{server} applies {index}, and had applied {last} before");
            report.add((Rule::InOrder, Act::Apply), term, Some(index), text);
        }
        let first = self.applied.entry(index);
        let first = first.or_insert_with(|| (term, command.to_owned(), server));
        if (first.0, first.1.as_str()) != (term, command) {
            let text = format!(
                "S{server} applies {command} of T{term} at {index}, where S{} applied {} of T{}",
                first.2, first.1, first.0
            );
            report.add((Rule::StateMachineSafety, Act::Apply), term, Some(index), text);
        }
    }

    pub(super) fn state(&mut self, scene: &Scene, report: &mut Report, old: &State, new: &State) {
        let server = scene.server;
        if new.role == Role::Leader {
            self.leaders.entry(new.term).or_insert(server);
            self.could(scene, new);
        } else {
            self.idle[server] = None;
        }
        if new.commit <= old.commit {
            return;
        }
        let restarted = old.term == 0;
        let own = new.commit > new.base.0 || old.base == new.base;
        if new.commit > new.last().0 {
            let text = format!(
                "S{server} commits up to {}, and its log ends at {}",
                new.commit,
                new.last().0
            );
            let what = (Rule::Stored, Act::Commit);
            report.add(what, new.term, Some(new.last().0 + 1), text);
        }
        if new.role == Role::Leader && own {
            counts(scene, report, new);
            self.by_leaders = self.by_leaders.max(new.commit);
        } else if own && new.role != Role::Leader && new.commit > self.by_leaders && !restarted {
            let text = format!(
                "S{server} commits up to i{}; no leader has committed more than i{}",
                new.commit, self.by_leaders
            );
            report.add((Rule::Stored, Act::Commit), new.term, Some(new.commit), text);
        }
        self.agrees(scene, report, old, new);
        self.one(scene, report, old, new);
    }

    /// What a follower commits its leader has.
    fn agrees(&self, scene: &Scene, report: &mut Report, old: &State, new: &State) {
        let server = scene.server;
        let leader = self.leaders.get(&new.term).filter(|leader| **leader != server);
        let Some(leader) = leader else { return };
        let leads = &scene.replay.servers[*leader].memory;
        if leads.term != new.term {
            return;
        }
        for index in old.commit.max(new.base.0) + 1..=new.commit.min(new.last().0) {
            let (Some(own), Some(theirs)) = (new.term_at(index), leads.term_at(index)) else {
                continue;
            };
            if own != theirs {
                let text = format!(
                    "S{server} commits T{own}:i{index}, where S{leader}, the leader of T{}, has T{theirs}",
                    new.term
                );
                let what = (Rule::StateMachineSafety, Act::Commit);
                report.add(what, new.term, Some(index), text);
                return;
            }
        }
    }

    /// At an index one entry is committed.
    fn one(&mut self, scene: &Scene, report: &mut Report, old: &State, new: &State) {
        let server = scene.server;
        for index in old.commit.max(new.base.0) + 1..=new.commit.min(new.last().0) {
            let Some(term) = new.term_at(index) else { continue };
            let first = *self.committed.entry(index).or_insert((term, server, new.term));
            if first.0 != term {
                let text = format!(
                    "S{server} commits T{term}:i{index}, S{} had committed T{} there",
                    first.1, first.0
                );
                let what = (Rule::StateMachineSafety, Act::Commit);
                report.add(what, new.term, Some(index), text);
                break;
            }
        }
    }

    /// Could this leader commit more than it has?
    fn could(&mut self, scene: &Scene, new: &State) {
        let server = scene.server;
        let mut stored: Vec<u64> = new.followers.iter().map(|(.., matched)| *matched).collect();
        stored.push(new.last().0);
        stored.sort_unstable();
        let Some(place) = stored.len().checked_sub(scene.majority()) else { return };
        let index = stored[place];
        let behind = index > new.commit && new.term_at(index) == Some(new.term);
        self.idle[server] = match self.idle[server] {
            _ if !behind => None,
            Some(since) if since.0 > new.commit => Some(since),
            _ => Some((index, scene.at, scene.event)),
        };
    }

    pub(super) fn message(&mut self, scene: &Scene, report: &mut Report, message: &Message) {
        let (server, memory) = (scene.server, scene.memory());
        if let Some((index, since, event)) = self.idle[server]
            && since + PATIENCE < scene.at
            && memory.role == Role::Leader
        {
            self.idle[server] = None;
            let holders: Vec<String> = memory
                .followers
                .iter()
                .filter(|(.., matched)| *matched >= index)
                .map(|(follower, ..)| format!("S{follower}"))
                .collect();
            let text = format!(
                "S{server} leads T{} and knows that {} hold T{}:i{index}, with itself a majority, and does not commit it",
                memory.term,
                holders.join(" and "),
                memory.term
            );
            let what = (Rule::Progress, Act::Commit);
            report.add_at((since, event, server), what, memory.term, Some(index), text);
        }
        if message.way == Way::RequestLeaves && message.method == Method::Append {
            self.by_leaders = self.by_leaders.max(message.request.commit.unwrap_or(0));
        }
        let yes = message.reply.as_ref().and_then(|reply| reply.success) == Some(true);
        if message.way != Way::ReplyLeaves || message.method != Method::Append || !yes {
            return;
        }
        let request = &message.request;
        let (Some(commit), Some(end)) = (request.commit, request.end()) else { return };
        if request.term == Some(memory.term) && memory.commit < commit.min(end) {
            let text = format!(
                "S{server} is told by S{} that i{commit} is committed, has its log up to i{end}, and commits up to i{} only",
                message.other, memory.commit
            );
            report.add((Rule::Progress, Act::Commit), memory.term, Some(commit.min(end)), text);
        }
    }
}

/// A leader commits by counting: entries of its own term, that a majority holds.
fn counts(scene: &Scene, report: &mut Report, new: &State) {
    let server = scene.server;
    let Some(term) = new.term_at(new.commit) else { return };
    if term != new.term {
        let text = format!(
            "S{server} leads T{} and commits up to {}, an entry of T{term}",
            new.term, new.commit
        );
        report.add((Rule::OwnTerm, Act::Commit), new.term, Some(new.commit), text);
    }
    let stores = |peer: &crate::replay::Server| {
        peer.memory.holds(new.commit, term)
            || peer.disk.as_ref().is_some_and(|disk| disk.holds(new.commit, term))
    };
    let servers = &scene.replay.servers;
    let copies = servers.iter().filter(|peer| stores(peer)).count();
    let saved = servers[server].disk.as_ref().is_none_or(|disk| disk.holds(new.commit, term));
    if copies < scene.majority() {
        let text = format!(
            "S{server} commits T{term}:i{}, which {copies} of {} servers hold",
            new.commit,
            servers.len()
        );
        report.add((Rule::Stored, Act::Commit), new.term, Some(new.commit), text);
    } else if copies == scene.majority() && !saved {
        let text = format!(
            "S{server} commits T{term}:i{} and counts its own copy, which it has not saved",
            new.commit
        );
        report.add((Rule::Persistence, Act::Save), new.term, Some(new.commit), text);
    }
}
