//! How far runs were from the limits of each test: the lowest and the highest share of each budget that
//! was spent in the runs of which `LAB_RECORDS` kept the records.
//!
//! ```text
//! LAB_RUNS=100 LAB_RECORDS=target/records.jsonl cargo test --release raft_3
//! cargo run -q -p labrecord --example budgets -- target/records.jsonl
//! ```

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use labrecord::Record;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut found: BTreeMap<(String, String), Vec<(u64, u64)>> = BTreeMap::new();
    for path in std::env::args().skip(1) {
        for line in std::fs::read_to_string(path)?.lines() {
            let record: Record = serde_json::from_str(line)?;
            for (what, spent) in record.budgets {
                found.entry((record.test.clone(), what)).or_default().push(spent);
            }
        }
    }
    let mut out = io::stdout().lock();
    writeln!(out, "runs  over  lowest  highest  limit     test, budget")?;
    for ((test, what), spent) in found {
        // In parts of a thousand, so that no number loses anything.
        let share = |(spent, limit): &(u64, u64)| spent.saturating_mul(1000) / (*limit).max(1);
        let over = spent.iter().filter(|(spent, limit)| spent > limit).count();
        let lowest = spent.iter().map(share).min().unwrap_or_default() / 10;
        let highest = spent.iter().map(share).max().unwrap_or_default() / 10;
        let limit = spent.first().map_or(0, |(_, limit)| *limit);
        let runs = spent.len();
        writeln!(
            out,
            "{runs:>4}  {over:>4}  {lowest:>5}%  {highest:>6}%  {limit:<8}  {test}, {what}"
        )?;
    }
    Ok(())
}
