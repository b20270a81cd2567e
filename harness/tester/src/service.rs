//! The tester's own service: takes what a server applies, has it checked, and takes snapshots.

use std::sync::{Arc, OnceLock};

use labgob::Bytes;
use labrt::channel::Receiver;
use labrt::event;
use labrt::node::Node;
use labrt::time::Duration;
use raftapi::{ApplyMsg, EntryId, LogIndex, Persister, ServerId};

use crate::checker::Checker;
use crate::nemesis::server;
use crate::recorder::Recorder;
use crate::report::Failure;
use crate::stall::Stalls;
use crate::system::RaftServer;
use crate::text::{at, command as show, span};

/// A server takes a snapshot after so many commands.
const SNAPSHOT_INTERVAL: u64 = 10;

/// Does this server take a snapshot after this index? S0 does after 9, 19, 29, ..., S1 after 6, 16,
/// 26, ..., S2 after 3, 13, 23, ...: a server meets others who know more, or less, of the log than
/// it does itself. (In the original all do at the same indexes.)
#[must_use]
pub fn takes_snapshot_at(server: ServerId, index: LogIndex) -> bool {
    (index.0 + 1 + 3 * server.0 as u64).is_multiple_of(SNAPSHOT_INTERVAL)
}

/// So long after `snapshot()` returned, the snapshot must be in the persister.
pub(crate) const SNAPSHOT_SAVED_WITHIN: Duration = Duration::from_millis(100);

/// What a test has servers and their services do besides.
pub(crate) trait Habits: Send + Sync {
    /// A server starts, on this node.
    fn starts(&self, _server: ServerId, _node: &Node) {}

    /// The service has taken this, and has done nothing about it yet. It is called on the server's
    /// node, and may end that.
    fn takes(&self, _server: ServerId, _message: &ApplyMsg) {}

    /// A command was applied, as the checker has it; in Lab 4, where nobody can tell, it is about to be.
    /// As [`takes`](Self::takes).
    fn applied(&self, _server: ServerId, _id: EntryId, _command: &Bytes) {}

    /// Does this server take a snapshot now?
    fn takes_snapshot_at(&self, server: ServerId, index: LogIndex) -> bool {
        takes_snapshot_at(server, index)
    }

    /// Servers may stand still, or their disks: nothing can be said of how soon something is done.
    fn excuses(&self) -> bool {
        false
    }
}

/// What each server's service does besides, if it does anything.
pub(crate) type ItsHabits = Arc<OnceLock<Box<dyn Habits>>>;

/// In Lab 4 the service is the student's, and keeps its apply channel to itself. But what it takes from
/// there can be heard.
pub(crate) fn hear(habits: &ItsHabits) {
    let habits = Arc::clone(habits);
    labrt::sim::tap(move |message: &ApplyMsg| {
        let Some(habits) = habits.get() else { return };
        let Some(server) = server(&Node::current().name()) else { return };
        habits.takes(server, message);
        if let ApplyMsg::Command { index, term, command } = message {
            let id = EntryId { term: *term, index: *index };
            habits.applied(server, id, &Bytes::from(command.clone()));
        }
    });
}

/// The service of one incarnation of one server.
pub(crate) struct Service {
    pub(crate) server: ServerId,
    pub(crate) node: Node,
    /// Where the tester's own tasks run.
    pub(crate) tester: Node,
    pub(crate) raft: Arc<dyn RaftServer>,
    pub(crate) persister: Arc<Persister>,
    pub(crate) checker: Arc<Checker>,
    pub(crate) recorder: Recorder,
    pub(crate) stalls: Arc<Stalls>,
    pub(crate) takes_snapshots: bool,
    pub(crate) habits: ItsHabits,
}

impl Service {
    /// Takes what the server applies until it stops. Runs as a task of the server's node, so it
    /// dies with the server: a dead server applies nothing more.
    pub(crate) fn run(&self, applies: &Receiver<ApplyMsg>) {
        while let Ok(message) = applies.recv() {
            self.stalls.wait(self.server);
            if let Some(habits) = self.habits.get() {
                habits.takes(self.server, &message);
            }
            match message {
                ApplyMsg::Command { index, term, command } => {
                    self.command(EntryId { term, index }, &Bytes::from(command));
                }
                ApplyMsg::Snapshot { index, term, data } => {
                    self.install(EntryId { term, index }, &data);
                }
            }
        }
    }

    fn command(&self, id: EntryId, command: &Bytes) {
        let (server, incarnation) = (self.server, self.node.incarnation());
        tracing::debug!(target: "apply", "{id} {}", show(command));
        self.recorder.applied(server, id, command);
        self.checker.tell_all(|history, now| {
            history.applied.command(server, incarnation, id, command, now)
        });
        let habits = self.habits.get();
        if let Some(habits) = habits {
            habits.applied(server, id, command);
        }
        let now = habits.map_or_else(
            || takes_snapshot_at(server, id.index),
            |habits| habits.takes_snapshot_at(server, id.index),
        );
        if self.takes_snapshots && now {
            self.take_snapshot(id.index);
        }
    }

    fn install(&self, id: EntryId, data: &[u8]) {
        let (server, incarnation) = (self.server, self.node.incarnation());
        tracing::debug!(target: "apply", "snapshot up to {id}");
        self.recorder.installed(server, id);
        if !self.takes_snapshots {
            Failure::safety("a snapshot that nobody took was applied")
                .expected("no snapshot before the first call of snapshot() (Raft 7)")
                .happened(format!("{server} handed over a snapshot up to {id}"))
                .look_at("when ApplyMsg::Snapshot is sent")
                .always()
                .raise();
        }
        self.checker
            .tell_all(|history, now| history.applied.installed(server, incarnation, id, data, now));
    }

    /// From the task that applies, as the original does: a Raft that holds its lock while it sends
    /// on the apply channel is found out.
    fn take_snapshot(&self, index: LogIndex) {
        let snapshot = self.checker.ask(|history| {
            let is_known = index <= history.applied.highest();
            is_known.then(|| history.applied.snapshot_at(index))
        });
        // Otherwise these are its last words: it has been crashed meanwhile, and what it applies counts
        // no more.
        let Some(snapshot) = snapshot else { return };
        self.recorder.snapshot(self.server, index);
        self.raft.snapshot(index, labgob::to_bytes(&snapshot));

        if self.habits.get().is_some_and(|habits| habits.excuses()) {
            return;
        }
        // A crash may come at any time, and the log before the snapshot is gone: so it must be
        // saved soon even if nothing else happens.
        let (server, node, tester) = (self.server, self.node.clone(), self.tester.clone());
        let (persister, checker) = (Arc::clone(&self.persister), Arc::clone(&self.checker));
        event::after(SNAPSHOT_SAVED_WITHIN, move || {
            tester.spawn(move || {
                if node.is_alive() {
                    let bytes = persister.read_snapshot();
                    let saved =
                        checker.tell(|history, now| history.applied.saved(server, &bytes, now));
                    if saved < index {
                        not_saved(server, index, saved).always().raise();
                    }
                }
            });
        });
    }
}

fn not_saved(server: ServerId, index: LogIndex, saved: LogIndex) -> Failure {
    let holds = if saved.0 == 0 { "no snapshot".to_owned() } else { format!("one up to {saved}") };
    Failure::safety("a snapshot was not saved")
        .expected(format!(
            "the snapshot and the shortened log are in the persister within {} (Raft 7)",
            span(SNAPSHOT_SAVED_WITHIN)
        ))
        .happened(format!(
            "{server} was given a snapshot up to {index}; {} its persister holds {holds}",
            at(labrt::sim::elapsed())
        ))
        .look_at("what snapshot() does after it has shortened the log")
}
