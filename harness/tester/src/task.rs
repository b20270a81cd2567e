//! The tester's own tasks, which carry its name in every report.

use labrt::sim::TaskInfo;
use labrt::thread::Builder;

/// Starts a task of the tester, on the node of whoever calls.
pub(crate) fn start(name: &str, task: impl FnOnce() + Send + 'static) {
    let started = Builder::new().name(format!("tester: {name}")).spawn(task);
    drop(started.expect("a simulation can start a task"));
}

/// Was this task started by [`start`]? Its name does not say so: a student's task may have the same.
pub(crate) fn is_testers(task: &TaskInfo) -> bool {
    task.spawned_at.file() == file!()
}

#[cfg(test)]
mod tests; // in a file of its own: its tasks are not started here
