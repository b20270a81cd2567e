//! The graded tests, run as a student runs them: the test binary is built and started.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::PathBuf,
    process::{self, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// The parts of Lab 3.
pub const LAB_3: [&str; 4] = ["3A", "3B", "3C", "3D"];

/// The parts of Lab 4.
pub const LAB_4: [&str; 2] = ["4A", "4B"];

/// The binary of the graded tests.
#[derive(Debug, Clone)]
pub struct Tests {
    binary: PathBuf,
}

/// What the tests of a part took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pass {
    /// How many tests there are.
    pub tests: usize,
    /// How many seeds each test was run on.
    pub seeds: usize,
    /// CPU time of all tests on all seeds; their wall time, where the system does not tell.
    pub cpu: Duration,
    /// From start to end.
    pub wall: Duration,
    /// Time on the simulations' own clocks, all together.
    pub virtual_time: Duration,
}

/// Time to build what `cargo test 3A` needs, with nothing built before; what it depends on is
/// downloaded already.
///
/// # Errors
///
/// If it does not build.
pub fn clean_build() -> io::Result<Duration> {
    let target = env::temp_dir().join(format!("labbench-{}-build", process::id()));
    let mut cargo = cargo();
    cargo.args(["test", "--package", "labtests", "--no-run"]).env("CARGO_TARGET_DIR", &target);
    let start = Instant::now();
    let status = cargo.status()?;
    let time = start.elapsed();
    fs::remove_dir_all(&target)?;
    if status.success() { Ok(time) } else { Err(no_build()) }
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn no_build() -> io::Error {
    io::Error::other("the graded tests do not build")
}

impl Tests {
    /// Builds the tests, with optimization or as `cargo test` does, if need be.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn build(release: bool) -> io::Result<Tests> {
        let mut cargo = cargo();
        cargo.args(["test", "--package", "labtests", "--test", "lab", "--no-run"]);
        cargo.arg("--message-format=json");
        if release {
            cargo.arg("--release");
        }
        let output = cargo.stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(no_build());
        }
        let messages = String::from_utf8_lossy(&output.stdout);
        let binary = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
            .ok_or_else(|| io::Error::other("cargo names no test binary"))?;
        Ok(Tests { binary })
    }

    /// Runs a part on so many seeds, on one core or on all.
    ///
    /// # Errors
    ///
    /// If a test fails, or the binary does not do what the tester promises.
    pub fn run(&self, part: &str, seeds: u32, one_core: bool) -> io::Result<Pass> {
        let records = env::temp_dir().join(format!("labbench-{}-{part}.jsonl", process::id()));
        let _ = fs::remove_file(&records); // of an earlier process with our number
        let mut tests = Command::new(&self.binary);
        tests.arg(part).env("LAB_RUNS", seeds.to_string()).env("LAB_RECORDS", &records);
        for variable in ["LAB_SEED", "LAB_LOG", "LAB_CHECK", "LAB_CLOCK", "LAB_BACKEND"] {
            tests.env_remove(variable);
        }
        if one_core {
            tests.arg("--test-threads=1");
        }
        let (start, used) = (Instant::now(), children_cpu());
        let output = tests.output()?;
        let (wall, used_now) = (start.elapsed(), children_cpu());
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stdout);
            return Err(io::Error::other(format!("part {part} fails:\n{text}")));
        }
        let text = fs::read_to_string(&records)?;
        fs::remove_file(&records)?;
        let cpu = used_now.zip(used).map_or(wall, |(now, before)| now.saturating_sub(before));
        read(&text).map(|pass| Pass { cpu, wall, ..pass })
    }
}

/// Counts what the records are about.
fn read(records: &str) -> io::Result<Pass> {
    let mut pass = Pass::default();
    let mut seeds = BTreeMap::<String, usize>::new();
    for line in records.lines() {
        let record: Value = serde_json::from_str(line)?;
        let odd = || io::Error::other(format!("not a record of a test: {line}"));
        let test = record["test"].as_str().ok_or_else(odd)?;
        let virtual_seconds = record["virtual_seconds"].as_f64().ok_or_else(odd)?;
        *seeds.entry(test.to_owned()).or_default() += 1;
        pass.virtual_time += Duration::from_secs_f64(virtual_seconds);
    }
    pass.tests = seeds.len();
    pass.seeds = seeds.into_values().min().unwrap_or(0);
    Ok(pass)
}

/// CPU time of the processes that this one has started and waited for, where Linux tells it.
fn children_cpu() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses; the 16th and 17th are what we want.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(13)?.parse::<u64>().ok()? + fields.get(14)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10)) // Linux shows hundredths of a second on every machine
}
