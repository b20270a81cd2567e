//! When all is over, what is left of a server's tasks: few while there is nothing to do, and after
//! `kill()` none that goes on.
//!
//! Of `kill()` it is demanded that it ends what a server does of its own accord. A call that is under
//! way may return first, a sleep may end, a message may still be handed over: so much is waited for. A
//! task that waits for what never comes does no harm but for its memory, so a few of these may be left,
//! as many as a server has by design: one for each peer, say, and some more. (The original's servers
//! leave such threads, too.) A loop that goes on is a mistake: it sends, saves, or wakes for ever.

use labrt::node::LiveTask;
use labrt::sim;
use labrt::time::{self, Duration};
use raftapi::ServerId;

use crate::cluster::Cluster;
use crate::report::Failure;
use crate::task;
use crate::text::{at, span};

/// Servers that have nothing to do have so many tasks at most: far more than one for each peer and each
/// duty, far less than one for each command.
const AT_REST: usize = 200;

/// After `kill()`, by when whatever was under way is over.
const WINDING_UP: Duration = Duration::from_secs(5);

/// So many tasks may wait for ever after that, and two more for each server.
const LEFT_WAITING: usize = 8;

/// Each server is at rest; and none goes on when it is killed. They are down afterwards.
pub(super) fn expect_an_end(cluster: &Cluster) {
    if !sim::active() {
        return; // there nobody can tell
    }
    for server in cluster.servers() {
        let tasks = tasks_of(cluster, server);
        if tasks.len() > AT_REST {
            too_many(server, &tasks).raise();
        }
    }
    let killed = sim::elapsed();
    cluster.servers().for_each(|server| cluster.kill_by_its_api(server));
    time::sleep(WINDING_UP);
    for server in cluster.servers() {
        let tasks = tasks_of(cluster, server);
        let (going_on, waiting): (Vec<_>, Vec<_>) =
            tasks.into_iter().partition(|task| task.goes_on);
        let most = LEFT_WAITING + 2 * cluster.len();
        if !going_on.is_empty() {
            goes_on(server, killed, &going_on).raise();
        }
        if waiting.len() > most {
            left_waiting(server, killed, &waiting, most).raise();
        }
    }
    cluster.servers().for_each(|server| cluster.crash(server));
}

/// Those of the server itself.
fn tasks_of(cluster: &Cluster, server: ServerId) -> Vec<LiveTask> {
    let Some((node, ..)) = cluster.running(server) else { return Vec::new() };
    let is_its_own = |task: &LiveTask| !task::is_testers(&task.info);
    node.tasks().into_iter().filter(is_its_own).collect()
}

fn too_many(server: ServerId, tasks: &[LiveTask]) -> Failure {
    Failure::budget("tasks that never end")
        .expected(format!("a server with nothing to do has at most {AT_REST} tasks"))
        .happened(format!("{server} has {}, {}: {}", tasks.len(), at(sim::elapsed()), some(tasks)))
        .look_at("what each task waits for, and what ends it")
}

fn goes_on(server: ServerId, killed: Duration, tasks: &[LiveTask]) -> Failure {
    Failure::budget("a task goes on after kill()")
        .expected(format!(
            "kill() ends a server's tasks, each at its next step: {} later none runs or has set \
             itself a time (Raft API)",
            span(WINDING_UP)
        ))
        .happened(format!(
            "{server} was killed {}; {} {} of its tasks go on: {}",
            at(killed),
            at(sim::elapsed()),
            tasks.len(),
            some(tasks)
        ))
        .look_at("what each loop looks at before it goes on")
}

fn left_waiting(server: ServerId, killed: Duration, tasks: &[LiveTask], most: usize) -> Failure {
    Failure::budget("tasks that kill() leaves")
        .expected(format!(
            "kill() ends a server's tasks; {most} at most may wait for what does not come any more"
        ))
        .happened(format!(
            "{server} was killed {}; {} {} of its tasks wait: {}",
            at(killed),
            at(sim::elapsed()),
            tasks.len(),
            some(tasks)
        ))
        .look_at("who wakes what waits when the server is killed")
}

/// The first of them.
fn some(tasks: &[LiveTask]) -> String {
    let one = |task: &LiveTask| match (task.waits_for, task.at) {
        (Some(what), Some(at)) => {
            format!("{} waits for {what} at {}:{}", task.info, at.file(), at.line())
        }
        (Some(what), None) => format!("{} waits for {what}", task.info),
        (None, _) => format!("{} can run", task.info),
    };
    let more = if tasks.len() > 3 { ", ..." } else { "" };
    tasks.iter().take(3).map(one).collect::<Vec<_>>().join(", ") + more
}
