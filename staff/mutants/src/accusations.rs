//! Does a timeline accuse a correct server? Every graded test of it is recorded and drawn, whether it fails or
//! not, once as it shows itself and once with `view` showing nothing.

use std::fs;
use std::path::Path;

use labrecord::Record;
use timeline::why::Story;

use crate::campaign::by_design;
use crate::mutant::Mutant;
use crate::others;
use crate::runs::{Plan, Tests};
use crate::sources::Sources;
use crate::switches;
use crate::table;
use crate::trial::{Workshop, now};

/// It shows on purpose what it is not in, which must not count: only without its view can it be judged.
const SHOWS_WHAT_IS_NOT: &str = "C90";

/// What was found in one server's runs.
#[derive(Debug, Default)]
struct Accusations {
    /// Runs that were looked at.
    runs: usize,
    /// Each finding, with the test and seed in which it was made.
    found: Vec<String>,
}

/// Records what is built, as often as each test is to run; `begin` is how its tests begin.
fn accuse(
    tests: &Tests,
    workshop: &Workshop,
    (begin, views): (&str, &[&str]),
    plan: Plan,
) -> Result<Accusations, String> {
    let all = tests.binary.graded().map_err(|e| format!("{e:#}"))?;
    let mut accusations = Accusations::default();
    for test in all.iter().filter(|test| test.starts_with(begin)) {
        for view in views {
            let mut command = tests.binary.command();
            command
                .args([test, "--exact"])
                .env("LAB_RUNS", plan.runs.to_string())
                .env("LAB_TRACE", "always")
                .env("LAB_VIEW", view);
            if let Some(change) = tests.change {
                command.env(switches::VARIABLE, change.to_string());
            }
            workshop.execute(command, now() + plan.limit)?;
            let records = fs::read_to_string(workshop.records()).unwrap_or_default();
            if records.is_empty() {
                return Err(format!("{test} came to no end"));
            }
            for line in records.lines() {
                accusations.add(line, view, workshop.place())?;
            }
        }
    }
    Ok(accusations)
}

/// Records all these, and says a line about each: was nothing found? Those of one design share a build,
/// as far as they can.
pub(crate) fn accuse_all(
    mutants: &[&Mutant],
    sources: &Sources,
    plan: Plan,
    place: &Path,
) -> Result<bool, String> {
    let workshop = Workshop::new(place.join("job1"));
    let mut clean = true;
    let mut one = |mutant: &Mutant, tests: Result<&Tests, String>| {
        let views: &[&str] =
            if mutant.number == SHOWS_WHAT_IS_NOT { &["no"] } else { &["yes", "no"] };
        let found =
            tests.and_then(|tests| accuse(tests, &workshop, (mutant.lab.tests(), views), plan));
        table::say(&lines(&mutant.id(), &found));
        clean &= is_clean(&found);
    };
    for group in by_design(mutants) {
        let switched = workshop.build_switched(&group, sources, plan.profile)?;
        for (number, tests) in &switched {
            one(group[*number as usize], Ok(tests));
        }
        let is_alone = |(number, _): &(u32, &&Mutant)| !switched.contains_key(number);
        for (_, mutant) in (0..).zip(&group).filter(is_alone) {
            let built = sources
                .copy_patched(mutant, workshop.place())
                .and_then(|()| workshop.build(plan.profile))
                .map(|binary| Tests { binary, change: None });
            one(mutant, built.as_ref().map_err(Clone::clone));
        }
    }
    Ok(clean)
}

impl Accusations {
    /// Reads the page that a record names, and takes it away.
    fn add(&mut self, record: &str, view: &str, place: &Path) -> Result<(), String> {
        let record: Record =
            serde_json::from_str(record).map_err(|e| format!("a record is not understood: {e}"))?;
        let page = record.artefacts.get("timeline").ok_or("a run was not drawn")?;
        let page = place.join(page);
        let html = fs::read_to_string(&page).map_err(|e| format!("{}: {e}", page.display()))?;
        let _ = fs::remove_file(&page);
        let run = timeline::run_of_page(&html).map_err(|e| format!("{}: {e}", page.display()))?;
        self.runs += 1;
        for finding in Story::of(&run).findings {
            let (test, seed) = (&record.test, record.seed);
            self.found.push(format!("{test} {seed}, view {view}: {}", finding.text));
        }
        Ok(())
    }
}

/// Records a Raft that others wrote, and says a line about it.
pub(crate) fn accuse_other(
    root: &Path,
    name: &str,
    sources: &Sources,
    plan: Plan,
) -> Result<bool, String> {
    let workshop = Workshop::new(others::lay_out(root, name, sources)?);
    let tests = Tests { binary: workshop.build(plan.profile)?, change: None };
    let found = accuse(&tests, &workshop, ("", &["yes", "no"]), plan);
    table::say(&lines(name, &found));
    Ok(is_clean(&found))
}

/// What was found, for people.
fn lines(name: &str, found: &Result<Accusations, String>) -> String {
    match found {
        Err(problem) => format!("{name:<31} NOT RUN: {problem}\n"),
        Ok(Accusations { runs, found }) if found.is_empty() => {
            format!("{name:<31} nothing found in {runs} runs\n")
        }
        Ok(Accusations { runs, found }) => {
            let said = found.join("\n    ");
            format!("{name:<31} ACCUSED {} times in {runs} runs\n    {said}\n", found.len())
        }
    }
}

/// Nothing is to be found in any.
fn is_clean(found: &Result<Accusations, String>) -> bool {
    found.as_ref().is_ok_and(|accusations| accusations.runs > 0 && accusations.found.is_empty())
}
