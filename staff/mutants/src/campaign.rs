//! Many patches: whose result is kept, which of the others share a build, and which get one each.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use grade::parallel;
use parking_lot::Mutex;

use crate::mutant::Mutant;
use crate::outcome::{self, Outcome};
use crate::runs::Plan;
use crate::sources::Sources;
use crate::table;
use crate::trial::{Workshop, now};

/// What all of them are given.
pub(crate) struct Campaign<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) plan: Plan<'a>,
    /// Patches that run at the same time.
    pub(crate) jobs: usize,
    /// Where the workshops are.
    pub(crate) place: PathBuf,
    /// The folder there where results are kept.
    pub(crate) results: &'a str,
    /// The workshop there for builds that are shared.
    pub(crate) shared: &'a str,
    /// Run also what a kept result answers.
    pub(crate) again: bool,
}

impl Campaign<'_> {
    /// Runs them, and says a line about each. What came of them, in their order.
    pub(crate) fn run<'a>(
        &self,
        mutants: &[&'a Mutant],
        line: impl Fn(&Mutant, &Outcome) -> String + Sync,
    ) -> Result<Vec<(&'a Mutant, Outcome)>, String> {
        let folder = self.place.join(self.results);
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let found: Mutex<BTreeMap<String, Outcome>> = Mutex::default();
        let found_out = |mutant: &Mutant, outcome: Outcome| {
            table::say(&line(mutant, &outcome));
            found.lock().insert(mutant.id(), outcome);
        };
        let mut open = Vec::new();
        for &mutant in mutants {
            match self.kept(mutant) {
                Some(outcome) => found_out(mutant, outcome),
                None => open.push(mutant),
            }
        }
        let found_new = |mutant: &Mutant, outcome: Outcome| {
            let key = self.sources.key(mutant, outcome.is_of_torture());
            outcome::write(&self.file(mutant), &key, self.plan.runs_of(mutant), &outcome);
            found_out(mutant, outcome);
        };
        for group in groups(&open) {
            self.run_switched(&group, &found_new)?;
        }
        let is_open = |mutant: &&&Mutant| !found.lock().contains_key(&mutant.id());
        let alone: Vec<&Mutant> = open.iter().filter(is_open).copied().collect();
        in_workshops(self.jobs, &alone, &self.place, |mutant, workshop| {
            found_new(mutant, workshop.try_out(mutant, self.sources, self.plan));
        })?;
        let mut found = found.into_inner();
        let outcome = |mutant: &&'a Mutant| Some((*mutant, found.remove(&mutant.id())?));
        Ok(mutants.iter().filter_map(outcome).collect())
    }

    /// Those of one design that can be behind switches.
    fn run_switched(
        &self,
        group: &[&Mutant],
        found: &(impl Fn(&Mutant, Outcome) + Sync),
    ) -> Result<(), String> {
        if group.len() < 2 {
            return Ok(()); // a build of its own is as good
        }
        let workshop = Workshop::new(self.place.join(self.shared));
        let tests = workshop.build_switched(group, self.sources, self.plan.profile)?;
        let tests: Vec<_> = tests.into_iter().collect();
        let work = |_, (number, tests): &(u32, _)| {
            let mutant = group[*number as usize];
            let tests: &crate::runs::Tests = tests;
            let outcome = tests.try_out(mutant, self.plan, now() + self.plan.limit);
            found(mutant, outcome.unwrap_or_else(|problem| Outcome::NotRun { problem }));
            Ok(())
        };
        parallel::each(self.jobs, &tests, work).map_err(|e| format!("{e:#}"))
    }

    fn kept(&self, mutant: &Mutant) -> Option<Outcome> {
        let key = |outcome: &Outcome| self.sources.key(mutant, outcome.is_of_torture());
        outcome::read(&self.file(mutant), key, self.plan.runs_of(mutant)).filter(|_| !self.again)
    }

    fn file(&self, mutant: &Mutant) -> PathBuf {
        self.place.join(self.results).join(format!("{}.json", mutant.id()))
    }
}

/// Patches of the same design. Right ones are built alone: they are to be as they would be handed in.
fn groups<'a>(mutants: &[&'a Mutant]) -> Vec<Vec<&'a Mutant>> {
    let wrong: Vec<&Mutant> = mutants.iter().copied().filter(|mutant| mutant.is_wrong()).collect();
    by_design(&wrong)
}

/// Patches of the same design, which can share a build.
pub(crate) fn by_design<'a>(mutants: &[&'a Mutant]) -> Vec<Vec<&'a Mutant>> {
    let mut groups: BTreeMap<Option<&str>, Vec<&Mutant>> = BTreeMap::new();
    for mutant in mutants {
        groups.entry(mutant.design.as_deref()).or_default().push(mutant);
    }
    groups.into_values().collect()
}

/// Does something with each patch, so many at a time, each in a workshop that is used by one at a time.
/// What came of them, in their order.
pub(crate) fn in_workshops<'a, T: Send>(
    jobs: usize,
    mutants: &[&'a Mutant],
    place: &std::path::Path,
    work: impl Fn(&'a Mutant, &Workshop) -> T + Sync,
) -> Result<Vec<(&'a Mutant, T)>, String> {
    let found = Mutex::new(BTreeMap::new());
    parallel::each(jobs, mutants, |job, mutant| {
        let workshop = Workshop::new(place.join(format!("job{}", job + 1)));
        let outcome = work(mutant, &workshop);
        found.lock().insert(mutant.id(), outcome);
        Ok(())
    })
    .map_err(|e| format!("{e:#}"))?;
    let mut found = found.into_inner();
    Ok(mutants.iter().filter_map(|mutant| Some((*mutant, found.remove(&mutant.id())?))).collect())
}
