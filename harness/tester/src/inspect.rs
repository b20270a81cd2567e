//! Looks into servers, at the very instants that matter, without the run noticing.
//!
//! A server is looked into when a request comes and when its answer leaves, when its own request
//! leaves and when that is answered. On a usual run, which must be fast, few of these looks are taken,
//! and the first broken rule ends the run. When a seed has failed, its run is repeated step for step:
//! then all are taken, and what is acknowledged is looked for on the disk. What that finds is the
//! first broken rule where it broke, often long before anything came of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use labrpc::{NetEvent, NetEventKind, Network};
use labrt::sim;
use labrt::time::Duration;
use parking_lot::Mutex;
use raftapi::harness::Disk as _;
use raftapi::{RaftView, RoleView, ServerId, Term};

use crate::acks::{Acknowledged, Acks};
use crate::checker::Measures;
use crate::cluster::Cluster;
use crate::disk;
use crate::following::Following;
use crate::nemesis::server;
use crate::report::Failure;
use crate::views;
use crate::views::Views;
use crate::votes::Votes;

/// What can be seen of a server at one instant.
pub(crate) struct Sight {
    pub(crate) incarnation: u32,
    pub(crate) state: (Term, bool),
    pub(crate) view: Option<RaftView>,
    /// How often it has saved something.
    pub(crate) saves: u64,
}

/// How closely a run is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// As closely as costs next to nothing. What is found ends the run.
    Usual,
    /// As closely as possible. What is found is kept for later; the run goes on as it did before.
    Thorough,
}

struct Inspector {
    care: Care,
    /// Messages sent, delivered, answered so far; and when a look is next taken.
    events: AtomicU64,
    next: AtomicU64,
    seen: Mutex<Seen>,
    measures: Arc<Measures>,
}

struct Seen {
    views: Views,
    acks: Acks,
    /// How many disks may still be read back.
    disks: usize,
}

/// On a usual run so many events go by between two looks: all looks together then cost a percent of it.
const EVENTS_PER_LOOK: u64 = 64;

/// And one more of them for so many entries of the log that was looked at, since a look takes time
/// in proportion to that.
const ENTRIES_PER_EVENT: u64 = 1;

/// To start a server from a copy of its disk takes a few tenths of a millisecond.
const DISKS: usize = 1000;

/// Looks into the servers of this cluster whenever something happens to a message.
pub(crate) fn start(cluster: &Cluster, network: &Network, measures: &Arc<Measures>, care: Care) {
    let seen = Seen {
        views: Views::new(cluster.len()),
        acks: Acks::new(cluster.len()),
        disks: if care == Care::Thorough { DISKS } else { 0 },
    };
    let inspector = Inspector {
        care,
        events: AtomicU64::new(0),
        next: AtomicU64::new(0),
        seen: Mutex::new(seen),
        measures: Arc::clone(measures),
    };
    // The network must not keep itself alive.
    let cluster = cluster.downgrade();
    network.observe(move |event| {
        if inspector.is_due()
            && let Some(cluster) = cluster.upgrade()
        {
            inspector.message(&cluster, event);
        }
    });
}

/// Holds the servers of this cluster to what they have told each other: a vote, and that they follow a
/// leader. What is found ends the run.
pub(crate) fn hold_to_promises(cluster: &Cluster, network: &Network) {
    let told = (Votes::new(cluster.len()), Following::new(cluster.len()));
    let told = Mutex::new(told);
    let cluster = cluster.downgrade();
    network.observe(move |event| {
        if let Some(cluster) = cluster.upgrade() {
            let outcome = {
                let (votes, following) = &mut *told.lock();
                followed(following, &cluster, event).and_then(|()| voted(votes, &cluster, event))
            };
            if let Err(failure) = outcome {
                failure.always().raise()
            }
        }
    });
}

/// Who follows a leader does not campaign.
fn followed(
    following: &mut Following,
    cluster: &Cluster,
    event: &NetEvent<'_>,
) -> Result<(), Failure> {
    let [Some(from), Some(to)] = [event.from, event.to].map(server) else { return Ok(()) };
    let state = |server| cluster.observe_state(server);
    match (event.kind, event.method) {
        (NetEventKind::RequestSent, "Raft.AppendEntries") => {
            following.calls(from, event.call, state, event.at);
        }
        (NetEventKind::ReplySent, "Raft.AppendEntries") => {
            following.answers(to, (event.call, from), state, event.at);
        }
        (
            NetEventKind::RequestDelivered | NetEventKind::ReplySent | NetEventKind::ReplyDiscarded,
            "Raft.AppendEntries" | "Raft.InstallSnapshot",
        ) => following.is_busy(to, event.at),
        (NetEventKind::RequestSent, "Raft.RequestVote") => {
            if let Some((term, _)) = state(from) {
                return following.campaigns(from, term, event.at);
            }
            following.campaigns_unseen(from);
        }
        _ => {}
    }
    Ok(())
}

/// A vote of which others were told stays what it is, also across a crash.
fn voted(votes: &mut Votes, cluster: &Cluster, event: &NetEvent<'_>) -> Result<(), Failure> {
    let who = match event.kind {
        NetEventKind::RequestSent => event.from,
        NetEventKind::RequestDelivered | NetEventKind::ReplySent | NetEventKind::ReplyDiscarded => {
            event.to
        }
        _ => return Ok(()),
    };
    let is_vote = event.method == "Raft.RequestVote";
    let Some(who) = server(who) else { return Ok(()) };
    let acts = matches!(event.kind, NetEventKind::RequestSent | NetEventKind::ReplySent);
    let looks = is_vote || (acts && cluster.is_new(who));
    if !looks {
        return Ok(());
    }
    if event.kind == NetEventKind::ReplyDiscarded {
        votes.unanswered(who, event.call);
        return Ok(());
    }
    let Some(Sight { incarnation, state, view, .. }) = cluster.observe(who) else {
        if event.kind == NetEventKind::RequestDelivered {
            votes.asked_unseen(who, event.call);
        }
        return Ok(());
    };
    // What contradicts what the server says is not believed.
    let view = view.filter(|view| (view.current_term, view.role == RoleView::Leader) == state);
    let it = (who, incarnation);
    if acts && let Some(view) = &view {
        cluster.is_new_no_more(who);
        votes.acts_on(it, view, event.at)?;
    }
    match (event.kind, &view, server(event.from)) {
        (NetEventKind::RequestDelivered, ..) => votes.asked(it, event.call, view.as_ref()),
        (NetEventKind::ReplySent, _, Some(from)) if is_vote => {
            votes.answered(it, (event.call, from), view.as_ref(), event.at)?;
        }
        (NetEventKind::RequestSent, Some(view), _) if is_vote => votes.asks(it, view, event.at)?,
        _ => {}
    }
    Ok(())
}

impl Inspector {
    /// Is it time for a look?
    fn is_due(&self) -> bool {
        let event = self.events.fetch_add(1, Ordering::Relaxed);
        self.care == Care::Thorough || event >= self.next.load(Ordering::Relaxed)
    }

    fn message(&self, cluster: &Cluster, event: &NetEvent<'_>) {
        let who = match event.kind {
            NetEventKind::RequestSent | NetEventKind::ReplyDelivered => event.from,
            NetEventKind::RequestDelivered
            | NetEventKind::ReplySent
            | NetEventKind::ReplyDiscarded => event.to,
            _ => return,
        };
        let Some(who) = server(who) else { return };
        let outcome = {
            let mut seen = self.seen.lock();
            let Some(sight) = cluster.observe(who) else { return seen.unseen(who, event) };
            let length = sight.view.as_ref().map_or(0, |view| view.entries.len() as u64);
            let pause = EVENTS_PER_LOOK + length / ENTRIES_PER_EVENT;
            self.next.store(self.events.load(Ordering::Relaxed) + pause, Ordering::Relaxed);
            let outcome = seen.all(cluster, who, event, sight, self.care);
            let remarks = seen.views.remarks();
            if self.care == Care::Usual && !remarks.is_empty() {
                *self.measures.remarks.lock() = remarks;
            }
            outcome
        };
        match (outcome, self.care) {
            (Ok(()), _) => {}
            (Err(failure), Care::Usual) => failure.always().raise(),
            (Err(failure), Care::Thorough) => {
                self.measures.found.lock().get_or_insert((event.at, failure));
            }
        }
    }
}

impl Seen {
    fn all(
        &mut self,
        cluster: &Cluster,
        who: ServerId,
        event: &NetEvent<'_>,
        sight: Sight,
        care: Care,
    ) -> Result<(), Failure> {
        if care == Care::Thorough {
            self.acknowledged(cluster, who, event, &sight)?;
        }
        let Sight { incarnation, state, view, .. } = sight;
        let Some(view) = view else {
            self.views.nothing();
            return Ok(());
        };
        let checked = sim::observe(|| {
            cluster.checker().ask(|history| {
                let known = (history.elections.began(state.0), &history.applied);
                self.views.saw((who, incarnation), state, view, known, event.at)
            })
        });
        // If the history is being written at this instant, there is always a next look.
        checked.unwrap_or(Ok(()))
    }
}

impl Seen {
    /// The server cannot be looked into now.
    fn unseen(&mut self, who: ServerId, event: &NetEvent<'_>) {
        match event.kind {
            NetEventKind::RequestDelivered => self.acks.asked_unseen(who, event.call),
            NetEventKind::ReplySent | NetEventKind::ReplyDiscarded => {
                self.acks.unanswered(who, event.call);
            }
            _ => {}
        }
    }

    /// What a server acknowledges it has saved. (To tell what it acknowledges takes every look.)
    fn acknowledged(
        &mut self,
        cluster: &Cluster,
        who: ServerId,
        event: &NetEvent<'_>,
        sight: &Sight,
    ) -> Result<(), Failure> {
        let Sight { incarnation, view, saves, .. } = sight;
        match (event.kind, server(event.from)) {
            (NetEventKind::RequestDelivered, _) => {
                self.acks.asked((who, *incarnation), event.call, *saves, view.clone());
            }
            (NetEventKind::ReplyDiscarded, _) => self.acks.unanswered(who, event.call),
            (NetEventKind::ReplySent, Some(from)) => {
                let call = (event.call, from);
                let told = self.acks.answered(who, call, *saves, view.as_ref(), event.at)?;
                if let (Some(told), Some(view)) = (told, view)
                    && self.disks > 0
                {
                    self.disks -= 1;
                    on_disk(cluster, who, told, view, event.at)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// What was acknowledged is what the server would find on its disk if it crashed now.
fn on_disk(
    cluster: &Cluster,
    server: ServerId,
    told: Acknowledged,
    view: &RaftView,
    now: Duration,
) -> Result<(), Failure> {
    let Some(disk) = sim::observe(|| cluster.persister(server)) else { return Ok(()) };
    match disk::read_back(cluster.setup().system, server, cluster.len(), &disk) {
        Some(found) => disk::holds(server, told, view, &found, now),
        None => Ok(()),
    }
}

impl Cluster {
    /// What can be seen of a server at this instant, without the run noticing; `None` if it is down
    /// or has its lock closed.
    pub(crate) fn observe(&self, server: ServerId) -> Option<Sight> {
        sim::observe(|| {
            let (node, raft, persister) = self.running(server)?;
            Some(Sight {
                incarnation: node.incarnation(),
                state: raft.get_state(),
                view: views::of(&*raft),
                saves: persister.saves(),
            })
        })?
    }

    /// The same, but its term and whether it leads only: that takes no time, however long its log.
    pub(crate) fn observe_state(&self, server: ServerId) -> Option<(Term, bool)> {
        sim::observe(|| Some(self.running(server)?.1.get_state()))?
    }
}
