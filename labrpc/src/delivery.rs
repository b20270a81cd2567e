//! The life of one call: sent, delivered, executed, answered; or not.
//!
//! A message in flight is an event of labrt and needs no task. The state is locked for moments
//! only. With the lock held nothing may let another task run, so labrt is only asked whether a node
//! is alive. On the real engine events, handlers and callers run at the same time: what was found
//! under the lock is acted on under the same lock, or looked at again.

use std::{fmt, sync::Arc, time::Duration};

use labgob::DecodeError;
use labrt::{event, oneshot, trace};
use parking_lot::Mutex;

use crate::{
    MessageKind, NetEvent, NetEventKind,
    calls::{Call, CallKey, Phase},
    fate::{ReplyFate, RequestFate, notice_delay},
    judge::{Judge, Sending, Sentence},
    service::{HandlerTask, Undecodable},
    state::{Route, Server, State},
    watch::Watch,
};

/// What a network's handles, its ends and its messages have in common.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pub(crate) watch: Watch,
    pub(crate) judge: Judge,
}

/// What a caller is woken with.
pub(crate) enum Answer {
    Reply(Vec<u8>),
    NoReply,
    /// A mistake in the program: the caller panics with it, at the line of the call.
    Refused(Box<Refusal>),
}

/// Why a request can never be answered; completes "S1 called M of S2 with an R, but ...".
#[derive(Debug)]
pub(crate) enum Refusal {
    UnknownMethod { answered: Vec<&'static str> },
    Request(Undecodable),
    Reply { expected: &'static str, error: DecodeError },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::UnknownMethod { answered } if answered.is_empty() => {
                f.write_str("the server's service is empty")
            }
            Refusal::UnknownMethod { answered } => {
                write!(f, "the server answers only {}", answered.join(", "))
            }
            Refusal::Request(Undecodable { expected, error }) => {
                write!(f, "the server's handler takes a {expected} and cannot read it: {error}")
            }
            Refusal::Reply { expected, error } => {
                write!(f, "cannot read the reply as a {expected}: {error}")
            }
        }
    }
}

/// What request and reply of a call carry with them.
#[derive(Clone)]
struct Message {
    network: Arc<Shared>,
    route: Arc<Route>,
    method: &'static str,
    /// The call's number over the whole network.
    number: u64,
    /// The request's number on its link; once there is a reply, that of the reply on its own.
    on_link: u64,
    /// Who waits for the answer: nobody, if this is a second copy or a late request.
    call: Option<CallKey>,
    bytes: Vec<u8>,
    /// What is in it, as text, if that is asked for.
    content: Option<Arc<str>>,
    /// What is counted when it arrives.
    odd: Option<Odd>,
}

/// What is odd about a message's arrival.
#[derive(Clone, Copy)]
enum Odd {
    SecondCopy,
    LateRequest,
    LateReply,
}

/// A request or a reply, ready to travel.
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    /// The same as text, if that is asked for.
    pub(crate) content: Option<Arc<str>>,
}

/// Sends a request; `answer` will be used or dropped. `connected` is false if the caller is dead.
pub(crate) fn send(
    network: Arc<Shared>,
    route: &Arc<Route>,
    method: &'static str,
    request: Encoded,
    answer: oneshot::Sender<Answer>,
    connected: bool,
) {
    let Encoded { bytes, content } = request;
    let sentence = network.judge.ask(|| Sending {
        from: &route.from_name,
        to: &route.to_name,
        kind: MessageKind::Request,
        method,
        bytes: &bytes,
    });
    let mut state = network.state.lock();
    let number = state.stats.requests;
    state.stats.requests += 1;
    state.stats.bytes += bytes.len() as u64;
    let link = state.link_mut(route.there);
    let request = link.requests;
    link.requests += 1;
    let (up, stream) = (link.up, link.streams.requests);
    let mut fate = RequestFate::draw(stream, request, state.conditions_of(route.there));
    fate.delay += state.conditions_of(route.there).transmission(bytes.len());
    if !state.chance.may_touch(&route.from_name, &route.to_name, MessageKind::Request, request) {
        fate.spare(state.conditions_of(route.there));
    }
    sentence.on_request(&mut fate);
    let has_path = connected && up && state.server(route.to).is_some();
    let phase = Phase::Requested;
    let call = Call { route: route.clone(), method, number, request, phase, answer };
    let key = state.calls.insert(call);
    let duplicate = fate.duplicate.filter(|_| has_path && !fate.lost);
    let late = fate.late.filter(|_| has_path && !fate.lost);
    state.stats.no_path += u64::from(!has_path);
    state.stats.requests_lost += u64::from(has_path && fate.lost);
    drop(state);

    let message = Message {
        network,
        route: route.clone(),
        method,
        number,
        on_link: request,
        call: Some(key),
        bytes,
        content,
        odd: None,
    };
    message.show(NetEventKind::RequestSent);
    if !has_path {
        message.show(NetEventKind::NoPath);
        return message.answer_later(fate.no_path, Answer::NoReply);
    }
    if fate.lost {
        message.show(NetEventKind::RequestLost);
        return message.answer_later(fate.delay, Answer::NoReply);
    }
    if let Some(gap) = duplicate {
        message.show(NetEventKind::RequestDuplicated);
        let copy = Message { call: None, odd: Some(Odd::SecondCopy), ..message.clone() };
        event::after(fate.delay + late.unwrap_or_default() + gap, move || copy.deliver_request());
    }
    if let Some(lateness) = late {
        message.show(NetEventKind::RequestLate);
        let copy = Message { call: None, odd: Some(Odd::LateRequest), ..message.clone() };
        event::after(fate.delay + lateness, move || copy.deliver_request());
        return message.answer_later(fate.delay, Answer::NoReply);
    }
    event::after(fate.delay, move || message.deliver_request());
}

/// Tells callers whose calls were doomed, each after a delay of its own.
pub(crate) fn tell_doomed(network: &Arc<Shared>, doomed: Vec<CallKey>) {
    for key in doomed {
        let mut state = network.state.lock();
        let Some(call) = state.calls.get_mut(key) else { continue };
        let (route, method, number) = (call.route.clone(), call.method, call.number);
        let request = call.request;
        state.stats.cut_off += 1;
        let stream = state.link(route.there).streams.notices;
        drop(state);
        let network = network.clone();
        let (call, on_link, bytes, content) = (Some(key), request, Vec::new(), None);
        let odd = None;
        let message =
            Message { network, route, method, number, on_link, call, bytes, content, odd };
        message.show(NetEventKind::CutOff);
        message.answer_later(notice_delay(stream, request), Answer::NoReply);
    }
}

impl Shared {
    /// Wakes the caller, if it still waits.
    fn answer(&self, key: CallKey, answer: Answer) {
        let call = self.state.lock().calls.take(key);
        if let Some(call) = call {
            call.answer.send(answer);
        }
    }
}

impl Message {
    /// A request arrives: its handler starts.
    fn deliver_request(self) {
        let mut state = self.network.state.lock();
        let up = state.link(self.route.there).up;
        let server = state.server(self.route.to).filter(|server| up && server.node.is_alive());
        let Some(server) = server.cloned() else {
            drop(state);
            return self.lose_path();
        };
        let Some(index) = server.service.position(self.method) else {
            drop(state);
            let answered = server.service.methods().collect();
            return self.refuse(Refusal::UnknownMethod { answered });
        };
        // Still under the lock that found link and server: from here on it is their loss that
        // dooms the call.
        state.count_served(self.route.to);
        state.stats.duplicates += u64::from(matches!(self.odd, Some(Odd::SecondCopy)));
        state.stats.late_requests += u64::from(matches!(self.odd, Some(Odd::LateRequest)));
        if let Some(call) = self.call.and_then(|key| state.calls.get_mut(key)) {
            call.phase = Phase::Taken;
        }
        drop(state);
        self.show(NetEventKind::RequestDelivered);
        self.mix(0);
        let node = server.node.clone();
        let HandlerTask { name, at } = server.service.task(index);
        let execution = Execution { message: Some(self), server };
        node.spawn_detached(name, at, move || execution.execute(index));
    }

    /// What the judge says about this reply. It may let other tasks run.
    fn ask_about_reply(&self) -> Sentence {
        self.network.judge.ask(|| Sending {
            from: &self.route.to_name,
            to: &self.route.from_name,
            kind: MessageKind::Reply,
            method: self.method,
            bytes: &self.bytes,
        })
    }

    /// The handler has returned, and the reply leaves, if anybody waits for it.
    fn send_reply(mut self, sentence: Sentence, server: Arc<Server>) {
        let mut state = self.network.state.lock();
        let waits = self.call.and_then(|key| state.calls.get_mut(key));
        let Some(call) = waits.filter(|call| call.phase == Phase::Taken) else {
            drop(state);
            return self.show(NetEventKind::ReplyDiscarded);
        };
        call.phase = Phase::Doomed; // unless it arrives, which is decided now
        let link = state.link_mut(self.route.back);
        let reply = link.replies;
        link.replies += 1;
        let (up, stream) = (link.up, link.streams.replies);
        let mut fate = ReplyFate::draw(stream, reply, state.conditions_of(self.route.back));
        fate.delay += state.conditions_of(self.route.back).transmission(self.bytes.len());
        let Route { from_name, to_name, .. } = &*self.route;
        if !state.chance.may_touch(to_name, from_name, MessageKind::Reply, reply) {
            fate.spare(state.conditions_of(self.route.back));
        }
        sentence.on_reply(&mut fate);
        self.on_link = reply;
        let held = fate.held.filter(|_| up && !fate.lost);
        state.stats.no_path += u64::from(!up);
        state.stats.replies_lost += u64::from(up && fate.lost);
        self.odd = held.map(|_| Odd::LateReply);
        if up
            && !fate.lost
            && let Some(call) = self.call.and_then(|key| state.calls.get_mut(key))
        {
            call.phase = if held.is_some() { Phase::Held } else { Phase::Taken };
        }
        drop(state);

        let leaving = Leaving(&self);
        self.show(NetEventKind::ReplySent);
        if !up {
            self.show(NetEventKind::NoPath);
        } else if fate.lost {
            self.show(NetEventKind::ReplyLost);
        } else if held.is_some() {
            self.show(NetEventKind::ReplyLate);
        }
        leaving.has_left();
        if !up {
            self.answer_later(fate.no_path, Answer::NoReply);
        } else if fate.lost {
            self.answer(Answer::NoReply);
        } else if let Some(delay) = held {
            drop(server); // what becomes of it does not matter any more
            event::after(delay, move || self.deliver_reply());
        } else {
            event::after(fate.delay, move || {
                if server.node.is_alive() {
                    self.deliver_reply();
                } else {
                    self.cut_off();
                }
            });
        }
    }

    /// A reply arrives, unless its call was doomed meanwhile.
    fn deliver_reply(mut self) {
        let Some(key) = self.call else { return };
        let mut state = self.network.state.lock();
        let arrives = state
            .calls
            .get_mut(key)
            .is_some_and(|call| matches!(call.phase, Phase::Taken | Phase::Held));
        let call = if arrives { state.calls.take(key) } else { None };
        if call.is_some() {
            state.stats.replies += 1;
            state.stats.late_replies += u64::from(matches!(self.odd, Some(Odd::LateReply)));
            state.stats.bytes += self.bytes.len() as u64;
        }
        drop(state);
        let Some(call) = call else { return self.show(NetEventKind::ReplyDiscarded) };
        self.show(NetEventKind::ReplyDelivered);
        self.mix(1);
        call.answer.send(Answer::Reply(std::mem::take(&mut self.bytes)));
    }

    /// A request arrives where nobody is.
    fn lose_path(self) {
        self.show(NetEventKind::NoPath);
        let mut state = self.network.state.lock();
        let request = self.call.and_then(|key| state.calls.get_mut(key)).map(|call| call.request);
        state.stats.no_path += u64::from(request.is_some());
        let stream = state.link(self.route.there).streams.requests;
        let conditions = *state.conditions_of(self.route.there);
        drop(state);
        if let Some(request) = request {
            let delay = RequestFate::draw(stream, request, &conditions).no_path;
            self.answer_later(delay, Answer::NoReply);
        }
    }

    /// The server is gone while the call was with it.
    fn cut_off(&self) {
        let Some(key) = self.call else { return };
        let doomed = self.network.state.lock().calls.doom_one(key);
        if doomed {
            tell_doomed(&self.network, vec![key]);
        }
    }

    /// Reports a mistake in the program: to the caller, who is there to panic at its line, or else
    /// here.
    fn refuse(&self, refusal: Refusal) {
        let text = self.call.is_none().then(|| refusal.to_string());
        if self.call.is_some() {
            self.answer(Answer::Refused(Box::new(refusal)));
        }
        if let Some(refusal) = text {
            let Route { from_name: caller, to_name: server, .. } = &*self.route;
            panic!("{caller} called {} of {server}, but {refusal}", self.method);
        }
    }

    fn answer(&self, answer: Answer) {
        if let Some(key) = self.call {
            self.network.answer(key, answer);
        }
    }

    fn answer_later(self, delay: Duration, answer: Answer) {
        event::after(delay, move || self.answer(answer));
    }

    /// Lets traces tell apart runs whose messages differ in size only.
    fn mix(&self, kind: u64) {
        trace::mix(self.route.trace_mark ^ (kind << 63) ^ self.bytes.len() as u64);
    }

    #[inline]
    fn show(&self, kind: NetEventKind) {
        self.network.watch.show(|| NetEvent {
            at: labrt::sim::elapsed(),
            call: self.number,
            message: self.on_link,
            kind,
            from: &self.route.from_name,
            to: &self.route.to_name,
            method: self.method,
            bytes: self.bytes.len(),
            content: self.content.as_deref(),
        });
    }
}

/// A request that a handler works on.
struct Execution {
    /// Taken when the handler has returned and the judge has spoken.
    message: Option<Message>,
    server: Arc<Server>,
}

impl Execution {
    /// Runs the handler, in a task of the server's node.
    fn execute(mut self, index: usize) {
        let Some(request) = &self.message else { return };
        let with_content = request.network.watch.shows_contents();
        let result = self.server.service.handle(index, &request.bytes, with_content);
        let Some(message) = &mut self.message else { return };
        let answered = result.map(|reply| {
            message.bytes = reply.bytes;
            message.content = reply.content;
            message.ask_about_reply()
        });
        let Some(message) = self.message.take() else { return };
        match answered {
            Ok(sentence) => message.send_reply(sentence, self.server.clone()),
            Err(undecodable) => message.refuse(Refusal::Request(undecodable)),
        }
    }
}

/// A reply that is shown to observers before it leaves. They may let other tasks run, and one of these
/// may kill the server: its caller is then told that there is no reply.
struct Leaving<'a>(&'a Message);

impl Leaving<'_> {
    /// From here on an event brings the reply, or the answer that there is none.
    fn has_left(self) {
        std::mem::forget(self);
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let Some(key) = self.0.call else { return };
        let mut state = self.0.network.state.lock();
        if let Some(call) = state.calls.get_mut(key) {
            call.phase = Phase::Doomed;
        }
        drop(state);
        tell_doomed(&self.0.network, vec![key]);
    }
}

/// A handler that never returned, because its node was killed.
impl Drop for Execution {
    fn drop(&mut self) {
        if let Some(message) = self.message.take() {
            message.cut_off();
        }
    }
}
