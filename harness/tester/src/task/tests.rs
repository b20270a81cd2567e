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
