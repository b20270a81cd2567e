//! The environment variables that steer a run, and what each accepts.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::path::PathBuf;

use labrecord::Seed;
use labrt::sim::{Backend, Engine};
use labrt::time::Duration;

use crate::search::Limits;
use crate::topics::Topics;

/// How often each test runs, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Which seeds.
    pub seeds: Seeds,
    /// Where records are appended (`LAB_RECORDS`).
    pub records: Option<PathBuf>,
    /// Seeds come from a supervisor, and records go to it (`LAB_SUPERVISOR=stdin`).
    pub supervised: bool,
    /// What is printed of each run.
    pub log: Option<LogSettings>,
    /// The run in this file, and no other (`LAB_REPLAY`).
    pub replay: Option<PathBuf>,
    /// A run that fails is reduced, in this time at most; `None` if not (`LAB_SHRINK`).
    pub shrink: Option<Duration>,
    /// How far a search goes.
    pub search: SearchSettings,
    /// Which runs are drawn (`LAB_TRACE`).
    pub timelines: Timelines,
    /// Run each seed twice and compare (`LAB_CHECK=determinism`).
    pub check_determinism: bool,
    /// A simulation, or OS threads and the wall clock (`LAB_CLOCK=real`).
    pub engine: Engine,
    /// What the simulation's tasks are made of (`LAB_BACKEND=threads`).
    pub backend: Backend,
    /// Servers show what they are in, if they can; not with `LAB_VIEW=no`.
    pub view: bool,
}

/// Which seeds a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seeds {
    /// This one (`LAB_SEED`).
    One(Seed),
    /// So many, derived from the test's name (`LAB_RUNS`).
    Derived(u64),
}

/// Of which runs a timeline is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timelines {
    /// Of those that fail.
    Failures,
    /// Of all (`LAB_TRACE=always`).
    Always,
    /// Of none (`LAB_TRACE=never`).
    Never,
}

impl Seeds {
    fn read(
        get: impl Fn(&'static str) -> Option<String>,
        engine: Engine,
    ) -> Result<Seeds, BadSetting> {
        let mut seeds = Seeds::Derived(match engine {
            Engine::Simulated => Settings::DEFAULT_RUNS,
            Engine::Real => Settings::DEFAULT_REAL_RUNS,
        });
        if let Some(value) = get("LAB_RUNS") {
            let accepted = "it takes a number of seeds, 1 or more";
            match value.parse() {
                Ok(runs) if runs > 0 => seeds = Seeds::Derived(runs),
                _ => return Err(BadSetting::new("LAB_RUNS", value, accepted)),
            }
        }
        if let Some(value) = get("LAB_SEED") {
            match value.parse() {
                Ok(seed) => seeds = Seeds::One(seed),
                Err(_) => return Err(BadSetting::new("LAB_SEED", value, SEED)),
            }
        }
        Ok(seeds)
    }
}

impl Timelines {
    fn read(value: Option<&str>, supervised: bool) -> Result<Timelines, BadSetting> {
        Ok(match value {
            // A supervisor runs many seeds, in a process that may write nothing.
            None if supervised => Timelines::Never,
            None | Some("failures") => Timelines::Failures,
            Some("always") => Timelines::Always,
            Some("never") => Timelines::Never,
            Some(value) => {
                let accepted = "it takes `failures`, `always` or `never`";
                return Err(BadSetting::new("LAB_TRACE", value, accepted));
            }
        })
    }

    /// Is a run drawn that failed, or that did not?
    #[must_use]
    pub fn include(self, failed: bool) -> bool {
        match self {
            Timelines::Failures => failed,
            Timelines::Always => true,
            Timelines::Never => false,
        }
    }
}

/// What of a run is printed, and where (`LAB_LOG`, `LAB_LOG_FILE`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// Which lines.
    pub topics: Topics,
    /// Into this file; `None` for the terminal.
    pub file: Option<PathBuf>,
}

/// How far a search goes, where that is not left to its test.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SearchSettings {
    /// How many runs it makes at most (`LAB_SEARCH`).
    pub runs: Option<u64>,
    /// How many choices are forced in each at most (`LAB_DEVIATIONS`).
    pub deviations: Option<usize>,
}

impl SearchSettings {
    fn read(get: impl Fn(&'static str) -> Option<String>) -> Result<SearchSettings, BadSetting> {
        let number = |variable, least: u64, accepted| {
            let Some(value) = get(variable) else { return Ok(None) };
            match value.parse() {
                Ok(number) if number >= least => Ok(Some(number)),
                _ => Err(BadSetting::new(variable, value, accepted)),
            }
        };
        let deviations =
            number("LAB_DEVIATIONS", 0, "it takes how many choices are forced at most")?;
        Ok(SearchSettings {
            runs: number("LAB_SEARCH", 1, "it takes a number of runs, 1 or more")?,
            deviations: deviations.map(|most| usize::try_from(most).unwrap_or(usize::MAX)),
        })
    }

    /// The limits of a search that goes so far by itself.
    #[must_use]
    pub fn limits(&self, usual: Limits) -> Limits {
        Limits {
            runs: self.runs.unwrap_or(usual.runs),
            deviations: self.deviations.unwrap_or(usual.deviations),
        }
    }
}

/// A variable that is not understood: its value, or its name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable}={value} is not understood: {accepted}")]
pub struct BadSetting {
    /// Its name.
    pub variable: String,
    /// Its value.
    pub value: String,
    /// What would be accepted.
    pub accepted: String,
}

impl BadSetting {
    fn new(variable: &str, value: impl Into<String>, accepted: impl Into<String>) -> BadSetting {
        let (value, accepted) = (value.into(), accepted.into());
        BadSetting { variable: variable.to_owned(), value, accepted }
    }

    /// A variable that is none of these.
    fn unknown(variable: &str, value: &str, known: &BTreeSet<&str>) -> BadSetting {
        let nearest = known.iter().min_by_key(|name| distance(name, variable));
        let accepted = match nearest {
            Some(name) if distance(name, variable) <= 2 => format!("did you mean {name}?"),
            _ => {
                let known: Vec<&str> = known.iter().copied().collect();
                let known = known.join(", ");
                format!("the tests read {known}; if it is not meant for them, unset it")
            }
        };
        BadSetting::new(variable, value, accepted)
    }
}

/// How many letters have to be inserted, removed or changed to turn one word into another.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for letter in from.chars() {
        let mut diagonal = row[0];
        row[0] += 1;
        for (at, other) in to.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[at + 1];
            row[at + 1] = changed.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[to.len()]
}

impl Settings {
    /// Seeds per test when nothing is said.
    pub const DEFAULT_RUNS: u64 = 10;

    /// The same on the wall clock, where a run takes its time.
    pub const DEFAULT_REAL_RUNS: u64 = 1;

    /// How long a run that failed is reduced.
    pub const SHRINK: Duration = Duration::from_secs(10);

    /// Reads the process's environment.
    ///
    /// # Errors
    ///
    /// The first variable whose value is not understood; or one whose name begins with `LAB_` and is
    /// not known.
    pub fn from_env() -> Result<Settings, BadSetting> {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        Settings::read(env::vars_os().map(|(name, value)| (text(name), text(value))))
    }

    /// Reads these variables, by name and value. An empty value counts as not set.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    pub fn read(
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Settings, BadSetting> {
        let variables: BTreeMap<String, String> =
            variables.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        let known = RefCell::new(BTreeSet::new());
        let settings = Settings::understand(&|name| {
            known.borrow_mut().insert(name);
            variables.get(name).cloned()
        })?;
        // Nobody asked for it.
        let known = known.into_inner();
        let is_unknown = |name: &str| name.starts_with("LAB_") && !known.contains(name);
        match variables.iter().find(|(name, _)| is_unknown(name)) {
            Some((name, value)) => Err(BadSetting::unknown(name, value, &known)),
            None => Ok(settings),
        }
    }

    fn understand(get: &impl Fn(&'static str) -> Option<String>) -> Result<Settings, BadSetting> {
        let bad = |variable, value: String, accepted: &str| {
            Err(BadSetting::new(variable, value, accepted))
        };

        let engine = match get("LAB_CLOCK") {
            None => Engine::Simulated,
            Some(value) if value == "virtual" => Engine::Simulated,
            Some(value) if value == "real" => Engine::Real,
            Some(value) => return bad("LAB_CLOCK", value, "it takes `real` or `virtual`"),
        };
        let backend = match get("LAB_BACKEND") {
            None => Backend::Coroutines,
            Some(value) if value == "coroutines" => Backend::Coroutines,
            Some(value) if value == "threads" => Backend::Threads,
            Some(value) => return bad("LAB_BACKEND", value, "it takes `coroutines` or `threads`"),
        };
        let seeds = Seeds::read(get, engine)?;
        let check_determinism = match get("LAB_CHECK") {
            None => false,
            Some(value) if value == "determinism" && engine == Engine::Real => {
                return bad("LAB_CHECK", value, "no two runs on the wall clock are the same");
            }
            Some(value) if value == "determinism" => true,
            Some(value) => return bad("LAB_CHECK", value, "it takes `determinism`"),
        };
        let supervised = match get("LAB_SUPERVISOR") {
            None => false,
            Some(value) if value == "stdin" => true,
            Some(value) => return bad("LAB_SUPERVISOR", value, "it takes `stdin`"),
        };
        let timelines = Timelines::read(get("LAB_TRACE").as_deref(), supervised)?;
        let file = get("LAB_LOG_FILE").map(PathBuf::from);
        let log = match get("LAB_LOG") {
            None => file.map(|file| LogSettings { topics: Topics::all(), file: Some(file) }),
            Some(value) => match value.parse() {
                Ok(topics) => Some(LogSettings { topics, file }),
                Err(_) => return bad("LAB_LOG", value, LOG),
            },
        };
        let replay = get("LAB_REPLAY").map(PathBuf::from);
        if replay.is_some()
            && let Some(value) = get("LAB_SEED")
        {
            return bad("LAB_SEED", value, "LAB_REPLAY names a file, and that has its own seed");
        }
        if supervised && let Some(value) = get("LAB_REPLAY") {
            return bad("LAB_REPLAY", value, "LAB_SUPERVISOR says what is run");
        }
        // Whoever sweeps, or looks closely at one run, does not want to wait for it.
        let busy = [
            "LAB_RUNS",
            "LAB_RECORDS",
            "LAB_LOG",
            "LAB_LOG_FILE",
            "LAB_CHECK",
            "LAB_REPLAY",
            "LAB_SUPERVISOR",
        ];
        let by_default = engine == Engine::Simulated && busy.iter().all(|name| get(name).is_none());
        let shrink = match get("LAB_SHRINK") {
            None => by_default.then_some(Settings::SHRINK),
            Some(value) if value == "no" => None,
            Some(value) if value == "yes" => Some(Settings::SHRINK),
            Some(value) => match value.parse() {
                Ok(seconds) if seconds > 0 => Some(Duration::from_secs(seconds)),
                _ => return bad("LAB_SHRINK", value, SHRINK),
            },
        };
        let view = match get("LAB_VIEW") {
            None => true,
            Some(value) if value == "yes" => true,
            Some(value) if value == "no" => false,
            Some(value) => return bad("LAB_VIEW", value, "it takes `yes` or `no`"),
        };
        // Read where a fault is dead (`fault.rs`).
        #[cfg(feature = "dead-faults")]
        get("LAB_DEAD_FAULT");
        Ok(Settings {
            seeds,
            search: SearchSettings::read(get)?,
            supervised,
            records: get("LAB_RECORDS").map(PathBuf::from),
            log,
            replay,
            shrink,
            timelines,
            check_determinism,
            engine,
            backend,
            view,
        })
    }

    /// The seeds that `test` runs on, in order.
    pub fn seeds_of(&self, test: &str) -> impl Iterator<Item = Seed> {
        let (one, derived) = match self.seeds {
            Seeds::One(seed) => (Some(seed), 0),
            Seeds::Derived(runs) => (None, runs),
        };
        one.into_iter().chain((0..derived).map(move |n| Seed::derived(test, n)))
    }
}

const LOG: &str = "it takes topics, servers, or both, as in `vote,fault@S1,@S2`; or `all`";

const SHRINK: &str = "it takes `yes`, `no`, or a number of seconds";

const SEED: &str = "it takes the seed of a run, in hexadecimal (0x5eed) or decimal (24301)";
