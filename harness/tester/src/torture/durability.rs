//! What was applied is for ever: any majority, restarted from what it has saved, still has it.
//!
//! An entry may be applied when it is committed, and it is committed when a majority has stored it
//! (Raft 5.3). So take any majority, the moment some server applies an entry; start it from copies
//! of its disks, without the others, in a run of its own that this one does not notice; and let it
//! elect a leader and agree on something. Two majorities share a server, whose log is as good as
//! that of the entry's leader, and only such a server can win (5.4.1). So what was applied must be
//! there. If it is not, the entry was stored by too few, however the run would have gone on.
//!
//! This looks at no message, and at nothing that servers show of themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use labgob::Bytes;
use labrpc::Network;
use labrt::node::Node;
use labrt::rand::Stream;
use labrt::sim;
use labrt::sync::Mutex;
use labrt::time::{self, Duration, Instant};
use raftapi::{ApplyMsg, EntryId, LogIndex, ServerId, Term};
use rand::RngExt as _;
use rand::seq::SliceRandom as _;

use crate::cluster::Cluster;
use crate::coverage::{Coverage, Met};
use crate::disk::{self, Disk};
use crate::report::Failure;
use crate::system::{RaftServer, System};
use crate::text::{at, command as show, list};

/// A majority that has not agreed on anything by then says nothing: that it must is for other checks.
const PATIENCE: Duration = Duration::from_secs(20);

/// So many majorities are started from their disks in one run, at most: each takes a few milliseconds.
const TRIALS: u64 = 24;

/// What the restarted servers agree on. No command of a test looks like it.
const PROBE: &[u8] = b"torture: is anything lost?";

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trial {
    /// The entry is there, or a snapshot that covers it.
    Kept,
    /// It could not be tried out.
    Undecided,
    /// Something else is there, with its term; or nothing, and `None`.
    Lost(Option<(Term, Vec<u8>)>),
}

/// An applied entry must be on the disks of any majority.
pub(super) fn try_disks(
    cluster: &Cluster,
    coverage: &Coverage,
    server: ServerId,
    id: EntryId,
    command: Option<&Bytes>,
    dice: Stream,
) {
    if !sim::active() || coverage.count(Met::DiskTrials) >= TRIALS {
        return;
    }
    coverage.met(Met::DiskTrials);
    let mut dice = dice.at(u64::MAX / 2 - id.index.0);
    let seed = dice.random();
    let majority = majority_without(cluster, server, &mut dice);
    match try_out(cluster, &majority, id, command, seed) {
        Trial::Kept => {}
        Trial::Undecided => coverage.met(Met::DiskTrialsUndecided),
        Trial::Lost(instead) => {
            lost(server, id, command, &majority, instead.as_ref(), sim::elapsed()).raise();
        }
    }
}

/// Some majority of a cluster, by the numbers of `dice`; without this server, if that leaves enough.
/// Whoever has just applied an entry has it: the others are more interesting.
fn majority_without(
    cluster: &Cluster,
    server: ServerId,
    mut dice: impl rand::Rng,
) -> Vec<ServerId> {
    let mut others: Vec<ServerId> = cluster.servers().filter(|other| *other != server).collect();
    others.shuffle(&mut dice);
    others.truncate(cluster.len() / 2 + 1);
    others.sort();
    others
}

/// The entry `id` was applied, and is this command, if that is known. Starts `majority` from copies of
/// its disks, and looks for it.
fn try_out(
    cluster: &Cluster,
    majority: &[ServerId],
    id: EntryId,
    command: Option<&Bytes>,
    seed: u64,
) -> Trial {
    let disk = |server: &ServerId| (*server, disk::copy(&cluster.persister(*server)));
    let Some(disks) = sim::observe(|| majority.iter().map(disk).collect::<Vec<_>>()) else {
        return Trial::Undecided;
    };
    let (system, servers) = (cluster.setup().system, cluster.len());
    let found = disk::aside(seed, move || restart(system, disks, servers, id.index));
    match found {
        None => Trial::Undecided,
        Some(Found::Covered) => Trial::Kept,
        Some(Found::Nothing) => Trial::Lost(None),
        Some(Found::Entry(term, _)) if command.is_none() && term == id.term => Trial::Kept,
        Some(Found::Entry(_, found)) if command.is_some_and(|command| found == command[..]) => {
            Trial::Kept
        }
        Some(Found::Entry(term, found)) => Trial::Lost(Some((term, found))),
    }
}

/// What is at an index when the restarted servers have agreed on something.
enum Found {
    /// A snapshot reaches so far.
    Covered,
    /// The log ends before.
    Nothing,
    Entry(Term, Vec<u8>),
}

/// What one restarted server applied.
type Applied = Arc<Mutex<BTreeMap<LogIndex, (Term, Vec<u8>)>>>;

/// Runs as a simulation of its own. `None` if there was no agreement.
fn restart(
    system: System,
    disks: Vec<(ServerId, Disk)>,
    servers: usize,
    index: LogIndex,
) -> Option<Found> {
    let network = Network::new();
    let started: Vec<(Node, Arc<dyn RaftServer>, Applied)> = disks
        .into_iter()
        .map(|(me, disk)| start(system, &network, me, servers, disk))
        .collect::<Option<_>>()?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        for (node, raft, _) in &started {
            let _ = node.run(|| raft.start(PROBE.to_vec()));
        }
        time::sleep(Duration::from_millis(100));
        for (_, _, applied) in &started {
            let applied = applied.lock();
            let agreed = applied.iter().find(|(_, (_, command))| command == PROBE);
            let Some((probe, _)) = agreed else { continue };
            return Some(match applied.get(&index) {
                Some((_, command)) if command == PROBE => Found::Nothing,
                Some((term, command)) => Found::Entry(*term, command.clone()),
                None if *probe < index => Found::Nothing,
                None => Found::Covered,
            });
        }
    }
    None
}

fn start(
    system: System,
    network: &Network,
    me: ServerId,
    servers: usize,
    disk: Disk,
) -> Option<(Node, Arc<dyn RaftServer>, Applied)> {
    let (node, raft, messages) = disk::start(system, network, me, servers, disk)?;
    let applied = Applied::default();
    let log = Arc::clone(&applied);
    drop(node.spawn(move || {
        while let Ok(message) = messages.recv() {
            if let ApplyMsg::Command { index, term, command } = message {
                log.lock().insert(index, (term, command));
            }
        }
    }));
    network.serve(&node, raft.service());
    Some((node, raft, applied))
}

/// What there is to say if it is not there.
fn lost(
    by: ServerId,
    id: EntryId,
    command: Option<&Bytes>,
    majority: &[ServerId],
    instead: Option<&(Term, Vec<u8>)>,
    when: Duration,
) -> Failure {
    let what = command.map_or(String::new(), |command| format!(" {} as", show(command)));
    let instead = match instead {
        Some((term, found)) => {
            let found = show(&Bytes::from(found.clone()));
            format!("has {found} of {term} there")
        }
        None => "has nothing there".to_owned(),
    };
    Failure::safety("an applied entry is not on the disks of a majority")
        .expected(
            "an entry is applied when a majority has stored it, so any majority that restarts from what \
             it has saved still has it (Raft 5.3, 5.4.1, Figure 2)",
        )
        .happened(format!(
            "{by} applied{what} {id}, {}; {}, restarted from copies of their disks at this instant, elected \
             a leader, which {instead}",
            at(when),
            list(majority)
        ))
        .look_at(
            "what is saved before an entry is acknowledged, which acknowledgements the leader counts, and \
             to whom a vote is granted",
        )
        .always()
}
