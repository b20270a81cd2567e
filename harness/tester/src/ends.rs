//! Ends of a run that no check foresaw, in the words of a report.

use labrt::sim::{self, FailureKind, TaskInfo};
use labrt::time::Duration;

use crate::kv::is_client;
use crate::report::{Failure, Verdict};
use crate::text::{at, span};
use crate::unwritten;

/// The failure that the end of a run was.
pub(crate) fn unforeseen(
    kind: FailureKind,
    when: Duration,
    task: Option<&TaskInfo>,
    message: &str,
    time_limit: Duration,
) -> Failure {
    match kind {
        FailureKind::Panic => panicked(task, when, message),
        FailureKind::Deadlock => deadlock(when, message),
        FailureKind::TimeLimit => too_long(when, message, time_limit),
        FailureKind::Stuck => stuck(task, message),
        FailureKind::TooManyTasks => too_many_tasks(when, message),
    }
}

fn too_long(when: Duration, message: &str, time_limit: Duration) -> Failure {
    Failure::liveness("the test took too long")
        .expected(format!("the test ends within {} of virtual time", span(time_limit)))
        .happened(format!("it was not over {}\n{message}", at(when)))
        .look_at("the tasks above: which of them waits for something that never comes")
}

/// A lock that was held across a call.
pub(crate) fn locked_call(report: &sim::Report) -> Option<Failure> {
    let warning = report.warnings.iter().find(|warning| warning.contains("is held across"))?;
    Some(
        Failure::liveness("a lock is held across a call")
            .expected("whoever must answer may need that lock: no lock is held while a call waits")
            .happened(warning)
            .look_at("the two lines above: let go of the guard before the call"),
    )
}

fn of(task: Option<&TaskInfo>) -> String {
    task.map_or("a task".to_owned(), ToString::to_string)
}

/// Is this panic one of the tester's own code? The tester's tasks call `start` and the like, and so run
/// the student's code, too, but always as visitors of a server's or client's node. The tester's code runs
/// on these nodes as well: its service, and what a client is told to do.
fn is_testers(task: Option<&TaskInfo>, place: &str) -> bool {
    task.is_some_and(|task| task.node == "main")
        || place.starts_with("tests/")
        || place.starts_with("harness/")
}

fn panicked(task: Option<&TaskInfo>, when: Duration, message: &str) -> Failure {
    let (what, place) = message.rsplit_once(", at ").unwrap_or((message, "the message above"));
    if let Some(failure) = unwritten::failure(&of(task), when, what, place) {
        return failure;
    }
    let (verdict, title) = if is_testers(task, place) {
        (Verdict::Tester, "the tester panicked")
    } else if task.is_some_and(|task| is_client(&task.node)) {
        (Verdict::Panic, "a clerk panicked")
    } else {
        (Verdict::Panic, "a server panicked")
    };
    Failure::new(verdict, title)
        .expected("no panic")
        .happened(format!("{}, {}: {what}", of(task), at(when)))
        .look_at(place)
        .always()
}

fn deadlock(when: Duration, message: &str) -> Failure {
    Failure::new(Verdict::Deadlock, "deadlock")
        .expected("some task can always run, now or later")
        .happened(format!("{}: {message}", at(when)))
        .look_at(
            "the order in which locks are taken, and what is held while something is waited for",
        )
        .always()
}

fn stuck(task: Option<&TaskInfo>, message: &str) -> Failure {
    Failure::new(Verdict::Stuck, "a task is stuck")
        .expected("every task comes back to labrt: it waits in labrt, and its loops end")
        .happened(format!("{}: {message}", of(task)))
        .look_at("endless loops, and waits that are not labrt's (std's or another crate's locks, channels, sleeps)")
}

fn too_many_tasks(when: Duration, message: &str) -> Failure {
    Failure::budget("too many tasks")
        .expected("tasks end when their work is done, also while the network is down")
        .happened(format!("{}: {message}", at(when)))
        .look_at("what spawns tasks in a loop, and what ends them")
}

/// A run in which tasks never rested. The simulation charges a microsecond for every switch, so
/// this is a loop that polls without waiting.
pub(crate) fn too_busy(report: &sim::Report, operations: u64) -> Option<Failure> {
    let seconds = report.virtual_time.as_secs() + 1;
    let most = SWITCHES_PER_SECOND * seconds + SWITCHES_PER_OPERATION * operations;
    (report.switches > most).then(|| {
        Failure::budget("servers are busy doing nothing")
            .expected(format!(
                "less than {SWITCHES_PER_SECOND} switches between tasks in a second, and \
                 {SWITCHES_PER_OPERATION} for each operation of a client: a task that has nothing to \
                 do waits"
            ))
            .happened(format!(
                "{} switches in {seconds} s with {operations} operations",
                report.switches
            ))
            .look_at("loops that look again and again whether there is something to do")
    })
}

/// The busiest test of a right server needs a fifth of that.
const SWITCHES_PER_SECOND: u64 = 100_000;

/// Seven servers need a fifth of that.
const SWITCHES_PER_OPERATION: u64 = 500;

pub(crate) fn nondeterministic(message: &str) -> Failure {
    Failure::new(Verdict::Nondeterministic, "one seed gave two different runs")
        .expected("all time, randomness and concurrency of a server come from labrt")
        .happened(message)
        .look_at("std's clock, threads and HashMap (labrt has its own), other sources of randomness, statics that keep something from an earlier run")
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use super::*;

    #[test]
    fn a_panic_is_of_whom_the_task_worked_for() {
        let report = |node: &str, place: &str| {
            let task = TaskInfo {
                serial: 1,
                name: None,
                node: node.to_owned(),
                spawned_at: Location::caller(),
            };
            let failure = panicked(Some(&task), Duration::ZERO, &format!("no entry, at {place}"));
            (failure.verdict, failure.title)
        };
        let std = "/rustc/0123/library/alloc/src/collections/btree/map.rs:1:1";
        let server = (Verdict::Panic, "a server panicked".to_owned());
        for place in ["raft/src/raft.rs:1:1", "kvraft/src/server.rs:1:1", std] {
            assert_eq!(report("S1", place), server);
        }
        let clerk = (Verdict::Panic, "a clerk panicked".to_owned());
        for place in ["kvraft/src/clerk.rs:1:1", std] {
            assert_eq!(report("C0", place), clerk);
        }
        let tester = (Verdict::Tester, "the tester panicked".to_owned());
        assert_eq!(report("main", std), tester);
        assert_eq!(report("S1", "harness/tester/src/service.rs:1:1"), tester);
        assert_eq!(report("C0", "tests/lab/kvraft_4A.rs:1:1"), tester);
    }
}
