//! What the systematic search finds in a Raft: the first list of forced choices that fails, or nothing.

use std::fmt::Write as _;
use std::fs;

use labrecord::{Record, Verdict};

use crate::mutant::Mutant;
use crate::runs::Plan;
use crate::sources::Sources;
use crate::trial::{Workshop, now};

/// The tests that search, and not those of the search itself.
const TESTS: [&str; 3] = ["search::", "--skip", "tester_"];

impl Workshop {
    /// Builds the tests with this patch, and runs those that search, each with `plan.runs` runs at most.
    pub(crate) fn search(
        &self,
        mutant: &Mutant,
        sources: &Sources,
        plan: Plan,
    ) -> Result<Vec<Record>, String> {
        sources.copy_patched(mutant, self.place())?;
        let tests = self.build(plan.profile)?;
        let mut command = tests.command();
        command.args(TESTS).env("LAB_SEARCH", plan.runs.to_string()).env("LAB_TRACE", "never");
        self.execute(command, now() + plan.limit)?;
        let text = fs::read_to_string(self.records()).unwrap_or_default();
        let records: Result<Vec<Record>, _> = text.lines().map(serde_json::from_str).collect();
        let records = records.map_err(|e| format!("a record is not understood: {e}"))?;
        if records.is_empty() {
            return Err("no search came to its end".to_owned());
        }
        Ok(records)
    }
}

/// What was found, for people.
pub(crate) fn lines(mutant: &Mutant, found: &Result<Vec<Record>, String>) -> String {
    let mut text = String::new();
    match found {
        Err(problem) => {
            let _ = writeln!(text, "{:<31} NOT RUN: {problem}", mutant.id());
        }
        Ok(records) => {
            for record in records {
                let title = record.signature.as_deref().unwrap_or("nothing");
                let _ = writeln!(text, "{:<31} {}: {title}", mutant.id(), record.test);
                for note in &record.warnings {
                    let _ = writeln!(text, "             {note}");
                }
            }
        }
    }
    text
}

/// A right one has nothing to find. (What a wrong one does wrong may be out of reach.)
pub(crate) fn is_right_for(mutant: &Mutant, found: &Result<Vec<Record>, String>) -> bool {
    let passes =
        |records: &Vec<Record>| records.iter().all(|record| record.verdict == Verdict::Pass);
    found.as_ref().is_ok_and(|records| mutant.is_wrong() || passes(records))
}
