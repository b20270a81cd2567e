//! The calls between servers before a failure, by who made them to whom.

use std::rc::Rc;

use crate::model::{Micros, Run, What};
use crate::replay::Replay;
use crate::rules::talk::{Method, Way, messages};
use crate::words::Words;

/// A server that has sent nothing as a leader for so long does not lead.
const SILENT: Micros = 1_500_000;

/// The time before a failure in which a pattern is looked for.
const BEFORE: Micros = 10_000_000;

/// A call between servers.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) method: Method,
    pub(super) sent: Micros,
    /// When the request arrived first.
    pub(super) arrived: Option<Micros>,
    pub(super) request: Rc<Words>,
    /// When the reply left.
    pub(super) replied: Option<Micros>,
    /// When the reply arrived.
    pub(super) answered: Option<Micros>,
    pub(super) reply: Rc<Words>,
    /// The call in the run.
    pub(super) call: usize,
}

impl Exchange {
    /// The last index that the follower shares with the leader if it accepts; `u64::MAX` if that
    /// is not known, because the message is too long to be kept.
    pub(super) fn end(&self) -> u64 {
        match self.method {
            Method::Install => self.request.snapshot.map_or(u64::MAX, |(index, _)| index),
            _ => self.request.end().unwrap_or(u64::MAX),
        }
    }

    /// Does it bring entries, as far as that is known?
    pub(super) fn is_loaded(&self) -> bool {
        self.request.entries.as_ref().is_none_or(|entries| !entries.is_empty())
    }

    /// Was it refused, and did the caller learn so?
    pub(super) fn refused(&self) -> bool {
        self.answered.is_some() && self.reply.success == Some(false)
    }

    /// Was it accepted, and did the caller learn so?
    pub(super) fn accepted(&self) -> bool {
        self.answered.is_some() && self.reply.success == Some(true)
    }
}

/// What was seen until a failure.
pub(super) struct Seen<'a> {
    pub(super) run: &'a Run,
    /// Between servers, in the order in which they were made.
    pub(super) calls: Vec<Exchange>,
    /// When what failed began to be waited for.
    pub(super) from: Micros,
    /// When it failed.
    pub(super) until: Micros,
    /// Which servers run then.
    pub(super) up: Vec<bool>,
}

impl<'a> Seen<'a> {
    pub(super) fn of(run: &'a Run, until: Micros) -> Seen<'a> {
        let mut calls: Vec<Option<Exchange>> = run.calls.iter().map(|_| None).collect();
        for message in messages(run).into_iter().filter(|message| message.at <= until) {
            let call = &mut calls[message.call];
            match (message.way, call) {
                (Way::RequestLeaves, call) => {
                    *call = Some(Exchange {
                        from: message.server,
                        to: message.other,
                        method: message.method,
                        sent: message.at,
                        arrived: None,
                        request: message.request,
                        replied: None,
                        answered: None,
                        reply: Rc::default(),
                        call: message.call,
                    });
                }
                (Way::RequestArrives, Some(call)) => {
                    call.arrived.get_or_insert(message.at);
                }
                (Way::ReplyLeaves, Some(call)) => {
                    call.replied = Some(message.at);
                    call.reply = message.reply.unwrap_or_default();
                }
                (Way::ReplyArrives, Some(call)) => call.answered = Some(message.at),
                _ => {}
            }
        }
        let mut calls: Vec<Exchange> = calls.into_iter().flatten().collect();
        calls.sort_by_key(|call| (call.sent, call.call));
        let failed = run.checks.iter().rev().find(|check| !check.ok && check.from <= until);
        let from = failed.map_or(until.saturating_sub(BEFORE), |check| check.from);
        let mut replay = Replay::new(run.servers);
        run.events.iter().take_while(|event| event.at <= until).for_each(|e| replay.step(e));
        let up = replay.servers.iter().map(|server| server.up).collect();
        Seen { run, calls, from, until, up }
    }

    /// The server that leads at the end, and its term, as far as requests that arrive tell.
    pub(super) fn leader(&self) -> Option<(usize, u64)> {
        let late = self.until.saturating_sub(SILENT);
        let heard = |call: &&Exchange| {
            call.method.leads() && call.arrived.is_some() && call.sent >= late && self.up[call.from]
        };
        let leaders = self.calls.iter().filter(heard);
        leaders.filter_map(|call| Some((call.request.term?, call.from))).max().map(|(t, s)| (s, t))
    }

    /// When this server started last.
    pub(super) fn started(&self, server: usize) -> Micros {
        let starts = self.run.events.iter().filter(|event| {
            event.at <= self.until && event.server == Some(server) && event.what == What::Started
        });
        starts.map(|event| event.at).max().unwrap_or(0)
    }

    /// What the first sent to the second as the leader of this term.
    pub(super) fn led(&self, leader: usize, term: u64, to: usize) -> Vec<&Exchange> {
        self.calls
            .iter()
            .filter(|call| (call.from, call.to) == (leader, to) && call.method.leads())
            .filter(|call| call.request.term == Some(term))
            .collect()
    }

    /// The last command that this leader took in this term half a second before the end or earlier:
    /// its index, and when.
    pub(super) fn command(&self, leader: usize, term: u64) -> Option<(u64, Micros)> {
        self.run.events.iter().rev().find_map(|event| match event.what {
            What::Command { index, term: of, .. }
                if event.server == Some(leader)
                    && of == term
                    && event.at + 500_000 <= self.until =>
            {
                Some((index, event.at))
            }
            _ => None,
        })
    }

    /// Up to which index this server has given entries to its service in its present life.
    pub(super) fn applied(&self, server: usize) -> u64 {
        let mut applied = 0;
        for event in self.run.events.iter().filter(|e| e.at <= self.until) {
            match event.what {
                _ if event.server != Some(server) => {}
                What::Started => applied = 0,
                What::Applied { index, .. } | What::Installed { index, .. } => applied = index,
                _ => {}
            }
        }
        applied
    }

    /// The end of the last snapshot that this server was handed by its service, or handed to it.
    pub(super) fn snapshot_of(&self, server: usize) -> Option<u64> {
        let own = self.run.events.iter().filter(|event| event.server == Some(server));
        let indexes =
            own.filter(|event| event.at <= self.until).filter_map(|event| match event.what {
                What::Snapshot { index } | What::Installed { index, .. } => Some(index),
                _ => None,
            });
        indexes.max()
    }

    /// The text of a reply, if it is short enough to be shown.
    pub(super) fn reply_text(&self, call: &Exchange) -> Option<&str> {
        let content = self.run.calls.get(call.call)?.reply.as_ref()?.content?;
        self.run.contents.get(content).map(String::as_str).filter(|text| text.len() <= 120)
    }
}
