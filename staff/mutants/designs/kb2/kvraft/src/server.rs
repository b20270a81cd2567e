use std::{collections::BTreeMap, fmt, sync::Arc};

use labrpc::{ClientEnd, Service};
use labrt::{
    channel::{self, Receiver, RecvTimeoutError, Sender},
    sync::{Mutex, MutexGuard},
    thread,
    time::Duration,
};
use raft::{ApplyMsg, EntryId, LogIndex, Persister, Raft, Term};

use crate::{
    message::{Confirm, Op, Refusal, Reply, Request},
    state::State,
};

/// Without a majority for so long, a clerk is sent away to look for another leader.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

/// How often whoever waits looks whether this server still leads.
const LOOK: Duration = Duration::from_millis(50);

/// One server of the key/value service. A handle: clones are cheap and name the same server.
#[derive(Clone)]
pub struct KvServer {
    shared: Arc<Shared>,
}

impl KvServer {
    /// Starts a server together with its Raft, from what an earlier incarnation of it saved.
    ///
    /// # Panics
    ///
    /// If `me` is not among the ends, or the contents of `persister` were not saved by this crate.
    pub fn new(
        ends: Vec<ClientEnd>,
        me: usize,
        persister: Arc<Persister>,
        max_raft_state: Option<usize>,
    ) -> KvServer {
        let snapshot = persister.read_snapshot();
        let state = if snapshot.is_empty() { State::default() } else { State::restore(&snapshot) };
        let (apply, applied) = channel::unbounded();
        let raft = Raft::new(ends.clone(), me, Arc::clone(&persister), apply);
        let inner = Mutex::new(Inner { state, waiting: BTreeMap::new() });
        let shared = Arc::new(Shared { me, ends, raft, persister, max_raft_state, inner });
        let server = Arc::clone(&shared);
        let apply_loop = thread::Builder::new().name("apply loop".to_owned());
        apply_loop.spawn(move || server.run_apply_loop(&applied)).expect("a task can start");
        KvServer { shared }
    }

    /// The RPCs that this server answers: clerks' requests, other servers' questions, its Raft's.
    pub fn service(&self) -> Service {
        let [clerks, servers] = [(); 2].map(|()| Arc::clone(&self.shared));
        Service::new()
            .on(move |request: Request| clerks.execute(&request))
            .on(move |question: Confirm| servers.confirm(question.term))
            .and(self.raft().service())
    }

    /// Its Raft.
    pub fn raft(&self) -> &Raft {
        &self.shared.raft
    }

    /// Ends this server's tasks and its Raft's.
    pub fn kill(&self) {
        self.shared.raft.kill();
        self.shared.lock().waiting.clear();
    }
}

impl fmt::Debug for KvServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvServer").finish_non_exhaustive()
    }
}

/// What the tasks of one server share.
pub(crate) struct Shared {
    pub(crate) me: usize,
    pub(crate) ends: Vec<ClientEnd>,
    pub(crate) raft: Raft,
    persister: Arc<Persister>,
    max_raft_state: Option<usize>,
    /// Everything that changes, behind the only lock.
    inner: Mutex<Inner>,
}

pub(crate) struct Inner {
    pub(crate) state: State,
    /// Who waits for an entry, by its index. A sender that is dropped says that nobody knows.
    waiting: BTreeMap<LogIndex, (Term, Sender<String>)>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    fn execute(self: &Arc<Self>, request: &Request) -> Reply {
        match request.op {
            Op::Get { .. } => self.read(request),
            Op::Put { .. } | Op::Append { .. } => self.write(request),
        }
    }

    /// Puts an operation into the log, and waits until it is applied.
    pub(crate) fn write(&self, request: &Request) -> Reply {
        let command = labgob::to_bytes(request);
        // The lock is held until it is known who waits: the entry may be applied at once.
        let mut inner = self.lock();
        let entry = self.raft.start(command).map_err(|_| Refusal::NotLeader)?;
        let (result, waiter) = channel::bounded(1);
        inner.waiting.insert(entry.index, (entry.term, result));
        drop(inner);
        let result = self.wait(entry, &waiter);
        if result.is_err() {
            let mut inner = self.lock();
            if inner.waiting.get(&entry.index).is_some_and(|(term, _)| *term == entry.term) {
                inner.waiting.remove(&entry.index);
            }
        }
        result
    }

    fn wait(&self, entry: EntryId, waiter: &Receiver<String>) -> Reply {
        let mut time = Duration::ZERO;
        while time < PATIENCE && self.raft.get_state() == (entry.term, true) {
            match waiter.recv_timeout(LOOK) {
                Ok(value) => return Ok(value),
                Err(RecvTimeoutError::Disconnected) => return Err(Refusal::Unknown),
                Err(RecvTimeoutError::Timeout) => time += LOOK,
            }
        }
        waiter.try_recv().map_err(|_| Refusal::Unknown)
    }

    /// Takes what Raft has committed, in log order, for as long as this server runs.
    fn run_apply_loop(&self, applied: &Receiver<ApplyMsg>) {
        while let Ok(message) = applied.recv() {
            match message {
                ApplyMsg::Command { index, term, command } => {
                    let request = labgob::from_bytes(&command).expect("a server's own command");
                    self.apply(EntryId { term, index }, request);
                    if self.needs_snapshot() {
                        let snapshot = self.lock().state.snapshot();
                        self.raft.snapshot(index, snapshot);
                    }
                }
                ApplyMsg::Snapshot { index, data, .. } => {
                    let mut inner = self.lock();
                    inner.state = State::restore(&data);
                    inner.waiting.retain(|waiting, _| *waiting > index);
                }
            }
        }
    }

    /// Executes an entry, and answers whoever waits for this very one. Who waits for another at its
    /// index waits in vain.
    fn apply(&self, entry: EntryId, request: Request) {
        let mut inner = self.lock();
        let value = inner.state.apply(entry, request);
        let waiting = inner.waiting.remove(&entry.index);
        drop(inner);
        if let Some((term, result)) = waiting
            && term == entry.term
        {
            // It may have given up.
            let _ = result.send(value);
        }
    }

    fn needs_snapshot(&self) -> bool {
        let size = self.persister.raft_state_size();
        self.max_raft_state.is_some_and(|limit| size >= limit)
    }
}
