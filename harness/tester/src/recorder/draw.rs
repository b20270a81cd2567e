//! A run that is repeated to be recorded, and its page.

use std::sync::Arc;

use labrt::sim::{self, Backend, Config};
use labrt::time::Duration;
use raftapi::ServerId;
use timeline::model::{Event, What, micros};
use timeline::{Diagnosis, Run};

use super::{Recorder, Tape, commands, history, lines::Scribe};
use crate::lines::Lines;
use crate::report::{Attachment, Report, Verdict};
use crate::system::System;

/// Which run it was, and how it ended.
pub(crate) struct Subject<'a> {
    pub(crate) test: &'a str,
    pub(crate) title: &'a str,
    pub(crate) seed: String,
    pub(crate) system: System,
    pub(crate) servers: usize,
    /// The trace of the run that is repeated.
    pub(crate) trace: u64,
    /// Why it failed, and when.
    pub(crate) failed: Option<(Verdict, Report, Duration)>,
}

/// What a repeated run shows.
pub(crate) struct Drawing {
    /// Its page.
    pub(crate) page: Attachment,
    /// What kept it from making progress, if that can be told.
    pub(crate) diagnosis: Option<Diagnosis>,
}

/// Runs `body` once more, with a recorder, and draws what it recorded.
pub(crate) fn draw(
    config: &Config,
    subject: &Subject<'_>,
    body: impl FnOnce(&Recorder) + Send + 'static,
) -> Drawing {
    let mut run = record(config, subject, body);
    let diagnosis = Diagnosis::of(&run);
    if let (Some(diagnosis), Some(verdict)) = (&diagnosis, &mut run.verdict) {
        diagnosis.add_to(&mut verdict.happened, &mut verdict.look_at);
    }
    let page = Attachment { what: "timeline", ending: "html", text: timeline::page(&run) };
    Drawing { page, diagnosis }
}

/// Runs `body` once more, and gives what was recorded.
pub(crate) fn record(
    config: &Config,
    subject: &Subject<'_>,
    body: impl FnOnce(&Recorder) + Send + 'static,
) -> Run {
    // On one thread, so that its log lines are known to be this run's. The steps are the same.
    let config = Config { backend: Backend::Coroutines, ..config.clone() };
    let recorder = Recorder::on(subject.servers);
    let Recorder(Some(tape)) = &recorder else { unreachable!("it is on") };
    let tape = Arc::clone(tape);
    let outcome = sim::run(config, move || {
        let recording = Recording::begin(&recorder);
        body(&recorder);
        drop(recording);
    });
    let mut run = std::mem::take(&mut *tape.run.lock());
    subject.test.clone_into(&mut run.test);
    subject.title.clone_into(&mut run.title);
    run.seed.clone_from(&subject.seed);
    run.trace = format!("{:016x}", outcome.report.trace_hash);
    run.end = micros(outcome.report.virtual_time);
    for check in &mut run.checks {
        check.to = check.to.min(run.end);
    }
    if outcome.report.trace_hash != subject.trace {
        run.gaps.push("This is not the run that failed: repeated, it took other steps.".to_owned());
    }
    if tape.views.lock().hidden {
        run.gaps
            .push("Raft::view shows nothing, so roles and terms are what messages tell, and logs are not known.".to_owned());
    }
    run.gaps.push(
        "Election timers are the servers' own and not seen here; shown is how long ago each last \
         had a request."
            .to_owned(),
    );
    run.verdict =
        subject.failed.as_ref().map(|(verdict, report, at)| verdict_of(*verdict, report, *at));
    tape.saves.lock().read_into(subject.system, &mut run);
    let clients = tape.history.lock().take();
    if let Some(clients) = clients {
        let commands = commands::read(subject.system, std::mem::take(&mut tape.saves.lock().logs));
        history::add(&clients.history(), &commands, &mut run);
    }
    if tape.views.lock().hidden {
        timeline::add_derived_states(&mut run);
    }
    // Last, since others know events by their place.
    let blocked = tape.views.lock().blocked(run.end);
    for (server, since, until) in blocked {
        let place = run.events.partition_point(|event| event.at <= since);
        let what = What::Closed { until };
        run.events.insert(place, Event { at: since, server: Some(server.0), task: None, what });
    }
    run
}

fn verdict_of(kind: Verdict, report: &Report, at: Duration) -> timeline::model::Verdict {
    let Report { title, expected, happened, look_at, again } = report.clone();
    let kind = format!("{kind:?}").to_lowercase();
    timeline::model::Verdict { kind, title, expected, happened, look_at, again, at: micros(at) }
}

/// While it lives, log lines are recorded. It must not outlive the run.
struct Recording {
    tape: Arc<Tape>,
    _lines: tracing::subscriber::DefaultGuard,
}

impl Recording {
    fn begin(recorder: &Recorder) -> Recording {
        let Recorder(Some(tape)) = recorder else { unreachable!("it is on") };
        let lines = tracing::subscriber::set_default(Lines(Scribe(Arc::clone(tape))));
        Recording { tape: Arc::clone(tape), _lines: lines }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let servers = self.tape.run.lock().servers;
        (0..servers).for_each(|server| self.tape.look(ServerId(server)));
        let rafts = self.tape.views.lock().hide_all();
        drop(rafts); // their destructors may call labrt
    }
}
