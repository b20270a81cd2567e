//! What servers told each other so far.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::model::{Call, Leg, Micros, Run};
use crate::replay::Replay;
use crate::words::Words;

/// Something that happens to a message, at one of its ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) at: Micros,
    pub(crate) way: Way,
    /// At whom.
    pub(crate) server: usize,
    /// Who is at the other end.
    pub(crate) other: usize,
    pub(crate) method: Method,
    pub(crate) request: Rc<Words>,
    /// Of a reply.
    pub(crate) reply: Option<Rc<Words>>,
    pub(crate) call: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    RequestLeaves,
    RequestArrives,
    ReplyLeaves,
    ReplyArrives,
}

/// Raft's calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Vote,
    Append,
    Install,
    Other,
}

impl Method {
    fn of(name: &str) -> Method {
        let name = name.rsplit('.').next().unwrap_or(name).to_lowercase();
        match () {
            () if name.contains("pre") => Method::Other, // asks, and changes nothing
            () if name.contains("append") => Method::Append,
            () if name.contains("install") => Method::Install,
            () if name.contains("vote") => Method::Vote,
            () => Method::Other,
        }
    }

    /// Does it come from a leader?
    pub(crate) fn leads(self) -> bool {
        matches!(self, Method::Append | Method::Install)
    }
}

/// All that happens to calls between servers, in the order of time.
pub(crate) fn messages(run: &Run) -> Vec<Message> {
    let methods: Vec<Method> = run.methods.iter().map(|name| Method::of(name)).collect();
    let mut known: BTreeMap<usize, Rc<Words>> = BTreeMap::new();
    let mut words = |leg: &Leg| {
        let Some(content) = leg.content else { return Rc::new(Words::default()) };
        let read = || Rc::new(run.contents.get(content).map(|t| Words::of(t)).unwrap_or_default());
        Rc::clone(known.entry(content).or_insert_with(read))
    };
    let mut messages = Vec::new();
    let between = |call: &Call| call.from < run.servers && call.to < run.servers;
    for (number, call) in run.calls.iter().enumerate().filter(|(_, call)| between(call)) {
        let method = methods.get(call.method).copied().unwrap_or(Method::Other);
        let request = words(&call.request);
        // It asks, and changes nothing.
        let method = if request.pre { Method::Other } else { method };
        let reply = call.reply.as_ref().map(&mut words);
        let mut add = |at, way, server, other| {
            let of_reply = matches!(way, Way::ReplyLeaves | Way::ReplyArrives);
            let reply = reply.clone().filter(|_| of_reply);
            let request = Rc::clone(&request);
            messages.push(Message { at, way, server, other, method, request, reply, call: number });
        };
        add(call.request.sent, Way::RequestLeaves, call.from, call.to);
        for at in call.request.arrived.iter().chain(&call.copies) {
            add(*at, Way::RequestArrives, call.to, call.from);
        }
        if let Some(reply) = &call.reply {
            add(reply.sent, Way::ReplyLeaves, call.to, call.from);
            if let Some(at) = reply.arrived {
                add(at, Way::ReplyArrives, call.from, call.to);
            }
        }
    }
    messages.sort_by_key(|message| (message.at, message.way, message.call));
    messages
}

/// What was heard.
pub(crate) struct Talk {
    /// Who asked for votes in which term.
    pub(crate) asked: BTreeSet<(u64, usize)>,
    /// When each server last had a request of whoever leads its term, and of whom.
    pub(crate) led: Vec<Option<(Micros, usize)>>,
    /// When each server last had entries or a snapshot; and a snapshot.
    pub(crate) fed: Vec<Option<Micros>>,
    pub(crate) installs: Vec<Option<Micros>>,
    /// When each server last gave its vote, and to whom.
    pub(crate) granted: Vec<Option<(Micros, usize)>>,
    /// When the first last had an answer of the second.
    pub(crate) answered: BTreeMap<(usize, usize), Micros>,
    /// Requests of leaders that have arrived at each server, and have no answer yet.
    pub(crate) open: Vec<BTreeSet<usize>>,
}

impl Talk {
    pub(crate) fn new(run: &Run) -> Talk {
        Talk {
            asked: BTreeSet::new(),
            led: vec![None; run.servers],
            fed: vec![None; run.servers],
            installs: vec![None; run.servers],
            granted: vec![None; run.servers],
            answered: BTreeMap::new(),
            open: vec![BTreeSet::new(); run.servers],
        }
    }

    /// Remembers a message.
    pub(crate) fn hear(&mut self, message: &Message, replay: &Replay) {
        let Message { at, way, server, other, method, ref request, ref reply, call } = *message;
        match (way, method) {
            (Way::RequestLeaves, Method::Vote) => {
                let term = request.term.unwrap_or(replay.servers[server].memory.term);
                self.asked.insert((term, server));
            }
            (Way::RequestArrives, Method::Append | Method::Install) => {
                let term = replay.servers[server].memory.term;
                if request.term.is_none_or(|leads| leads >= term) {
                    self.led[server] = Some((at, other));
                }
                if method == Method::Install
                    || request.entries.as_ref().is_none_or(|e| !e.is_empty())
                {
                    self.fed[server] = Some(at);
                }
                if method == Method::Install {
                    self.installs[server] = Some(at);
                }
                self.open[server].insert(call);
            }
            (Way::ReplyLeaves, Method::Vote)
                if reply.as_ref().is_some_and(|reply| reply.granted == Some(true)) =>
            {
                self.granted[server] = Some((at, other));
            }
            (Way::ReplyLeaves, _) => drop(self.open[server].remove(&call)),
            (Way::ReplyArrives, _) => drop(self.answered.insert((server, other), at)),
            _ => {}
        }
    }
}
