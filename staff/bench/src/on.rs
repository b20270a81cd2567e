use labrt::sim::{self, Backend, Config, Engine, Preempt};

use crate::Clock;

/// What a story runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// The simulation, its tasks being coroutines.
    Coroutines,
    /// The simulation, its tasks being OS threads that pass a baton.
    Baton,
    /// The real engine.
    Real,
}

impl On {
    /// The clock that sees all of the work, and as little else as possible.
    pub fn clock(self) -> Clock {
        match self {
            On::Coroutines => Clock::Thread,
            On::Baton | On::Real => Clock::Process,
        }
    }

    /// Runs a story to its end, without preemption, so that every run does the same.
    pub fn run<T: Send + 'static>(self, story: impl FnOnce() -> T + Send + 'static) -> T {
        let (engine, backend) = match self {
            On::Coroutines => (Engine::Simulated, Backend::Coroutines),
            On::Baton => (Engine::Simulated, Backend::Threads),
            On::Real => (Engine::Real, Backend::Coroutines),
        };
        let config = Config {
            engine,
            backend,
            preempt: Preempt::Probability(0.0),
            max_tasks: 1_000_000,
            ..Config::with_seed(1)
        };
        sim::run(config, story).result.expect("a story of a benchmark ends well")
    }
}
