//! Records a run for the timeline: what went over the network, what servers were in, what they
//! saved, applied and said, and what the test did to them.
//!
//! A run that fails is repeated with a recorder, by [`draw`]; nothing is recorded in the runs before.
//! The run does not notice: a recorder sets no timer, starts no task and takes no lock of labrt's but
//! by [`sim::observe`], so a recorded run has the trace of the same run unrecorded.
//!
//! - [`Recorder`] is what the rest of the tester tells; it is off by default, and costs nothing then.
//! - `messages` turns the network's events into calls, `views` looks into servers, `lines` takes
//!   their log, `disks` reads what they saved, `commands` what is in their logs, `history` adds what
//!   clients did.

mod commands;
mod disks;
mod draw;
mod history;
mod lines;
mod messages;
mod views;

use std::fmt;
use std::sync::Arc;

use labgob::Bytes;
use labrpc::Network;
use labrt::sim;
use labrt::thread;
use linearize::models::{KvOp, KvOutput};
use parking_lot::Mutex;
use raftapi::harness::Disk as _;
use raftapi::{EntryId, LogIndex, Persister, ServerId};
use timeline::Run;
use timeline::model::{Check, Event, What, micros};

use crate::system::RaftServer;
use crate::text::command as show;

use disks::Saves;
pub(crate) use draw::{Drawing, Subject, draw};
use messages::Calls;
use views::Views;

/// Writes a run down, or does nothing. A handle: clones write to the same run.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Option<Arc<Tape>>);

/// What is recorded.
struct Tape {
    run: Mutex<Run>,
    calls: Mutex<Calls>,
    views: Mutex<Views>,
    saves: Mutex<Saves>,
    history: Mutex<Option<linearize::Recorder<KvOp, KvOutput>>>,
}

impl Recorder {
    /// A recorder of a run with so many servers.
    fn on(servers: usize) -> Recorder {
        let peers = (0..servers).map(|server| ServerId(server).to_string()).collect();
        let run = Run { version: Run::VERSION, servers, peers, ..Run::default() };
        Recorder(Some(Arc::new(Tape {
            run: Mutex::new(run),
            calls: Mutex::default(),
            views: Mutex::new(Views::new(servers)),
            saves: Mutex::default(),
            history: Mutex::default(),
        })))
    }

    /// Everything that crosses this network.
    pub(crate) fn watch_network(&self, network: &Network) {
        let Some(tape) = &self.0 else { return };
        network.show_contents();
        let tape = Arc::clone(tape);
        network.observe(move |event| tape.message(event));
    }

    /// Everything that this server and its successors save.
    pub(crate) fn watch_saves(&self, server: ServerId, persister: &Persister) {
        let Some(tape) = &self.0 else { return };
        let tape = Arc::clone(tape);
        persister.on_save(move |persister| tape.saved(server, persister));
    }

    /// All operations of clients.
    pub(crate) fn watch_clients(&self, history: &linearize::Recorder<KvOp, KvOutput>) {
        if let Some(tape) = &self.0 {
            *tape.history.lock() = Some(history.clone());
            tape.saves.lock().with_commands = true;
        }
    }

    /// A server is about to start.
    pub(crate) fn started(&self, server: ServerId) {
        if let Some(tape) = &self.0 {
            tape.views.lock().forget(server);
            tape.add(Some(server), What::Started);
        }
    }

    /// A server runs, and this is its Raft.
    pub(crate) fn runs(&self, server: ServerId, raft: Arc<dyn RaftServer>) {
        if let Some(tape) = &self.0 {
            tape.views.lock().show(server, raft);
            tape.look(server);
        }
    }

    /// A server is about to crash.
    pub(crate) fn crashes(&self, server: ServerId) {
        if let Some(tape) = &self.0 {
            tape.look(server);
            drop(tape.views.lock().hide(server));
            tape.add(Some(server), What::Crashed);
        }
    }

    /// Something may have changed in a server.
    pub(crate) fn look(&self, server: ServerId) {
        if let Some(tape) = &self.0 {
            tape.look(server);
        }
    }

    /// A link goes up or down.
    pub(crate) fn link(&self, from: ServerId, to: ServerId, up: bool) {
        if let Some(tape) = &self.0 {
            tape.add(Some(from), What::Link { to: to.0, up });
        }
    }

    /// A server gave a command to its service.
    pub(crate) fn applied(&self, server: ServerId, id: EntryId, command: &Bytes) {
        if let Some(tape) = &self.0 {
            let command = show(command);
            tape.look(server);
            let (index, term) = (id.index.0, id.term.0);
            tape.add(Some(server), What::Applied { index, term, command });
        }
    }

    /// A server gave a snapshot to its service.
    pub(crate) fn installed(&self, server: ServerId, id: EntryId) {
        if let Some(tape) = &self.0 {
            tape.look(server);
            let (index, term) = (id.index.0, id.term.0);
            tape.add(Some(server), What::Installed { index, term });
        }
    }

    /// A service hands a snapshot to its server.
    pub(crate) fn snapshot(&self, server: ServerId, index: LogIndex) {
        if let Some(tape) = &self.0 {
            tape.add(Some(server), What::Snapshot { index: index.0 });
        }
    }

    /// A server took in a command.
    pub(crate) fn command(&self, server: ServerId, id: EntryId, command: &Bytes) {
        if let Some(tape) = &self.0 {
            tape.look(server);
            let (index, term) = (id.index.0, id.term.0);
            let command = show(command);
            tape.add(Some(server), What::Command { index, term, command });
        }
    }

    /// The test expects something, until the result is dropped.
    pub(crate) fn check(&self, what: impl fmt::Display) -> Checking {
        let tape = self.0.clone();
        let place = tape.as_ref().map(|tape| {
            let mut run = tape.run.lock();
            let from = micros(sim::elapsed());
            run.checks.push(Check { from, to: u64::MAX, what: what.to_string(), ok: true });
            run.checks.len() - 1
        });
        Checking { tape, place }
    }
}

/// While it lives, the test expects something.
#[must_use = "a check ends when this is dropped"]
pub(crate) struct Checking {
    tape: Option<Arc<Tape>>,
    place: Option<usize>,
}

impl Drop for Checking {
    fn drop(&mut self) {
        if let (Some(tape), Some(place)) = (&self.tape, self.place) {
            let check = &mut tape.run.lock().checks[place];
            check.to = micros(sim::elapsed());
            // A check that fails raises its failure.
            check.ok = !std::thread::panicking();
        }
    }
}

impl Tape {
    fn add(&self, server: Option<ServerId>, what: What) {
        self.add_of_task(server, None, what);
    }

    fn add_of_task(&self, server: Option<ServerId>, task: Option<String>, what: What) {
        let (at, server) = (micros(sim::elapsed()), server.map(|server| server.0));
        self.run.lock().events.push(Event { at, server, task, what });
    }

    /// Looks into a server, and records what has changed.
    fn look(&self, server: ServerId) {
        // Not under the lock: a student's view may log.
        let Some(raft) = self.views.lock().raft(server) else { return };
        let Some(view) = sim::observe(|| crate::views::of(&*raft)) else {
            return self.views.lock().is_closed(server, micros(sim::elapsed()));
        };
        drop(raft);
        let mut views = self.views.lock();
        views.is_open(server, micros(sim::elapsed()));
        let applied = self.history.lock().is_some().then(|| views.applied(server, view.as_ref()));
        let change = views.saw(server, view);
        drop(views);
        if let Some(change) = change {
            self.add(Some(server), What::State(change));
        }
        // The service is a student's own, and its messages are not seen.
        for what in applied.into_iter().flatten() {
            self.add(Some(server), what);
        }
    }
}

/// The running task's name, without the server's.
fn task_name() -> Option<String> {
    Some(thread::current().name()?.to_owned())
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Recorder (on)" } else { "Recorder (off)" })
    }
}
