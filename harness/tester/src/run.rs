//! One run of a test on a seed, and what came of it.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use labrecord::Seed;
use labrt::sim::{self, Config, Outcome};
use labrt::time::Duration;

use crate::checker::Measures;
use crate::choices::{Choices, Happened, Kept};
use crate::cluster::{Cluster, ServiceKind, Setup};
use crate::ends;
use crate::recorder::{self, Drawing, Recorder, Subject};
use crate::report::{Failure, Report, Verdict};
use crate::settings::Settings;

/// What a test does with a cluster.
pub(crate) type Story = Arc<dyn Fn(&Cluster, &Arc<Measures>) + Send + Sync>;

/// A test that can be run on any seed.
#[derive(Clone)]
pub(crate) struct Test {
    /// Its path, such as `raft_3A::re_election`.
    pub(crate) name: String,
    /// What it is about, in a few words.
    pub(crate) title: &'static str,
    pub(crate) setup: Setup,
    pub(crate) story: Story,
    /// Virtual time that it may take.
    pub(crate) time_limit: Duration,
    pub(crate) no_locked_calls: bool,
}

/// How to run it.
#[derive(Debug, Clone)]
pub(crate) struct How {
    pub(crate) settings: Settings,
    /// What is left of the run.
    pub(crate) kept: Kept,
    /// Keep a list of what happens.
    pub(crate) record: bool,
    /// Panics print nothing.
    pub(crate) quiet: bool,
    /// Less than the test's own limit of virtual time.
    pub(crate) time_limit: Option<Duration>,
}

impl How {
    /// As the environment asks for.
    pub(crate) fn usual(settings: &Settings) -> How {
        How {
            settings: settings.clone(),
            kept: Kept::EVERYTHING,
            record: false,
            quiet: false,
            time_limit: None,
        }
    }
}

/// What came of a run.
pub(crate) struct Run {
    pub(crate) failure: Option<Failure>,
    /// The failure in words that are the same for the same kind of failure.
    pub(crate) signature: Option<String>,
    /// When it failed, on its own clock, if that was not found out in retrospect.
    pub(crate) ended: Option<Duration>,
    pub(crate) report: sim::Report,
    pub(crate) measures: Arc<Measures>,
    pub(crate) happened: Happened,
    pub(crate) wall: std::time::Duration,
    /// CPU time, if that can be told.
    pub(crate) cpu: Option<Duration>,
}

impl Test {
    /// Runs it on a thread of its own, to its end.
    pub(crate) fn run(&self, seed: Seed, how: &How) -> Run {
        let measures = Arc::new(Measures::default());
        let choices = Arc::new(Choices::new(how.kept.clone(), how.record));
        let (config, body) = (self.config(seed, how), self.body(&measures, &choices));
        let body = move || body(&Recorder::default());
        #[expect(clippy::disallowed_methods, reason = "wall time, outside the run")]
        let began = Instant::now();
        let outcome = if how.settings.check_determinism {
            sim::check_determinism(&config, body)
        } else {
            Ok(sim::run(config, body))
        };
        let wall = began.elapsed();

        let cpu = outcome.as_ref().ok().and_then(|outcome| outcome.cpu);
        let ended = match &outcome {
            Ok(Outcome { result: Err(end), .. }) => Some(end.at),
            _ => None,
        };
        let (failure, signature, report) = match outcome {
            Ok(Outcome { result: Ok(()), report, .. }) => {
                let failure = self.in_retrospect(&report, &measures);
                let signature = failure.as_ref().map(|failure| failure.title.clone());
                (failure, signature, report)
            }
            Ok(Outcome { result: Err(end), report, .. }) => {
                let (failure, signature) = self.explain(end);
                (Some(failure), Some(signature), report)
            }
            Err(difference) => {
                let failure = ends::nondeterministic(&difference.to_string());
                let signature = failure.title.clone();
                (Some(failure), Some(signature), sim::Report::default())
            }
        };
        Run { failure, signature, ended, report, measures, happened: choices.happened(), wall, cpu }
    }

    /// Runs it once more, with a recorder, and draws what it recorded; `failed` is the report of that run.
    pub(crate) fn draw(&self, seed: Seed, how: &How, run: &Run, failed: Option<Report>) -> Drawing {
        let failed = run.failure.as_ref().zip(failed).map(|(failure, report)| {
            (failure.verdict, report, run.ended.unwrap_or(run.report.virtual_time))
        });
        let subject = Subject {
            test: &self.name,
            title: self.title,
            seed: seed.to_string(),
            system: self.setup.system,
            servers: self.setup.servers,
            trace: run.report.trace_hash,
            failed,
        };
        let choices = Arc::new(Choices::new(how.kept.clone(), false));
        let body = self.body(&Arc::default(), &choices);
        let config = Config { quiet: true, ..self.config(seed, how) }; // all has been said
        recorder::draw(&config, &subject, body)
    }

    fn config(&self, seed: Seed, how: &How) -> Config {
        let own_limit = self.time_limit;
        let time_limit = how.time_limit.map_or(own_limit, |limit| limit.min(own_limit));
        Config {
            name: self.name.clone(),
            time_limit: Some(time_limit),
            engine: how.settings.engine,
            backend: how.settings.backend,
            quiet: how.quiet,
            ..Config::with_seed(seed.0)
        }
    }

    /// What the main task does.
    fn body(
        &self,
        measures: &Arc<Measures>,
        choices: &Arc<Choices>,
    ) -> impl Fn(&Recorder) + Clone + Send + Sync + 'static {
        let (measures, choices) = (Arc::clone(measures), Arc::clone(choices));
        let (story, setup) = (Arc::clone(&self.story), self.setup);
        move |recorder: &Recorder| {
            measures.reset();
            choices.reset();
            let (measures, choices) = (Arc::clone(&measures), Arc::clone(&choices));
            let cluster = Cluster::start_up(&setup, Arc::clone(&measures), choices, recorder);
            story(&cluster, &measures);
            cluster.finish();
        }
    }

    /// What is wrong with a run that came to its end.
    fn in_retrospect(&self, report: &sim::Report, measures: &Measures) -> Option<Failure> {
        let operations = match self.setup.service {
            ServiceKind::Kv { .. } => measures.commands.load(Ordering::Relaxed),
            ServiceKind::Tester { .. } => 0,
        };
        ends::too_busy(report, operations)
            .or_else(|| self.no_locked_calls.then(|| ends::locked_call(report)).flatten())
    }

    /// What ended the run early, and the words to count it by.
    fn explain(&self, end: sim::Failure) -> (Failure, String) {
        let sim::Failure { kind, at, task, message, payload } = end;
        let failure = match payload.map(<Box<dyn Any + Send>>::downcast::<Failure>) {
            Some(Ok(failure)) => *failure,
            _ => ends::unforeseen(kind, at, task.as_ref(), &message, self.time_limit),
        };
        // A panic is known by its place, which is the end of its message's first line.
        let place = match failure.verdict {
            Verdict::Panic | Verdict::Tester => {
                message.lines().next().and_then(|line| line.rsplit_once(", at "))
            }
            _ => None,
        };
        let signature = match place {
            Some((_, place)) => format!("{} at {place}", failure.title),
            None => failure.title.clone(),
        };
        (failure, signature)
    }
}
