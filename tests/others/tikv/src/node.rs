//! Threads, locks, calls: the lab's Raft from outside.
//!
//! - the *driver* ticks, and sends what was started in the meantime together;
//! - the *sender* starts a task for each call, as a call may take seconds;
//! - the *applier* alone sends to the service, and so in order;
//! - and the network's tasks bring requests.

use std::{fmt, sync::Arc};

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
use tikv::{
    SnapshotStatus,
    eraftpb::{Message, MessageType},
};

use crate::{
    core::{Core, Effects, TICK, server},
    wire::{self, Answers, Append, Install, Vote},
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
    outgoing: Option<Sender<Message>>,
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
        let core = Core::new(
            ServerId(me),
            peers.len(),
            persister,
            Rng::from_seed(labrt::rand::rng().random()),
        );
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
            .on(move |Vote(bytes)| votes.answer(wire::decode(&bytes)))
            .on(move |Append(bytes)| appends.answer(wire::decode(&bytes)))
            .on(move |Install(bytes)| installs.answer(wire::decode(&bytes)))
    }

    /// Hands a command to the log and returns at once, before it is committed.
    ///
    /// # Errors
    ///
    /// [`NotLeader`] if this server does not believe it leads.
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
    pub fn snapshot(&self, index: LogIndex, snapshot: Vec<u8>) {
        self.shared.inner.lock().core.take_snapshot(index, snapshot);
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

    /// What this server is at this instant.
    pub fn view(&self) -> Option<RaftView> {
        Some(self.shared.inner.lock().core.view())
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

    /// Passes on what is to be done; answers to this server are returned instead.
    fn settle(&mut self, caller: Option<u64>) -> Answers {
        let Effects { messages, deliveries } = self.core.effects();
        let (answers, calls): (Vec<Message>, Vec<Message>) = messages
            .into_iter()
            .partition(|message| Some(message.to) == caller && wire::is_answer(message));
        // Whoever receives is gone if the server was killed.
        if let Some(outgoing) = &self.outgoing {
            for call in calls {
                let _ = outgoing.send(call);
            }
        }
        if let Some(queue) = &self.deliveries {
            for delivery in deliveries {
                let _ = queue.send(delivery);
            }
        }
        answers.iter().map(wire::encode).collect()
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
    fn answer(&self, message: Option<Message>) -> Answers {
        let mut inner = self.inner.lock();
        let Some(message) = message.filter(|_| !inner.is_killed()) else { return Answers::new() };
        let caller = message.from;
        inner.core.step(message);
        inner.settle(Some(caller))
    }

    fn send(self: &Arc<Self>, messages: &Receiver<Message>) {
        for message in messages {
            let shared = Arc::clone(self);
            spawn("caller", move || shared.call(&message));
        }
    }

    /// Makes a call, and takes in what comes of it.
    fn call(&self, message: &Message) {
        let Some(to) = server(message.to).filter(|to| to.0 < self.peers.len()) else { return };
        let answers = wire::call(&self.peers[to.0], message);
        let mut inner = self.inner.lock();
        if inner.is_killed() {
            return;
        }
        let kind = message.get_msg_type();
        match answers {
            Ok(answers) => {
                for answer in answers.iter().filter_map(wire::decode) {
                    inner.core.step(answer);
                }
                if kind == MessageType::MsgSnapshot {
                    inner.core.snapshot_sent(to, SnapshotStatus::Finish);
                }
            }
            Err(_) if kind == MessageType::MsgSnapshot => {
                inner.core.snapshot_sent(to, SnapshotStatus::Failure);
            }
            Err(_) if kind == MessageType::MsgAppend => inner.core.unreachable(to),
            Err(_) => {}
        }
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
