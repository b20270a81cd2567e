//! Servers that campaign too soon or not at all, and leaders that say too much or too little.
//!
//! Nobody sees a server's timers. But for the least there are bounds: no election timeout of a course
//! is shorter than [`SHORTEST`] or longer than [`LONGEST`].

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Event, Micros, Role, Run, What};
use crate::replay::State;

use super::talk::{Message, Method, Way};
use super::{Act, Report, Rule, SOON, Scene};

/// Whoever has just heard a leader or voted does not campaign within this time.
const SHORTEST: Micros = 100_000;

/// Whoever hears of no leader campaigns within this time.
const LONGEST: Micros = 2_000_000;

/// Who campaigns so soon after another divides the votes.
const TOGETHER: Micros = 10_000;

/// So many times one after the other is no chance.
const OFTEN: usize = 4;

/// A new leader speaks within this time, and a command leaves within it.
const AT_ONCE: Micros = 30_000;

/// A candidate has asked everybody within this time.
const ASK: Micros = 50_000;

/// A leader is silent towards a server for less than this.
const SILENCE: Micros = 250_000;

/// Heartbeats that follow each other so soon are too many, if they go on like that.
const HASTE: Micros = 50_000;

/// A second heartbeat so soon says nothing.
const AGAIN: Micros = 10_000;

pub(super) struct Timers {
    /// The run failed of something that took too long, or too much. How fast a leader is is no rule
    /// of Raft, so it is looked at only then.
    slow: bool,
    much: bool,
    /// When each server last had a reason to wait for an election.
    reason: Vec<Micros>,
    /// It waits, and that was said.
    waits: Vec<bool>,
    /// What each was asked meanwhile: for its vote, and by old leaders.
    meanwhile: Vec<(u32, u32)>,
    /// Who campaigned last in each term.
    campaigns: BTreeMap<u64, (Micros, usize)>,
    /// Divided votes, one after the other: when, event, who, of which term, and with whom.
    divided: Vec<(Micros, usize, usize, u64, String)>,
    /// New leaders that have said nothing: since when, at which event.
    silent: Vec<Option<(Micros, usize)>>,
    /// The last request to each follower.
    spoken: BTreeMap<(usize, usize), Spoken>,
    /// Commands that have not left.
    waiting: Vec<Option<(Micros, usize, u64)>>,
    /// Entries that have left, and are not acknowledged.
    unanswered: Vec<BTreeSet<usize>>,
    /// Candidates, since when, at which event, and whom they have asked.
    asks: Vec<Option<(Micros, usize, BTreeSet<usize>)>>,
}

/// The last request that a leader sent to a follower.
struct Spoken {
    at: Micros,
    event: usize,
    commit: Option<u64>,
    /// So many came in haste, one after the other.
    hasty: u32,
}

impl Timers {
    pub(super) fn new(run: &Run) -> Timers {
        let kind = run.verdict.as_ref().map_or("", |verdict| verdict.kind.as_str());
        Timers {
            slow: matches!(kind, "liveness" | "budget"),
            much: kind == "budget",
            reason: vec![0; run.servers],
            waits: vec![false; run.servers],
            meanwhile: vec![(0, 0); run.servers],
            campaigns: BTreeMap::new(),
            divided: Vec::new(),
            silent: vec![None; run.servers],
            spoken: BTreeMap::new(),
            waiting: vec![None; run.servers],
            unanswered: vec![BTreeSet::new(); run.servers],
            asks: vec![None; run.servers],
        }
    }

    fn may_wait(&mut self, server: usize, at: Micros) {
        self.reason[server] = at;
        self.waits[server] = false;
        self.meanwhile[server] = (0, 0);
    }

    pub(super) fn started(&mut self, scene: &Scene) {
        self.may_wait(scene.server, scene.at);
        self.silent[scene.server] = None;
        self.waiting[scene.server] = None;
        self.unanswered[scene.server].clear();
        self.asks[scene.server] = None;
        self.spoken.retain(|(from, _), _| *from != scene.server);
    }

    pub(super) fn command(&mut self, scene: &Scene, index: u64) {
        self.waiting[scene.server].get_or_insert((scene.at, scene.event, index));
    }

    /// Time goes by.
    pub(super) fn pass(&mut self, scene: &Scene, report: &mut Report) {
        if scene.run.verdict.as_ref().is_some_and(|verdict| scene.at > verdict.at) {
            return;
        }
        for (server, peer) in scene.replay.servers.iter().enumerate() {
            if !scene.shown[server] {
                continue;
            }
            let since = self.reason[server];
            let late = since + LONGEST < scene.at;
            if peer.up && peer.memory.role != Role::Leader && late && !self.waits[server] {
                self.waits[server] = true;
                let (votes, old) = self.meanwhile[server];
                let mut heard = Vec::new();
                if votes > 0 {
                    heard.push(format!("it gave its vote to none of {votes} that asked"));
                }
                if old > 0 {
                    heard.push(format!("{old} requests came from leaders of older terms"));
                }
                let heard =
                    if heard.is_empty() { "it heard nothing".to_owned() } else { heard.join(", ") };
                let role = format!("{:?}", peer.memory.role).to_lowercase();
                let text = format!(
                    "S{server}, {role} in T{}, has not campaigned for {} s, though it heard no leader of its term: {heard}",
                    peer.memory.term,
                    LONGEST / 1_000_000
                );
                let place = (since + LONGEST, scene.event, server);
                let what = (Rule::Elections, Act::Timer);
                report.add_at(place, what, peer.memory.term, None, text);
            }
            if let Some((since, event)) = self.silent[server]
                && since + AT_ONCE < scene.at
                && self.slow
            {
                self.silent[server] = None;
                let text = format!(
                    "S{server} begins to lead T{} and says nothing for {} ms",
                    peer.memory.term,
                    AT_ONCE / 1000
                );
                let place = (since, event, server);
                report.add_at(place, (Rule::Speech, Act::Request), peer.memory.term, None, text);
            }
            let candidate = peer.up && peer.memory.role == Role::Candidate;
            if let Some((since, event, asked)) = self.asks[server]
                .take_if(|_| !candidate)
                .or_else(|| self.asks[server].take_if(|(since, ..)| *since + ASK < scene.at))
                && candidate
                && self.slow
                && asked.len() + 1 < scene.run.servers
            {
                let text = format!(
                    "S{server} asks for votes in T{}, and after {} ms it has asked {} of {} servers",
                    peer.memory.term,
                    ASK / 1000,
                    asked.len(),
                    scene.run.servers - 1
                );
                let place = (since, event, server);
                report.add_at(place, (Rule::Speech, Act::Request), peer.memory.term, None, text);
            }
            if let Some((since, event, index)) = self.waiting[server]
                && since + AT_ONCE < scene.at
                && self.much
            {
                self.waiting[server] = None;
                if peer.memory.role == Role::Leader && self.unanswered[server].is_empty() {
                    let text = format!(
                        "S{server} takes the command of i{index}, and sends it to nobody for {} ms",
                        AT_ONCE / 1000
                    );
                    let place = (since, event, server);
                    let what = (Rule::Speech, Act::Request);
                    report.add_at(place, what, peer.memory.term, Some(index), text);
                }
            }
        }
    }

    pub(super) fn state(&mut self, scene: &Scene, report: &mut Report, old: &State, new: &State) {
        let server = scene.server;
        if old.role == Role::Leader && new.role != Role::Leader {
            self.may_wait(server, scene.at);
        }
        if new.role != Role::Leader {
            (self.silent[server], self.waiting[server]) = (None, None);
            self.spoken.retain(|(from, _), _| *from != server);
        }
        if new.role == Role::Leader && (old.role != Role::Leader || old.term != new.term) {
            self.divided.clear();
            self.silent[server] = (scene.run.servers > 1).then_some((scene.at, scene.event));
        }
        if new.role == Role::Candidate && new.term > old.term {
            self.campaign(scene, report, new);
            self.asks[server] = Some((scene.at, scene.event, BTreeSet::new()));
            self.may_wait(server, scene.at);
        }
    }

    fn campaign(&mut self, scene: &Scene, report: &mut Report, new: &State) {
        let (server, at) = (scene.server, scene.at);
        let what = (Rule::Elections, Act::Campaign);
        let soon = |then: Micros| then + SHORTEST > at;
        let began = scene.run.events[..scene.event]
            .iter()
            .rev()
            .find(|event| event.server == Some(server) && event.what == What::Started);
        let began = began.map_or(0, |event| event.at);
        if let Some((then, leader)) =
            scene.talk.led[server].filter(|(then, _)| soon(*then) && *then > began)
        {
            let text = format!(
                "S{server} campaigns {:.1} ms after it had a request of S{leader}, which led its term",
                ms(at - then)
            );
            report.add(what, new.term, None, text);
        } else if let Some((then, other)) =
            scene.talk.granted[server].filter(|(then, _)| soon(*then) && *then > began)
        {
            let text = format!(
                "S{server} campaigns {:.1} ms after it gave its vote to S{other}",
                ms(at - then)
            );
            report.add(what, new.term, None, text);
        }
        match self.campaigns.insert(new.term, (at, server)) {
            Some((then, other)) => {
                let again = self.divided.last().is_some_and(|(.., term, _)| *term == new.term);
                if then + TOGETHER > at && other != server && !again {
                    let text = format!(
                        "S{server} campaigns in T{} {:.1} ms after S{other}: their votes are divided",
                        new.term,
                        ms(at - then)
                    );
                    self.divided.push((at, scene.event, server, new.term, text));
                }
            }
            // The one before had one candidate only.
            None if self.divided.last().is_some_and(|(.., term, _)| term + 1 < new.term) => {
                self.divided.clear();
            }
            None => {}
        }
        if self.divided.len() >= OFTEN {
            let (at, event, server, term, text) = self.divided[0].clone();
            let text = format!("{text}, as they will be in the next {} elections", OFTEN - 1);
            report.add_at((at, event, server), what, term, None, text);
        }
    }

    pub(super) fn message(&mut self, scene: &Scene, report: &mut Report, message: &Message) {
        let (server, memory, at) = (scene.server, scene.memory(), scene.at);
        match (message.way, message.method) {
            (Way::RequestArrives, method) if method.leads() => {
                if message.request.term.is_none_or(|term| term >= memory.term) {
                    self.may_wait(server, at);
                } else {
                    self.meanwhile[server].1 += 1;
                }
            }
            (Way::ReplyLeaves, Method::Vote) => {
                let granted = message.reply.as_ref().and_then(|reply| reply.granted);
                if granted == Some(false) {
                    self.meanwhile[server].0 += 1;
                } else {
                    self.may_wait(server, at);
                }
            }
            (Way::ReplyArrives, method) if method.leads() => {
                self.unanswered[server].remove(&message.call);
            }
            (Way::RequestLeaves, Method::Vote) => {
                if let Some((.., asked)) = &mut self.asks[server] {
                    asked.insert(message.other);
                }
            }
            (Way::RequestLeaves, method) if method.leads() => {
                self.silent[server] = None;
                if message.request.entries.as_ref().is_none_or(|entries| !entries.is_empty()) {
                    self.waiting[server] = None;
                    self.unanswered[server].insert(message.call);
                }
                if self.slow && memory.role == Role::Leader {
                    self.speaks(scene, report, message);
                }
            }
            _ => {}
        }
    }

    fn speaks(&mut self, scene: &Scene, report: &mut Report, message: &Message) {
        let (server, other, at, term) =
            (scene.server, message.other, scene.at, scene.memory().term);
        let request = &message.request;
        let empty = request.entries.as_ref().is_some_and(Vec::is_empty);
        let what = (Rule::Speech, Act::Request);
        let now = Spoken { at, event: scene.event, commit: request.commit, hasty: 0 };
        let Some(last) = self.spoken.insert((server, other), now) else { return };
        let gap = at - last.at;
        if gap > SILENCE {
            let text = format!(
                "S{server} leads T{term} and sends nothing to S{other} for {:.0} ms",
                ms(gap)
            );
            report.add_at((last.at, last.event, server), what, term, None, text);
        }
        if !empty || last.commit != request.commit || !self.much {
            return;
        }
        let hasty = if gap < HASTE { last.hasty + 1 } else { 0 };
        if let Some(now) = self.spoken.get_mut(&(server, other)) {
            now.hasty = hasty;
        }
        if hasty == 3 || (gap < AGAIN && hasty == 1) {
            let text = format!(
                "S{server} sends S{other} one empty request after the other, the last two {:.1} ms apart",
                ms(gap)
            );
            report.add(what, term, None, text);
        }
    }
}

/// A server's lock is held for long: while what?
pub(super) fn closed(scene: &Scene, report: &mut Report, until: Micros) {
    let (server, at) = (scene.server, scene.at);
    let own = |event: &&Event| event.server == Some(server);
    let mut near =
        scene.run.events[..scene.event].iter().rev().take_while(|event| event.at + SOON > at);
    let before =
        near.by_ref().filter(own).find(|event| matches!(event.what, What::Snapshot { .. }));
    let mut later = scene.run.events[scene.event..].iter().take_while(|event| event.at < at + SOON);
    let snapshot = before.or_else(|| {
        later.by_ref().filter(own).find(|event| matches!(event.what, What::Snapshot { .. }))
    });
    let open = scene.run.calls.iter().find(|call| {
        let back = call.reply.as_ref().and_then(|reply| reply.arrived);
        call.from == server
            && call.request.sent + SOON > at
            && call.request.sent < at + SOON
            && back.is_none_or(|back| back > at + SOON)
    });
    let long = format!("S{server}'s lock is held for {:.0} ms", ms(until - at));
    let term = scene.memory().term;
    if let Some(Event { what: What::Snapshot { index }, .. }) = snapshot {
        let text = format!(
            "{long}, and its service waits for it, to hand over a snapshot up to i{index}: whoever delivers entries must not hold it"
        );
        report.add((Rule::Locks, Act::Apply), term, Some(*index), text);
    } else if let Some(call) = open {
        let method = scene.run.methods.get(call.method).map_or("call", String::as_str);
        let to = scene.run.peers.get(call.to).map_or("?", String::as_str);
        let text = format!("{long}, while its {method} to {to} has no answer");
        report.add((Rule::Locks, Act::Request), term, None, text);
        if method.contains("Vote")
            && let Some(finding) = report.found.last_mut()
        {
            finding.role = Role::Candidate; // who asks for votes
        }
    } else {
        report.add((Rule::Locks, Act::Timer), term, None, long);
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds, for people")]
fn ms(time: Micros) -> f64 {
    time as f64 / 1000.0
}
