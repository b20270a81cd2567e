//! A graded test: what it is called, what it is worth, and how it is run on many seeds.

use std::any::type_name;
use std::fmt::Display;
use std::panic::{self, Location};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use labrecord::{About, Broken, Record, Seed, effort_line, fail_line, pass_line};
use labrpc::Conditions;
use labrt::sim::Engine;
use labrt::time::Duration;
use parking_lot::Mutex;

use crate::artefacts;
use crate::checker::Measures;
use crate::cluster::{Cluster, ServiceKind, Setup, UNRELIABLE};
use crate::effort::{self, Load};
use crate::kv::KvCluster;
use crate::log;
use crate::recorder::Drawing;
use crate::replay::{BadReplay, Replay};
use crate::report::{Attachment, Verdict};
use crate::run::{How, Run, Story, Test};
use crate::search::{self, Limits};
use crate::settings::Settings;
use crate::shrink::shrink;
use crate::supervisor::Supervisor;
use crate::system::System;
use crate::unwritten;

/// A graded test, before it runs.
///
/// ```ignore
/// /// A leader that loses its majority is replaced (Raft 5.2).
/// #[test]
/// fn re_election() {
///     lab("3A", "election after network failure", 5).servers(3).run(|cluster| {
///         let old = cluster.expect_one_leader();
///         cluster.disconnect(old);
///         cluster.expect_one_leader();
///     });
/// }
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "a test does nothing before `run`"]
pub struct Lab {
    part: &'static str,
    title: &'static str,
    points: u32,
    setup: Setup,
    time_limit: Duration,
    ignored: bool,
    no_locked_calls: bool,
    /// What the seed makes of the cluster, if that is for it to choose.
    setup_of: Option<fn(System, Seed) -> Setup>,
    /// The story is run again and again, with forced choices: so far, if nothing else is said.
    limits: Option<Limits>,
    /// Where it is written.
    place: &'static Location<'static>,
}

impl Lab {
    /// Virtual time that a test may take, as in the original.
    pub const TIME_LIMIT: Duration = Duration::from_mins(2);

    /// A test of this part (`3A`) with this title, worth so many points: three servers, a reliable
    /// network, no snapshots.
    #[track_caller]
    pub const fn new(system: System, part: &'static str, title: &'static str, points: u32) -> Lab {
        let service = ServiceKind::Tester { snapshots: false };
        let setup = Setup { system, servers: 3, conditions: Conditions::reliable(), service };
        Lab {
            part,
            title,
            points,
            setup,
            time_limit: Lab::TIME_LIMIT,
            ignored: false,
            no_locked_calls: false,
            setup_of: None,
            limits: None,
            place: Location::caller(),
        }
    }

    /// So many servers.
    pub const fn servers(self, servers: usize) -> Lab {
        Lab { setup: Setup { servers, ..self.setup }, ..self }
    }

    /// A network that delays, loses and repeats messages: [`UNRELIABLE`].
    pub const fn unreliable(self) -> Lab {
        Lab { setup: Setup { conditions: UNRELIABLE, ..self.setup }, ..self }
    }

    /// A service that takes a snapshot every ten commands.
    pub const fn snapshots(self) -> Lab {
        let service = ServiceKind::Tester { snapshots: true };
        Lab { setup: Setup { service, ..self.setup }, ..self }
    }

    /// Servers of the key/value service, which keep their saved Raft state within so many bytes; `None`
    /// for no limit and no snapshots. To be run with [`run_kv`](Self::run_kv).
    pub const fn kv(self, max_raft_state: Option<usize>) -> Lab {
        let service = ServiceKind::Kv { max_raft_state };
        Lab { setup: Setup { service, ..self.setup }, ..self }
    }

    /// Another limit of virtual time.
    pub const fn time_limit(self, time_limit: Duration) -> Lab {
        Lab { time_limit, ..self }
    }

    /// A lock held across a call fails the test, even if nothing came of it. (Otherwise it is named
    /// below the report of a test that failed for another reason.)
    pub const fn no_locked_calls(self) -> Lab {
        Lab { no_locked_calls: true, ..self }
    }

    /// The seed chooses what the cluster is made of.
    pub(crate) const fn setup_by_seed(self, setup_of: fn(System, Seed) -> Setup) -> Lab {
        Lab { setup_of: Some(setup_of), ..self }
    }

    /// Each seed is not one run but a search, so far if the environment says nothing else.
    pub(crate) const fn searched(self, limits: Limits) -> Lab {
        Lab { limits: Some(limits), ..self }
    }

    /// This test as it is on this seed.
    fn on(self, seed: Seed, test: &Test) -> (Lab, Test) {
        let setup = self.setup_of.map_or(self.setup, |setup_of| setup_of(self.setup.system, seed));
        (Lab { setup, ..self }, Test { setup, ..test.clone() })
    }

    /// The test is marked `#[ignore]`, so the command that repeats it must ask for that.
    pub const fn ignored(self) -> Lab {
        Lab { ignored: true, ..self }
    }

    /// Runs the story on every seed that the environment asks for, each time with a new cluster.
    /// Prints one line if all pass; the first failure ends the test.
    ///
    /// # Panics
    ///
    /// If a run fails, after printing its report, or if a `LAB_` variable is not understood.
    pub fn run<F: Fn(&Cluster) + Send + Sync + 'static>(self, story: F) {
        // All the rest is compiled once, and not anew for each test.
        let name = test_name(type_name::<F>());
        self.run_story(&name, &(Arc::new(move |cluster: &Cluster, _: &_| story(cluster)) as Story));
    }

    /// The same for a test of Lab 4.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run); and if [`kv`](Self::kv) was not called.
    pub fn run_kv<F: Fn(&KvCluster) + Send + Sync + 'static>(self, story: F) {
        let name = test_name(type_name::<F>());
        let story = move |cluster: &Cluster, measures: &Arc<Measures>| {
            let kv = KvCluster::of(cluster, Arc::clone(measures));
            story(&kv);
            kv.finish();
        };
        self.run_story(&name, &(Arc::new(story) as Story));
    }

    fn run_story(self, name: &str, story: &Story) {
        let mut settings = Settings::from_env().unwrap_or_else(|error| give_up(&error));
        let test = Test {
            name: name.to_owned(),
            title: self.title,
            setup: self.setup,
            story: Arc::clone(story),
            time_limit: self.time_limit,
            no_locked_calls: self.no_locked_calls,
        };
        if let Some(file) = &settings.replay {
            return self.replay(&test, file, &settings);
        }
        let supervisor = settings.supervised.then(Supervisor::of_this_process);
        let supervisor = supervisor.transpose().unwrap_or_else(|error| give_up(&error));
        if let Some(supervisor) = supervisor {
            settings.check_determinism |= supervisor.order().check_determinism;
            supervisor.describe(self.about(name)).unwrap_or_else(|error| give_up(&error));
        }
        let seeds: Vec<Seed> = match supervisor {
            Some(supervisor) => supervisor.order().seeds.clone(),
            None if self.limits.is_some() => settings.seeds_of(name).take(1).collect(),
            None => settings.seeds_of(name).collect(),
        };
        let keep_going = supervisor.is_some_and(|supervisor| supervisor.order().keep_going);

        let mut records = Vec::new();
        for seed in seeds {
            let record = self.run_seed(&test, seed, &settings);
            keep(&record, &settings);
            if let Some(supervisor) = supervisor {
                supervisor.send(&record).unwrap_or_else(|error| give_up(&error));
            }
            self.say(&record);
            // A task that is stuck still has its core: what came after it would be no fair run.
            let ends_it = !keep_going || record.verdict == Verdict::Stuck;
            if record.verdict != Verdict::Pass && ends_it {
                fail()
            }
            records.push(record);
        }
        if records.iter().any(|record| record.verdict != Verdict::Pass) {
            fail()
        }
        log::print(&pass_line(&records));
        if let Some(line) = effort_line(records.iter().filter_map(|record| record.cpu)) {
            log::print(&format!("  {line}\n"));
        }
    }

    /// Runs it on a seed. If it fails, there is a closer look at it.
    fn run_seed(self, test: &Test, seed: Seed, settings: &Settings) -> Record {
        let (lab, test) = self.on(seed, test);
        match self.limits {
            Some(limits) => lab.search_on(&test, seed, settings, settings.search.limits(limits)),
            None => lab.run_seed_on(&test, seed, settings),
        }
    }

    /// Runs it with one choice forced after the other. The record is that of the run that failed, or of the
    /// usual one.
    fn search_on(self, test: &Test, seed: Seed, settings: &Settings, limits: Limits) -> Record {
        let found = search::search(test, seed, settings, limits);
        let coverage = found.coverage();
        let how = How { kept: found.kept(), ..How::usual(settings) };
        let run = self.run_once(test, seed, &how);
        let mut again = self.again(&test.name, &format!("LAB_SEED={seed}"), settings.engine);
        let file = run.failure.as_ref().map(|_| found.keep(test, seed, &run));
        if let Some(file) = &file {
            again = self.again(&test.name, &format!("LAB_REPLAY={file}"), settings.engine);
        }
        if run.failure.is_none() {
            log::print(&format!("{}: {coverage}\n", test.name));
        }
        run.measures.notes.lock().push(coverage);
        let timeline = draw(test, seed, &how, &run, &again);
        self.record(test, seed, &run, again, timeline.as_ref())
    }

    fn run_seed_on(self, test: &Test, seed: Seed, settings: &Settings) -> Record {
        let again = self.again(&test.name, &format!("LAB_SEED={seed}"), settings.engine);
        let how = How::usual(settings);
        let run = self.run_once(test, seed, &how);
        let timeline = draw(test, seed, &how, &run, &again);
        let mut record = self.record(test, seed, &run, again, timeline.as_ref());
        // A supervisor runs many seeds, and does not want to wait.
        let failed = run.failure.as_ref().is_some_and(|failure| !unwritten::is(failure));
        if failed && !settings.supervised {
            if settings.shrink.is_some() {
                log::print(&fail_line(&record));
            }
            if let Some(again) = run_again(test, seed, &run, settings) {
                record.broken_before = broken_before(&run, &again);
                record.shrunk = shrink(test, seed, &again, settings);
            }
        }
        record
    }

    /// Repeats the run in a file.
    fn replay(self, test: &Test, file: &Path, settings: &Settings) {
        let replay: Replay = std::fs::read_to_string(artefacts::place(file))
            .map_err(|error| error.to_string())
            .and_then(|text| text.parse().map_err(|error: BadReplay| error.to_string()))
            .unwrap_or_else(|error| give_up(&format!("LAB_REPLAY={}: {error}", file.display())));
        if replay.test != test.name {
            give_up(&format!(
                "LAB_REPLAY={} is a run of {test}: cargo test {test} -- --exact",
                file.display(),
                test = replay.test
            ));
        }
        let how = How { kept: replay.kept, ..How::usual(settings) };
        let (lab, test) = self.on(replay.seed, test);
        let run = lab.run_once(&test, replay.seed, &how);
        let which = format!("LAB_REPLAY={}", file.display());
        let again = self.again(&test.name, &which, settings.engine);
        // Beside that of the whole run.
        let timeline = draw(&test, replay.seed, &how, &run, &again).map(|timeline| Drawing {
            page: Attachment { ending: "replay.html", ..timeline.page },
            ..timeline
        });
        let record = lab.record(&test, replay.seed, &run, again, timeline.as_ref());
        keep(&record, settings);
        self.say(&record);
        if run.failure.is_some() {
            fail()
        }
        log::print(&pass_line(&[record]));
    }

    fn about(self, name: &str) -> About {
        let lab = match self.setup.service {
            ServiceKind::Tester { .. } => "raft",
            ServiceKind::Kv { .. } => "kvraft",
        };
        let (test, lab) = (name.to_owned(), lab.to_owned());
        let (part, title) = (self.part.to_owned(), self.title.to_owned());
        About { test, lab, part, title, points: self.points }
    }

    /// Runs it, in turn with others if need be.
    fn run_once(self, test: &Test, seed: Seed, how: &How) -> Run {
        // On the wall clock tests run one at a time: side by side they would slow each other down.
        let _alone = (how.settings.engine == Engine::Real).then(|| ALONE.lock());
        let heading = format!("{}, seed {seed}", test.name);
        let _turn = how.settings.log.as_ref().map(|log| {
            log::begin(log, &heading, self.setup.servers).unwrap_or_else(|error| {
                let file = log.file.as_deref().unwrap_or(Path::new("")).display();
                give_up(&format!("LAB_LOG_FILE={file}: {error}"))
            })
        });
        test.run(seed, how)
    }

    fn record(
        self,
        test: &Test,
        seed: Seed,
        run: &Run,
        again: String,
        timeline: Option<&Drawing>,
    ) -> Record {
        let Run { failure, signature, report, measures, .. } = run;
        let attachments = failure.iter().flat_map(|failure| &failure.attachments);
        let page = timeline.map(|timeline| &timeline.page);
        let mut five_lines = failure.as_ref().map(|failure| failure.report(again));
        if let (Some(report), Some(diagnosis)) =
            (&mut five_lines, timeline.and_then(|timeline| timeline.diagnosis.as_ref()))
        {
            diagnosis.add_to(&mut report.happened, &mut report.look_at);
        }
        Record {
            test: test.name.clone(),
            part: self.part.to_owned(),
            title: self.title.to_owned(),
            points: self.points,
            seed,
            verdict: failure.as_ref().map_or(Verdict::Pass, |failure| failure.verdict),
            signature: signature.clone(),
            report: five_lines,
            virtual_seconds: report.virtual_time.as_secs_f64(),
            wall_seconds: run.wall.as_secs_f64(),
            servers: self.setup.servers,
            rpcs: measures.rpcs.load(Ordering::Relaxed),
            bytes: measures.bytes.load(Ordering::Relaxed),
            commands: measures.commands.load(Ordering::Relaxed),
            switches: report.switches,
            trace: format!("{:016x}", report.trace_hash),
            warnings: [
                report.warnings.as_slice(),
                &measures.remarks.lock(),
                &measures.notes.lock(),
                search::list(&run.happened.points).as_slice(),
            ]
            .concat(),
            artefacts: artefacts::write(&test.name, seed, attachments.chain(page)),
            broken_before: None,
            environment: measures.environment.lock().clone(),
            coverage: measures
                .coverage
                .lock()
                .as_ref()
                .map(|coverage| coverage.by_name())
                .unwrap_or_default(),
            shrunk: None,
            budgets: measures.budgets.lock().clone(),
            cpu: self.cpu(run),
        }
    }

    /// CPU time of a run, and what the reference would have needed for it.
    fn cpu(self, run: &Run) -> Option<(u64, u64)> {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Measures { rpcs, bytes, commands, lives, .. } = &*run.measures;
        let load = Load {
            servers: self.setup.servers,
            length: run.report.virtual_time,
            rpcs: count(rpcs),
            bytes: count(bytes),
            commands: count(commands),
            lives: count(lives),
        };
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Some((micros(run.cpu?), micros(effort::of_the_reference(load)?)))
    }

    /// Prints all that is known of a run, unless it is that it passed.
    fn say(self, record: &Record) {
        let line = |what: &str, text: &str| eprintln!("  {what:<10} {text}");
        if let Some(report) = &record.report {
            eprintln!("{report}");
        }
        if let Some(broken) = &record.broken_before {
            line("before", &broken.to_string());
        }
        for (what, path) in &record.artefacts {
            line(what, path);
        }
        let Some(report) = &record.report else { return };
        let effort = effort_line(record.cpu);
        for warning in record.warnings.iter().chain(&record.environment).chain(&effort) {
            line("besides", warning);
        }
        if let Some(shrunk) = &record.shrunk {
            line("shrunk", &shrunk.to_string());
            let file = format!("LAB_REPLAY={}", shrunk.replay);
            line("replay", &self.again(&record.test, &file, Engine::Simulated));
        }
        // In one line, for editors that make a link of it.
        let (file, number) = (self.place.file(), self.place.line());
        line("test", &format!("{file}:{number}: {}", report.title));
    }

    /// The command that repeats a run. `--exact`, because one test's name may begin another's.
    ///
    /// On the wall clock the seed decides only part of a run; it may well pass the next time.
    fn again(self, name: &str, which: &str, engine: Engine) -> String {
        let ignored = if self.ignored { " --ignored" } else { "" };
        let clock = if engine == Engine::Real { "LAB_CLOCK=real " } else { "" };
        format!("{clock}{which} cargo test {name} -- --exact{ignored}")
    }
}

/// The timeline of a run, if one is wanted.
fn draw(test: &Test, seed: Seed, how: &How, run: &Run, again: &str) -> Option<Drawing> {
    let Settings { engine, timelines, .. } = how.settings;
    let is_drawn = engine == Engine::Simulated && timelines.include(run.failure.is_some());
    is_drawn.then(|| {
        let report = run.failure.as_ref().map(|failure| failure.report(again.to_owned()));
        test.draw(seed, how, run, report)
    })
}

/// The run of a seed that failed once more, step for step, with a list of what happens and a thorough
/// look at everything; `None` if that makes no sense, or it does not fail in the same way.
fn run_again(test: &Test, seed: Seed, run: &Run, settings: &Settings) -> Option<Run> {
    let failure = run.failure.as_ref()?;
    let repeats =
        !matches!(failure.verdict, Verdict::Stuck | Verdict::Nondeterministic | Verdict::Tester);
    if !repeats || settings.engine == Engine::Real {
        return None;
    }
    let usual = How::usual(&Settings { check_determinism: false, ..settings.clone() });
    let again = test.run(seed, &How { record: true, quiet: true, ..usual });
    (again.failure == run.failure).then_some(again)
}

/// The first rule that was broken, if that was before what the run failed of.
fn broken_before(run: &Run, again: &Run) -> Option<Broken> {
    let (when, failure) = again.measures.found.lock().clone()?;
    let same = run.failure.as_ref().is_some_and(|last| last.title == failure.title);
    (!same && when < run.report.virtual_time).then_some(Broken {
        virtual_seconds: when.as_secs_f64(),
        title: failure.title,
        happened: failure.happened,
    })
}

/// Adds the record to those of other runs, if they are kept.
fn keep(record: &Record, settings: &Settings) {
    if let Some(file) = &settings.records
        && let Err(error) = record.append_to(file)
    {
        give_up(&format!("LAB_RECORDS={}: {error}", file.display()))
    }
}

/// Held by the test that runs on the wall clock.
static ALONE: Mutex<()> = Mutex::new(());

/// `raft_3A::re_election`, from the type of the story: `lab::raft_3A::re_election::{{closure}}`.
/// Better than the thread's name, which is `main` if tests run one after the other.
fn test_name(story: &str) -> String {
    assert!(
        story.ends_with("{{closure}}"),
        "`run` takes a closure written in the test, not {story}"
    );
    let path = story.split_once("::").map_or(story, |(_crate, path)| path);
    path.split("::{{").next().unwrap_or(path).to_owned()
}

/// Fails the test because it cannot be run as the environment asks.
fn give_up(error: &dyn Display) -> ! {
    eprintln!("{error}");
    fail()
}

/// Fails the test without a second message: the report has been printed.
fn fail() -> ! {
    panic::resume_unwind(Box::new("the report is above"))
}
