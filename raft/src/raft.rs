//! Threads, timers, calls: the only file that locks, blocks, or spawns.
//!
//! Everything that changes is behind one lock, held for the moments in which an event passes
//! through [`State`] and never while anything else is waited for. Around it run
//!
//! - the *timer*, which sleeps until [`State::deadline`];
//! - the *callers*, each making one call after another, for as long as each may take;
//! - the *applier*, which alone sends to the service, and so in order;
//! - and the network's tasks, which bring requests.
//!
//! All waits for something to do are on condition variables, so an idle server wakes for its timer
//! only.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use labgob::Bytes;
use labrpc::{ClientEnd, Service};
use labrt::{
    channel::Sender,
    sync::{Condvar, Mutex, MutexGuard},
    thread,
    time::Instant,
};
use raftapi::{ApplyMsg, EntryId, LogIndex, NotLeader, Persister, RaftView, ServerId, Term};
use rand::RngExt;

use crate::{
    message::{AppendEntriesArgs, Call, InstallSnapshotArgs, Request, RequestVoteArgs},
    state::{State, Time},
};

/// One server of a replicated log. A handle: clones are cheap and name the same server.
///
/// None of its methods waits for another server; each returns within microseconds.
#[derive(Clone)]
pub struct Raft {
    shared: Arc<Shared>,
}

impl Raft {
    /// Starts a server, from what an earlier incarnation of it saved, and returns at once.
    ///
    /// `peers` are ends to all servers in the same order everywhere, 1 or more of them; `me` is
    /// this one's place among them, and `peers[me]` is never called. `persister` is where it keeps
    /// what must survive a crash. `apply` takes what is committed, as [`ApplyMsg`] describes; a
    /// bounded channel is fine, and the receiver may call any method of this type meanwhile.
    ///
    /// A service with a snapshot in `persister` loads it by itself, before it calls this: only
    /// what comes after it is delivered.
    ///
    /// Must be called on the node (`labrt::node`) that the server is, whose tasks its tasks become.
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
        let seed = labrt::rand::rng().random();
        let state = State::new(ServerId(me), peers.len(), persister, seed);
        let shared = Arc::new(Shared {
            peers,
            apply,
            clock_zero: Instant::now(),
            killed: AtomicBool::new(false),
            inner: Mutex::new(Inner {
                state,
                calls: VecDeque::new(),
                commands_waiting: false,
                idle_callers: 0,
                timer_set: Time::ZERO,
            }),
            timer: Condvar::new(),
            callers: Condvar::new(),
            applier: Condvar::new(),
        });
        shared.spawn("timer", Shared::run_timer);
        shared.spawn("applier", Shared::run_applier);
        shared.spawn("caller", Shared::run_caller);
        Raft { shared }
    }

    /// The RPCs that this server answers: `Raft.RequestVote`, `Raft.AppendEntries` and
    /// `Raft.InstallSnapshot`. To be registered on the network, alone or together with others.
    pub fn service(&self) -> Service {
        let [votes, appends, installs] = [(); 3].map(|()| Arc::clone(&self.shared));
        Service::new()
            .on(move |args: RequestVoteArgs| {
                votes.event(|state, now| state.on_request_vote(&args, now))
            })
            .on(move |args: AppendEntriesArgs| {
                appends.event(|state, now| state.on_append_entries(args, now))
            })
            .on(move |args: InstallSnapshotArgs| {
                installs.event(|state, now| state.on_install_snapshot(&args, now))
            })
    }

    /// Hands a command, any bytes, to the log and returns at once, before it is committed.
    ///
    /// The id is where the command will stand *if* it commits. A new leader may put another command
    /// at that index, so compare the term when it is applied (Raft §5.3, §8). Indices begin with 1,
    /// and each command gets the one after the last.
    ///
    /// # Errors
    ///
    /// [`NotLeader`], with the last known leader, if this server does not believe it leads. The
    /// command is then in no log.
    pub fn start(&self, command: Vec<u8>) -> Result<EntryId, NotLeader> {
        let command = Bytes::from(command);
        let mut inner = self.shared.inner.lock();
        let id = inner.state.start(command)?;
        inner.commands_waiting = true;
        self.shared.unlock_and_wake(inner);
        Ok(id)
    }

    /// The current term, and whether this server believes it leads it. A leader that was cut off
    /// may believe so for long, in a term that others have left.
    pub fn get_state(&self) -> (Term, bool) {
        let inner = self.shared.inner.lock();
        (inner.state.current_term, inner.state.is_leader())
    }

    /// Tells that the service's state up to `index` is in `snapshot`, any bytes: the log up to
    /// there is forgotten, and the snapshot saved with the rest of it (Raft §7).
    ///
    /// Does nothing if a snapshot up to `index` or further is there already, which may also have
    /// come from the leader and still be on its way to the service.
    ///
    /// # Panics
    ///
    /// If `index` was not delivered yet.
    pub fn snapshot(&self, index: LogIndex, snapshot: Vec<u8>) {
        self.shared.inner.lock().state.take_snapshot(index, snapshot);
    }

    /// Ends this server's tasks, each at its next step. It leads no longer, refuses commands, and delivers and
    /// requests nothing more; requests that still reach it are answered as before.
    pub fn kill(&self) {
        // Under the lock, so that no task is between its look at the flag and its wait.
        let mut inner = self.shared.inner.lock();
        self.shared.killed.store(true, Ordering::Relaxed);
        inner.state.retire();
        drop(inner);
        self.shared.timer.notify_all();
        self.shared.callers.notify_all();
        self.shared.applier.notify_all();
    }

    /// What this server is at this instant; always `Some`. Takes time in proportion to the log.
    pub fn view(&self) -> Option<RaftView> {
        Some(self.shared.inner.lock().state.view())
    }
}

impl fmt::Debug for Raft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raft").finish_non_exhaustive()
    }
}

struct Shared {
    /// Fixed at construction, so read without the lock.
    peers: Vec<ClientEnd>,
    apply: Sender<ApplyMsg>,
    /// When this server's [`Time`] began.
    clock_zero: Instant,
    /// Set once, under the lock; read by the tasks at every step.
    killed: AtomicBool,
    /// Everything that changes, behind the only lock of this crate.
    inner: Mutex<Inner>,
    /// The deadline moved forward.
    timer: Condvar,
    /// There are calls to make.
    callers: Condvar,
    /// There is something to deliver.
    applier: Condvar,
}

struct Inner {
    state: State,
    /// Calls that no caller has taken yet; oldest first.
    calls: VecDeque<Call>,
    /// Commands were started since a caller last asked the state what to send. That is left to a
    /// caller, so that commands that arrive together leave together.
    commands_waiting: bool,
    /// How many callers wait for something to do.
    idle_callers: usize,
    /// When the timer wakes by itself.
    timer_set: Time,
}

impl Shared {
    fn spawn(self: &Arc<Self>, name: &str, run: fn(&Arc<Shared>)) {
        let shared = Arc::clone(self);
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared));
        spawned.expect("the system can start another thread");
    }

    fn now(&self) -> Time {
        self.clock_zero.elapsed()
    }

    fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// Passes one event through the state, and wakes whoever has to do with what it changed.
    fn event<T>(&self, event: impl FnOnce(&mut State, Time) -> T) -> T {
        let mut inner = self.inner.lock();
        let result = event(&mut inner.state, self.now());
        self.unlock_and_wake(inner);
        result
    }

    /// The same for an event that leads to calls; the callers will make them.
    fn event_with_calls(&self, event: impl FnOnce(&mut State, Time) -> Vec<Call>) {
        let mut inner = self.inner.lock();
        let calls = event(&mut inner.state, self.now());
        inner.calls.extend(calls);
        self.unlock_and_wake(inner);
    }

    /// Wakes whoever has something to do now; after the unlocking, or they would wait once more.
    fn unlock_and_wake(&self, inner: MutexGuard<'_, Inner>) {
        let calls = inner.calls.len().max(usize::from(inner.commands_waiting));
        let callers = calls.min(inner.idle_callers);
        let deliveries = inner.state.has_deliveries();
        // A deadline that moves back is no reason to wake: the timer looks again when it expires.
        let timer_late = inner.state.deadline() < inner.timer_set;
        drop(inner);
        for _ in 0..callers {
            self.callers.notify_one();
        }
        if deliveries {
            self.applier.notify_one();
        }
        if timer_late {
            self.timer.notify_one();
        }
    }

    /// Lets the state act whenever it wants to.
    fn run_timer(self: &Arc<Self>) {
        while !self.is_killed() {
            self.event_with_calls(State::on_timer);
            self.sleep_until_deadline();
        }
    }

    fn sleep_until_deadline(&self) {
        let mut inner = self.inner.lock();
        inner.timer_set = inner.state.deadline();
        if self.is_killed() {
            return;
        }
        match self.clock_zero.checked_add(inner.timer_set) {
            Some(deadline) => drop(self.timer.wait_until(&mut inner, deadline)),
            None => self.timer.wait(&mut inner),
        }
    }

    /// Makes calls, one after the other, until there are more idle callers than peers.
    ///
    /// A call may hang for seconds and must not keep others waiting. So there is always one idle
    /// caller more than there are calls: whoever takes a call as the last one starts a successor
    /// first. Callers start callers because these must run on this server's node, which whoever
    /// starts a command need not.
    fn run_caller(self: &Arc<Self>) {
        while let Some((call, successor_needed)) = self.next_call() {
            if successor_needed {
                self.spawn("caller", Shared::run_caller);
            }
            self.make(&call);
        }
    }

    /// Waits for a call to make, and says whether nobody is left to take the next one; `None` if
    /// this caller should end.
    fn next_call(&self) -> Option<(Call, bool)> {
        let mut inner = self.inner.lock();
        while !self.is_killed() {
            if std::mem::take(&mut inner.commands_waiting) {
                let calls = inner.state.replicate(self.now());
                inner.calls.extend(calls);
            }
            if let Some(call) = inner.calls.pop_front() {
                let last = inner.idle_callers == 0;
                self.unlock_and_wake(inner);
                return Some((call, last));
            }
            if inner.state.has_deliveries() {
                self.applier.notify_one(); // a server alone has committed just now
            }
            if inner.idle_callers >= self.peers.len() {
                return None;
            }
            self.wait_idle(&mut inner);
        }
        None
    }

    fn wait_idle(&self, inner: &mut MutexGuard<'_, Inner>) {
        inner.idle_callers += 1;
        self.callers.wait(inner);
        inner.idle_callers -= 1;
    }

    /// Makes a call, which may take seconds, and passes on what comes of it.
    fn make(&self, Call { to, request }: &Call) {
        let (to, end) = (*to, &self.peers[to.0]);
        match request {
            Request::Vote(args) => {
                if let Ok(reply) = end.call(args) {
                    return self.event_with_calls(|state, now| {
                        state.on_vote_reply(to, args.term, &reply, now)
                    });
                }
            }
            Request::Append(args) => {
                if let Ok(reply) = end.call(args) {
                    return self.event_with_calls(|state, now| {
                        state.on_append_reply(to, args, &reply, now)
                    });
                }
            }
            Request::Install(args) => {
                if let Ok(reply) = end.call(args) {
                    return self.event_with_calls(|state, now| {
                        state.on_install_reply(to, args, &reply, now)
                    });
                }
            }
        }
        self.event(|state, now| state.on_no_reply(to, request, now));
    }

    /// Hands what is committed to the service, until that or this server is gone.
    fn run_applier(self: &Arc<Self>) {
        while let Some(batch) = self.next_batch() {
            for message in batch {
                // Without the lock: the service may take its time, and call this server meanwhile.
                if self.is_killed() || self.apply.send(message).is_err() {
                    return;
                }
            }
        }
    }

    /// Waits for something to deliver; `None` when this server is killed.
    fn next_batch(&self) -> Option<Vec<ApplyMsg>> {
        let mut inner = self.inner.lock();
        while !self.is_killed() {
            if inner.state.has_deliveries() {
                return Some(inner.state.take_deliveries());
            }
            self.applier.wait(&mut inner);
        }
        None
    }
}
