//! Steps that no right Raft takes, found in a recorded run: what the strip of rules shows, and where
//! *why* begins.
//!
//! These are the paper's properties and a few of its rules, applied to what servers were seen to
//! be in. A server that shows nothing of itself is not judged.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::{Call, Change, Event, Micros, Role, Run, What};
use crate::replay::{Replay, State};

/// A step that no right Raft takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// When.
    pub at: Micros,
    /// At which event of the run.
    pub event: usize,
    /// The server that took it.
    pub server: usize,
    /// The rule that it breaks.
    pub rule: Rule,
    /// The step, as a sentence.
    pub text: String,
    /// Of which term it is.
    pub term: u64,
    /// At which log index, if at one.
    pub index: Option<u64>,
}

/// The rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// At most one leader in a term.
    ElectionSafety,
    /// A leader only appends.
    LeaderAppendOnly,
    /// Equal entries, equal logs before them.
    LogMatching,
    /// What was committed is in every later leader's log.
    LeaderCompleteness,
    /// One entry for an index.
    StateMachineSafety,
    /// Terms and commit indexes do not go back.
    OnlyForward,
    /// One vote in a term.
    OneVote,
    /// A leader has a majority of votes.
    Majority,
    /// Votes go to logs that are at least as good.
    BetterLog,
    /// What is committed is on a majority.
    Stored,
    /// Only entries of the own term are committed by counting (Figure 8).
    OwnTerm,
    /// Promises survive a crash.
    Persistence,
    /// Each index is applied once, in order.
    InOrder,
    /// Whoever leads an older term is refused.
    OldLeader,
}

/// Everything found, in the order of the run; the same sentence once, and not more than can be looked at.
pub fn findings(run: &Run) -> Vec<Finding> {
    let mut judge = Judge::new(run.servers);
    let mut replies = replies(run);
    for (number, event) in run.events.iter().enumerate() {
        while let Some(reply) = replies.pop_if(|reply| reply.at < event.at) {
            judge.answers(&reply, number);
        }
        judge.step(number, event);
    }
    judge.found
}

/// A server answered another.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Reply {
    at: Micros,
    server: usize,
    to: usize,
    /// Does it say what is in the server's log?
    of_log: bool,
    /// It says yes to a leader of this term.
    accepts: Option<u64>,
}

/// All answers to servers, the last first.
fn replies(run: &Run) -> Vec<Reply> {
    let appends = |call: &Call| run.methods.get(call.method).is_some_and(|m| m.contains("Append"));
    let reply = |call: &Call| {
        let at = call.reply.as_ref().filter(|_| call.from < run.servers)?.sent;
        let (server, to, of_log) = (call.to, call.from, appends(call));
        let accepts = accepted_term(run, call).filter(|_| of_log);
        Some(Reply { at, server, to, of_log, accepts })
    };
    let mut replies: Vec<Reply> = run.calls.iter().filter_map(reply).collect();
    replies.sort_unstable_by(|a, b| b.cmp(a));
    replies
}

/// The term in a request that is answered yes, as far as the texts of both tell.
fn accepted_term(run: &Run, call: &Call) -> Option<u64> {
    let text = |content: Option<usize>| run.contents.get(content?);
    let reply = text(call.reply.as_ref()?.content)?;
    let yes = reply.contains(":true") || reply.contains("\"Accepted\"");
    let request = text(call.request.content).filter(|_| yes)?;
    let digits = request.split_once("\"term\":")?.1;
    digits[..digits.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}

/// Findings of one rule on one server; more of the same would hide the rest.
const OF_A_KIND: usize = 50;

struct Judge {
    replay: Replay,
    found: Vec<Finding>,
    counts: BTreeMap<(usize, Rule), usize>,
    /// What has been found, without what it was found at.
    known: BTreeSet<(usize, Rule, u64, Option<u64>)>,
    /// Who was seen to vote for whom in which term.
    votes: BTreeMap<(u64, usize), BTreeSet<usize>>,
    leaders: BTreeMap<u64, usize>,
    /// For each entry, the term of the one before it.
    before: BTreeMap<(u64, u64), u64>,
    /// For each committed index: its term, who committed it, and in which term.
    committed: BTreeMap<u64, (u64, usize, u64)>,
    applied: BTreeMap<u64, (u64, String, usize)>,
    /// What each server applied last; `None` until its new incarnation has applied something.
    last_applied: Vec<Option<u64>>,
    /// Size of the snapshot on each server's disk.
    snapshots: Vec<usize>,
    /// What each server was in when it crashed.
    crashed: Vec<Option<State>>,
}

impl Judge {
    fn new(servers: usize) -> Judge {
        Judge {
            replay: Replay::new(servers),
            found: Vec::new(),
            counts: BTreeMap::new(),
            known: BTreeSet::new(),
            votes: BTreeMap::new(),
            leaders: BTreeMap::new(),
            before: BTreeMap::new(),
            committed: BTreeMap::new(),
            applied: BTreeMap::new(),
            last_applied: vec![None; servers],
            snapshots: vec![0; servers],
            crashed: vec![None; servers],
        }
    }

    fn step(&mut self, number: usize, event: &Event) {
        let Some(server) = event.server.filter(|server| *server < self.replay.servers.len()) else {
            return;
        };
        let old = self.replay.servers[server].memory.clone();
        self.replay.step(event);
        let mut report = Report { at: event.at, event: number, server, found: Vec::new() };
        match &event.what {
            What::Crashed => self.crashed[server] = Some(old),
            What::State(change) => {
                let before = self.crashed[server].take();
                let new = self.replay.servers[server].memory.clone();
                match before {
                    Some(before) => report.remembers(&before, &new),
                    None => report.goes_on(&old, &new),
                }
                self.elections(&mut report, &old, &new);
                self.logs(&mut report, &old, &new, change);
                self.commits(&mut report, &old, &new);
            }
            What::Started => self.last_applied[server] = None,
            What::Installed { index, .. } => self.last_applied[server] = Some(*index),
            What::Saved { snapshot, .. } => {
                if *snapshot == 0 && self.snapshots[server] > 0 {
                    let text = format!("S{server} saves without the snapshot that it had saved");
                    report.add(Rule::Persistence, old.term, None, text);
                }
                self.snapshots[server] = *snapshot;
            }
            What::Applied { index, term, command } => {
                if let Some(last) = self.last_applied[server].replace(*index)
                    && *index != last + 1
                {
                    let text = format!("S{server} applies {index}, and had applied {last} before");
                    report.add(Rule::InOrder, *term, Some(*index), text);
                }
                let first = self.applied.entry(*index);
                let first = first.or_insert_with(|| (*term, command.clone(), server));
                if (first.0, &first.1) != (*term, command) {
                    let text = format!(
                        "S{server} applies {command} of T{term} at {index}, where S{} applied {} of T{}",
                        first.2, first.1, first.0
                    );
                    report.add(Rule::StateMachineSafety, *term, Some(*index), text);
                }
            }
            _ => {}
        }
        self.enter(report.found);
    }

    fn enter(&mut self, found: Vec<Finding>) {
        for finding in found {
            if !self.known.insert((finding.server, finding.rule, finding.term, finding.index)) {
                continue;
            }
            let count = self.counts.entry((finding.server, finding.rule)).or_default();
            *count += 1;
            if *count <= OF_A_KIND {
                self.found.push(finding);
            }
        }
    }

    /// A server has answered: whatever the answer rests on is on its disk by now.
    fn answers(&mut self, reply: &Reply, event: usize) {
        let Reply { at, server, to, of_log, accepts } = *reply;
        let event = event.saturating_sub(1);
        let mut report = Report { at, event, server, found: Vec::new() };
        if let Some(peer) = self.replay.servers.get(server)
            && let Some(term) = accepts.filter(|term| peer.up && *term < peer.memory.term)
        {
            let text = format!(
                "S{server}, in T{}, says yes to S{to}, which leads T{term}",
                peer.memory.term
            );
            report.add(Rule::OldLeader, peer.memory.term, None, text);
        }
        self.unsaved(&mut report, to, of_log);
        self.enter(report.found);
    }

    /// What an answer may rest on, and is not on the disk.
    fn unsaved(&self, report: &mut Report, to: usize, of_log: bool) {
        let server = report.server;
        let Some(peer) = self.replay.servers.get(server).filter(|peer| peer.up) else { return };
        let Some(disk) = &peer.disk else { return };
        let memory = &peer.memory;
        // It has gone on since it was last looked at: its lock was taken.
        if disk.term > memory.term {
            return;
        }
        let unsaved = if memory.term != disk.term {
            format!("it is in T{} and has T{} on its disk", memory.term, disk.term)
        } else if let (Some(vote), true) = (memory.vote, memory.vote != disk.vote) {
            let saved = disk.vote.map_or("none".to_owned(), |vote| format!("one for S{vote}"));
            format!(
                "its vote for S{vote} in T{} is not on its disk, which has {saved}",
                memory.term
            )
        } else if of_log && memory.role == Role::Follower && memory.last() != disk.last() {
            let ((index, term), (on_disk, disk_term)) = (memory.last(), disk.last());
            format!(
                "its log ends with T{term}:i{index}, that on its disk with T{disk_term}:i{on_disk}"
            )
        } else {
            return;
        };
        let (term, text) =
            (memory.term, format!("S{server} answers S{to} before it has saved: {unsaved}"));
        report.add(Rule::Persistence, term, None, text);
    }

    fn elections(&mut self, report: &mut Report, old: &State, new: &State) {
        let server = report.server;
        let majority = self.replay.servers.len() / 2 + 1;
        if let Some(candidate) = new.vote {
            let first = self.votes.entry((new.term, candidate)).or_default().insert(server);
            let rival = &self.replay.servers[candidate.min(self.replay.servers.len() - 1)].memory;
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
                report.add(Rule::BetterLog, new.term, None, text);
            }
        }
        let elected =
            new.role == Role::Leader && (old.role != Role::Leader || old.term != new.term);
        if !elected {
            return;
        }
        let first = *self.leaders.entry(new.term).or_insert(server);
        if first != server {
            let text = format!("S{server} leads T{}, which S{first} led", new.term);
            report.add(Rule::ElectionSafety, new.term, None, text);
        }
        let voters = self.votes.get(&(new.term, server)).map_or(0, BTreeSet::len);
        if voters < majority {
            let text = format!(
                "S{server} leads T{} with {voters} votes, of {majority} that it needs",
                new.term
            );
            report.add(Rule::Majority, new.term, None, text);
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
            report.add(Rule::LeaderCompleteness, new.term, Some(*index), text);
        }
    }

    fn logs(&mut self, report: &mut Report, old: &State, new: &State, change: &Change) {
        let server = report.server;
        let Some((kept, terms)) = &change.log else { return };
        let leads = old.role == Role::Leader && new.role == Role::Leader && old.term == new.term;
        if leads && *kept < old.last().0 && *kept >= new.base.0 {
            let text = format!("S{server} leads T{} and deletes its log after {kept}", new.term);
            report.add(Rule::LeaderAppendOnly, new.term, Some(kept + 1), text);
        }
        let mut previous = new.term_at(*kept);
        for (index, term) in (kept + 1..).zip(terms) {
            if let Some(previous) = previous {
                let before = *self.before.entry((index, *term)).or_insert(previous);
                if before != previous {
                    let text = format!(
                        "S{server} holds T{term}:i{index} after T{previous}, elsewhere it stands after T{before}"
                    );
                    report.add(Rule::LogMatching, *term, Some(index), text);
                }
            }
            previous = Some(*term);
        }
    }

    fn commits(&mut self, report: &mut Report, old: &State, new: &State) {
        let server = report.server;
        if new.commit <= old.commit {
            return;
        }
        if new.commit > new.last().0 {
            let text = format!(
                "S{server} commits up to {}, and its log ends at {}",
                new.commit,
                new.last().0
            );
            report.add(Rule::Stored, new.term, Some(new.last().0 + 1), text);
        }
        let leads = new.role == Role::Leader;
        if leads && let Some(term) = new.term_at(new.commit) {
            if term != new.term {
                let text = format!(
                    "S{server} leads T{} and commits up to {}, an entry of T{term}",
                    new.term, new.commit
                );
                report.add(Rule::OwnTerm, new.term, Some(new.commit), text);
            }
            let stores = |peer: &&crate::replay::Server| {
                peer.memory.holds(new.commit, term)
                    || peer.disk.as_ref().is_some_and(|disk| disk.holds(new.commit, term))
            };
            let copies = self.replay.servers.iter().filter(stores).count();
            if copies < self.replay.servers.len() / 2 + 1 {
                let text = format!(
                    "S{server} commits T{term}:i{}, which {copies} of {} servers hold",
                    new.commit,
                    self.replay.servers.len()
                );
                report.add(Rule::Stored, new.term, Some(new.commit), text);
            }
        }
        for index in old.commit.max(new.base.0) + 1..=new.commit.min(new.last().0) {
            let Some(term) = new.term_at(index) else { continue };
            let first = *self.committed.entry(index).or_insert((term, server, new.term));
            if first.0 != term {
                let text = format!(
                    "S{server} commits T{term}:i{index}, S{} had committed T{} there",
                    first.1, first.0
                );
                report.add(Rule::StateMachineSafety, new.term, Some(index), text);
                break;
            }
        }
    }
}

/// Findings at one event.
struct Report {
    at: Micros,
    event: usize,
    server: usize,
    found: Vec<Finding>,
}

impl Report {
    fn add(&mut self, rule: Rule, term: u64, index: Option<u64>, text: String) {
        let Report { at, event, server, .. } = *self;
        self.found.push(Finding { at, event, server, rule, text, term, index });
    }

    /// From one look to the next.
    fn goes_on(&mut self, old: &State, new: &State) {
        let server = self.server;
        if new.term < old.term {
            let text = format!("S{server} goes back from T{} to T{}", old.term, new.term);
            self.add(Rule::OnlyForward, new.term, None, text);
        }
        if let Some(vote) = old.vote.filter(|_| new.term == old.term && new.vote != old.vote) {
            let now = new.vote.map_or("for nobody".to_owned(), |vote| format!("for S{vote}"));
            let text =
                format!("S{server} voted for S{vote} in T{}; now its vote is {now}", new.term);
            self.add(Rule::OneVote, new.term, None, text);
        }
        if new.commit < old.commit {
            let text =
                format!("S{server} takes its commit index back, {} to {}", old.commit, new.commit);
            self.add(Rule::OnlyForward, new.term, Some(old.commit), text);
        }
    }

    /// From a crash to the first look after it.
    fn remembers(&mut self, old: &State, new: &State) {
        let server = self.server;
        if new.term < old.term {
            let text = format!("S{server} restarts in T{}; it had been in T{}", new.term, old.term);
            self.add(Rule::Persistence, old.term, None, text);
        }
        if let Some(vote) = old.vote.filter(|_| new.term == old.term && new.vote != old.vote) {
            let text = format!("S{server} restarts without its vote for S{vote} in T{}", new.term);
            self.add(Rule::Persistence, new.term, None, text);
        }
        // What it had not told anybody may be gone; what it knew to be committed may not.
        let index = old.commit.min(old.last().0);
        if let Some(term) = old.term_at(index)
            && !new.holds(index, term)
        {
            let text = format!(
                "S{server} restarts with a log up to {}; it had committed T{term}:i{index}",
                new.last().0
            );
            self.add(Rule::Persistence, new.term, Some(index), text);
        }
    }
}
