//! The handle that others hold, the lock around everything that changes, and the server's tasks: the
//! only file that locks, waits or starts one.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use labrpc::{ClientEnd, Service};
use labrt::{
    channel::Sender,
    sync::{Condvar, Mutex},
    thread,
    time::{Duration, sleep},
};
use raftapi::{ApplyMsg, EntryId, LogIndex, NotLeader, Persister, RaftView, ServerId, Term};

use crate::{
    message::{AppendEntriesArgs, InstallSnapshotArgs, RequestVoteArgs},
    state::{Role, State},
};

/// How often a server looks whether it is time for something.
const TICK: Duration = Duration::from_millis(10);

/// One server of a replicated log. A handle: clones are cheap and name the same server.
///
/// None of its methods waits for another server; each returns at once.
#[derive(Clone)]
pub struct Raft {
    shared: Arc<Shared>,
}

impl Raft {
    /// Starts a server, from what an earlier incarnation of it saved. To be called on its node.
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
        let servers = peers.len();
        let shared = Arc::new(Shared {
            me: ServerId(me),
            peers,
            apply,
            killed: AtomicBool::new(false),
            state: Mutex::new(State::new(ServerId(me), servers, persister)),
            committed: Condvar::new(),
            started: AtomicBool::new(false),
            sender: Condvar::new(),
        });
        shared.spawn("ticker", Shared::run_ticker);
        shared.spawn("sender", Shared::run_sender);
        shared.spawn("applier", |shared| shared.run_applier());
        Raft { shared }
    }

    /// The RPCs that this server answers. Each request comes in a task of its own.
    pub fn service(&self) -> Service {
        let [votes, appends, installs] = [(); 3].map(|()| Arc::clone(&self.shared));
        Service::new()
            .on(move |args: RequestVoteArgs| votes.event(|state| state.on_request_vote(&args)))
            .on(move |args: AppendEntriesArgs| {
                appends.event(|state| state.on_append_entries(&args))
            })
            .on(move |args: InstallSnapshotArgs| {
                installs.event(|state| state.on_install_snapshot(&args))
            })
    }

    /// Hands a command, any bytes, to the log and returns at once, before it is committed.
    ///
    /// The followers are told by the sender, a task of this server: whoever calls this may not be one.
    ///
    /// # Errors
    ///
    /// [`NotLeader`] if this server does not believe it leads. The command is then in no log.
    pub fn start(&self, command: Vec<u8>) -> Result<EntryId, NotLeader> {
        let id = self.shared.event(|state| {
            let id = state.start(command)?;
            self.shared.started.store(true, Ordering::Relaxed);
            Ok(id)
        })?;
        self.shared.sender.notify_one();
        Ok(id)
    }

    /// The current term, and whether this server believes it leads it.
    pub fn get_state(&self) -> (Term, bool) {
        self.shared.event(|state| (state.current_term, state.is_leader()))
    }

    /// Tells that the service's state up to `index` is in `snapshot`, any bytes, so that the log up to
    /// there can be forgotten (§7). Does nothing if there is a snapshot up to there already.
    pub fn snapshot(&self, index: LogIndex, snapshot: Vec<u8>) {
        self.shared.event(|state| state.take_snapshot(index, snapshot));
    }

    /// Ends this server's tasks, each at its next step.
    pub fn kill(&self) {
        // Under the lock, so that no task is between its look at the flag and its wait.
        let mut state = self.shared.state.lock();
        self.shared.killed.store(true, Ordering::Relaxed);
        state.role = Role::Follower { leader: None };
        drop(state);
        self.shared.committed.notify_all();
        self.shared.sender.notify_all();
    }

    /// What this server is at this instant.
    pub fn view(&self) -> Option<RaftView> {
        Some(self.shared.event(|state| state.view()))
    }
}

impl fmt::Debug for Raft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raft({})", self.shared.me)
    }
}

/// What the tasks of one server share.
pub(crate) struct Shared {
    /// This server. Fixed at construction, like `peers`, and so read without the lock.
    me: ServerId,
    /// An end to each server, in the order of their ids.
    pub(crate) peers: Vec<ClientEnd>,
    apply: Sender<ApplyMsg>,
    killed: AtomicBool,
    /// Everything that changes, behind the only lock.
    state: Mutex<State>,
    /// There is something to apply.
    committed: Condvar,
    /// Commands were started since the sender last looked. Set under the lock.
    started: AtomicBool,
    /// That.
    sender: Condvar,
}

impl Shared {
    /// Starts a task. It belongs to this server, and ends with it.
    #[track_caller] // so that reports say which line started it
    pub(crate) fn spawn(
        self: &Arc<Self>,
        name: &str,
        run: impl FnOnce(&Arc<Shared>) + Send + 'static,
    ) {
        let shared = Arc::clone(self);
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared));
        spawned.expect("the system can start another thread");
    }

    /// Lets something happen to the state, for as long as it has the lock; so nothing in there may wait.
    pub(crate) fn event<T>(&self, event: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let result = event(&mut state);
        if state.has_news() {
            self.committed.notify_all();
        }
        result
    }

    /// Every server but this one.
    pub(crate) fn others(&self) -> impl Iterator<Item = ServerId> + use<> {
        let me = self.me;
        (0..self.peers.len()).map(ServerId).filter(move |server| *server != me)
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// Lets this server act when it is time: a leader sends heartbeats, all others wait for them, and
    /// stand for election when none come (§5.2).
    fn run_ticker(self: &Arc<Self>) {
        while !self.is_killed() {
            if self.event(|state| state.is_election_due()) {
                self.campaign();
            }
            self.send_heartbeats_if_due();
            sleep(TICK);
        }
    }

    /// Sends new entries at once. Commands that arrive together leave together.
    fn run_sender(self: &Arc<Self>) {
        while !self.is_killed() {
            let mut state = self.state.lock();
            while !self.started.swap(false, Ordering::Relaxed) && !self.is_killed() {
                self.sender.wait(&mut state);
            }
            drop(state);
            self.send_to_all();
        }
    }

    /// Hands what is committed to the service, one after the other and in log order. The only task
    /// that sends on `apply`.
    fn run_applier(&self) {
        while !self.is_killed() {
            let mut state = self.state.lock();
            while !state.has_news() && !self.is_killed() {
                self.committed.wait(&mut state);
            }
            let messages = state.take_committed();
            drop(state); // the service may take its time
            for message in messages {
                if self.is_killed() || self.apply.send(message).is_err() {
                    return; // the service is gone
                }
            }
        }
    }
}
