//! What was promised is on the disk (Figure 2, "Updated on stable storage before responding to RPCs").

use crate::model::Role;
use crate::replay::State;

use super::talk::{Message, Method, Way};
use super::{Act, Report, Rule, Scene};

pub(super) struct Promises {
    /// Size of the snapshot on each server's disk.
    snapshots: Vec<usize>,
}

impl Promises {
    pub(super) fn new(servers: usize) -> Promises {
        Promises { snapshots: vec![0; servers] }
    }

    pub(super) fn saved(&mut self, report: &mut Report, snapshot: usize) {
        let server = report.server;
        if snapshot == 0 && self.snapshots[server] > 0 {
            let text = format!("S{server} saves without the snapshot that it had saved");
            report.add((Rule::Persistence, Act::Save), 0, None, text);
        }
        self.snapshots[server] = snapshot;
    }
}

/// From a crash to the first look after it.
pub(super) fn remembers(report: &mut Report, old: &State, new: &State) {
    let server = report.server;
    let rule = (Rule::Persistence, Act::Restart);
    if new.term < old.term {
        let text = format!("S{server} restarts in T{}; it had been in T{}", new.term, old.term);
        report.add(rule, old.term, None, text);
    }
    if let Some(vote) = old.vote.filter(|_| new.term == old.term && new.vote != old.vote) {
        let text = format!("S{server} restarts without its vote for S{vote} in T{}", new.term);
        report.add(rule, new.term, None, text);
    }
    // What it had not told anybody may be gone; what it knew to be committed may not.
    let index = old.commit.min(old.last().0);
    if let Some(term) = old.term_at(index)
        && !new.holds(index, term)
    {
        let text = format!(
            "S{server} restarts with a log up to {}; it had committed T{term}:i{index}",
            new.last().0
        );
        report.add(rule, new.term, Some(index), text);
    }
}

/// A server has spoken: whatever that rests on is on its disk by now.
pub(super) fn message(scene: &Scene, report: &mut Report, message: &Message) {
    let (server, other) = (scene.server, message.other);
    let peer = &scene.replay.servers[server];
    let (memory, Some(disk)) = (&peer.memory, &peer.disk) else { return };
    let asks = message.way == Way::RequestLeaves
        && message.method == Method::Vote
        && memory.role == Role::Candidate
        && message.request.term.is_none_or(|term| term == memory.term);
    // It has gone on since it was last looked at: its lock was taken.
    if disk.term > memory.term || !(asks || message.way == Way::ReplyLeaves) {
        return;
    }
    let of_log = message.method == Method::Append && memory.role == Role::Follower;
    let unsaved = if memory.term != disk.term {
        format!("its term, T{}; there it is T{}", memory.term, disk.term)
    } else if let (Some(vote), true) = (memory.vote, memory.vote != disk.vote) {
        let there = disk.vote.map_or("none".to_owned(), |vote| format!("one for S{vote}"));
        format!("its vote for S{vote} in T{}; there is {there}", memory.term)
    } else if message.method == Method::Install && disk.base.0 < memory.base.0 {
        format!("the snapshot up to i{}; there is one up to i{}", memory.base.0, disk.base.0)
    } else if of_log && memory.last() != disk.last() {
        let ((index, term), (on_disk, disk_term)) = (memory.last(), disk.last());
        format!("its log up to T{term}:i{index}; there it ends with T{disk_term}:i{on_disk}")
    } else {
        return;
    };
    let does = if asks { "asks" } else { "answers" };
    let text = format!("S{server} {does} S{other} by what is not on its disk: {unsaved}");
    report.add((Rule::Persistence, Act::Save), memory.term, None, text);
}
