//! `grade sweep`: the graded tests on many seeds, on all cores.
//!
//! The runs are cut into chunks: one test, some of its seeds. Each core takes the next chunk and
//! gives it to a test process, round after round, so that all tests come on at the same pace and a
//! sweep that is cut short says something about each.

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use labrecord::{About, Record, Seed, Verdict};

use crate::campaign_log::Log;
use crate::cargo::Build;
use crate::process::Limits;
use crate::say::say;
use crate::shard::Shard;
use crate::suite::{self, TestBinary};
use crate::tally::{Plan, Sweep};
use crate::trial::Trial;
use crate::{duration, hash, parallel, process, workspace};

/// Run tests on many seeds, on all cores: how sure can I be?
///
/// Each test runs on the seeds that `cargo test` would give it, and on as many more as are asked for.
/// Ctrl-C ends the sweep and prints what it has come to.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Parts or tests, such as 3A or `raft_3A::re_election`, and `torture` or one of its campaigns; all that
    /// are graded, if nothing is said.
    tests: Vec<String>,
    /// Seeds of each test. With --time, no limit unless one is given.
    #[arg(long, short = 'n')]
    runs: Option<u64>,
    /// Seeds that nobody has debugged on. The system draws them, and the first line says how to repeat
    /// them: --fresh=WORD.
    #[arg(long, value_name = "WORD", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    fresh: Option<String>,
    /// Processes at a time; as many as cores, if nothing is said.
    #[arg(long, short)]
    jobs: Option<NonZeroUsize>,
    /// Stop at the first failure.
    #[arg(long)]
    until_fail: bool,
    /// Stop after this time, such as 90s, 10m or 8h.
    #[arg(long, value_parser = duration::parse)]
    time: Option<Duration>,
    /// Do only this part of it, such as 3/8. Read from the environment inside a Slurm job array, a
    /// Kubernetes indexed Job, or wherever `GRADE_SHARD_INDEX` (from 0) and `GRADE_SHARD_COUNT` are set.
    #[arg(long)]
    shard: Option<Shard>,
    /// Write the result here, as JSON, for `grade merge`.
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// Add a line of JSON for each run to this file: its seed, what that chose of the world, what it met.
    #[arg(long)]
    log: Option<PathBuf>,
    /// Build with this cargo profile.
    #[arg(long, default_value = "release")]
    profile: String,
    /// The workspace, or a folder in it.
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

/// Seeds of each test, if nothing is said.
const RUNS: u64 = 100;

/// Seeds that a process gets at most: starting it costs as much as one of the shortest runs.
const CHUNK: u64 = 20;

/// Wall time that a chunk may take: of a right server, some take seconds.
const CHUNK_WALL: Duration = Duration::from_mins(10);

/// Sweeps.
///
/// # Errors
///
/// If the tests cannot be built or run, or the options make no sense.
pub fn run(options: &Options) -> Result<ExitCode> {
    let shard = match options.shard {
        Some(shard) => shard,
        None => match Shard::from_environment(|name| std::env::var(name).ok())? {
            Some((shard, variable)) => {
                eprintln!("part {shard} of the sweep, says {variable}");
                shard
            }
            None => Shard::WHOLE,
        },
    };
    let stop = stop_at_signals()?;
    ensure!(options.runs != Some(0), "--runs 0 runs nothing");
    let fresh = match options.fresh.as_deref() {
        Some("") => {
            let drawn = hash::secret()?[..8].to_owned();
            ensure!(shard == Shard::WHOLE, "all parts of a sweep need one word: --fresh={drawn}");
            Some(drawn)
        }
        word => word.map(str::to_owned),
    };
    if let Some(word) = &fresh {
        say(&format!("fresh seeds; --fresh={word} repeats them\n"));
    }
    let runs = options.runs.or(options.time.is_none().then_some(RUNS));
    let root = workspace::find(&options.root)?;
    let sources = hash::of_files(&workspace::read(&root)?);
    let binary = Build { root, profile: options.profile.clone(), frozen: false }.tests()?;
    let tests = suite::select(&binary.graded_and_campaigns()?, &options.tests)?;
    let abouts = process::describe(binary.command(), &tests)?;

    let sweep = Sweep::new(Plan { sources, runs, fresh: fresh.clone() }, shard, &abouts);
    let jobs = parallel::jobs(options.jobs);
    let deck = Deck::new(&abouts, shard, runs, jobs).with(fresh.as_deref());
    let began = Instant::now();
    let workers = Workers {
        binary: &binary,
        deck: &deck,
        deadline: options.time.map(|time| began + time),
        until_fail: options.until_fail,
        stop: &stop,
        bar: progress_bar(runs.map(|_| deck.len())),
        sweep: Mutex::new(sweep),
        log: options.log.as_deref().map(Log::open).transpose()?,
    };
    workers.work(jobs)?;
    let mut sweep = workers.sweep.into_inner().unwrap_or_else(PoisonError::into_inner);
    sweep.cut_short = runs.is_none_or(|_| sweep.runs() < deck.len());

    say(&sweep.table());
    say(&sums(&sweep, began.elapsed(), jobs));
    if let Some(out) = &options.out {
        write(&sweep, out)?;
    }
    Ok(if sweep.failures() > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Writes a sweep to a file.
pub(crate) fn write(sweep: &Sweep, out: &PathBuf) -> Result<()> {
    let text = serde_json::to_string_pretty(sweep)? + "\n";
    fs::write(out, text).with_context(|| out.display().to_string())
}

/// The last lines: how many runs, and what they took.
fn sums(sweep: &Sweep, wall: Duration, jobs: usize) -> String {
    let each: u64 = sweep.tests.values().map(|tally| tally.wall_time.sum).sum();
    let each = Duration::from_micros(each).as_secs_f64();
    let wall = wall.as_secs_f64();
    format!(
        "\n{} runs, {} failed{}; {wall:.1} s on {jobs} {}, {each:.1} s one after the other: {:.2} times as fast\n",
        sweep.runs(),
        sweep.failures(),
        if sweep.cut_short { ", cut short" } else { "" },
        if jobs == 1 { "process" } else { "processes" },
        each / wall.max(1e-9),
    )
}

/// Set by Ctrl-C, or by whoever ends a batch job. The second time ends this process at once.
pub(crate) fn stop_at_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}

/// Hidden where standard error is no terminal.
fn progress_bar(length: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
    let template = match length {
        Some(_) => "{wide_bar} {pos}/{len} runs, {elapsed} of about {duration}  {msg}",
        None => "{spinner} {pos} runs, {elapsed}  {msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Deals out chunks: for each round, one of each test.
struct Deck<'a> {
    abouts: &'a [About],
    shard: Shard,
    runs: Option<u64>,
    /// What fresh seeds are drawn from.
    fresh: Option<&'a str>,
    /// Runs of a chunk.
    chunk: usize,
    /// The next chunk: from this run on, of this test.
    next: Mutex<(u64, usize)>,
}

impl<'a> Deck<'a> {
    fn new(abouts: &'a [About], shard: Shard, runs: Option<u64>, jobs: usize) -> Deck<'a> {
        // Many cores and few runs: each core has some chunks of the longest test, so that none is left
        // with it in the end.
        let each = runs.map_or(CHUNK, |runs| runs / shard.count / (2 * jobs as u64));
        let chunk = usize::try_from(each.clamp(1, CHUNK)).unwrap_or(1);
        Deck { abouts, shard, runs, fresh: None, chunk, next: Mutex::new((0, 0)) }
    }

    fn with(self, fresh: Option<&'a str>) -> Deck<'a> {
        Deck { fresh, ..self }
    }

    fn seed(&self, test: &str, n: u64) -> Seed {
        match self.fresh {
            None => Seed::derived(test, n),
            Some(word) => hash::seed(word, test, n),
        }
    }

    /// How many runs there are, if their number is limited.
    fn len(&self) -> u64 {
        let mine = (0..self.runs.unwrap_or(0)).filter(|n| self.shard.has(*n)).count();
        mine as u64 * self.abouts.len() as u64
    }

    fn draw(&self) -> Option<(&About, Vec<Seed>)> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let (from, test) = *next;
        let mine = (from..self.runs.unwrap_or(u64::MAX)).filter(|n| self.shard.has(*n));
        let chunk: Vec<u64> = mine.take(self.chunk).collect();
        let last = *chunk.last()?;
        let about = &self.abouts[test];
        *next = if test + 1 < self.abouts.len() { (from, test + 1) } else { (last + 1, 0) };
        let seeds = chunk.into_iter().map(|n| self.seed(&about.test, n)).collect();
        Some((about, seeds))
    }
}

struct Workers<'a> {
    binary: &'a TestBinary,
    deck: &'a Deck<'a>,
    deadline: Option<Instant>,
    until_fail: bool,
    stop: &'a AtomicBool,
    bar: ProgressBar,
    sweep: Mutex<Sweep>,
    log: Option<Log>,
}

impl Workers<'_> {
    fn work(&self, jobs: usize) -> Result<()> {
        let results: Vec<Result<()>> = thread::scope(|scope| {
            let clock = scope.spawn(|| self.watch_the_clock());
            let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(|| self.take_chunks())).collect();
            let results = workers.into_iter().map(ScopedJoinHandle::join);
            let results =
                results.map(|result| result.unwrap_or_else(|_| panic!("a worker panicked")));
            let results = results.collect();
            self.bar.finish_and_clear();
            clock.thread().unpark();
            results
        });
        results.into_iter().collect()
    }

    /// Ends the sweep at its deadline.
    fn watch_the_clock(&self) {
        let Some(deadline) = self.deadline else { return };
        while !self.bar.is_finished() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.stop.store(true, Ordering::Relaxed);
                return;
            }
            thread::park_timeout(left);
        }
    }

    fn take_chunks(&self) -> Result<()> {
        let result = self.take_chunks_until_stopped();
        if result.is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
        result
    }

    fn take_chunks_until_stopped(&self) -> Result<()> {
        while !self.stop.load(Ordering::Relaxed)
            && let Some((about, seeds)) = self.deck.draw()
        {
            let limits = Limits { wall: CHUNK_WALL, print: 0, stop: self.stop };
            let trial = Trial { about, seeds: &seeds, check_determinism: false, limits };
            let mut written = Ok(());
            trial.run(
                || Ok(self.binary.command()),
                |record| {
                    if let Err(error) = self.add(&record) {
                        self.stop.store(true, Ordering::Relaxed);
                        written = Err(error);
                    }
                },
            )?;
            written?;
        }
        Ok(())
    }

    fn add(&self, record: &Record) -> Result<()> {
        let mut sweep = self.sweep.lock().unwrap_or_else(PoisonError::into_inner);
        sweep.add(record);
        self.bar.inc(1);
        if record.verdict != Verdict::Pass {
            self.bar.set_message(format!("{} failed", sweep.failures()));
            if self.until_fail {
                self.stop.store(true, Ordering::Relaxed);
            }
        }
        self.log.as_ref().map_or(Ok(()), |log| log.add(record))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn abouts() -> Vec<About> {
        ["raft_3A::one", "raft_3A::two", "raft_3B::three"]
            .map(|test| About {
                test: test.to_owned(),
                lab: "raft".to_owned(),
                part: "3A".to_owned(),
                title: "a title".to_owned(),
                points: 5,
            })
            .to_vec()
    }

    /// The sizes of all chunks of each test.
    fn sizes(deck: &Deck) -> BTreeMap<String, Vec<usize>> {
        let mut sizes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        while let Some((about, seeds)) = deck.draw() {
            sizes.entry(about.test.clone()).or_default().push(seeds.len());
        }
        sizes
    }

    #[test]
    fn every_run_is_dealt_once() {
        let abouts = abouts();
        for (runs, jobs, count) in [(1, 1, 1), (7, 3, 2), (1000, 2, 1), (1000, 64, 8)] {
            let mut dealt = Vec::new();
            for number in 1..=count {
                let deck = Deck::new(&abouts, Shard { number, count }, Some(runs), jobs);
                let length = deck.len();
                let drawn = std::iter::from_fn(|| deck.draw());
                let before = dealt.len();
                dealt.extend(drawn.flat_map(|(about, seeds)| {
                    seeds.into_iter().map(|seed| (about.test.clone(), seed))
                }));
                assert_eq!((dealt.len() - before) as u64, length);
            }
            let all = abouts.iter().flat_map(|about| {
                (0..runs).map(|n| (about.test.clone(), Seed::derived(&about.test, n)))
            });
            let mut all: Vec<_> = all.collect();
            all.sort();
            dealt.sort();
            assert_eq!(dealt, all);
        }
    }

    #[test]
    fn fresh_seeds_are_those_of_their_word() {
        let abouts = abouts();
        let drawn = |word| {
            let deck = Deck::new(&abouts, Shard::WHOLE, Some(50), 2).with(word);
            std::iter::from_fn(|| deck.draw()).flat_map(|(_, seeds)| seeds).collect::<Vec<_>>()
        };
        assert_eq!(drawn(Some("a")), drawn(Some("a")));
        for other in [None, Some("b")] {
            let other = drawn(other);
            assert!(drawn(Some("a")).iter().all(|seed| !other.contains(seed)));
        }
    }

    /// Starting a process costs little, and no core waits long for another.
    #[test]
    fn chunks_are_large_unless_cores_are_many() {
        let abouts = abouts();
        let sizes = |runs, jobs| sizes(&Deck::new(&abouts, Shard::WHOLE, Some(runs), jobs));
        assert_eq!(sizes(1000, 2)["raft_3A::one"], [20; 50]);
        assert_eq!(sizes(100, 16)["raft_3A::two"][..33], [3; 33]);
        assert_eq!(sizes(100, 64)["raft_3B::three"], [1; 100]);
    }

    /// A sweep that is cut short says something about each test.
    #[test]
    fn all_tests_come_on_at_the_same_pace() {
        let abouts = abouts();
        let deck = Deck::new(&abouts, Shard::WHOLE, None, 2);
        let drawn: Vec<_> = std::iter::from_fn(|| deck.draw()).take(6).collect();
        let tests: Vec<&str> = drawn.iter().map(|(about, _)| &*about.test).collect();
        let names: Vec<&str> = abouts.iter().map(|about| &*about.test).collect();
        assert_eq!(tests, [&names[..], &names[..]].concat());
        assert!(drawn.iter().all(|(_, seeds)| seeds.len() == 20));
    }
}
