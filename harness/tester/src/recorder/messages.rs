//! From the network's events to calls.

use std::collections::BTreeMap;

use labrpc::{NetEvent, NetEventKind};
use timeline::Run;
use timeline::model::{Call, Fate, Leg, micros};

use super::Tape;
use crate::nemesis::server;

/// Where things are in the run.
#[derive(Default)]
pub(super) struct Calls {
    /// By the network's number of a call.
    places: BTreeMap<u64, usize>,
    contents: BTreeMap<String, usize>,
    peers: BTreeMap<String, usize>,
    methods: BTreeMap<&'static str, usize>,
}

impl Tape {
    /// Something happened to a message. The server that it leaves is looked at first: what it is in
    /// at that instant is what the message promises.
    pub(super) fn message(&self, event: &NetEvent<'_>) {
        let sender = match event.kind {
            NetEventKind::RequestSent => server(event.from),
            NetEventKind::ReplySent => server(event.to),
            _ => None,
        };
        if let Some(sender) = sender {
            self.look(sender);
        }
        self.calls.lock().enter(event, &mut self.run.lock());
    }
}

impl Calls {
    fn enter(&mut self, event: &NetEvent<'_>, run: &mut Run) {
        let at = micros(event.at);
        if event.kind == NetEventKind::RequestSent {
            let request = self.leg(event, &mut run.contents);
            let from = self.peer(event.from, &mut run.peers);
            let to = self.peer(event.to, &mut run.peers);
            let method = *self.methods.entry(event.method).or_insert_with(|| {
                run.methods.push(event.method.to_owned());
                run.methods.len() - 1
            });
            self.places.insert(event.call, run.calls.len());
            let copies = Vec::new();
            return run.calls.push(Call { from, to, method, request, reply: None, copies });
        }
        let Some(call) = self.places.get(&event.call).and_then(|n| run.calls.get_mut(*n)) else {
            return;
        };
        match event.kind {
            NetEventKind::RequestDelivered => match call.request.arrived {
                None => call.request.arrived = Some(at),
                Some(_) => call.copies.push(at),
            },
            NetEventKind::RequestLost => call.request.fate = Fate::Lost,
            NetEventKind::RequestLate => call.request.fate = Fate::Late,
            NetEventKind::ReplySent => call.reply = Some(self.leg(event, &mut run.contents)),
            NetEventKind::NoPath => match &mut call.reply {
                None => call.request.fate = Fate::NoPath,
                Some(reply) => reply.fate = Fate::NoPath,
            },
            kind => {
                let Some(reply) = &mut call.reply else { return };
                match kind {
                    NetEventKind::ReplyDelivered => {
                        reply.arrived = Some(at);
                        if reply.fate == Fate::Discarded {
                            reply.fate = Fate::Usual;
                        }
                    }
                    NetEventKind::ReplyLost => reply.fate = Fate::Lost,
                    NetEventKind::ReplyLate => reply.fate = Fate::Late,
                    // That of a second copy says nothing of the first one's reply.
                    NetEventKind::ReplyDiscarded if reply.arrived.is_none() => {
                        reply.fate = Fate::Discarded;
                    }
                    NetEventKind::CutOff => reply.fate = Fate::NoPath,
                    _ => {}
                }
            }
        }
    }

    fn leg(&mut self, event: &NetEvent<'_>, contents: &mut Vec<String>) -> Leg {
        let content = event.content.map(|text| {
            if let Some(place) = self.contents.get(text) {
                return *place;
            }
            contents.push(text.to_owned());
            self.contents.insert(text.to_owned(), contents.len() - 1);
            contents.len() - 1
        });
        let (sent, bytes) = (micros(event.at), event.bytes);
        Leg { sent, arrived: None, fate: Fate::Usual, bytes, content }
    }

    fn peer(&mut self, name: &str, peers: &mut Vec<String>) -> usize {
        if let Some(place) = self.peers.get(name) {
            return *place;
        }
        let place = peers.iter().position(|peer| peer == name).unwrap_or_else(|| {
            peers.push(name.to_owned());
            peers.len() - 1
        });
        self.peers.insert(name.to_owned(), place);
        place
    }
}
