//! What a server would find on its disk if it crashed now.
//!
//! Only the server's own code understands what it saved. So a server is started from a copy of the
//! disk, in a run of its own that the other does not notice, and asked for its view.

use std::sync::Arc;
use std::thread;

use labrpc::{ClientEnd, Network};
use labrt::channel::{self, Receiver};
use labrt::node::Node;
use labrt::sim::{self, Config};
use labrt::time::{self, Duration};
use raftapi::{ApplyMsg, EntryId, LogIndex, Persister, RaftView, ServerId, SnapshotWrite};

use crate::acks::Acknowledged;
use crate::report::Failure;
use crate::system::{RaftServer, System};
use crate::text::at;
use crate::views;

/// One server's disk: its Raft state and its snapshot.
pub(crate) type Disk = (Vec<u8>, Vec<u8>);

/// What is on a disk now.
pub(crate) fn copy(disk: &Persister) -> Disk {
    (disk.read_raft_state(), disk.read_snapshot())
}

/// Starts server `me` of so many from a copy of a disk, on a node of its own; `None` if it does not start.
/// It is not served on the network yet.
pub(crate) fn start(
    system: System,
    network: &Network,
    me: ServerId,
    servers: usize,
    (state, snapshot): Disk,
) -> Option<(Node, Arc<dyn RaftServer>, Receiver<ApplyMsg>)> {
    let node = Node::new(&me.to_string());
    let peers: Vec<ClientEnd> =
        (0..servers).map(|to| network.end(&node, &ServerId(to).to_string())).collect();
    let disk = Arc::new(Persister::new());
    disk.save(state, SnapshotWrite::Replace(snapshot));
    let (apply, applies) = channel::unbounded();
    let raft = node.run(|| (system.raft)(peers, me.0, disk, apply)).ok()?;
    Some((node, raft, applies))
}

/// Does something in a run of its own, which the run that goes on does not notice. `None` if it goes
/// wrong: then it goes wrong outside, too, and is reported there.
pub(crate) fn aside<T: Send + 'static>(
    seed: u64,
    run: impl FnOnce() -> Option<T> + Send + 'static,
) -> Option<T> {
    let config = Config { quiet: true, ..Config::with_seed(seed) };
    #[expect(clippy::disallowed_methods, reason = "a thread can be in one run at a time")]
    let outcome = thread::scope(|scope| scope.spawn(|| sim::run(config, run)).join());
    outcome.ok()?.result.ok()?
}

/// What a server of so many shows right after it was started from a copy of this disk; `None` if it
/// shows nothing, or does not start.
pub(crate) fn read_back(
    system: System,
    me: ServerId,
    servers: usize,
    disk: &Persister,
) -> Option<RaftView> {
    let disk = copy(disk);
    aside(0, move || Some(view_of(system, &Network::new(), me, servers, disk)?.1))
}

/// The same, in the run that is going on; and the node on which it was started.
pub(crate) fn view_of(
    system: System,
    network: &Network,
    me: ServerId,
    servers: usize,
    disk: Disk,
) -> Option<(Node, RaftView)> {
    let (node, raft, _applies) = start(system, network, me, servers, disk)?;
    // Some read their disk in a task of their own.
    time::sleep(Duration::from_micros(10));
    let view = node.run(|| views::of(&*raft)).ok()??;
    Some((node, view))
}

/// What the server has told others must be among what is `found` on its disk.
///
/// # Errors
///
/// If it is not.
pub(crate) fn holds(
    server: ServerId,
    told: Acknowledged,
    view: &RaftView,
    found: &RaftView,
    now: Duration,
) -> Result<(), Failure> {
    let (title, what, found) = match told {
        Acknowledged::Vote(candidate) => {
            let later = found.current_term > view.current_term;
            if later
                || (found.current_term == view.current_term && found.voted_for == Some(candidate))
            {
                return Ok(());
            }
            let vote =
                found.voted_for.map_or("no vote".to_owned(), |who| format!("a vote for {who}"));
            (
                "a granted vote is not on the disk",
                format!("its vote in {} to {candidate}", view.current_term),
                format!("{}, {vote}", found.current_term),
            )
        }
        Acknowledged::Entries(first) => {
            let last = view.last();
            let has = |index| {
                index <= found.last_included.index || found.term_at(index) == view.term_at(index)
            };
            let mut told = (first.index.0..=last.index.0).map(LogIndex);
            if found.current_term > view.current_term {
                return Ok(());
            }
            let Some(lacks) = told.find(|index| !has(*index)) else { return Ok(()) };
            let range = |from: EntryId, to: EntryId| {
                if from == to { to.to_string() } else { format!("{from} to {to}") }
            };
            let end = found.last();
            let there = found.term_at(lacks).map_or_else(
                || format!("a log that ends at {end}"),
                |term| {
                    let other = EntryId { term, index: lacks };
                    let rest = if other == end {
                        String::new()
                    } else {
                        format!(", in a log that ends at {end}")
                    };
                    let told = view.term_at(lacks).map(|term| EntryId { term, index: lacks });
                    let told = told.map_or(String::new(), |told| format!(" where it told {told}"));
                    format!("{other}{told}{rest}")
                },
            );
            (
                "acknowledged entries are not on the disk",
                format!("that it has {}", range(first, last)),
                there,
            )
        }
        Acknowledged::Snapshot(last) => {
            if found.last_included.index >= last.index {
                return Ok(());
            }
            (
                "an acknowledged snapshot is not on the disk",
                format!("that it has the snapshot up to {last}"),
                format!("a log that begins after {}", found.last_included),
            )
        }
    };
    Err(Failure::safety(title)
        .expected("a server that crashes after it has answered still knows what it answered (Raft Figure 2)")
        .happened(format!(
            "{server} has told {what}, {}; started from a copy of its disk at this instant it has {found}",
            at(now)
        ))
        .look_at("what is saved, when relative to the change, and what is read back at a start"))
}

#[cfg(test)]
mod tests {
    use raftapi::{RoleView, Term};

    use super::*;

    fn view(terms: &[u64]) -> RaftView {
        RaftView {
            current_term: Term(9),
            role: RoleView::Follower { leader: None },
            voted_for: None,
            last_included: EntryId::default(),
            entries: terms.iter().map(|term| Term(*term)).collect(),
            commit_index: LogIndex(0),
            last_applied: LogIndex(0),
            followers: Vec::new(),
        }
    }

    /// What is said of a server that has acknowledged its entries from this index on.
    fn told(from: u64, memory: &[u64], disk: &[u64]) -> Option<String> {
        let first = EntryId { term: Term(0), index: LogIndex(from) };
        let memory = view(memory);
        let first = EntryId { term: memory.term_at(first.index).unwrap(), ..first };
        let told = Acknowledged::Entries(first);
        let result = holds(ServerId(1), told, &memory, &view(disk), Duration::from_secs(2));
        result.err().map(|failure| failure.happened)
    }

    #[test]
    fn what_is_not_on_the_disk_is_named() {
        assert_eq!(told(2, &[1, 2, 2], &[1, 2, 2, 2]), None);
        let copy = "at 2.000 s; started from a copy of its disk at this instant it has";
        assert_eq!(
            told(2, &[1, 2, 2], &[1]),
            Some(format!(
                "S1 has told that it has T2:i2 to T2:i3, {copy} a log that ends at T1:i1"
            ))
        );
        assert_eq!(
            told(3, &[1, 2, 2], &[1, 2]),
            Some(format!("S1 has told that it has T2:i3, {copy} a log that ends at T2:i2"))
        );
        // The last entries are equal, and the one before is another: both are said.
        assert_eq!(
            told(2, &[1, 2, 3], &[1, 1, 3]),
            Some(format!(
                "S1 has told that it has T2:i2 to T3:i3, {copy} T1:i2 where it told T2:i2, in a log that \
                 ends at T3:i3"
            ))
        );
        assert_eq!(
            told(3, &[1, 2, 3], &[1, 2, 2]),
            Some(format!("S1 has told that it has T3:i3, {copy} T2:i3 where it told T3:i3"))
        );
    }
}
