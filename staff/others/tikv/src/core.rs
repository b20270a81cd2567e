//! The library, driven: no lock, no thread, no clock but ticks.

use std::{sync::Arc, time::Duration};

use labrt::rand::Rng;
use raftapi::{ApplyMsg, EntryId, LogIndex, NotLeader, Persister, ServerId, SnapshotWrite, Term};
use rand::RngExt;
use slog::{Discard, Logger, o};
use tikv::{
    Config, NO_LIMIT, RawNode, SnapshotStatus, StateRole,
    eraftpb::{Entry, MessageType, Snapshot},
};

use crate::{
    disk::{self, Disk},
    message::{Message, id, server},
    storage,
};

/// The library counts time in these.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// In ticks, as what follows: ten heartbeats a second, as the lab wants it.
const HEARTBEAT: usize = 10;

/// An election starts after a time between these.
const ELECTION_TIMEOUT_MIN: usize = 40;
const ELECTION_TIMEOUT_MAX: usize = 80;

/// What the library draws from the system's randomness, between this and one more: this.
const NEVER: usize = 1_000_000_000;

/// What has to be done with what the library decided. Everything is saved already.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) messages: Vec<(ServerId, Message)>,
    pub(crate) deliveries: Vec<ApplyMsg>,
}

pub(crate) struct Core {
    raw: RawNode<Disk>,
    rng: Rng,
    /// In ticks without a leader.
    election_timeout: usize,
    /// The last command handed over for delivery.
    delivered: u64,
    retired: bool,
}

impl Core {
    pub(crate) fn new(me: ServerId, servers: usize, persister: Arc<Persister>, rng: Rng) -> Core {
        let disk = Disk::open(persister, servers);
        let base = disk.base();
        let config = Config {
            election_tick: ELECTION_TIMEOUT_MIN,
            heartbeat_tick: HEARTBEAT,
            min_election_tick: NEVER,
            max_election_tick: NEVER + 1,
            applied: base.index,
            max_size_per_msg: NO_LIMIT,
            batch_append: true,
            // As TiKV itself has it.
            check_quorum: true,
            pre_vote: true,
            skip_bcast_commit: true,
            ..Config::new(id(me))
        };
        let logger = Logger::root(Discard, o!());
        let raw = RawNode::new(&config, disk, &logger).expect("the configuration is valid");
        let delivered = base.commands;
        Core { raw, rng, election_timeout: ELECTION_TIMEOUT_MAX, delivered, retired: false }
    }

    fn leads(&self) -> bool {
        self.raw.raft.state == StateRole::Leader && !self.retired
    }

    pub(crate) fn state(&self) -> (Term, bool) {
        (Term(self.raw.raft.term), self.leads())
    }

    /// It leads no longer, and refuses commands.
    pub(crate) fn retire(&mut self) {
        self.retired = true;
    }

    /// Puts a command into the log. It is saved and sent with the next [`effects`](Self::effects).
    pub(crate) fn start(&mut self, command: &[u8]) -> Result<EntryId, NotLeader> {
        let refused = NotLeader { leader: server(self.raw.raft.leader_id) };
        if !self.leads() || self.raw.propose(Vec::new(), storage::data(command)).is_err() {
            return Err(refused);
        }
        let raft = &self.raw.raft;
        let unsaved = raft.raft_log.unstable_entries().iter().filter_map(storage::command).count();
        let index = raft.store().commands() + unsaved as u64;
        Ok(EntryId { term: Term(raft.term), index: LogIndex(index) })
    }

    /// Lets one tick pass.
    pub(crate) fn tick(&mut self) {
        if self.raw.raft.election_elapsed == 0 {
            // The library has just set its timer anew, and now draws a timeout.
            self.election_timeout =
                self.rng.random_range(ELECTION_TIMEOUT_MIN..=ELECTION_TIMEOUT_MAX);
        }
        self.raw.tick();
        let raft = &mut self.raw.raft;
        if raft.state != StateRole::Leader && raft.election_elapsed >= self.election_timeout {
            raft.election_elapsed = 0;
            self.raw.campaign().expect("it is no error not to campaign");
        }
    }

    /// Takes in a message. What is not understood is as good as lost.
    pub(crate) fn step(&mut self, message: Message) {
        let _ = self.raw.step(message);
    }

    /// Takes in whether this server has replied to that message.
    pub(crate) fn called(&mut self, server: ServerId, message: &Message, replied: bool) {
        match (message.get_msg_type(), replied) {
            (MessageType::MsgSnapshot, true) => {
                self.raw.report_snapshot(id(server), SnapshotStatus::Finish);
            }
            (MessageType::MsgSnapshot, false) => {
                self.raw.report_snapshot(id(server), SnapshotStatus::Failure);
            }
            (MessageType::MsgAppend, false) => self.raw.report_unreachable(id(server)),
            _ => {}
        }
    }

    /// The service's state up to `index` is in `snapshot`.
    ///
    /// # Panics
    ///
    /// If `index` was not delivered yet.
    pub(crate) fn take_snapshot(&mut self, index: LogIndex, snapshot: &[u8]) {
        assert!(index.0 <= self.delivered, "{index} was not delivered yet");
        let disk = self.raw.mut_store();
        if let Some(at) = disk.index_of(index) {
            let term = disk.term_at(at).expect("it is in the log");
            let data = disk.install(at, term, &disk::sent(index.0, snapshot));
            disk.save(SnapshotWrite::Replace(data));
        }
    }

    /// Saves what is to be saved, and says what is to be done then.
    pub(crate) fn effects(&mut self) -> Effects {
        let mut effects = Effects::default();
        while self.raw.has_ready() {
            let mut ready = self.raw.ready();
            let disk = self.raw.mut_store();
            if let Some(hard_state) = ready.hs() {
                storage::set_hard_state(disk, hard_state);
            }
            let mut write = SnapshotWrite::Keep;
            if !ready.snapshot().is_empty() {
                let data = self.install(ready.snapshot(), &mut effects);
                write = SnapshotWrite::Replace(data);
            }
            let disk = self.raw.mut_store();
            storage::append(disk, ready.entries());
            if ready.must_sync() {
                disk.save(write);
            }
            effects.send(ready.take_messages());
            effects.send(ready.take_persisted_messages());
            self.deliver(&ready.take_committed_entries(), &mut effects);

            let mut light = self.raw.advance(ready);
            if let Some(commit) = light.commit_index() {
                // Saved with whatever is saved next: a server that forgets it learns it again.
                self.raw.mut_store().hard_state.commit = commit;
            }
            effects.send(light.take_messages());
            self.deliver(&light.take_committed_entries(), &mut effects);
            self.raw.advance_apply();
        }
        effects
    }

    /// Takes in a snapshot of the leader, and returns what the service gave.
    fn install(&mut self, snapshot: &Snapshot, effects: &mut Effects) -> Vec<u8> {
        let of = snapshot.get_metadata();
        let disk = self.raw.mut_store();
        let data = disk.install(of.index, of.term, &snapshot.data);
        self.delivered = disk.base().commands;
        let (index, term) = (LogIndex(self.delivered), Term(of.term));
        effects.deliveries.push(ApplyMsg::Snapshot { index, term, data: data.clone() });
        data
    }

    fn deliver(&mut self, committed: &[Entry], effects: &mut Effects) {
        for entry in committed {
            let Some(command) = storage::command(entry) else { continue };
            self.delivered += 1;
            let (index, term) = (LogIndex(self.delivered), Term(entry.term));
            effects.deliveries.push(ApplyMsg::Command { index, term, command: command.to_vec() });
        }
    }
}

impl Effects {
    fn send(&mut self, messages: Vec<Message>) {
        let addressed =
            messages.into_iter().filter_map(|message| Some((server(message.to)?, message)));
        self.messages.extend(addressed);
    }
}
