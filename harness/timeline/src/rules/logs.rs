//! Followers that take entries, and leaders whose log is their own.

use std::collections::BTreeMap;

use crate::model::{Change, Event, Role, What};
use crate::replay::State;

use super::talk::{Message, Method, Way};
use super::{Act, Report, Rule, SOON, Scene};

#[derive(Default)]
pub(super) struct Logs {
    /// For each entry, the term of the one before it.
    before: BTreeMap<(u64, u64), u64>,
    leaders: BTreeMap<u64, usize>,
    /// Up to where entries were sent to each server in each term, and its log at that time.
    sent: BTreeMap<(usize, u64), u64>,
    /// What was on each server's disk when it started, if that is known.
    booted: BTreeMap<usize, State>,
    /// Refusals of the same request, one after the other.
    refused: BTreeMap<usize, (u64, u64, u32)>,
}

impl Logs {
    pub(super) fn started(&mut self, scene: &Scene) {
        let own = |event: &Event| event.server == Some(scene.server);
        let saved = |event: &Event| own(event) && matches!(event.what, What::Saved { .. });
        let disk = scene.replay.servers[scene.server].disk.clone();
        if disk.is_some() || !scene.run.events[..scene.event].iter().any(saved) {
            self.booted.insert(scene.server, disk.unwrap_or_default());
        } else {
            self.booted.remove(&scene.server);
        }
    }

    pub(super) fn state(
        &mut self,
        scene: &Scene,
        report: &mut Report,
        (old, new): (&State, &State),
        change: &Change,
        first: bool,
    ) {
        let server = scene.server;
        if new.role == Role::Leader {
            self.leaders.entry(new.term).or_insert(server);
        }
        let Some((kept, terms)) = &change.log else { return };
        let leads = old.role == Role::Leader && new.role == Role::Leader && old.term == new.term;
        if leads && *kept < old.last().0 && *kept >= new.base.0 {
            let text = format!("S{server} leads T{} and deletes its log after {kept}", new.term);
            let what = (Rule::LeaderAppendOnly, Act::Append);
            report.add(what, new.term, Some(kept + 1), text);
        }
        let act = if new.base == old.base { Act::Append } else { Act::Install };
        self.matching(server, report, new, (*kept, terms), act);
        if first {
            // What it has then is from its disk.
            if let Some(disk) = self.booted.remove(&server) {
                Self::alone(scene, report, &disk, new);
            }
        } else if new.base == old.base {
            self.deletes(scene, report, old, new);
            Self::alone(scene, report, old, new);
        }
    }

    fn matching(
        &mut self,
        server: usize,
        report: &mut Report,
        new: &State,
        (kept, terms): (u64, &[u64]),
        act: Act,
    ) {
        let mut previous = new.term_at(kept);
        for (index, term) in (kept + 1..).zip(terms) {
            if let Some(previous) = previous {
                let before = *self.before.entry((index, *term)).or_insert(previous);
                if previous > *term {
                    let text = format!(
                        "S{server} holds T{term}:i{index} after T{previous}:i{}: terms fall along its log",
                        index - 1
                    );
                    report.add((Rule::LogMatching, act), *term, Some(index), text);
                } else if before != previous {
                    let text = format!(
                        "S{server} holds T{term}:i{index} after T{previous}, elsewhere it stands after T{before}"
                    );
                    report.add((Rule::LogMatching, act), *term, Some(index), text);
                }
            }
            previous = Some(*term);
        }
    }

    /// A follower deletes what its leader has.
    fn deletes(&self, scene: &Scene, report: &mut Report, old: &State, new: &State) {
        let server = scene.server;
        let leader = self.leaders.get(&new.term).filter(|leader| **leader != server);
        let Some(leader) = leader else { return };
        let leads = &scene.replay.servers[*leader].memory;
        if leads.term != new.term || new.last().0 >= old.last().0 {
            return;
        }
        let index = new.last().0 + 1;
        if let Some(term) = old.term_at(index).filter(|term| leads.term_at(index) == Some(*term)) {
            let text = format!(
                "S{server} deletes T{term}:i{index}, which S{leader}, the leader of T{}, has too",
                new.term
            );
            report.add((Rule::Consistency, Act::Append), new.term, Some(index), text);
        }
    }

    /// Somebody adds entries that no leader sent.
    fn alone(scene: &Scene, report: &mut Report, old: &State, new: &State) {
        let (server, last) = (scene.server, new.last());
        let grew = last.0 > old.last().0;
        if !grew {
            return;
        }
        let mut later = scene.run.events[scene.event..].iter();
        let taken = later
            .by_ref()
            .take_while(|event| event.at <= scene.at + SOON)
            .filter(|event| event.server == Some(server))
            .any(|event| matches!(event.what, What::Command { .. }));
        if new.role == Role::Leader {
            let elected = old.role != Role::Leader || old.term != new.term;
            if elected && !taken && scene.run.test.starts_with("raft_") {
                let text = format!(
                    "S{server} begins to lead T{} and adds T{}:i{}, a command that nobody has given it",
                    new.term, last.1, last.0
                );
                report.add((Rule::Consistency, Act::Elected), new.term, Some(last.0), text);
            }
            return;
        }
        let fed = scene.talk.fed[server].is_some_and(|at| at + SOON > scene.at);
        if !fed && scene.talk.open[server].is_empty() && old.role != Role::Leader {
            let text = format!(
                "S{server} does not lead, and adds T{}:i{} to its log, which no leader has sent it",
                last.1, last.0
            );
            report.add((Rule::Consistency, Act::Start), new.term, Some(last.0), text);
        }
    }

    pub(super) fn message(&mut self, scene: &Scene, report: &mut Report, message: &Message) {
        let (server, memory) = (scene.server, scene.memory());
        if message.method != Method::Append {
            return;
        }
        if message.way == Way::RequestArrives {
            if let Some(term) = message.request.term {
                // A long request is not recorded to its end: then it may be any number of entries.
                let end = message.request.end().unwrap_or(u64::MAX);
                let sent = self.sent.entry((server, term)).or_insert(memory.last().0);
                *sent = (*sent).max(end);
            }
            return;
        }
        let Some(reply) = message.reply.as_ref().filter(|_| message.way == Way::ReplyLeaves) else {
            return;
        };
        let (Some(term), Some(prev)) = (message.request.term, message.request.prev) else { return };
        let Some(success) = reply.success else { return };
        let other = message.other;
        if term < memory.term {
            if success {
                let text = format!(
                    "S{server}, in T{}, says yes to S{other}, which leads T{term}",
                    memory.term
                );
                report.add((Rule::OldLeader, Act::Append), memory.term, None, text);
            }
            return;
        }
        if term != memory.term {
            return;
        }
        if memory.role == Role::Candidate {
            let text = format!(
                "S{server} has a request of S{other}, which leads T{term}, and goes on as a candidate of that term"
            );
            report.add((Rule::OldLeader, Act::Append), term, None, text);
        }
        if success {
            self.accepted(scene, report, message, (prev, term));
        } else if memory.holds(prev.0, prev.1) {
            let times = self.refused.entry(server).or_insert((prev.0, prev.1, 0));
            if (times.0, times.1) != prev {
                *times = (prev.0, prev.1, 0);
            }
            times.2 += 1;
            // One that is covered by the snapshot may be refused, with a hint what to send.
            if prev.0 >= memory.base.0 || times.2 == 3 {
                let where_ =
                    if prev.0 < memory.base.0 { "its snapshot includes" } else { "it has" };
                let text = format!(
                    "S{server} refuses what S{other} sends it to follow T{}:i{}, which {where_}",
                    prev.1, prev.0
                );
                report.add((Rule::Consistency, Act::Append), term, Some(prev.0), text);
            }
        }
    }

    /// A follower has said yes.
    fn accepted(
        &self,
        scene: &Scene,
        report: &mut Report,
        message: &Message,
        ((prev, prev_term), term): ((u64, u64), u64),
    ) {
        let (server, memory, other) = (scene.server, scene.memory(), message.other);
        let rule = (Rule::Consistency, Act::Append);
        let has = |index: u64| match memory.term_at(index) {
            Some(term) => format!("T{term}:i{index} there"),
            None => format!("a log up to i{}", memory.last().0),
        };
        if !memory.holds(prev, prev_term) && prev >= memory.base.0 {
            let text = format!(
                "S{server} says yes to what S{other} sends it to follow T{prev_term}:i{prev}, and has {}",
                has(prev)
            );
            report.add(rule, term, Some(prev), text);
            return;
        }
        let Some(entries) = &message.request.entries else { return };
        let mut sent = (prev + 1..).zip(entries);
        if let Some((index, sent)) = sent.find(|(index, sent)| !memory.holds(*index, **sent)) {
            let text = format!(
                "S{server} says yes to T{sent}:i{index}, which S{other} sends it, and has {}",
                has(index)
            );
            report.add(rule, term, Some(index), text);
            return;
        }
        let most = self.sent.get(&(server, term)).copied().unwrap_or(u64::MAX);
        // (Or has had a snapshot of them.)
        let (last, last_term) = memory.last();
        // A tail that nothing has contradicted yet may stay. One of this term, or of an older term than what
        // it follows, is nobody's log.
        let wrong = last_term == term || memory.term_at(most).is_some_and(|sent| last_term < sent);
        if memory.role == Role::Follower && last > most.max(memory.base.0) && wrong {
            let text = format!(
                "S{server} has been sent entries up to i{most} in T{term}, and its log ends with T{last_term}:i{last}"
            );
            report.add(rule, term, Some(last), text);
        }
    }
}
