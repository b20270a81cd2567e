//! The library, driven: no lock, no thread, no clock but ticks.

use std::{sync::Arc, time::Duration};

use labrt::rand::Rng;
use raft_io::{Action, Event, RaftConfig, RaftNode};
use raftapi::{ApplyMsg, EntryId, LogIndex, NotLeader, Persister, ServerId, Term};
use rand::RngExt;

use crate::{
    disk::{self, Disk},
    message::{Message, id, server},
    storage::Log,
};

/// The library counts time in these.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// In ticks, as what follows: ten heartbeats a second, as the lab wants it.
const HEARTBEAT: u32 = 10;

/// An election starts after a time between these.
const ELECTION_TIMEOUT_MIN: u32 = 40;
const ELECTION_TIMEOUT_MAX: u32 = 80;

/// Entries in one message, at most.
const BATCH: usize = 1000;

/// What has to be done with what the library decided. Everything is saved already.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) messages: Vec<(ServerId, Message)>,
    pub(crate) deliveries: Vec<ApplyMsg>,
}

pub(crate) struct Core {
    node: RaftNode<Log>,
    /// What the events since the last [`effects`](Self::effects) lead to.
    actions: Vec<Action>,
    /// The last command handed over for delivery.
    delivered: u64,
    retired: bool,
}

impl Core {
    pub(crate) fn new(
        me: ServerId,
        servers: usize,
        persister: Arc<Persister>,
        mut rng: Rng,
    ) -> Core {
        let disk = Disk::open(persister, servers);
        let delivered = disk.base().commands;
        let config = RaftConfig::new(id(me), (0..servers).map(|other| id(ServerId(other))))
            .with_election_timeout(ELECTION_TIMEOUT_MIN, ELECTION_TIMEOUT_MAX)
            .with_heartbeat_interval(HEARTBEAT)
            .with_max_batch(BATCH)
            .with_snapshot_threshold(0)
            .with_seed(rng.random());
        let node = RaftNode::with_log(config, Log::new(disk));
        Core { node, actions: Vec::new(), delivered, retired: false }
    }

    pub(crate) fn state(&self) -> (Term, bool) {
        (Term(self.node.term()), self.node.is_leader() && !self.retired)
    }

    /// It leads no longer, and refuses commands.
    pub(crate) fn retire(&mut self) {
        self.retired = true;
    }

    /// Puts a command into the log. It is saved and sent with the next [`effects`](Self::effects).
    pub(crate) fn start(&mut self, command: &[u8]) -> Result<EntryId, NotLeader> {
        let (term, leads) = self.state();
        if !leads || !self.event(Event::Propose(command.to_vec())) {
            return Err(NotLeader { leader: self.node.leader().and_then(server) });
        }
        Ok(EntryId { term, index: LogIndex(self.disk().commands()) })
    }

    /// Lets one tick pass.
    pub(crate) fn tick(&mut self) {
        self.event(Event::Tick);
    }

    /// Takes in a message.
    pub(crate) fn step(&mut self, message: Message) {
        self.event(Event::Message(message));
    }

    /// The library does not ask which messages were lost.
    #[expect(clippy::unused_self, reason = "another library does ask")]
    pub(crate) fn called(&mut self, _server: ServerId, _message: &Message, _replied: bool) {}

    /// The service's state up to `index` is in `snapshot`.
    ///
    /// # Panics
    ///
    /// If `index` was not delivered yet.
    pub(crate) fn take_snapshot(&mut self, index: LogIndex, snapshot: &[u8]) {
        assert!(index.0 <= self.delivered, "{index} was not delivered yet");
        if let Some(at) = self.disk().index_of(index) {
            let data = disk::sent(index.0, snapshot);
            self.event(Event::Snapshot { index: at, data });
            self.node.log().save();
        }
    }

    /// Saves what is to be saved, and says what is to be done then.
    pub(crate) fn effects(&mut self) -> Effects {
        self.node.log().save();
        let mut effects = Effects::default();
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::Send { to, message } => {
                    effects.messages.extend(server(to).map(|to| (to, message)));
                }
                Action::Apply { term, command, .. } => {
                    self.delivered += 1;
                    let (index, term) = (LogIndex(self.delivered), Term(term));
                    effects.deliveries.push(ApplyMsg::Command { index, term, command });
                }
                Action::RestoreSnapshot { term, data, .. } => {
                    let (commands, data) = disk::received(&data);
                    self.delivered = commands;
                    let (index, term) = (LogIndex(commands), Term(term));
                    effects.deliveries.push(ApplyMsg::Snapshot { index, term, data });
                }
                _ => {} // members, reads, hints: not asked for here
            }
        }
        effects
    }

    fn disk(&self) -> &Disk {
        &self.node.log().disk
    }

    /// Passes an event through the library. Says whether it was taken.
    fn event(&mut self, event: Event) -> bool {
        match self.node.step(event) {
            Ok(actions) => {
                self.actions.extend(actions);
                true
            }
            Err(_) => false,
        }
    }
}
