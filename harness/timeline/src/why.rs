//! *Why*: from the verdict back along messages and local steps, to the first wrong step.
//!
//! All of a run's past is a cause of its end in the strict sense: every heartbeat is. What is told
//! here is the path that matters: the steps by which the servers that the verdict names came to be
//! in what it complains about, each with the message that made it take the step.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::model::{Call, Change, Event, Mark, Micros, Role, Run, What};
use crate::replay::Replay;
use crate::rules::{Act, Finding, findings};

/// What a run came to, and what led to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Story {
    /// Steps that no right Raft takes, in the order of the run.
    pub findings: Vec<Finding>,
    /// What the verdict is about.
    pub subject: Subject,
    /// What led to it, in the order of the run.
    pub steps: Vec<Step>,
    /// Of a failure to get on: what there was instead, a sentence each.
    pub situation: Vec<String>,
}

/// What a verdict is about, as far as its words tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// The servers that it names.
    pub servers: Vec<usize>,
    /// The last term that it names.
    pub term: Option<u64>,
    /// The first log index that it names.
    pub index: Option<u64>,
}

/// One step on the way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Step {
    /// When.
    pub at: Micros,
    /// On which server; or which client, in the run's peers.
    pub server: usize,
    /// The event of the run, if it is one.
    pub event: Option<usize>,
    /// The call whose message it is about, if it is about one.
    pub call: Option<usize>,
    /// What happened.
    pub text: String,
    /// No right Raft does that.
    pub wrong: bool,
}

impl Story {
    /// The story of a run.
    pub fn of(run: &Run) -> Story {
        let findings = findings(run);
        let Some(verdict) = &run.verdict else { return Story { findings, ..Story::default() } };
        let subject = Subject::of(&verdict.happened, run.servers);
        let mut walk = Walk { run, steps: BTreeSet::new(), events: BTreeSet::new() };
        for finding in chosen(&findings, &subject, verdict.at) {
            walk.wrong(finding);
        }
        if verdict.kind == "safety" {
            walk.subject(&subject, verdict.at);
        }
        walk.operations();
        let situation =
            if verdict.kind == "liveness" { situation(run, verdict.at) } else { Vec::new() };
        let steps = walk.finish();
        Story { findings, subject, steps, situation }
    }
}

/// So many wrong steps are followed back, besides the first.
const FINDINGS: usize = 4;

/// The first wrong step, and the last ones before the verdict that are about what it is about.
fn chosen<'a>(findings: &'a [Finding], subject: &Subject, until: Micros) -> Vec<&'a Finding> {
    let fits = |finding: &&Finding| {
        let index = subject.index.is_some() && subject.index == finding.index;
        let term = subject.index.is_none() && subject.term == Some(finding.term);
        finding.at <= until && (index || term)
    };
    let mut chosen: Vec<&Finding> = findings.iter().rev().filter(fits).take(FINDINGS).collect();
    chosen.extend(findings.first());
    chosen.sort_by_key(|finding| finding.event);
    chosen.dedup();
    chosen
}

/// So many operations are told that cannot be together with the one that does not fit.
const AGAINST: usize = 5;

/// A change so long after a message was not made by it.
const SOON: Micros = 3_000;

impl Subject {
    /// Finds `S3`, `T4` and `i7` in a sentence.
    pub(crate) fn of(text: &str, servers: usize) -> Subject {
        let mut subject = Subject::default();
        for word in text.split(|c: char| !c.is_alphanumeric()) {
            let number = |prefix| word.strip_prefix(prefix)?.parse::<u64>().ok();
            if let Some(server) = number('S').and_then(|n| usize::try_from(n).ok())
                && server < servers
                && !subject.servers.contains(&server)
            {
                subject.servers.push(server);
            }
            subject.term = number('T').or(subject.term);
            subject.index = subject.index.or(number('i'));
        }
        subject
    }
}

struct Walk<'a> {
    run: &'a Run,
    steps: BTreeSet<Step>,
    events: BTreeSet<usize>,
}

impl Walk<'_> {
    /// A wrong step, and what led to it.
    fn wrong(&mut self, finding: &Finding) {
        let Finding { at, server, event, term, .. } = *finding;
        let text = finding.text.clone();
        self.steps.insert(Step { at, server, event: Some(event), call: None, text, wrong: true });
        if server >= self.run.servers {
            return; // a client: what it does has its reasons within itself
        }
        if self.run.events.get(event).is_some_and(|event| event.server == Some(server)) {
            self.events.insert(event);
        }
        self.back(server, at, 4);
        // By what right it leads or follows, where that matters.
        let of_terms = [Act::Vote, Act::Campaign, Act::Elected, Act::Term, Act::Commit, Act::Save];
        if of_terms.contains(&finding.act) {
            self.votes(term, at);
        }
        if let Some(index) = finding.index {
            self.entry(server, index, at);
        }
    }

    fn subject(&mut self, subject: &Subject, until: Micros) {
        if let Some(term) = subject.term.filter(|_| subject.index.is_none()) {
            self.votes(term, until);
        }
        for &server in &subject.servers {
            if let Some(index) = subject.index {
                self.entry(server, index, until);
            }
        }
    }

    /// The operation that cannot fit, who answered it, and the last ones that it contradicts.
    fn operations(&mut self) {
        let operations = &self.run.operations;
        let against = operations.iter().rev().filter(|op| op.mark == Some(Mark::Against));
        let culprit = operations.iter().find(|op| op.mark == Some(Mark::Culprit));
        for operation in against.take(AGAINST).chain(culprit) {
            let peer = self.run.peers.iter().position(|peer| *peer == operation.client);
            let Some(server) = peer else { continue };
            let (at, wrong) = (operation.from, operation.mark == Some(Mark::Culprit));
            let answer = match (&operation.answer, operation.to) {
                (Some(answer), _) => format!(", is answered {answer}"),
                (None, Some(_)) => ", is done".to_owned(),
                (None, None) => ", which never returns".to_owned(),
            };
            let text = format!("{}: {}{answer}", operation.client, operation.call);
            self.steps.insert(Step { at, server, event: None, call: None, text, wrong });
            let end = operation.to.unwrap_or(self.run.end);
            let answered = self.run.calls.iter().enumerate().rev().find_map(|(number, call)| {
                let arrived = call.reply.as_ref()?.arrived?;
                let fits = call.from == server && call.request.sent >= at && arrived <= end;
                fits.then_some((number, call.to, arrived))
            });
            if let Some((number, by, at)) = answered {
                let text = format!("{} has its answer from S{by}", operation.client);
                let call = Some(number);
                self.steps.insert(Step { at, server, event: None, call, text, wrong: false });
            }
        }
    }

    /// Everybody's votes in this term, and who won.
    fn votes(&mut self, term: u64, until: Micros) {
        let mut replay = Replay::new(self.run.servers);
        let mut found = Vec::new();
        for (number, event) in self.run.events.iter().enumerate() {
            if event.at > until {
                break;
            }
            let Some(server) = event.server.filter(|server| *server < self.run.servers) else {
                continue;
            };
            let old = (replay.servers[server].memory.vote, replay.servers[server].memory.role);
            let old_term = replay.servers[server].memory.term;
            replay.step(event);
            let new = &replay.servers[server].memory;
            if !matches!(event.what, What::State(_)) || new.term != term {
                continue;
            }
            let voted = new.vote.is_some() && (new.vote != old.0 || old_term != term);
            let won = new.role == Role::Leader && (old.1 != Role::Leader || old_term != term);
            if voted || won {
                found.push(number);
            }
        }
        // A crash between two of them matters too.
        let servers: BTreeSet<usize> =
            found.iter().filter_map(|number| self.run.events[*number].server).collect();
        let (first, last) = (found.first().copied(), found.last().copied());
        for number in found {
            self.event(number);
            self.back_of(number, 1);
        }
        if let (Some(first), Some(last)) = (first, last) {
            self.crashes(&servers, first, last);
        }
    }

    /// How this server came to hold, commit and apply an index.
    fn entry(&mut self, server: usize, index: u64, until: Micros) {
        let (mut held, mut committed) = (None, None);
        let mut replay = Replay::new(self.run.servers);
        for (number, event) in self.run.events.iter().enumerate() {
            if event.at > until {
                break;
            }
            if event.server != Some(server) {
                continue;
            }
            let (old, commit) = (
                replay.servers[server].memory.term_at(index),
                replay.servers[server].memory.commit,
            );
            replay.step(event);
            let new = &replay.servers[server].memory;
            match &event.what {
                What::Started => (held, committed) = (None, None),
                What::State(_) => {
                    if new.term_at(index).is_some() && new.term_at(index) != old {
                        held = Some(number);
                    }
                    if new.commit >= index && commit < index {
                        committed = Some(number);
                    }
                }
                What::Applied { index: applied, .. } if *applied == index => self.event(number),
                What::Command { index: taken, .. } if *taken == index => self.event(number),
                _ => {}
            }
        }
        for number in held.into_iter().chain(committed) {
            self.event(number);
            self.back_of(number, 3);
        }
    }

    fn crashes(&mut self, servers: &BTreeSet<usize>, first: usize, last: usize) {
        for number in first..last {
            let event = &self.run.events[number];
            let matters = matches!(event.what, What::Crashed | What::Started)
                && event.server.is_some_and(|server| servers.contains(&server));
            if matters {
                self.event(number);
            }
        }
    }

    /// Adds an event, in words.
    fn event(&mut self, number: usize) {
        let event = &self.run.events[number];
        let Some(server) = event.server else { return };
        if !self.events.insert(number) {
            return;
        }
        let Some(text) = describe(server, &event.what) else { return };
        let (at, event) = (event.at, Some(number));
        self.steps.insert(Step { at, server, event, call: None, text, wrong: false });
    }

    /// From a change of state to the message that made the server change, to what its sender was in,
    /// and so on.
    fn back_of(&mut self, event: usize, depth: usize) {
        let Event { server, at, .. } = self.run.events[event];
        if let Some(server) = server {
            self.back(server, at, depth);
        }
    }

    fn back(&mut self, server: usize, at: Micros, depth: usize) {
        let Some((number, sender, sent)) = self.cause(server, at).filter(|_| depth > 0) else {
            return;
        };
        let call = &self.run.calls[number];
        let method = self.run.methods.get(call.method).map_or("?", String::as_str);
        let is_reply = sender == call.to;
        let what = if is_reply { format!("answer to {method}") } else { method.to_owned() };
        let text = format!("S{server} has {what} from {}", self.run.peers[sender]);
        let arrived = if is_reply { call.reply.as_ref() } else { Some(&call.request) };
        let arrived = arrived.and_then(|leg| leg.arrived).unwrap_or(at);
        let new = self.steps.insert(Step {
            at: arrived,
            server,
            event: None,
            call: Some(number),
            text,
            wrong: false,
        });
        let before = self.run.events.iter().enumerate().rev().find(|(_, event)| {
            event.server == Some(sender) && event.at <= sent && is_telling(&event.what)
        });
        if let Some((number, _)) = before.filter(|_| new) {
            self.event(number);
            self.back_of(number, depth - 1);
        }
    }

    /// The last message that reached this server shortly before: the call, its sender, and when it left.
    fn cause(&self, server: usize, at: Micros) -> Option<(usize, usize, Micros)> {
        let recent = |arrived: Option<Micros>| arrived.filter(|t| *t <= at && *t + SOON > at);
        let look = |(number, call): (usize, &Call)| {
            let request = (call.to == server).then_some(&call.request);
            let request =
                request.and_then(|leg| Some((recent(leg.arrived)?, number, call.from, leg.sent)));
            let reply = (call.from == server).then_some(call.reply.as_ref()).flatten();
            let reply =
                reply.and_then(|leg| Some((recent(leg.arrived)?, number, call.to, leg.sent)));
            request.max(reply)
        };
        let last = self.run.calls.iter().enumerate().filter_map(look).max()?;
        Some((last.1, last.2, last.3))
    }

    fn finish(self) -> Vec<Step> {
        self.steps.into_iter().collect()
    }
}

/// Does it say something to people who ask why?
fn is_telling(what: &What) -> bool {
    match what {
        What::State(Change { term, role, vote, log, commit, .. }) => {
            term.is_some() || role.is_some() || vote.is_some() || log.is_some() || commit.is_some()
        }
        What::Started | What::Crashed | What::Command { .. } => true,
        _ => false,
    }
}

fn describe(server: usize, what: &What) -> Option<String> {
    Some(match what {
        What::Started => format!("S{server} starts from its disk"),
        What::Crashed => format!("S{server} crashes"),
        What::Applied { index, term, command } => {
            format!("S{server} applies T{term}:i{index} {command}")
        }
        What::Command { index, term, command } => {
            format!("S{server} takes {command} as T{term}:i{index}")
        }
        What::State(change) => {
            let mut parts = Vec::new();
            if let Some(term) = change.term {
                parts.push(format!("is in T{term}"));
            }
            match change.role {
                Some(Role::Leader) => parts.push("leads".to_owned()),
                Some(Role::Candidate) => parts.push("asks for votes".to_owned()),
                Some(Role::Follower) => parts.push("follows".to_owned()),
                None => {}
            }
            if let Some(vote) = change.vote.filter(|vote| *vote >= 0) {
                parts.push(format!("votes for S{vote}"));
            }
            if let Some((kept, terms)) = &change.log {
                let last = kept + terms.len() as u64;
                parts.push(match terms.last() {
                    Some(term) => format!("holds T{term}:i{last}"),
                    None => format!("cuts its log after i{kept}"),
                });
            }
            if let Some(commit) = change.commit {
                parts.push(format!("commits up to i{commit}"));
            }
            if parts.is_empty() {
                return None;
            }
            format!("S{server} {}", parts.join(", "))
        }
        _ => return None,
    })
}

/// The last second or so before the end of a run that did not get on.
const LATELY: Micros = 2_000_000;

/// What each server was in and did, in the time before a failure to get on.
fn situation(run: &Run, at: Micros) -> Vec<String> {
    let mut replay = Replay::new(run.servers);
    let mut campaigns = vec![0; run.servers];
    let since = at.saturating_sub(LATELY);
    for event in run.events.iter().take_while(|event| event.at <= at) {
        if let (Some(server), What::State(Change { role: Some(Role::Candidate), .. })) =
            (event.server, &event.what)
            && event.at >= since
        {
            campaigns[server] += 1;
        }
        replay.step(event);
    }
    let mut sentences = Vec::new();
    for (server, state) in replay.servers.iter().enumerate() {
        let arrived = run.calls.iter().filter(|call| {
            call.to == server && call.request.arrived.is_some_and(|t| t >= since && t <= at)
        });
        let sent = run.calls.iter().filter(|call| {
            call.from == server && call.request.sent >= since && call.request.sent <= at
        });
        let sent: Vec<&Call> = sent.collect();
        let answered = sent
            .iter()
            .filter(|call| call.reply.as_ref().is_some_and(|reply| reply.arrived.is_some()));
        let memory = &state.memory;
        let is = if state.up && !run.shows(server) {
            sentences.push(format!(
                "S{server} shows nothing of itself. In the {} s before: requests sent {}, answered {}, \
                 received {}.",
                LATELY / 1_000_000,
                sent.len(),
                answered.count(),
                arrived.count(),
            ));
            continue;
        } else if state.up {
            format!("is {} in T{}", format!("{:?}", memory.role).to_lowercase(), memory.term)
        } else {
            "is down".to_owned()
        };
        let (index, term) = memory.last();
        sentences.push(format!(
            "S{server} {is}, its log ends with T{term}:i{index}, commit i{}. In the {} s before: \
             campaigns {}, requests sent {}, answered {}, received {}.",
            memory.commit,
            LATELY / 1_000_000,
            campaigns[server],
            sent.len(),
            answered.count(),
            arrived.count(),
        ));
    }
    sentences
}
