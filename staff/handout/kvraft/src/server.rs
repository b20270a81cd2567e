use std::{collections::BTreeMap, fmt, sync::Arc};

use labrpc::{ClientEnd, Service};
use labrt::{
    channel::{self, Receiver},
    sync::Mutex,
    thread,
};
use raft::{ApplyMsg, EntryId, LogIndex, Persister, Raft};

use crate::message::{Output, Refusal, Request};

/// One server of the key/value service. A handle: clones are cheap and name the same server.
#[derive(Clone)]
pub struct KvServer {
    shared: Arc<Shared>,
}

impl KvServer {
    /// Starts a server together with its Raft, from what an earlier incarnation of it saved, and
    /// returns at once.
    ///
    /// `ends` are ends to all servers in the same order everywhere; `me` is this one's place among
    /// them. A snapshot is due when the Raft state in `persister` nears `max_raft_state` bytes;
    /// `None` for never.
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
        let mut state = State::default();
        let snapshot = persister.read_snapshot();
        if !snapshot.is_empty() {
            state.restore(&snapshot);
        }
        let (apply, applied) = channel::unbounded();
        let raft = Raft::new(ends, me, Arc::clone(&persister), apply);
        let shared = Arc::new(Shared { raft, persister, max_raft_state, state: Mutex::new(state) });
        let server = Arc::clone(&shared);
        let apply_loop = thread::Builder::new().name("apply loop".to_owned());
        apply_loop.spawn(move || server.run_apply_loop(&applied)).expect("a task can be started");
        KvServer { shared }
    }

    /// The RPCs that this server answers: clerks' requests, each in a task of its own, and those to
    /// its Raft.
    pub fn service(&self) -> Service {
        let shared = Arc::clone(&self.shared);
        Service::new()
            .on(move |request: Request| shared.execute(&request))
            .and(self.raft().service())
    }

    /// Its Raft.
    pub fn raft(&self) -> &Raft {
        &self.shared.raft
    }

    /// Ends this server's tasks and its Raft's.
    pub fn kill(&self) {
        self.shared.raft.kill();
    }
}

impl fmt::Debug for KvServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvServer").finish_non_exhaustive()
    }
}

/// What the tasks of one server share.
struct Shared {
    raft: Raft,
    persister: Arc<Persister>,
    max_raft_state: Option<usize>,
    /// Everything that changes, behind the only lock. Do not hold it while you wait for an entry.
    state: Mutex<State>,
}

/// What the log has led to so far. All servers execute the same operations in the same order, so
/// everything here must follow from these alone: no clock, no randomness.
///
/// Part 4A: what must be remembered of each clerk, so that its operation is executed once though it
/// may be in the log twice? And who waits for which entry?
#[derive(Default)]
struct State {
    /// Keys and values.
    values: BTreeMap<String, String>,
}

impl Shared {
    /// Has an operation executed, and returns what it gave.
    ///
    /// Hand it to Raft's `start`, and wait until the entry that this returned is applied (a `Condvar`
    /// or a channel of labrt). If another entry is applied at its index, or this server's term is
    /// over, the operation may be lost: say so, and let the clerk ask again.
    fn execute(&self, request: &Request) -> Result<Output, Refusal> {
        if !self.raft.get_state().1 {
            return Err(Refusal::NotLeader);
        }
        let _ = request;
        todo!("Part 4A: put the operation into the log, and wait for its entry")
    }

    /// Takes what Raft has committed, in log order, for as long as this server runs.
    fn run_apply_loop(&self, applied: &Receiver<ApplyMsg>) {
        while let Ok(message) = applied.recv() {
            match message {
                ApplyMsg::Command { index, term, command } => {
                    self.state.lock().apply(EntryId { term, index }, &command);
                    if self.needs_snapshot() {
                        let snapshot = self.state.lock().snapshot();
                        self.raft.snapshot(index, snapshot);
                    }
                }
                ApplyMsg::Snapshot { index, data, .. } => self.state.lock().install(index, &data),
            }
        }
    }

    /// Whether the log has become so long that it is time for a snapshot.
    fn needs_snapshot(&self) -> bool {
        let size = self.persister.raft_state_size();
        self.max_raft_state.is_some_and(|limit| size >= limit)
    }
}

impl State {
    /// Executes a committed operation, unless it was executed before (§8), and wakes who waits for it.
    fn apply(&mut self, entry: EntryId, command: &[u8]) {
        let _ = (entry, command, &mut self.values);
        todo!("Part 4A: execute a committed operation, once")
    }

    /// All of this as bytes, such that [`restore`](State::restore) can read it: the keys and values,
    /// and what is remembered of clerks.
    fn snapshot(&self) -> Vec<u8> {
        todo!("Part 4B: encode the state")
    }

    /// Becomes what a snapshot holds, when the server starts.
    fn restore(&mut self, snapshot: &[u8]) {
        let _ = snapshot;
        todo!("Part 4B: decode the state")
    }

    /// Becomes what another server's snapshot holds, which includes everything up to `index`. Who
    /// waits for an entry up to there waits in vain.
    fn install(&mut self, index: LogIndex, snapshot: &[u8]) {
        let _ = index;
        self.restore(snapshot);
    }
}
