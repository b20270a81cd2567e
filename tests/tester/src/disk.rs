//! What a server would find on its disk if it crashed now.
//!
//! Only the server's own code understands what it saved. So a server is started from a copy of the
//! disk, alone in a run of its own that the other does not notice, and asked for its view.

use std::sync::Arc;
use std::thread;

use labrpc::Network;
use labrt::node::Node;
use labrt::sim::{self, Config};
use labrt::time::Duration;
use labrt::{channel, time};
use raft::Raft;
use raftapi::{Persister, RaftView, ServerId, SnapshotWrite};

use crate::acks::Acknowledged;
use crate::report::Failure;
use crate::text::at;

/// What a server of so many shows right after it was started from a copy of this disk; `None` if it
/// shows nothing, or does not start.
pub(crate) fn read_back(me: ServerId, servers: usize, disk: &Persister) -> Option<RaftView> {
    let (state, snapshot) = (disk.read_raft_state(), disk.read_snapshot());
    let start = move || {
        let (network, node) = (Network::new(), Node::new(&me.to_string()));
        let peers = (0..servers).map(|to| network.end(&node, &ServerId(to).to_string())).collect();
        let copy = Arc::new(Persister::new());
        copy.save(state, SnapshotWrite::Replace(snapshot));
        let (apply, _applied) = channel::unbounded();
        node.run(|| {
            let raft = Raft::new(peers, me.0, copy, apply);
            // Some read their disk in a task of their own.
            time::sleep(Duration::from_micros(10));
            raft.view()
        })
    };
    let config = Config { quiet: true, ..Config::with_seed(0) };
    #[expect(clippy::disallowed_methods, reason = "a thread can be in one run at a time")]
    let outcome = thread::scope(|scope| scope.spawn(|| sim::run(config, start)).join());
    outcome.ok()?.result.ok()?.ok()?
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
            let later = found.term > view.term;
            if later || (found.term == view.term && found.voted_for == Some(candidate)) {
                return Ok(());
            }
            let vote =
                found.voted_for.map_or("no vote".to_owned(), |who| format!("a vote for {who}"));
            (
                "a granted vote is not on the disk",
                format!("its vote in {} to {candidate}", view.term),
                format!("{}, {vote}", found.term),
            )
        }
        Acknowledged::Entries(first) => {
            let last = view.last();
            let has =
                |index| index <= found.base.index || found.term_at(index) == view.term_at(index);
            if found.term > view.term || (has(first.index) && has(last.index)) {
                return Ok(());
            }
            (
                "acknowledged entries are not on the disk",
                format!("that it has {last}"),
                format!("a log that ends at {}", found.last()),
            )
        }
        Acknowledged::Snapshot(last) => {
            if found.base.index >= last.index {
                return Ok(());
            }
            (
                "an acknowledged snapshot is not on the disk",
                format!("that it has the snapshot up to {last}"),
                format!("a log that begins after {}", found.base),
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
