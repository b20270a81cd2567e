//! The library, driven: no lock, no thread, no clock but ticks.

use std::{sync::Arc, time::Duration};

use labrt::rand::Rng;
use raftapi::{
    ApplyMsg, EntryId, FollowerView, LogIndex, NotLeader, Persister, RaftView, RoleView, ServerId,
    SnapshotWrite, Term,
};
use rand::RngExt;
use slog::{Discard, Logger, o};
use tikv::{
    Config, NO_LIMIT, RawNode, SnapshotStatus, StateRole,
    eraftpb::{Entry, Message, Snapshot},
};

use crate::disk::{self, Disk, is_command};

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
    pub(crate) messages: Vec<Message>,
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

/// Its servers are numbered from 1.
pub(crate) fn id(server: ServerId) -> u64 {
    server.0 as u64 + 1
}

pub(crate) fn server(id: u64) -> Option<ServerId> {
    Some(ServerId(usize::try_from(id.checked_sub(1)?).ok()?))
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
            check_quorum: true,
            pre_vote: true,
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
        if !self.leads() || self.raw.propose(Vec::new(), disk::data(command)).is_err() {
            return Err(refused);
        }
        let raft = &self.raw.raft;
        let unsaved = raft.raft_log.unstable_entries().iter().filter(|entry| is_command(entry));
        let index = raft.store().commands() + unsaved.count() as u64;
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

    /// No answer came from this server to appended entries.
    pub(crate) fn unreachable(&mut self, server: ServerId) {
        self.raw.report_unreachable(id(server));
    }

    /// A snapshot has reached this server, or has not.
    pub(crate) fn snapshot_sent(&mut self, server: ServerId, status: SnapshotStatus) {
        self.raw.report_snapshot(id(server), status);
    }

    /// The service's state up to `index` is in `snapshot`.
    ///
    /// # Panics
    ///
    /// If `index` was not delivered yet.
    pub(crate) fn take_snapshot(&mut self, index: LogIndex, snapshot: Vec<u8>) {
        assert!(index.0 <= self.delivered, "{index} was not delivered yet");
        let disk = self.raw.mut_store();
        if disk.compact(index).is_some() {
            disk.save(SnapshotWrite::Replace(snapshot));
        }
    }

    /// Saves what is to be saved, and says what is to be done then.
    pub(crate) fn effects(&mut self) -> Effects {
        let mut effects = Effects::default();
        while self.raw.has_ready() {
            let mut ready = self.raw.ready();
            let disk = self.raw.mut_store();
            if let Some(hard_state) = ready.hs() {
                disk.set_hard_state(hard_state);
            }
            let mut write = SnapshotWrite::Keep;
            if !ready.snapshot().is_empty() {
                let data = disk.install(ready.snapshot());
                write = SnapshotWrite::Replace(data.clone());
                let message = self.installed(ready.snapshot(), data);
                effects.deliveries.push(message);
            }
            let disk = self.raw.mut_store();
            disk.append(ready.entries());
            if ready.must_sync() {
                disk.save(write);
            }
            effects.messages.append(&mut ready.take_messages());
            effects.messages.append(&mut ready.take_persisted_messages());
            self.deliver(&ready.take_committed_entries(), &mut effects.deliveries);

            let mut light = self.raw.advance(ready);
            if let Some(commit) = light.commit_index() {
                self.raw.mut_store().set_commit(commit);
            }
            effects.messages.append(&mut light.take_messages());
            self.deliver(&light.take_committed_entries(), &mut effects.deliveries);
            self.raw.advance_apply();
        }
        effects
    }

    fn installed(&mut self, snapshot: &Snapshot, data: Vec<u8>) -> ApplyMsg {
        self.delivered = self.raw.store().base().commands;
        let term = Term(snapshot.get_metadata().term);
        ApplyMsg::Snapshot { index: LogIndex(self.delivered), term, data }
    }

    fn deliver(&mut self, committed: &[Entry], deliveries: &mut Vec<ApplyMsg>) {
        for entry in committed {
            let Some(command) = disk::command(entry) else { continue };
            self.delivered += 1;
            let (index, term) = (LogIndex(self.delivered), Term(entry.term));
            deliveries.push(ApplyMsg::Command { index, term, command: command.to_vec() });
        }
    }

    /// What is seen of it, with the commands alone in its log.
    pub(crate) fn view(&self) -> RaftView {
        let (raft, disk) = (&self.raw.raft, self.raw.store());
        let unsaved = raft.raft_log.unstable_entries().iter().filter(|entry| is_command(entry));
        let commands_up_to = |index| LogIndex(disk.commands_up_to(index));
        let role = match raft.state {
            StateRole::Leader => RoleView::Leader,
            StateRole::Candidate => RoleView::Candidate,
            StateRole::Follower | StateRole::PreCandidate => {
                RoleView::Follower { leader: server(raft.leader_id) }
            }
        };
        let followers = raft.prs().iter().filter(|(id, _)| **id != raft.id && self.leads());
        let followers = followers.filter_map(|(id, progress)| {
            Some(FollowerView {
                server: server(*id)?,
                next: commands_up_to(progress.next_idx - 1).next(),
                matched: commands_up_to(progress.matched),
            })
        });
        let base = disk.base();
        RaftView {
            term: Term(raft.term),
            role,
            voted_for: server(raft.vote),
            base: EntryId { term: Term(base.term), index: LogIndex(base.commands) },
            entries: disk.command_entries().chain(unsaved).map(|entry| Term(entry.term)).collect(),
            commit: commands_up_to(raft.raft_log.committed),
            applied: LogIndex(self.delivered),
            followers: followers.collect(),
        }
    }
}
