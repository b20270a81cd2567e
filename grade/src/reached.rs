//! What a sweep really exercised: how often its runs came to each situation that their tests count.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::suite::crate_and_part;
use crate::tally::Tally;

/// One situation, over the runs that count it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// How often they came to it, all together.
    pub times: u64,
    /// So many of them did.
    pub in_runs: u64,
    /// How many runs count it.
    pub of_runs: u64,
}

/// The situations of a test, by name.
pub type Situations = BTreeMap<String, Reached>;

/// Adds what one run met.
pub(crate) fn add(situations: &mut Situations, met: &BTreeMap<String, u64>) {
    for (name, times) in met {
        let one = Reached { times: *times, in_runs: u64::from(*times > 0), of_runs: 1 };
        situations.entry(name.clone()).or_default().add(one);
    }
}

/// Adds what other runs met.
pub(crate) fn merge(situations: &mut Situations, others: Situations) {
    for (name, other) in others {
        situations.entry(name).or_default().add(other);
    }
}

impl Reached {
    fn add(&mut self, other: Reached) {
        self.times += other.times;
        self.in_runs += other.in_runs;
        self.of_runs += other.of_runs;
    }
}

/// A table: a line for each situation, a column for each part of the lab and each campaign. Below it
/// what was never met. Empty if nothing was counted.
pub(crate) fn table<'a>(tests: impl Iterator<Item = (&'a String, &'a Tally)>) -> String {
    let mut columns: BTreeMap<&str, Situations> = BTreeMap::new();
    for (test, tally) in tests.filter(|(_, tally)| !tally.situations.is_empty()) {
        let column = crate_and_part(test).map_or(test.as_str(), |(_, part)| part);
        merge(columns.entry(column).or_default(), tally.situations.clone());
    }
    if columns.is_empty() {
        return String::new();
    }
    let names: BTreeSet<&String> = columns.values().flat_map(Situations::keys).collect();
    let first = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let width = |column: &str| column.len().max(17);

    let mut text = format!("\n{:<first$}", "met");
    for column in columns.keys() {
        let _ = write!(text, "  {column:>width$}", width = width(column));
    }
    text.push('\n');
    for name in names {
        let _ = write!(text, "{name:<first$}");
        for (column, situations) in &columns {
            let cell = situations.get(name).map_or("-".to_owned(), Reached::text);
            let _ = write!(text, "  {cell:>width$}", width = width(column));
        }
        text.push('\n');
    }
    text.push_str("met: how often, and in what share of the runs; -: not counted there\n");
    for (column, situations) in &columns {
        let never = situations.iter().filter(|(_, reached)| reached.times == 0);
        let never: Vec<&str> = never.map(|(name, _)| name.as_str()).collect();
        if !never.is_empty() {
            let _ = writeln!(text, "never met in {column}: {}", never.join(", "));
        }
    }
    text
}

impl Reached {
    fn text(&self) -> String {
        if self.times == 0 {
            return "never".to_owned();
        }
        #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
        let share = 100.0 * self.in_runs as f64 / self.of_runs as f64;
        format!("{} {share:>5.1} %", self.times)
    }
}

#[cfg(test)]
mod tests {
    use labrecord::About;

    use super::*;

    fn tally(test: &str, runs: &[&[(&str, u64)]]) -> (String, Tally) {
        let about = About {
            test: test.to_owned(),
            lab: "raft".to_owned(),
            part: "x".to_owned(),
            title: "a title".to_owned(),
            points: 0,
        };
        let mut tally = Tally::new(about);
        for run in runs {
            let met = run.iter().map(|(name, times)| ((*name).to_owned(), *times)).collect();
            add(&mut tally.situations, &met);
        }
        (test.to_owned(), tally)
    }

    /// Tests of a part are one column, campaigns have one each; and what nobody counts is not missed.
    #[test]
    fn the_table_says_what_was_met_and_what_never() {
        let tests = [
            tally("raft_3A::one", &[&[("leaders", 1), ("stalls", 0)], &[("leaders", 3)]]),
            tally("raft_3A::two", &[&[("leaders", 0), ("stalls", 0)]]),
            tally("torture::raft", &[&[("leaders", 12345), ("splits", 0)]]),
            tally("raft_3B::three", &[&[]]),
        ];
        let table = table(tests.iter().map(|(test, tally)| (test, tally)));
        let expected = "
met                     3A      torture::raft
leaders          4  66.7 %      12345 100.0 %
splits                   -              never
stalls               never                  -
met: how often, and in what share of the runs; -: not counted there
never met in 3A: stalls
never met in torture::raft: splits
";
        assert_eq!(table, expected);
    }

    #[test]
    fn nothing_is_said_of_tests_that_count_nothing() {
        let (test, tally) = tally("raft_3A::one", &[&[], &[]]);
        assert_eq!(table([(&test, &tally)].into_iter()), "");
    }
}
