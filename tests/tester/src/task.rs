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
mod tests {
    use labrt::node::Node;
    use labrt::sim::{self, Config};
    use labrt::time::{self, Duration};

    use super::*;

    #[test]
    fn a_name_does_not_make_a_task_the_testers() {
        let outcome = sim::run(Config::with_seed(1), || {
            let node = Node::new("S0");
            let started = node.run(|| {
                start("service", || time::sleep(Duration::from_secs(1)));
                let pretends = Builder::new().name("tester: service".to_owned());
                drop(pretends.spawn(|| time::sleep(Duration::from_secs(1))));
            });
            started.expect("nobody kills it");
            node.tasks().iter().map(|task| is_testers(&task.info)).collect::<Vec<_>>()
        });
        assert_eq!(outcome.result.expect("it ends"), [true, false]);
    }
}
