//! The tester's own tasks, which carry its name in every report.

use labrt::thread::Builder;

/// Starts a task of the tester, on the node of whoever calls.
pub(crate) fn start(name: &str, task: impl FnOnce() + Send + 'static) {
    let started = Builder::new().name(format!("tester: {name}")).spawn(task);
    drop(started.expect("a simulation can start a task"));
}
