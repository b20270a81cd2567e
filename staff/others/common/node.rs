//! Threads, locks, calls: the lab's Raft from outside, with a library inside.
//!
//! - the *driver* ticks, and sends what was started in the meantime together;
//! - the *sender* starts a task for each call, as a call may take seconds;
//! - the *applier* alone sends to the service, and so in order;
//! - and the network's tasks bring requests.

use std::{fmt, sync::Arc};

use labgob::Bytes;
use labrpc::{ClientEnd, Service};
use labrt::{
    channel::{self, Receiver, Sender},
    rand::Rng,
    sync::{Condvar, Mutex},
    thread,
    time::Instant,
};
use raftapi::{ApplyMsg, EntryId, LogIndex, NotLeader, Persister, RaftView, ServerId, Term};
use rand::RngExt;

use crate::{
    core::{Core, Effects, TICK},
    message::{self, Message},
    wire::{self, Answers, Append, Install, Kind, Vote},
};

/// One server of a replicated log. A handle: clones are cheap and name the same server.
#[derive(Clone)]
pub struct Raft {
    shared: Arc<Shared>,
}

struct Shared {
    peers: Vec<ClientEnd>,
    inner: Mutex<Inner>,
    /// Commands were started, or the server was killed.
    started: Condvar,
}

struct Inner {
    core: Core,
    /// Both are gone when the server is killed, which ends the tasks that receive.
    outgoing: Option<Sender<(ServerId, Message)>>,
    deliveries: Option<Sender<ApplyMsg>>,
}

impl Raft {
    /// Starts a server, from what an earlier incarnation of it saved, and returns at once.
    ///
    /// # Panics
    ///
    /// If `me` is not among the peers, or the Raft state in `persister` was not saved by this crate.
    pub fn new(
        peers: Vec<ClientEnd>,
        me: usize,
        persister: Arc<Persister>,
        apply: Sender<ApplyMsg>,
    ) -> Raft {
        assert!(me < peers.len(), "server {me} is not among the {} peers", peers.len());
        let rng = Rng::from_seed(labrt::rand::rng().random());
        let core = Core::new(ServerId(me), peers.len(), persister, rng);
        let (outgoing, messages) = channel::unbounded();
        let (deliveries, delivered) = channel::unbounded();
        let inner = Inner { core, outgoing: Some(outgoing), deliveries: Some(deliveries) };
        let shared = Arc::new(Shared { peers, inner: Mutex::new(inner), started: Condvar::new() });
        let [driver, sender, applier] = [(); 3].map(|()| Arc::clone(&shared));
        spawn("driver", move || driver.drive());
        spawn("sender", move || sender.send(&messages));
        spawn("applier", move || applier.hand_over(&delivered, &apply));
        Raft { shared }
    }

    /// The RPCs that this server answers.
    pub fn service(&self) -> Service {
        let [votes, appends, installs] = [(); 3].map(|()| Arc::clone(&self.shared));
        Service::new()
            .on(move |Vote(bytes)| votes.answer(&bytes))
            .on(move |Append(bytes)| appends.answer(&bytes))
            .on(move |Install(bytes)| installs.answer(&bytes))
    }

    /// Hands a command to the log and returns at once, before it is committed.
    ///
    /// # Errors
    ///
    /// [`NotLeader`] if this server does not believe it leads.
    #[expect(clippy::needless_pass_by_value, reason = "the lab's interface")]
    pub fn start(&self, command: Vec<u8>) -> Result<EntryId, NotLeader> {
        let id = self.shared.inner.lock().core.start(&command)?;
        self.shared.started.notify_one();
        Ok(id)
    }

    /// The current term, and whether this server believes it leads it.
    pub fn get_state(&self) -> (Term, bool) {
        self.shared.inner.lock().core.state()
    }

    /// Tells that the service's state up to `index` is in `snapshot`.
    ///
    /// # Panics
    ///
    /// If `index` was not delivered yet.
    #[expect(clippy::needless_pass_by_value, reason = "the lab's interface")]
    pub fn snapshot(&self, index: LogIndex, snapshot: Vec<u8>) {
        self.shared.inner.lock().core.take_snapshot(index, &snapshot);
    }

    /// Ends this server's tasks; nothing is delivered or sent any more.
    pub fn kill(&self) {
        let mut inner = self.shared.inner.lock();
        inner.core.retire();
        inner.outgoing = None;
        inner.deliveries = None;
        drop(inner);
        self.shared.started.notify_all();
    }

    /// Nothing: its log has entries that are no commands, for which a view has no place.
    pub fn view(&self) -> Option<RaftView> {
        None
    }
}

impl fmt::Debug for Raft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raft").finish_non_exhaustive()
    }
}

impl Inner {
    fn is_killed(&self) -> bool {
        self.outgoing.is_none()
    }

    /// Passes on what is to be done; answers to the caller are returned instead.
    fn settle(&mut self, caller: Option<ServerId>) -> Answers {
        let Effects { messages, deliveries } = self.core.effects();
        let mut answers = Answers::new();
        // Whoever receives is gone if the server was killed.
        for (to, message) in messages {
            if Some(to) == caller && message::kind(&message) == Kind::Answer {
                answers.push(message::encode(&message));
            } else if let Some(outgoing) = &self.outgoing {
                let _ = outgoing.send((to, message));
            }
        }
        if let Some(queue) = &self.deliveries {
            for delivery in deliveries {
                let _ = queue.send(delivery);
            }
        }
        answers
    }
}

impl Shared {
    /// Lets time pass, and sends commands soon after they were started.
    fn drive(&self) {
        let mut next_tick = Instant::now() + TICK;
        let mut inner = self.inner.lock();
        while !inner.is_killed() {
            let now = Instant::now();
            if now >= next_tick {
                inner.core.tick();
                next_tick = now.max(next_tick + TICK);
            }
            inner.settle(None);
            self.started.wait_until(&mut inner, next_tick);
        }
    }

    /// Takes in a request, and returns the answers to it.
    fn answer(&self, bytes: &Bytes) -> Answers {
        let mut inner = self.inner.lock();
        let Some(message) = message::decode(bytes).filter(|_| !inner.is_killed()) else {
            return Answers::new();
        };
        let caller = message::sender(&message);
        inner.core.step(message);
        inner.settle(caller)
    }

    fn send(self: &Arc<Self>, messages: &Receiver<(ServerId, Message)>) {
        for (to, message) in messages {
            let shared = Arc::clone(self);
            spawn("caller", move || shared.call(to, &message));
        }
    }

    /// Makes a call, and takes in what comes of it.
    fn call(&self, to: ServerId, message: &Message) {
        let Some(end) = self.peers.get(to.0) else { return };
        let answers = wire::call(end, message::kind(message), message::encode(message));
        let mut inner = self.inner.lock();
        if inner.is_killed() {
            return;
        }
        for answer in answers.iter().flatten().filter_map(message::decode) {
            inner.core.step(answer);
        }
        inner.core.called(to, message, answers.is_ok());
        inner.settle(None);
    }

    /// Hands what is committed to the service, until that or this server is gone.
    fn hand_over(&self, deliveries: &Receiver<ApplyMsg>, apply: &Sender<ApplyMsg>) {
        for message in deliveries {
            if self.inner.lock().is_killed() || apply.send(message).is_err() {
                return;
            }
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.expect("the system can start another thread");
}
