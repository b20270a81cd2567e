//! One server: submitting, waiting, and the apply loop. The only file of this module that locks or
//! blocks, but for the wait on a ticket itself.

use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use labrpc::ClientEnd;
use labrt::{
    channel::{self, Receiver, Sender, select},
    sync::Mutex,
    thread,
    time::Instant,
};
use raft::{ApplyMsg, EntryId, LogIndex, Persister, Raft};
use tracing::debug;

use super::{
    ClientId, Outcome, StateMachine, SubmitError,
    compaction::Compaction,
    pending::{OpId, Pending, Ticket},
    replica::{Command, Replica},
};

/// Whoever waits for an entry looks this often whether this server still leads, since Raft does not
/// tell. Only where entries take long does it come to that, so it costs nothing as a rule; it is
/// short against an election, which is what follows.
const LEADERSHIP_CHECK: Duration = Duration::from_millis(50);

/// A leader that was cut off never learns of it. After this time without a majority, the client is
/// sent away to look for another. It is the time in which others may have elected one; and many
/// times what an entry takes on a network that loses every tenth message.
const PATIENCE: Duration = Duration::from_millis(500);

/// One server of a replicated state machine. A handle: clones are cheap and name the same server.
pub struct Rsm<M: StateMachine> {
    shared: Arc<Shared<M>>,
}

struct Shared<M: StateMachine> {
    raft: Raft,
    /// Who waits for what, behind the only lock of this module (but for those of the tickets).
    waiting: Mutex<Waiting<M::Output>>,
}

struct Waiting<T> {
    pending: Pending<T>,
    /// Its end ends the apply loop. `None` once this server is killed.
    running: Option<Sender<Infallible>>,
}

impl<M: StateMachine> Rsm<M> {
    /// Starts a server together with its Raft, from what an earlier incarnation of it saved, and
    /// returns at once.
    ///
    /// `ends` are ends to all servers in the same order everywhere; `me` is this one's place among
    /// them. `machine` is the state before the first operation, equal on all servers. A snapshot
    /// is taken when the Raft state in `persister` nears `max_raft_state` bytes; `None` for never.
    /// With many operations at once it may become larger by what they take in the log.
    ///
    /// Must be called on the node (`labrt::node`) that the server is.
    ///
    /// # Panics
    ///
    /// If `me` is not among the ends, or the contents of `persister` were not saved by a server of
    /// this kind.
    pub fn new(
        ends: Vec<ClientEnd>,
        me: usize,
        persister: Arc<Persister>,
        max_raft_state: Option<usize>,
        machine: M,
    ) -> Rsm<M> {
        let snapshot = persister.read_snapshot();
        let replica =
            if snapshot.is_empty() { Replica::new(machine) } else { decode_snapshot(&snapshot) };
        // Unbounded: what waits here is in memory in any case, in Raft's log.
        let (apply, deliveries) = channel::unbounded();
        let raft = Raft::new(ends, me, Arc::clone(&persister), apply);
        let compaction =
            max_raft_state.map(|limit| Compaction::new(limit, persister, raft.clone()));
        let (running, stopped) = channel::bounded(0);
        let waiting = Waiting { pending: Pending::new(), running: Some(running) };
        let shared = Arc::new(Shared { raft, waiting: Mutex::new(waiting) });
        let apply_loop = ApplyLoop { shared: Arc::clone(&shared), replica, compaction };
        let spawned = thread::Builder::new()
            .name("apply loop".to_owned())
            .spawn(move || apply_loop.run(&deliveries, &stopped));
        spawned.expect("the system can start another thread");
        Rsm { shared }
    }

    /// Has an operation executed by all servers, once, and returns what it gave.
    ///
    /// `seq` numbers the operations of `client`, each higher than the one before; a retry has the
    /// number of what it repeats, and comes to the same result. A client does one operation after
    /// the other. (Read-only operations are executed by each retry anew.) For how long a client is
    /// remembered, see [`MAX_SESSIONS`](super::MAX_SESSIONS).
    ///
    /// Blocks until the operation is executed, leadership is lost, or no majority was reached for
    /// half a second.
    ///
    /// # Errors
    ///
    /// [`SubmitError`]: it was not executed here, or that is not known; it may be submitted again.
    pub fn submit(&self, client: ClientId, seq: u64, op: M::Op) -> Result<M::Output, SubmitError> {
        let command = labgob::to_bytes(&Command { client, seq, op });
        let ticket = self.shared.start(OpId { client, seq }, command)?;
        self.shared.wait(&ticket)
    }

    /// Its Raft.
    pub fn raft(&self) -> &Raft {
        &self.shared.raft
    }

    /// Ends this server's tasks and its Raft's. Whoever waits in [`submit`](Self::submit) is told
    /// [`SubmitError::Unknown`].
    pub fn kill(&self) {
        self.shared.raft.kill();
        let mut waiting = self.shared.waiting.lock();
        let running = waiting.running.take();
        let lost = waiting.pending.skip_to(LogIndex(u64::MAX));
        drop(waiting);
        drop(running);
        lost.tell();
    }
}

impl<M: StateMachine> Clone for Rsm<M> {
    fn clone(&self) -> Rsm<M> {
        Rsm { shared: Arc::clone(&self.shared) }
    }
}

impl<M: StateMachine> fmt::Debug for Rsm<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rsm").finish_non_exhaustive()
    }
}

impl<M: StateMachine> Shared<M> {
    /// Puts an operation into the log, unless it is there and waits to be committed: then a retry
    /// waits for the same entry.
    ///
    /// The lock is held from `start` until the ticket can be found, since the entry may be applied
    /// at once. Raft's `start` does not block, and Raft never waits for this lock.
    fn start(&self, op: OpId, command: Vec<u8>) -> Result<Arc<Ticket<M::Output>>, SubmitError> {
        let mut waiting = self.waiting.lock();
        if waiting.running.is_none() {
            return Err(SubmitError::NotLeader { leader: None });
        }
        if let Some(ticket) = waiting.pending.find(op)
            && self.leads(&ticket)
        {
            return Ok(ticket);
        }
        let started = self.raft.start(command);
        let entry = started.map_err(|refusal| SubmitError::NotLeader { leader: refusal.leader })?;
        let (ticket, lost) = waiting.pending.add(entry, op);
        drop(waiting);
        lost.tell();
        Ok(ticket)
    }

    /// Waits until the fate of an entry is known, but not for ever.
    fn wait(&self, ticket: &Ticket<M::Output>) -> Outcome<M::Output> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let next_look = deadline.min(Instant::now() + LEADERSHIP_CHECK);
            if let Some(outcome) = ticket.wait_until(next_look) {
                return outcome;
            }
            if !self.leads(ticket) {
                debug!(target: "kv", "leads {} no longer", ticket.entry.term);
                let lost = self.waiting.lock().pending.resign(ticket.entry.term);
                lost.tell();
                return Err(SubmitError::Unknown);
            }
            if Instant::now() >= deadline {
                debug!(target: "kv", "{} finds no majority", ticket.entry);
                return Err(SubmitError::Unknown);
            }
        }
    }

    /// Does this server lead the term of this ticket's entry? As long as it does, the entry stays
    /// where it is.
    fn leads(&self, ticket: &Ticket<M::Output>) -> bool {
        self.raft.get_state() == (ticket.entry.term, true)
    }
}

/// What takes from Raft, in log order.
struct ApplyLoop<M: StateMachine> {
    shared: Arc<Shared<M>>,
    replica: Replica<M>,
    /// `None` if there are to be no snapshots.
    compaction: Option<Compaction<M>>,
}

impl<M: StateMachine> ApplyLoop<M> {
    fn run(mut self, deliveries: &Receiver<ApplyMsg>, stopped: &Receiver<Infallible>) {
        loop {
            let message = select! {
                recv(deliveries) -> message => message,
                recv(stopped) -> _ => return,
            };
            match message {
                Ok(ApplyMsg::Command { index, term, command }) => {
                    let more = !deliveries.is_empty();
                    self.command(EntryId { term, index }, &command, more);
                }
                Ok(ApplyMsg::Snapshot { index, data, .. }) => self.install(index, &data),
                Err(_) => return,
            }
        }
    }

    fn command(&mut self, entry: EntryId, command: &[u8], more: bool) {
        if entry.index <= self.replica.applied() {
            return; // the state includes it
        }
        let (ticket, lost) = self.shared.waiting.lock().pending.apply(entry);
        let outcome = self.replica.apply(entry.index, command, ticket.is_some());
        if let Some(ticket) = ticket {
            ticket.decide(outcome);
        }
        lost.tell();
        if let Some(compaction) = &mut self.compaction {
            compaction.applied(command, &self.replica, more);
        }
    }

    /// Another server's state takes the place of this one's (Raft §7).
    fn install(&mut self, index: LogIndex, snapshot: &[u8]) {
        if index <= self.replica.applied() {
            return; // the state includes it
        }
        self.replica = decode_snapshot(snapshot);
        let applied = self.replica.applied();
        assert!(applied == index, "the snapshot of {index} includes all up to {applied}");
        debug!(target: "kv", "installs the snapshot of {index}");
        if let Some(compaction) = &mut self.compaction {
            compaction.installed();
        }
        let lost = self.shared.waiting.lock().pending.skip_to(index);
        lost.tell();
    }
}

fn decode_snapshot<M: StateMachine>(bytes: &[u8]) -> Replica<M> {
    Replica::decode(bytes).expect("all snapshots were written by a server of this kind")
}
