//! What the tests share.

use labrt::sim::{Backend, Config, Engine, run};

/// Runs a scenario under many seeds: what holds must hold under every schedule. Some of them run on
/// both backends, which must agree on every step.
#[track_caller]
#[allow(dead_code, reason = "not every test file uses it")]
pub(crate) fn for_many_seeds(scenario: impl Fn() + Clone + Send + 'static) {
    for seed in 0..200 {
        let outcome = run(Config::with_seed(seed), scenario.clone());
        if let Err(failure) = outcome.result {
            panic!("seed {seed}: {failure}");
        }
        assert_eq!(outcome.report.warnings, Vec::<String>::new(), "seed {seed}");
        if seed < 3 {
            let config = Config { backend: Backend::Threads, ..Config::with_seed(seed) };
            let other = run(config, scenario.clone());
            assert_eq!(other.report, outcome.report, "seed {seed}: the backends differ");
        }
    }
}

/// Runs a scenario on OS threads and the wall clock.
#[track_caller]
#[allow(dead_code, reason = "not every test file uses it")]
pub(crate) fn really<T: Send + 'static>(scenario: impl FnOnce() -> T + Send + 'static) -> T {
    let outcome = run(Config { engine: Engine::Real, ..Config::with_seed(1) }, scenario);
    assert_eq!(outcome.report.warnings, Vec::<String>::new());
    match outcome.result {
        Ok(value) => value,
        Err(failure) => panic!("{failure}"),
    }
}
