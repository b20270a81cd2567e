//! One record for each run of a test on a seed: all that is shown or written comes from it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::report::{Report, Verdict};
use crate::shrunk::{Broken, Shrunk};

/// The number that decides a run. Printed and written as `0x5eed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seed(pub u64);

impl Seed {
    /// The seed of the `n`-th run of a test, from the test's name.
    ///
    /// 32 bits: short to type, and a thousand runs seldom meet twice.
    #[must_use]
    pub fn derived(test: &str, n: u64) -> Seed {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in test.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3); // FNV-1a
        }
        hash = (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
        Seed(hash >> 32)
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Accepts `0x5eed` and `24301`.
impl FromStr for Seed {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Seed, Self::Err> {
        let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            // `from_str_radix` takes a sign, which no seed has.
            Some(hex) if !hex.starts_with('+') => u64::from_str_radix(hex, 16),
            Some(_) => "+".parse(),
            None => text.parse(),
        };
        number.map(Seed)
    }
}

/// As text, because JSON's numbers lose the last bits of large integers in many readers.
impl Serialize for Seed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Seed, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What came of one run of one test on one seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Path of the test, such as `raft_3A::re_election`.
    pub test: String,
    /// Part of the lab, such as `3A`.
    pub part: String,
    /// What the test is about, in a few words.
    pub title: String,
    /// What passing is worth.
    pub points: u32,
    /// What decided the run.
    pub seed: Seed,
    /// What it came to.
    pub verdict: Verdict,
    /// The kind of failure, without times and numbers: failures with equal ones are counted
    /// together. `None` for a pass.
    pub signature: Option<String>,
    /// The five lines; `None` for a pass.
    pub report: Option<Report>,
    /// How long the run took on its own clock.
    pub virtual_seconds: f64,
    /// How long it took on the wall's.
    pub wall_seconds: f64,
    /// Servers in the cluster.
    pub servers: usize,
    /// Requests sent.
    pub rpcs: u64,
    /// Bytes of requests sent and replies delivered.
    pub bytes: u64,
    /// Highest index that any server applied.
    pub commands: u64,
    /// Steps of the simulation: a task or an event that ran.
    pub switches: u64,
    /// Equal for two runs that took the same steps, in hexadecimal.
    pub trace: String,
    /// What was seen that is no failure but deserves a look, such as a lock held across a call.
    pub warnings: Vec<String>,
    /// Files that were written about the run: what each is, and its path.
    pub artefacts: BTreeMap<String, String>,
    /// Microseconds of CPU time that the run took, and that the reference would have needed for as many
    /// messages, on the same machine; if both are known. It is another figure each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<(u64, u64)>,
    /// What was spent of each budget that the test checks, and how much there was.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub budgets: BTreeMap<String, (u64, u64)>,
    /// What the seed has chosen of the world, in lines for people, if that was for it to choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// How often the run came to each situation that its test counts, zeros included.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub coverage: BTreeMap<String, u64>,
    /// The first rule that was broken, if a thorough look at the same run found one that was broken
    /// before what it failed of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_before: Option<Broken>,
    /// The run reduced to what it needs to fail, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shrunk: Option<Shrunk>,
}

impl Record {
    /// Adds the record to a file, as one line of JSON.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn append_to(&self, file: &Path) -> io::Result<()> {
        let mut line = serde_json::to_string(self)?;
        line.push('\n');
        // One write, at the end of the file: tests that run side by side do not mix their lines.
        OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())
    }
}

/// The line of a test that failed and is about to be looked into, which takes a moment.
#[must_use]
pub fn fail_line(record: &Record) -> String {
    let title = format!("Test ({}): {}", record.part, record.title);
    let failure = record.signature.as_deref().unwrap_or_default();
    format!("{title:<66} ... Failed -- {failure}; reducing seed {}\n", record.seed)
}

/// From so many times of the reference's CPU time on it is said: what that would be is an estimate.
const MUCH_CPU: f64 = 3.0;

/// And only of so many microseconds at least: smaller figures are mostly noise.
const SOME_CPU: u64 = 20_000;

/// What is to be said of the CPU time of runs, given as in [`Record::cpu`]: nothing, unless it is much.
#[must_use]
pub fn effort_line(runs: impl IntoIterator<Item = (u64, u64)>) -> Option<String> {
    let (spent, reference) = runs.into_iter().fold((0, 0), |sum: (u64, u64), run| {
        (sum.0.saturating_add(run.0), sum.1.saturating_add(run.1))
    });
    #[expect(clippy::cast_precision_loss, reason = "it is shown with two digits")]
    let times = spent as f64 / reference.max(1) as f64;
    if times < MUCH_CPU || spent.saturating_sub(reference) < SOME_CPU {
        return None;
    }
    let digits = usize::from(times < 10.0);
    Some(format!("uses {times:.digits$} times the CPU of the reference"))
}

/// The line of a test that passed: the original's columns, as means over the seeds.
#[must_use]
pub fn pass_line(records: &[Record]) -> String {
    let Some(first) = records.first() else { return String::new() };
    let count = records.len();
    let mean = |value: fn(&Record) -> f64| {
        let sum: f64 = records.iter().map(value).sum();
        #[expect(clippy::cast_precision_loss, reason = "a mean is shown with four digits")]
        let mean = sum / count as f64;
        mean
    };
    #[expect(clippy::cast_precision_loss, reason = "a mean is shown rounded")]
    let (rpcs, bytes, commands) =
        (mean(|r| r.rpcs as f64), mean(|r| r.bytes as f64), mean(|r| r.commands as f64));
    let title = format!("Test ({}): {}", first.part, first.title);
    format!(
        "{title:<66} ... Passed -- {:5.1} {:2} {rpcs:6.0} {bytes:9.0} {commands:5.0}   {}\n",
        mean(|r| r.virtual_seconds),
        first.servers,
        if count == 1 { format!("seed {}", first.seed) } else { format!("{count} seeds") },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_much_cpu_time_is_spoken_of() {
        assert_eq!(effort_line([(200_000, 100_000), (50_000, 50_000)]), None);
        assert_eq!(effort_line([(9_000, 100)]), None, "too little to tell");
        let says = |runs: &[(u64, u64)]| effort_line(runs.iter().copied()).unwrap();
        assert_eq!(says(&[(380_000, 100_000)]), "uses 3.8 times the CPU of the reference");
        assert_eq!(
            says(&[(7_000_000, 100_000), (500_000, 0)]),
            "uses 75 times the CPU of the reference"
        );
    }
}
