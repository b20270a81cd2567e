//! Voters, candidates, and those who win.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Micros, Role};
use crate::replay::State;

use super::talk::{Message, Method, Way};
use super::{Act, Report, Rule, Scene};

/// A leader that has had answers of a majority within this time has no reason to step down.
const LATELY: Micros = 500_000;

#[derive(Default)]
pub(super) struct Elections {
    /// Who was seen to vote for whom in which term.
    votes: BTreeMap<(u64, usize), BTreeSet<usize>>,
    leaders: BTreeMap<u64, usize>,
    /// What was committed: for each index its term, who committed it, and in which term.
    committed: BTreeMap<u64, (u64, usize, u64)>,
    /// Who has heard of which newer term, when, at which event.
    owes: BTreeMap<usize, (u64, Micros, usize, String)>,
}

impl Elections {
    pub(super) fn state(&mut self, scene: &Scene, report: &mut Report, old: &State, new: &State) {
        if new.term > old.term || new.role != old.role {
            self.owes.retain(|server, owed| *server != scene.server || owed.0 > new.term);
        }
        self.voting(scene, report, old, new);
        let server = scene.server;
        let elected =
            new.role == Role::Leader && (old.role != Role::Leader || old.term != new.term);
        if elected {
            self.elected(scene, report, new);
        }
        let lost_it = old.role == Role::Leader && new.role != Role::Leader && old.term == new.term;
        if lost_it {
            let answered = |peer: &usize| {
                scene.talk.answered.get(&(server, *peer)).is_some_and(|at| at + LATELY > scene.at)
            };
            let others = (0..scene.run.servers).filter(|peer| *peer != server);
            if others.filter(answered).count() + 1 >= scene.majority() {
                let text = format!(
                    "S{server} leads T{} and steps down, though nobody leads a newer term and a majority answers it",
                    new.term
                );
                report.add((Rule::Elections, Act::Stepdown), new.term, None, text);
            }
        }
        for index in old.commit.max(new.base.0) + 1..=new.commit.min(new.last().0) {
            if let Some(term) = new.term_at(index) {
                self.committed.entry(index).or_insert((term, server, new.term));
            }
        }
    }

    fn voting(&mut self, scene: &Scene, report: &mut Report, old: &State, new: &State) {
        let server = scene.server;
        if new.role == Role::Candidate && new.term > old.term && new.vote != Some(server) {
            let whom = new
                .vote
                .map_or("has voted for nobody".to_owned(), |vote| format!("its vote is S{vote}'s"));
            let text = format!("S{server} asks for votes in T{}, and {whom}", new.term);
            report.add((Rule::OneVote, Act::Campaign), new.term, None, text);
        }
        let Some(candidate) = new.vote else { return };
        let kept = old.vote == new.vote && old.term < new.term && old.term > 0;
        if kept && candidate != server && !scene.talk.asked.contains(&(new.term, candidate)) {
            let text = format!(
                "S{server} comes to T{} and keeps its vote for S{candidate}, which it gave in T{}",
                new.term, old.term
            );
            report.add((Rule::OneVote, Act::Term), new.term, None, text);
        }
        let first = self.votes.entry((new.term, candidate)).or_default().insert(server);
        let rival = &scene.replay.servers[candidate.min(scene.run.servers - 1)].memory;
        let (own, theirs) = (new.last(), rival.last());
        if first
            && candidate != server
            && rival.term == new.term
            && rival.role == Role::Candidate
            && (own.1, own.0) > (theirs.1, theirs.0)
        {
            let text = format!(
                "S{server} votes for S{candidate} in T{}, whose log ends with T{}:i{}, its own with T{}:i{}",
                new.term, theirs.1, theirs.0, own.1, own.0
            );
            report.add((Rule::BetterLog, Act::Vote), new.term, None, text);
        }
    }

    fn elected(&mut self, scene: &Scene, report: &mut Report, new: &State) {
        let (server, majority) = (scene.server, scene.majority());
        let first = *self.leaders.entry(new.term).or_insert(server);
        if first != server {
            let text = format!("S{server} leads T{}, which S{first} led", new.term);
            report.add((Rule::ElectionSafety, Act::Elected), new.term, None, text);
        }
        let voters = self.votes.get(&(new.term, server)).map_or(0, BTreeSet::len);
        if voters < majority {
            let text = format!(
                "S{server} leads T{} with {voters} votes, of {majority} that it needs",
                new.term
            );
            report.add((Rule::Majority, Act::Elected), new.term, None, text);
        }
        let lost = self
            .committed
            .iter()
            .find(|(index, (term, _, when))| *when < new.term && !new.holds(**index, *term));
        if let Some((index, (term, by, when))) = lost {
            let text = format!(
                "S{server} leads T{} without T{term}:i{index}, which S{by} had committed in T{when}",
                new.term
            );
            report.add((Rule::LeaderCompleteness, Act::Elected), new.term, Some(*index), text);
        }
    }

    pub(super) fn message(&mut self, scene: &Scene, report: &mut Report, message: &Message) {
        let (server, memory) = (scene.server, scene.memory());
        match (message.way, message.method) {
            (Way::ReplyLeaves, method) if method != Method::Other => {
                let asked = message.request.term.filter(|term| *term > memory.term);
                if let Some(asked) = asked.filter(|_| !heeds_its_leader(scene, message)) {
                    let text = format!(
                        "S{server} has a request of S{}, which is in T{asked}, and stays in T{}",
                        message.other, memory.term
                    );
                    report.add((Rule::NewerTerm, act_of(method)), memory.term, None, text);
                }
                if method == Method::Vote {
                    refusal(scene, report, message);
                }
            }
            (Way::ReplyArrives, method) if method != Method::Other => {
                let told = message.reply.as_ref().and_then(|reply| reply.term);
                if let Some(told) = told.filter(|told| *told > memory.term) {
                    let text = format!(
                        "S{server} learns from S{} of T{told}, and goes on in T{}",
                        message.other, memory.term
                    );
                    let owed = (told, scene.at, scene.event, text);
                    self.owes.entry(server).or_insert(owed);
                }
            }
            (Way::RequestLeaves, _) => {
                let owed = self.owes.get(&server);
                let late = owed
                    .filter(|(told, at, ..)| *told > memory.term && scene.at > at + super::SOON);
                if let Some((_, at, event, text)) = late.cloned() {
                    let place = (at, event, server);
                    report.add_at(place, (Rule::NewerTerm, Act::Term), memory.term, None, text);
                    self.owes.remove(&server);
                }
            }
            _ => {}
        }
    }
}

/// A server that shows nothing of itself says in which term it is when it answers: not in an older one than
/// that of the request.
pub(super) fn answers_in_old_term(scene: &Scene, report: &mut Report, message: &Message) {
    let told = message.reply.as_ref().and_then(|reply| reply.term);
    let (Way::ReplyLeaves, Some(asked), Some(told)) = (message.way, message.request.term, told)
    else {
        return;
    };
    let judged = message.method != Method::Other && !heeds_its_leader(scene, message);
    if judged && told < asked {
        let (server, other) = (message.server, message.other);
        let text = format!(
            "S{server} has a request of S{other}, which is in T{asked}, and answers in T{told}"
        );
        let act = act_of(message.method);
        report.add((Rule::NewerTerm, act), told, None, text);
    }
}

fn act_of(method: Method) -> Act {
    match method {
        Method::Vote => Act::Term,
        Method::Install => Act::Install,
        Method::Append | Method::Other => Act::Append,
    }
}

/// Some heed no candidate, nor its term, while they hear a leader or lead themselves.
fn heeds_its_leader(scene: &Scene, message: &Message) -> bool {
    let refused = message.reply.as_ref().and_then(|reply| reply.granted) == Some(false);
    message.method == Method::Vote
        && refused
        && (hears_a_leader(scene) || scene.memory().role == Role::Leader)
}

fn hears_a_leader(scene: &Scene) -> bool {
    scene.talk.led[scene.server].is_some_and(|(at, _)| at + 1_000_000 > scene.at)
}

/// Was a vote refused without a reason?
fn refusal(scene: &Scene, report: &mut Report, message: &Message) {
    let (server, memory, other) = (scene.server, scene.memory(), message.other);
    let refused = message.reply.as_ref().and_then(|reply| reply.granted) == Some(false);
    let asked = message.request.term == Some(memory.term);
    let Some(last) = message.request.last.filter(|_| refused && asked) else { return };
    let own = memory.last();
    let behind = (last.1, last.0) < (own.1, own.0);
    if memory.vote.is_none() && memory.role == Role::Follower && !behind && !hears_a_leader(scene) {
        let text = format!(
            "S{server} refuses S{other} its vote in T{}: it has given it to nobody, and S{other}'s log, up to T{}:i{}, is at least as good as its own, up to T{}:i{}",
            memory.term, last.1, last.0, own.1, own.0
        );
        report.add((Rule::BetterLog, Act::Vote), memory.term, None, text);
    }
}
