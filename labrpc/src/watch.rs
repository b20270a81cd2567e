//! Showing what happens to messages, to the harness and to the log, at no cost while nobody looks.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::RwLock;

/// Something that happened to a message.
#[derive(Debug, Clone, Copy)]
pub struct NetEvent<'a> {
    /// Time since the run began.
    pub at: Duration,
    /// The call's number, counted from 0 over the whole network: a request, its second copy and its
    /// reply share it.
    pub call: u64,
    /// The number of the message that the event is about on its link, counted from 0: of the reply,
    /// if the event is about one, else of the request.
    pub message: u64,
    /// What happened.
    pub kind: NetEventKind,
    /// Who called. A reply travels from `to` to `from`.
    pub from: &'a str,
    /// Who was called.
    pub to: &'a str,
    /// [`Rpc::METHOD`](crate::Rpc::METHOD) of the call.
    pub method: &'static str,
    /// Length of the message that the event is about, in bytes.
    pub bytes: usize,
    /// What is in it, for people: JSON, cut where it is long. Only if that is asked for, by
    /// [`Network::show_contents`](crate::Network::show_contents).
    pub content: Option<&'a str>,
}

/// The kinds of [`NetEvent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum NetEventKind {
    /// A call began.
    RequestSent,
    /// The request reached the server; its handler starts.
    RequestDelivered,
    /// Chance took the request; the caller learns of it when it would have arrived.
    RequestLost,
    /// A second copy of the request will arrive some time.
    RequestDuplicated,
    /// The request will arrive, but its caller will have been told that there is no reply.
    RequestLate,
    /// The handler has returned.
    ReplySent,
    /// The caller has the reply.
    ReplyDelivered,
    /// Chance took the reply.
    ReplyLost,
    /// The reply is held back; it will arrive.
    ReplyLate,
    /// Nobody waits for this reply: its request was a second copy, or late, or its call was cut off.
    ReplyDiscarded,
    /// The request or the reply has no path: its link is down, or no living server has the name.
    NoPath,
    /// The server vanished, or the link back broke, while the call waited.
    CutOff,
}

impl fmt::Display for NetEventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NetEventKind::RequestSent => "request sent",
            NetEventKind::RequestDelivered => "request delivered",
            NetEventKind::RequestLost => "request lost",
            NetEventKind::RequestDuplicated => "request duplicated",
            NetEventKind::RequestLate => "request late",
            NetEventKind::ReplySent => "reply sent",
            NetEventKind::ReplyDelivered => "reply delivered",
            NetEventKind::ReplyLost => "reply lost",
            NetEventKind::ReplyLate => "reply late",
            NetEventKind::ReplyDiscarded => "reply discarded",
            NetEventKind::NoPath => "no path",
            NetEventKind::CutOff => "cut off",
        })
    }
}

type Observer = dyn Fn(&NetEvent<'_>) + Send + Sync;

/// Who looks on.
#[derive(Default)]
pub(crate) struct Watch {
    /// Are there observers? Read for every message, so not behind their lock.
    observed: AtomicBool,
    observers: RwLock<Vec<Arc<Observer>>>,
    /// Are events to have the messages' contents?
    contents: AtomicBool,
}

impl Watch {
    pub(crate) fn observe(&self, observer: Arc<Observer>) {
        self.observers.write().push(observer);
        self.observed.store(true, Ordering::Release);
    }

    pub(crate) fn show_contents(&self) {
        self.contents.store(true, Ordering::Release);
    }

    /// Are the messages' contents asked for?
    #[inline]
    pub(crate) fn shows_contents(&self) -> bool {
        self.contents.load(Ordering::Acquire)
    }

    /// Shows the event that `event` makes, if anybody looks.
    #[inline]
    pub(crate) fn show<'a>(&self, event: impl FnOnce() -> NetEvent<'a>) {
        let logged = tracing::enabled!(target: "rpc", tracing::Level::TRACE);
        if logged || self.observed.load(Ordering::Acquire) {
            self.show_now(&event(), logged);
        }
    }

    #[cold]
    fn show_now(&self, event: &NetEvent<'_>, logged: bool) {
        if logged {
            let NetEvent { call, kind, from, to, method, bytes, .. } = *event;
            tracing::trace!(target: "rpc", call, from, to, method, bytes, "{kind}");
        }
        // Not under the lock: an observer may add another.
        let observers = self.observers.read().clone();
        for observer in observers {
            observer(event);
        }
    }
}
