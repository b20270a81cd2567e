//! What a sweep came to: sums that can be added up again, and the table of them.
//!
//! Times are whole microseconds, so that sums do not depend on the order in which runs end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Result, ensure};
use labrecord::{About, Record, Report, Seed, Verdict, effort_line};
use serde::{Deserialize, Serialize};

use crate::binomial::{self, upper_bound};
use crate::policy::Policy;
use crate::reached::{self, Situations};
use crate::shard::Shard;

/// A sweep, or some parts of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// What was swept.
    pub plan: Plan,
    /// Which parts of it are in here.
    pub shards: BTreeSet<Shard>,
    /// Did it end before all its runs were made: by a signal, its time, or the first failure?
    pub cut_short: bool,
    /// By the test's name.
    pub tests: BTreeMap<String, Tally>,
}

/// What makes two sweeps parts of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// A hash over the sources.
    pub sources: String,
    /// Runs of each test, over all parts. `None`: as many as time allows.
    pub runs: Option<u64>,
    /// What fresh seeds are drawn from. `None`: the seeds that `cargo test` uses, and those after them.
    #[serde(default)]
    pub fresh: Option<String>,
}

/// What the runs of one test came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// What the test is.
    pub about: About,
    /// How many runs.
    pub runs: u64,
    /// How many of them failed.
    pub failures: u64,
    /// Time of the simulation.
    pub virtual_time: Times,
    /// Time of the clock on the wall.
    pub wall_time: Times,
    /// Microseconds of CPU time that runs took, and that the reference would have needed for them.
    #[serde(default)]
    pub cpu: (u64, u64),
    /// What the runs met.
    #[serde(default)]
    pub situations: Situations,
    /// Failures by their signature.
    pub groups: BTreeMap<String, Group>,
}

/// A sum and a maximum, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// All of them together.
    pub sum: u64,
    /// The largest.
    pub max: u64,
}

/// Failures of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// How many.
    pub failures: u64,
    /// The smallest seed of them.
    pub seed: Seed,
    /// What that run came to.
    pub verdict: Verdict,
    /// Its five lines.
    pub report: Report,
}

impl Sweep {
    /// Nothing has been run yet.
    #[must_use]
    pub fn new(plan: Plan, shard: Shard, tests: &[About]) -> Sweep {
        let tests = tests.iter().map(|about| (about.test.clone(), Tally::new(about.clone())));
        Sweep { plan, shards: [shard].into(), cut_short: false, tests: tests.collect() }
    }

    /// Counts a run. One of a test that is not part of the sweep is not counted.
    pub fn add(&mut self, record: &Record) {
        if let Some(tally) = self.tests.get_mut(&record.test) {
            tally.add(record);
        }
    }

    /// Adds another part of the same sweep.
    ///
    /// # Errors
    ///
    /// If it is not a part of the same sweep, or one that is in here already.
    pub fn merge(&mut self, other: Sweep) -> Result<()> {
        ensure!(
            self.plan.sources == other.plan.sources,
            "they are sweeps of different sources, {} and {}",
            self.plan.sources,
            other.plan.sources
        );
        ensure!(self.plan.runs == other.plan.runs, "they are parts of sweeps of different lengths");
        ensure!(
            self.tests.keys().eq(other.tests.keys()),
            "they are parts of sweeps of different tests"
        );
        for shard in &other.shards {
            ensure!(!self.shards.contains(shard), "part {shard} is there twice");
            let count = self.shards.first().map_or(shard.count, |first| first.count);
            ensure!(count == shard.count, "{shard} is not one of {count} parts");
        }
        self.shards.extend(other.shards);
        self.cut_short |= other.cut_short;
        for (name, tally) in other.tests {
            match self.tests.get_mut(&name) {
                Some(mine) => mine.merge(tally),
                None => unreachable!("the names are equal"),
            }
        }
        // All parts together are the whole.
        if self.missing().is_empty() {
            self.shards = [Shard::WHOLE].into();
        }
        Ok(())
    }

    /// The parts that are not in here.
    #[must_use]
    pub fn missing(&self) -> Vec<Shard> {
        let count = self.shards.first().map_or(1, |shard| shard.count);
        let all = (1..=count).map(|number| Shard { number, count });
        all.filter(|shard| !self.shards.contains(shard)).collect()
    }

    /// All runs.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.tests.values().map(|tally| tally.runs).sum()
    }

    /// All failures.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.tests.values().map(|tally| tally.failures).sum()
    }

    /// The table, and below it what failed, and what the runs met.
    #[must_use]
    pub fn table(&self) -> String {
        let graded = Policy::default().seeds;
        let width = self.tests.keys().map(String::len).max().unwrap_or(0).max(4);
        let mut text = format!(
            "{:<width$}  {:>7} {:>6} {:>9} {:>11} {:>11}   {:>16}   {:>16}\n",
            "test", "runs", "failed", "pass rate", "P(fail) <", "P(lose) <", "virtual s", "wall ms",
        );
        // Part by part, as they are worked on.
        let mut tests: Vec<(&String, &Tally)> = self.tests.iter().collect();
        tests.sort_by_key(|(_, tally)| &tally.about.part);
        for (name, tally) in &tests {
            let Tally { runs, failures, virtual_time, wall_time, .. } = tally;
            let _ = writeln!(
                text,
                "{name:<width$}  {runs:>7} {failures:>6} {:>9} {:>11} {:>11}   {:>16}   {:>16}",
                pass_rate(*failures, *runs),
                percent(upper_bound(*failures, *runs)),
                percent(binomial::any_of(graded, upper_bound(*failures, *runs))),
                virtual_time.text(*runs, 1e6),
                wall_time.text(*runs, 1e3),
            );
        }
        let _ = writeln!(
            text,
            "P(fail) <: for each test, a bound on the probability that a run fails, at 95 % confidence \
             (Clopper-Pearson)\nP(lose) <: the same for at least one failure on the {graded} seeds of a \
             grading; times: mean, largest"
        );
        for (name, tally) in &tests {
            if let Some(line) = effort_line([tally.cpu]) {
                let _ = writeln!(text, "\n{name}: {line}");
            }
        }
        for (name, tally) in &tests {
            if tally.failures > 0 {
                let _ = writeln!(text, "\n{name}: {} of {} failed", tally.failures, tally.runs);
            }
            for (signature, group) in &tally.groups {
                let _ = writeln!(
                    text,
                    "{:>6} x  {signature}\n           {}",
                    group.failures, group.report.again
                );
            }
        }
        text.push_str(&reached::table(self.tests.iter()));
        text
    }
}

impl Tally {
    /// No run yet.
    #[must_use]
    pub fn new(about: About) -> Tally {
        Tally {
            about,
            runs: 0,
            failures: 0,
            virtual_time: Times::default(),
            wall_time: Times::default(),
            cpu: (0, 0),
            situations: Situations::new(),
            groups: BTreeMap::new(),
        }
    }

    /// Counts a run.
    pub fn add(&mut self, record: &Record) {
        self.runs += 1;
        self.virtual_time.merge(Times::one(record.virtual_seconds));
        self.wall_time.merge(Times::one(record.wall_seconds));
        self.add_cpu(record.cpu.unwrap_or_default());
        reached::add(&mut self.situations, &record.coverage);
        let Some(report) = &record.report else { return };
        self.failures += 1;
        let signature = record.signature.clone().unwrap_or_else(|| report.title.clone());
        let (seed, verdict, report) = (record.seed, record.verdict, report.clone());
        self.count(signature, Group { failures: 1, seed, verdict, report });
    }

    fn add_cpu(&mut self, (spent, reference): (u64, u64)) {
        let (all, of_the_reference) = self.cpu;
        self.cpu = (all.saturating_add(spent), of_the_reference.saturating_add(reference));
    }

    fn merge(&mut self, other: Tally) {
        self.runs += other.runs;
        self.failures += other.failures;
        self.virtual_time.merge(other.virtual_time);
        self.wall_time.merge(other.wall_time);
        self.add_cpu(other.cpu);
        reached::merge(&mut self.situations, other.situations);
        for (signature, group) in other.groups {
            self.count(signature, group);
        }
    }

    fn count(&mut self, signature: String, group: Group) {
        let Some(mine) = self.groups.get_mut(&signature) else {
            self.groups.insert(signature, group);
            return;
        };
        let failures = mine.failures + group.failures;
        if group.seed < mine.seed {
            *mine = group;
        }
        mine.failures = failures;
    }
}

impl Times {
    fn one(seconds: f64) -> Times {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a run takes some seconds"
        )]
        let micros = (seconds * 1e6).round() as u64;
        Times { sum: micros, max: micros }
    }

    fn merge(&mut self, other: Times) {
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    /// Mean and maximum, in a unit of so many microseconds.
    fn text(self, count: u64, unit: f64) -> String {
        if count == 0 {
            return String::new();
        }
        let (mean, max) = (ratio(self.sum, count) / unit, ratio(self.max, 1) / unit);
        format!("{mean:.1} {max:>8.1}")
    }
}

/// 0 of nothing.
#[expect(clippy::cast_precision_loss, reason = "shown with four digits")]
fn ratio(a: u64, b: u64) -> f64 {
    if b == 0 { 0.0 } else { a as f64 / b as f64 }
}

/// Rounded down: only runs without a failure pass at 100 %.
fn pass_rate(failures: u64, runs: u64) -> String {
    let passed = 1.0 - ratio(failures, runs);
    if failures == 0 {
        return percent(passed);
    }
    // Failures, in hundredths of a percent, rounded up to a whole one where that hides nothing else.
    let digits = if passed > 0.999 { 3 } else { 1 };
    let scale = 10_f64.powi(digits);
    format!(
        "{:.*} %",
        usize::try_from(digits).unwrap_or(1),
        (passed * 100.0 * scale).floor() / scale
    )
}

/// With two significant digits below one percent and at most four in all.
fn percent(ratio: f64) -> String {
    let value = ratio * 100.0;
    match value {
        0.0..0.1 => format!("{value:.3} %"),
        0.1..10.0 => format!("{value:.2} %"),
        _ => format!("{value:.1} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reached::Reached;
    use crate::trial::no_record;

    #[test]
    fn a_failure_is_never_rounded_away() {
        assert_eq!(pass_rate(0, 10), "100.0 %");
        assert_eq!(pass_rate(1, 10_000), "99.990 %");
        assert_eq!(pass_rate(1, 1_000_000), "99.999 %");
        assert_eq!(pass_rate(5, 100_000_000), "99.999 %");
        assert_eq!(pass_rate(1, 20), "95.0 %");
        assert_eq!(pass_rate(10, 10), "0.0 %");
    }

    fn about(test: &str) -> About {
        let (test, lab) = (test.to_owned(), "raft".into());
        About { test, lab, part: "3A".into(), title: "a title".into(), points: 5 }
    }

    /// The n-th run of a test: every seventh fails, in one of two ways.
    fn record(about: &About, n: u64) -> Record {
        let seed = Seed::derived(&about.test, n);
        let mut record = no_record(about, seed, "it fell over");
        record.virtual_seconds = 0.001 * f64::from(u32::try_from(n * n % 101).unwrap());
        record.wall_seconds = 0.1 / f64::from(u32::try_from(n + 1).unwrap());
        record.coverage = [("leaders".to_owned(), n % 5), ("splits".to_owned(), 0)].into();
        match n % 14 {
            0 => record.signature = Some("two leaders in one term".to_owned()),
            7 => record.signature = Some("no agreement".to_owned()),
            _ => (record.verdict, record.report) = (Verdict::Pass, None),
        }
        record
    }

    fn sweep(shard: Shard, runs: u64) -> Sweep {
        let tests = [about("raft_3A::one"), about("raft_3A::two")];
        let plan = Plan { sources: "abc".to_owned(), runs: Some(runs), fresh: None };
        let mut sweep = Sweep::new(plan, shard, &tests);
        for about in &tests {
            (0..runs).filter(|n| shard.has(*n)).for_each(|n| sweep.add(&record(about, n)));
        }
        sweep
    }

    #[test]
    fn parts_in_any_order_are_the_whole() {
        let whole = sweep(Shard::WHOLE, 100);
        assert_eq!((whole.runs(), whole.failures()), (200, 30));
        let text = serde_json::to_string(&whole).unwrap();
        assert_eq!(serde_json::from_str::<Sweep>(&text).unwrap(), whole);
        for order in [[1, 2, 3], [3, 1, 2], [2, 3, 1]] {
            let mut parts = order.map(|number| sweep(Shard { number, count: 3 }, 100)).into_iter();
            let mut merged = parts.next().unwrap();
            for part in parts {
                assert!(!merged.missing().is_empty());
                merged.merge(part).unwrap();
            }
            assert_eq!(merged, whole);
            assert_eq!(merged.table(), whole.table());
        }
        let met = &whole.tests["raft_3A::one"].situations;
        assert_eq!(met["leaders"], Reached { times: 200, in_runs: 80, of_runs: 100 });
        assert_eq!(met["splits"], Reached { times: 0, in_runs: 0, of_runs: 100 });
        assert!(whole.table().ends_with("never met in 3A: splits\n"), "{}", whole.table());
    }

    /// What was written before runs were asked what they met can still be read.
    #[test]
    fn an_old_sweep_is_understood() {
        let mut old = serde_json::to_value(sweep(Shard::WHOLE, 10)).unwrap();
        for tally in old["tests"].as_object_mut().unwrap().values_mut() {
            tally.as_object_mut().unwrap().remove("situations");
        }
        let read: Sweep = serde_json::from_value(old).unwrap();
        assert!(read.tests.values().all(|tally| tally.situations.is_empty()));
    }

    #[test]
    fn what_is_no_part_of_it_is_refused() {
        let part = |number, count, runs| sweep(Shard { number, count }, runs);
        let refusal = |other: Sweep| part(1, 3, 100).merge(other).unwrap_err().to_string();
        assert_eq!(refusal(part(1, 3, 100)), "part 1/3 is there twice");
        assert_eq!(refusal(part(2, 4, 100)), "2/4 is not one of 3 parts");
        assert_eq!(refusal(part(2, 3, 99)), "they are parts of sweeps of different lengths");
        let mut other = part(2, 3, 100);
        other.tests.pop_last();
        assert_eq!(refusal(other), "they are parts of sweeps of different tests");
        let mut other = part(2, 3, 100);
        other.plan.sources = "abd".to_owned();
        assert_eq!(refusal(other), "they are sweeps of different sources, abc and abd");
    }

    #[test]
    fn failures_are_grouped_with_the_smallest_seed() {
        let sweep = sweep(Shard::WHOLE, 100);
        let group = &sweep.tests["raft_3A::one"].groups["two leaders in one term"];
        let smallest = (0..100).step_by(14).map(|n| Seed::derived("raft_3A::one", n)).min();
        assert_eq!((group.failures, Some(group.seed)), (8, smallest));
        let table = sweep.table();
        let again = format!("LAB_SEED={} cargo test raft_3A::one -- --exact", group.seed);
        assert!(table.contains("     8 x  two leaders in one term\n"), "{table}");
        assert!(table.contains(&again), "{table}");
        // 15 of 100: Clopper and Pearson say 0.2217.
        assert!(table.contains(" 100     15    85.0 %      22.2 % "), "{table}");
    }
}
