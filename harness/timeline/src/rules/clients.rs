//! Servers that answer clients, and clients.
//!
//! What a service does with a command is its own affair, and not seen. But what clients were answered
//! is, and when servers applied which entries; and a history that is not linearizable says which
//! operation is executed twice, or not at all. This looks at the whole run, backwards from there.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Call, Event, Mark, Micros, Operation, Role, Run, Verdict, What};
use crate::replay::Replay;
use crate::why::Subject;

use super::{Act, Finding, Rule};

/// A server knows within this time whether it can answer, or that it cannot.
const PATIENCE: Micros = 1_200_000;

/// A server that has applied an operation answers within this time.
const AT_ONCE: Micros = 30_000;

/// Calls to the same silent server, one after the other.
const STICKY: usize = 6;

/// Operations in a row that begin with a server that did not answer the one before.
const ASTRAY: usize = 3;

/// Everything found, in no particular order.
pub(super) fn findings(run: &Run) -> Vec<Finding> {
    let Some(verdict) = run.verdict.as_ref().filter(|_| !run.operations.is_empty()) else {
        return Vec::new();
    };
    let mut clients = Clients::new(run);
    clients.identities();
    if verdict.title.contains("snapshot") || verdict.title.contains("log") {
        clients.sizes(verdict);
    }
    if verdict.kind == "safety" {
        clients.contradiction();
    } else {
        clients.slow();
        clients.wasteful();
    }
    clients.found
}

/// The last reply to an operation: who gave it, when its request came, when it left and when it
/// arrived.
#[derive(Clone, Copy)]
struct Answer<'a> {
    server: usize,
    came: Micros,
    left: Micros,
    call: &'a Call,
}

struct Clients<'a> {
    run: &'a Run,
    /// The calls of each client, in the order of their requests.
    calls: BTreeMap<usize, Vec<&'a Call>>,
    /// Replies after which clients asked again.
    refusals: BTreeSet<&'a str>,
    found: Vec<Finding>,
}

impl<'a> Clients<'a> {
    fn new(run: &'a Run) -> Clients<'a> {
        let mut calls: BTreeMap<usize, Vec<&Call>> = BTreeMap::new();
        for call in run.calls.iter().filter(|c| c.from >= run.servers && c.to < run.servers) {
            calls.entry(call.from).or_default().push(call);
        }
        let mut clients = Clients { run, calls, refusals: BTreeSet::new(), found: Vec::new() };
        for operation in &run.operations {
            let calls = clients.of(operation);
            let before_last = calls.iter().rev().skip(1);
            let texts = before_last.filter_map(|call| clients.reply(call));
            let texts: Vec<&str> = texts.collect();
            clients.refusals.extend(texts);
        }
        clients
    }

    fn text(&self, content: Option<usize>) -> Option<&'a str> {
        self.run.contents.get(content?).map(String::as_str)
    }

    fn reply(&self, call: &Call) -> Option<&'a str> {
        self.text(call.reply.as_ref().filter(|reply| reply.arrived.is_some())?.content)
    }

    fn peer(&self, operation: &Operation) -> Option<usize> {
        self.run.peers.iter().position(|peer| *peer == operation.client)
    }

    /// The calls of an operation.
    fn of(&self, operation: &Operation) -> Vec<&'a Call> {
        let calls = self.peer(operation).and_then(|peer| self.calls.get(&peer));
        let end = operation.to.unwrap_or(self.run.end);
        let is_its = |call: &&&Call| call.request.sent >= operation.from && call.request.sent < end;
        calls.into_iter().flatten().filter(is_its).copied().collect()
    }

    fn answer(&self, operation: &Operation) -> Option<Answer<'a>> {
        let end = operation.to?;
        let arrived = |call: &&Call| call.reply.as_ref()?.arrived.filter(|at| *at <= end);
        let calls = self.of(operation);
        let call = calls.into_iter().filter(|call| arrived(call).is_some()).max_by_key(arrived)?;
        let (came, left) = (call.request.arrived?, call.reply.as_ref()?.sent);
        Some(Answer { server: call.to, came, left, call })
    }

    fn add(
        &mut self,
        (at, server): (Micros, usize),
        what: (Rule, Act),
        index: Option<u64>,
        text: String,
    ) {
        let event = self.run.events.partition_point(|event| event.at <= at).saturating_sub(1);
        let mut replay = Replay::new(self.run.servers);
        self.run.events[..=event].iter().for_each(|event| replay.step(event));
        let memory = replay.servers.get(server).map(|server| &server.memory);
        let term = memory.map_or(0, |memory| memory.term);
        let (rule, act) = what;
        let mut finding =
            Finding { at, event, server, role: Role::Follower, act, rule, text, term, index };
        if let Some(memory) = memory {
            finding.role = memory.role;
        }
        self.found.push(finding);
    }

    /// A log or a snapshot that is too large, or should not be: the save that shows it.
    fn sizes(&mut self, verdict: &Verdict) {
        let named = Subject::of(&verdict.happened, self.run.servers);
        let named = named
            .servers
            .first()
            .or(Subject::of(&verdict.expected, self.run.servers).servers.first())
            .copied();
        let saves = self.run.events.iter().filter(|event| event.at <= verdict.at);
        let last = saves.rev().find_map(|event| match event.what {
            What::Saved { bytes, snapshot, .. }
                if named.is_none_or(|named| event.server == Some(named)) =>
            {
                Some((event.at, event.server?, bytes, snapshot))
            }
            _ => None,
        });
        let Some((at, server, bytes, snapshot)) = last else { return };
        let snapshot = match snapshot {
            0 => "no snapshot".to_owned(),
            size => format!("a snapshot of {size}"),
        };
        let text = format!("S{server} saves {bytes} bytes of Raft state, and {snapshot}");
        self.add((at, server), (Rule::Compaction, Act::Snapshot), None, text);
    }

    /// Two clients under one name.
    fn identities(&mut self) {
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        let mut doubles = Vec::new();
        for (client, calls) in &self.calls {
            for call in calls {
                let Some(id) = self.text(call.request.content).and_then(identity) else { continue };
                let first = *known.entry(id.clone()).or_insert(*client);
                if first != *client {
                    doubles.push((call.request.sent, *client, first, id));
                    break;
                }
            }
        }
        let first = doubles.into_iter().min();
        if let Some((at, client, other, id)) = first {
            let name = |peer: usize| self.run.peers[peer].clone();
            let text = format!(
                "{} sends its requests under the name {id}, as {} does",
                name(client),
                name(other)
            );
            self.add((at, client), (Rule::Clients, Act::Request), None, text);
        }
        let different = self.run.operations.iter().find_map(|operation| {
            let calls = self.of(operation);
            let first = self.text(calls.first()?.request.content)?;
            let other = calls
                .iter()
                .find(|call| self.text(call.request.content).is_some_and(|text| text != first))?;
            Some((operation, *other))
        });
        if let Some((operation, call)) = different {
            let text = format!(
                "{} repeats \u{201c}{}\u{201d} as another request than before: no server can know it for the same",
                operation.client, operation.call
            );
            self.add((call.request.sent, call.from), (Rule::Clients, Act::Request), None, text);
        }
    }

    /// From the operations that cannot fit.
    fn contradiction(&mut self) {
        let marked = |mark| self.run.operations.iter().filter(move |op| op.mark == Some(mark));
        let Some(culprit) = marked(Mark::Culprit).next() else { return };
        let (mut missing, twice): (Vec<_>, Vec<_>) =
            (marked(Mark::Missing).collect(), marked(Mark::Twice).collect());
        for operation in missing.iter().chain([&culprit]) {
            self.returns(operation);
        }
        let Some(answer) = self.answer(culprit) else { return };
        self.local(culprit, answer);
        if missing.is_empty() && twice.is_empty() && self.found.is_empty() {
            // A write that was over, and that the answer knows nothing of.
            let over = |op: &&Operation| {
                op.to.is_some_and(|to| to <= culprit.from) && !op.call.starts_with("get")
            };
            let against: Vec<&Operation> = marked(Mark::Against).collect();
            missing = against.into_iter().filter(over).collect();
            missing.truncate(usize::from(missing.len() == 1));
            if let Some(operation) = missing.first() {
                self.returns(operation);
            }
        }
        for operation in twice.iter().take(1) {
            self.twice(operation, answer);
        }
        if let Some(operation) = missing.first() {
            self.missing(operation, answer);
        }
        if self.found.is_empty() {
            let what = culprit.answer.clone().unwrap_or_else(|| "done".to_owned());
            let text = format!(
                "S{} answers \u{201c}{}\u{201d} of {} with {what}, which nothing explains",
                answer.server, culprit.call, culprit.client
            );
            self.add((answer.left, answer.server), (Rule::Clients, Act::Answer), None, text);
        }
    }

    /// An operation returned, and nobody had answered it.
    fn returns(&mut self, operation: &Operation) {
        let (Some(to), Some(peer)) = (operation.to, self.peer(operation)) else { return };
        let Operation { client, call, .. } = operation;
        let text = match self.answer(operation).map(|answer| (answer, self.reply(answer.call))) {
            None => format!(
                "{client} returns from \u{201c}{call}\u{201d}, which no server has answered"
            ),
            Some((answer, Some(text))) if self.refusals.contains(text) => format!(
                "{client} returns from \u{201c}{call}\u{201d}, which S{} has refused: {text}",
                answer.server
            ),
            _ => return,
        };
        self.add((to, peer), (Rule::Clients, Act::Return), None, text);
    }

    /// Was it answered without asking anybody?
    fn local(&mut self, operation: &Operation, answer: Answer<'_>) {
        if self.of(operation).len() != 1 && !operation.call.starts_with("get") {
            return; // the retry of a write that was done before
        }
        let Answer { server, came, left, .. } = answer;
        let others = self.run.calls.iter().filter(|call| {
            let back = call.reply.as_ref().and_then(|reply| reply.arrived);
            call.from == server
                && call.to < self.run.servers
                && call.request.sent >= came
                && back.is_some_and(|at| at <= left)
        });
        let heard: BTreeSet<usize> = others.map(|call| call.to).collect();
        if heard.len() + 1 > self.run.servers / 2 {
            return;
        }
        let text = format!(
            "S{server} answers \u{201c}{}\u{201d} of {} without having heard from a majority since it was asked: others may have done more by then",
            operation.call, operation.client
        );
        self.add((left, server), (Rule::Clients, Act::Answer), None, text);
    }

    /// When this server applied this entry.
    fn applied(&self, server: usize, entry: (u64, u64), until: Micros) -> Option<Micros> {
        let applies = self.run.events.iter().filter(|event| {
            event.server == Some(server)
                && event.at <= until
                && matches!(&event.what, What::Applied { index, term, .. } if (*index, *term) == entry)
        });
        applies.map(|event| event.at).next_back()
    }

    fn is_committed(&self, (index, term): (u64, u64)) -> bool {
        self.run.events.iter().any(|event| {
            matches!(&event.what, What::Applied { index: i, term: t, .. } if (*i, *t) == (index, term))
        })
    }

    /// How a server came to a snapshot that includes this entry, before `until`: when, and by what.
    fn covered(&self, server: usize, index: u64, until: Micros) -> Option<(Micros, Act, u64)> {
        let mut replay = Replay::new(self.run.servers);
        let (mut started, mut covered) = (0, None);
        for event in self.run.events.iter().take_while(|event| event.at <= until) {
            let before = replay.servers[server].memory.base.0;
            replay.step(event);
            if event.server != Some(server) {
                continue;
            }
            let base = replay.servers[server].memory.base.0;
            match event.what {
                What::Started => (started, covered) = (event.at, None),
                What::State(_) if base >= index && before == 0 && covered.is_none() => {
                    let first = replay.servers[server].memory.applied <= base;
                    let disk = replay.servers[server].disk.as_ref();
                    if first && started > 0 && disk.is_some_and(|disk| disk.base.0 >= index) {
                        covered = Some((started, Act::Restart, base));
                    }
                }
                What::Installed { index: base, .. } if base >= index => {
                    covered = Some((event.at, Act::Install, base));
                }
                _ => {}
            }
        }
        covered
    }

    /// Who took a snapshot that ends with this entry first.
    fn taken_at(&self, index: u64) -> Option<(Micros, usize)> {
        self.run.events.iter().find_map(|event| match &event.what {
            What::State(change) if change.base.is_some_and(|base| base.0 == index) => {
                Some((event.at, event.server?))
            }
            _ => None,
        })
    }

    fn twice(&mut self, operation: &Operation, answer: Answer<'_>) {
        let committed: Vec<(u64, u64)> =
            operation.entries.iter().copied().filter(|entry| self.is_committed(*entry)).collect();
        let [first, .., second] = committed[..] else { return };
        let Answer { server, left, .. } = answer;
        let Operation { client, call, .. } = operation;
        let name = |entry: (u64, u64)| format!("T{}:i{}", entry.1, entry.0);
        let covered = self.covered(server, first.0, left).filter(|(.., base)| *base < second.0);
        match (covered, self.applied(server, second, left)) {
            (Some((at, act, base)), _) => {
                let does = if act == Act::Restart { "starts from" } else { "takes" };
                let text = format!(
                    "S{server} {does} a snapshot up to i{base}, and does not know from it that {}, \u{201c}{call}\u{201d} of {client}, was executed: it does that once more as {}",
                    name(first),
                    name(second)
                );
                self.add((at, server), (Rule::Clients, act), Some(second.0), text);
            }
            (None, Some(at)) => {
                let text = format!(
                    "S{server} executes {}, \u{201c}{call}\u{201d} of {client}, which it had executed as {}",
                    name(second),
                    name(first)
                );
                self.add((at, server), (Rule::Clients, Act::Execute), Some(second.0), text);
            }
            _ => {}
        }
    }

    fn missing(&mut self, operation: &Operation, answer: Answer<'_>) {
        let Operation { client, call, .. } = operation;
        let entry = operation.entries.iter().copied().find(|entry| self.is_committed(*entry));
        let Some(entry) = entry else {
            let Some(own) = self.answer(operation) else { return };
            let where_ = match operation.entries.first() {
                Some((index, term)) => format!("T{term}:i{index}, which is not committed"),
                None => "in no log".to_owned(),
            };
            let text = format!(
                "S{} answers {client} that \u{201c}{call}\u{201d} is done; it is {where_}",
                own.server
            );
            return self.add((own.left, own.server), (Rule::Clients, Act::Answer), None, text);
        };
        let Answer { server, left, .. } = answer;
        let name = format!("T{}:i{}", entry.1, entry.0);
        let covered = self.covered(server, entry.0, left);
        if let Some((at, taker)) = self.taken_at(entry.0).filter(|_| covered.is_some()) {
            let text = format!(
                "S{taker} takes a snapshot up to {name}, which does not have what that did: \u{201c}{call}\u{201d} of {client}"
            );
            return self.add((at, taker), (Rule::Clients, Act::Snapshot), Some(entry.0), text);
        }
        if let Some((at, act, base)) = covered {
            let does = if act == Act::Restart { "starts with" } else { "is given" };
            let text = format!(
                "S{server} {does} a snapshot up to i{base}, and does not have what {name} did: \u{201c}{call}\u{201d} of {client}"
            );
            return self.add((at, server), (Rule::Clients, act), Some(entry.0), text);
        }
        if let Some(at) = self.applied(server, entry, left) {
            let text = format!(
                "S{server} applies {name}, \u{201c}{call}\u{201d} of {client}, and does not execute it"
            );
            self.add((at, server), (Rule::Clients, Act::Execute), Some(entry.0), text);
        }
    }

    /// Requests that wait, though the server could answer.
    fn slow(&mut self) {
        let end = self.run.verdict.as_ref().map_or(self.run.end, |verdict| verdict.at);
        let name = |peer: usize| self.run.peers[peer].clone();
        let own = |server: usize| -> Vec<&Event> {
            self.run.events.iter().filter(|event| event.server == Some(server)).collect()
        };
        let by_server: Vec<Vec<&Event>> = (0..self.run.servers).map(own).collect();
        let (mut late, mut again): (Vec<(Micros, usize, String)>, BTreeMap<_, usize>) =
            (Vec::new(), BTreeMap::new());
        for (client, call) in
            self.calls.iter().flat_map(|(c, calls)| calls.iter().map(move |x| (*c, *x)))
        {
            let Some(came) = call.request.arrived else { continue };
            let left = call.reply.as_ref().map_or(end, |reply| reply.sent);
            let server = call.to;
            let Some(events) = by_server.get(server) else { continue };
            let since = &events[events.partition_point(|event| event.at < came)..];
            let applied =
                since.iter().find(|event| matches!(event.what, What::Applied { .. })).copied();
            let crashed = since
                .iter()
                .take_while(|event| event.at < left)
                .any(|event| event.at > came && event.what == What::Crashed);
            if crashed || left < came {
                continue;
            }
            match applied.filter(|event| event.at + AT_ONCE < left) {
                Some(event) => late.push((
                    event.at + AT_ONCE,
                    server,
                    format!(
                        "S{server} has applied what {} asked for at {:.6} s, and does not answer for {} ms",
                        name(client),
                        seconds(came),
                        (left - event.at) / 1000
                    ),
                )),
                None if came + PATIENCE < left => late.push((
                    came + PATIENCE,
                    server,
                    format!(
                        "S{server} was asked by {} at {:.6} s, and neither answers nor refuses for {:.1} s",
                        name(client),
                        seconds(came),
                        seconds(left - came)
                    ),
                )),
                None => {}
            }
            if applied.is_some_and(|event| event.at <= left)
                && let Some(text) = self.reply(call).filter(|text| self.refusals.contains(text))
            {
                let times = again.entry((client, server, text)).or_default();
                *times += 1;
                if *times == 3 {
                    let text = format!(
                        "S{server} has applied what {} asks for, answers with {text}, and is asked again, for the third time",
                        name(client)
                    );
                    late.push((left, server, text));
                }
            }
        }
        late.sort_unstable();
        for (at, server, text) in late.into_iter().take(10) {
            self.add((at, server), (Rule::Clients, Act::Answer), None, text);
        }
    }

    /// Clients that ask whom they need not ask.
    fn wasteful(&mut self) {
        let mut found = Vec::new();
        for (client, calls) in &self.calls {
            let name = &self.run.peers[*client];
            let mut sticky = 0;
            for pair in calls.windows(2) {
                let silent = pair[0].reply.as_ref().is_none_or(|reply| reply.arrived.is_none());
                sticky = if silent && pair[0].to == pair[1].to { sticky + 1 } else { 0 };
                if sticky == STICKY {
                    let text = format!(
                        "{name} calls S{} again, which has not answered it {STICKY} times",
                        pair[1].to
                    );
                    found.push((pair[1].request.sent, *client, text));
                }
            }
            let round = 4 * self.run.servers;
            let hasty = calls.windows(round).find(|calls| {
                let refused =
                    |call: &&&Call| self.reply(call).is_some_and(|t| self.refusals.contains(t));
                calls[round - 1].request.sent - calls[0].request.sent < 30_000
                    && calls.iter().filter(refused).count() + 1 >= round
            });
            if let Some(calls) = hasty {
                let text =
                    format!("{name} asks {round} times within 30 ms, and is refused each time");
                found.push((calls[round - 1].request.sent, *client, text));
            }
            let mut astray = 0;
            let mut last = None;
            let operations = self.run.operations.iter().filter(|op| op.client == *name);
            for operation in operations {
                let Some(first) = self.of(operation).first().copied() else { continue };
                astray = if last.is_some_and(|last| last != first.to) { astray + 1 } else { 0 };
                if astray == ASTRAY {
                    let text = format!(
                        "{name} asks S{} first, though another server has answered it, for the {ASTRAY}rd time",
                        first.to
                    );
                    found.push((first.request.sent, *client, text));
                }
                last = self.answer(operation).map(|answer| answer.server).or(last);
            }
        }
        for (at, client, text) in found {
            self.add((at, client), (Rule::Clients, Act::Request), None, text);
        }
    }
}

/// Under which name a request is sent, if it has a field for that.
fn identity(text: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let fields = value.as_object()?;
    let is_name = |name: &str| {
        let plain: String =
            name.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect();
        matches!(plain.as_str(), "client" | "clientid" | "ckid" | "clerk" | "clerkid")
    };
    fields.iter().find(|(name, _)| is_name(name)).map(|(_, value)| value.to_string())
}

#[expect(clippy::cast_precision_loss, reason = "seconds, for people")]
fn seconds(time: Micros) -> f64 {
    time as f64 / 1e6
}
