//! A graded test: what it is called, what it is worth, and how it is run on many seeds.

use std::any::{Any, type_name};
use std::fmt::Display;
use std::panic::{self, Location};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use labrecord::{About, Record, Seed, pass_line};
use labrpc::Conditions;
use labrt::sim::{self, Config, Engine, FailureKind, Outcome, TaskInfo};
use labrt::time::Duration;
use parking_lot::Mutex;

use crate::artefacts;
use crate::checker::Measures;
use crate::cluster::{Cluster, ServiceKind, Setup, UNRELIABLE};
use crate::kv::KvCluster;
use crate::log;
use crate::recorder::{self, Recorder, Subject};
use crate::report::{Failure, Verdict};
use crate::settings::Settings;
use crate::supervisor::Supervisor;
use crate::text::{at, span};
use crate::unwritten;

/// What a test does with a cluster.
type Story = Arc<dyn Fn(&Cluster, &Arc<Measures>) + Send + Sync>;

/// A graded test, before it runs.
///
/// ```ignore
/// /// A leader that loses its majority is replaced (Raft 5.2).
/// #[test]
/// fn re_election() {
///     Lab::new("3A", "election after network failure", 5).servers(3).run(|cluster| {
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
    /// Where it is written.
    place: &'static Location<'static>,
}

impl Lab {
    /// Virtual time that a test may take, as in the original.
    pub const TIME_LIMIT: Duration = Duration::from_mins(2);

    /// A test of this part (`3A`) with this title, worth so many points: three servers, a reliable
    /// network, no snapshots.
    #[track_caller]
    pub const fn new(part: &'static str, title: &'static str, points: u32) -> Lab {
        let service = ServiceKind::Tester { snapshots: false };
        let setup = Setup { servers: 3, conditions: Conditions::reliable(), service };
        Lab {
            part,
            title,
            points,
            setup,
            time_limit: Lab::TIME_LIMIT,
            ignored: false,
            no_locked_calls: false,
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
        let supervisor = settings.supervised.then(Supervisor::of_this_process);
        let supervisor = supervisor.transpose().unwrap_or_else(|error| give_up(&error));
        if let Some(supervisor) = supervisor {
            settings.check_determinism |= supervisor.order().check_determinism;
            supervisor.describe(self.about(name)).unwrap_or_else(|error| give_up(&error));
        }
        let seeds: Vec<Seed> = match supervisor {
            Some(supervisor) => supervisor.order().seeds.clone(),
            None => settings.seeds_of(name).collect(),
        };
        let keep_going = supervisor.is_some_and(|supervisor| supervisor.order().keep_going);

        let mut records = Vec::new();
        for seed in seeds {
            let record = self.run_seed(name, seed, story, &settings);
            if let Some(file) = &settings.records
                && let Err(error) = record.append_to(file)
            {
                give_up(&format!("LAB_RECORDS={}: {error}", file.display()))
            }
            if let Some(supervisor) = supervisor {
                supervisor.send(&record).unwrap_or_else(|error| give_up(&error));
            }
            if let Some(report) = &record.report {
                eprintln!("{report}");
                for (what, path) in &record.artefacts {
                    eprintln!("  {what:<10} {path}");
                }
                for warning in &record.warnings {
                    eprintln!("  besides    {warning}");
                }
                // In one line, for editors that make a link of it.
                eprintln!(
                    "  test       {}:{}: {}",
                    self.place.file(),
                    self.place.line(),
                    report.title
                );
                // A task that is stuck still has its core: what came after it would be no fair run.
                if !keep_going || record.verdict == Verdict::Stuck {
                    fail()
                }
            }
            for (what, path) in record.artefacts.iter().filter(|_| record.report.is_none()) {
                eprintln!("  {what:<10} {path}");
            }
            records.push(record);
        }
        if records.iter().any(|record| record.verdict != Verdict::Pass) {
            fail()
        }
        log::print(&pass_line(&records));
    }

    fn about(self, name: &str) -> About {
        let (part, title) = (self.part.to_owned(), self.title.to_owned());
        About { test: name.to_owned(), part, title, points: self.points }
    }

    fn run_seed(self, name: &str, seed: Seed, story: &Story, settings: &Settings) -> Record {
        let again = self.again(name, seed, settings.engine);
        // On the wall clock tests run one at a time: side by side they would slow each other down.
        let _alone = (settings.engine == Engine::Real).then(|| ALONE.lock());
        let _turn = settings
            .log
            .as_ref()
            .map(|topics| log::begin(topics, &format!("{name}, seed {seed}"), self.setup.servers));
        let measures = Arc::new(Measures::default());
        let config = Config {
            time_limit: Some(self.time_limit),
            engine: settings.engine,
            backend: settings.backend,
            ..Config::with_seed(seed.0)
        };
        let body = {
            let (measures, story) = (Arc::clone(&measures), Arc::clone(story));
            move |recorder: &Recorder| {
                measures.reset();
                let cluster = Cluster::start_up(self.setup, Arc::clone(&measures), recorder);
                story(&cluster, &measures);
                cluster.finish();
            }
        };
        #[expect(clippy::disallowed_methods, reason = "wall time, outside the run")]
        let began = Instant::now();
        let outcome = if settings.check_determinism {
            let body = body.clone();
            sim::check_determinism(&config, move || body(&Recorder::default()))
        } else {
            let body = body.clone();
            Ok(sim::run(config.clone(), move || body(&Recorder::default())))
        };
        let wall = began.elapsed();

        let ended = match &outcome {
            Ok(Outcome { result: Err(end), .. }) => Some(end.at),
            _ => None,
        };
        let (failure, signature, report) = match outcome {
            Ok(Outcome { result: Ok(()), report }) => {
                let operations = match self.setup.service {
                    ServiceKind::Kv { .. } => measures.commands.load(Ordering::Relaxed),
                    ServiceKind::Tester { .. } => 0,
                };
                let failure = too_busy(&report, operations).or_else(|| self.locked_call(&report));
                let signature = failure.as_ref().map(|failure| failure.title.clone());
                (failure, signature, report)
            }
            Ok(Outcome { result: Err(end), report }) => {
                let (failure, signature) = self.explain(end);
                (Some(failure), Some(signature), report)
            }
            Err(difference) => {
                let failure = nondeterministic(&difference.to_string());
                let signature = failure.title.clone();
                (Some(failure), Some(signature), sim::Report::default())
            }
        };
        let is_drawn =
            settings.engine == Engine::Simulated && settings.timelines.include(failure.is_some());
        let timeline = is_drawn.then(|| {
            let failed = failure.as_ref().map(|failure| {
                let at = ended.unwrap_or(report.virtual_time);
                (failure.verdict, failure.report(again.clone()), at)
            });
            let (title, servers, trace) = (self.title, self.setup.servers, report.trace_hash);
            let subject =
                Subject { test: name, title, seed: seed.to_string(), servers, trace, failed };
            recorder::draw(&config, &subject, body)
        });
        let attachments = failure.iter().flat_map(|failure| &failure.attachments);
        let artefacts = artefacts::write(name, seed, attachments.chain(&timeline));
        Record {
            test: name.to_owned(),
            part: self.part.to_owned(),
            title: self.title.to_owned(),
            points: self.points,
            seed,
            verdict: failure.as_ref().map_or(Verdict::Pass, |failure| failure.verdict),
            signature,
            report: failure.map(|failure| failure.report(again)),
            virtual_seconds: report.virtual_time.as_secs_f64(),
            wall_seconds: wall.as_secs_f64(),
            servers: self.setup.servers,
            rpcs: measures.rpcs.load(Ordering::Relaxed),
            bytes: measures.bytes.load(Ordering::Relaxed),
            commands: measures.commands.load(Ordering::Relaxed),
            switches: report.switches,
            trace: format!("{:016x}", report.trace_hash),
            warnings: report.warnings,
            artefacts,
        }
    }

    /// The command that repeats a run. `--exact`, because one test's name may begin another's.
    ///
    /// On the wall clock the seed decides only part of a run; it may well pass the next time.
    fn again(self, name: &str, seed: Seed, engine: Engine) -> String {
        let ignored = if self.ignored { " --ignored" } else { "" };
        let clock = if engine == Engine::Real { "LAB_CLOCK=real " } else { "" };
        format!("{clock}LAB_SEED={seed} cargo test {name} -- --exact{ignored}")
    }

    /// What ended the run, as a failure of the test and the words to count it by.
    fn explain(self, end: sim::Failure) -> (Failure, String) {
        let sim::Failure { kind, at: when, task, message, payload } = end;
        let failure = match payload.map(<Box<dyn Any + Send>>::downcast::<Failure>) {
            Some(Ok(failure)) => *failure,
            _ => match kind {
                FailureKind::Panic => panicked(task.as_ref(), when, &message),
                FailureKind::Deadlock => deadlock(when, &message),
                FailureKind::TimeLimit => self.too_long(when, &message),
                FailureKind::Stuck => stuck(task.as_ref(), &message),
                FailureKind::TooManyTasks => too_many_tasks(when, &message),
            },
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

    /// A lock that was held across a call, if this test asks that none is.
    fn locked_call(self, report: &sim::Report) -> Option<Failure> {
        let warning = report.warnings.iter().find(|warning| warning.contains("is held across"))?;
        self.no_locked_calls.then(|| {
            Failure::liveness("a lock is held across a call")
                .expected(
                    "whoever must answer may need that lock: no lock is held while a call waits",
                )
                .happened(warning)
                .look_at("the two lines above: let go of the guard before the call")
        })
    }

    fn too_long(self, when: Duration, message: &str) -> Failure {
        Failure::liveness("the test took too long")
            .expected(format!("the test ends within {} of virtual time", span(self.time_limit)))
            .happened(format!("it was not over {}\n{message}", at(when)))
            .look_at("the tasks above: which of them waits for something that never comes")
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

fn of(task: Option<&TaskInfo>) -> String {
    task.map_or("a task".to_owned(), ToString::to_string)
}

/// Is this a task of the tester's own?
fn is_testers(task: Option<&TaskInfo>) -> bool {
    task.is_some_and(|task| task.node == "main")
}

fn panicked(task: Option<&TaskInfo>, when: Duration, message: &str) -> Failure {
    let (what, place) = message.rsplit_once(", at ").unwrap_or((message, "the message above"));
    if let Some(failure) = unwritten::failure(&of(task), when, what, place) {
        return failure;
    }
    // The tester's tasks call `start` and the like, so they run the server's code, too.
    let (verdict, title) = if is_testers(task) && !place.starts_with("raft/") {
        (Verdict::Tester, "the tester panicked")
    } else {
        (Verdict::Panic, "a server panicked")
    };
    Failure::new(verdict, title)
        .expected("no panic")
        .happened(format!("{}, {}: {what}", of(task), at(when)))
        .look_at(place)
}

fn deadlock(when: Duration, message: &str) -> Failure {
    Failure::new(Verdict::Deadlock, "deadlock")
        .expected("some task can always run, now or later")
        .happened(format!("{}: {message}", at(when)))
        .look_at(
            "the order in which locks are taken, and what is held while something is waited for",
        )
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
fn too_busy(report: &sim::Report, operations: u64) -> Option<Failure> {
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

fn nondeterministic(message: &str) -> Failure {
    Failure::new(Verdict::Nondeterministic, "one seed gave two different runs")
        .expected("all time, randomness and concurrency of a server come from labrt")
        .happened(message)
        .look_at("std's clock, threads and HashMap (labrt has its own), other sources of randomness, statics that keep something from an earlier run")
}
