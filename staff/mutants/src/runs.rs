//! The graded tests run on one wrong server, or right one: how many seeds, and what came of them.
//!
//! ```text
//!  graded tests, SHARES seeds each: all are run, whether some fail or not
//!     └ none failed: twice as many, up to those asked for; each test ends at its first failure
//!         └ none failed: torture and scripted histories, likewise
//! ```
//!
//! A right one is given all seeds of both at once.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use grade::process::{self, Limits};
use grade::suite::TestBinary;
use grade::{parallel, trial};
use labrecord::{About, Record, Seed, Verdict};
use parking_lot::Mutex;

use crate::mutant::Mutant;
use crate::outcome::{Failed, Kill, Outcome};
use crate::switches;
use crate::trial::now;

/// What each patch is given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    /// Seeds of each test for a right one.
    pub(crate) runs: u64,
    /// Seeds of each test for a wrong one, in the last step.
    pub(crate) wrong_runs: u64,
    /// Wall time, building included.
    pub(crate) limit: Duration,
    /// Tests that run side by side.
    pub(crate) threads: usize,
    pub(crate) profile: &'a str,
    /// Whether servers show what they are in (`LAB_VIEW`).
    pub(crate) view: bool,
    /// One failure is enough: the other tests need not come to their end, and torture is not tried.
    pub(crate) hasty: bool,
}

impl Plan<'_> {
    /// Seeds of each test for this one, at most.
    pub(crate) fn runs_of(&self, mutant: &Mutant) -> u64 {
        if mutant.is_wrong() { self.wrong_runs } else { self.runs }
    }
}

/// Seeds of each test in the first step for a wrong server. All of them are run, so that it can be
/// said how large a share fails.
pub(crate) const SHARES: u64 = 10;

/// Memory that a test process may map, in KiB: some wrong servers would take it all.
const MEMORY: u64 = 6 << 20;

/// What came of a test's runs so far, in the order of its seeds.
struct Tested {
    about: About,
    runs: Vec<Record>,
}

impl Tested {
    fn nothing_yet(about: About) -> Tested {
        Tested { about, runs: Vec::new() }
    }

    fn first_failure(&self) -> Option<usize> {
        self.runs.iter().position(|run| run.verdict != Verdict::Pass)
    }

    fn failed(&self) -> Option<Failed> {
        let first = self.first_failure()?;
        let run = &self.runs[first];
        Some(Failed {
            test: self.about.test.clone(),
            seeds: first as u64 + 1,
            failures: self.runs.iter().filter(|run| run.verdict != Verdict::Pass).count() as u64,
            runs: self.runs.len() as u64,
            virtual_seconds: self.runs[..=first].iter().map(|run| run.virtual_seconds).sum(),
            wall_seconds: self.runs[..=first].iter().map(|run| run.wall_seconds).sum(),
            seed: run.seed.to_string(),
            verdict: serde_json::to_value(run.verdict)
                .ok()
                .and_then(|word| Some(word.as_str()?.to_owned()))
                .unwrap_or_default(),
            title: without_line(run.signature.as_deref().unwrap_or_default()).to_owned(),
        })
    }
}

/// A built test binary, and which of the changes it has in it is to be made, if there are several.
pub(crate) struct Tests {
    pub(crate) binary: TestBinary,
    pub(crate) change: Option<u32>,
}

impl Tests {
    /// Runs what `plan` asks for, as far as it takes to see a failure.
    pub(crate) fn try_out(
        &self,
        mutant: &Mutant,
        plan: Plan,
        deadline: Instant,
    ) -> Result<Outcome, String> {
        let tests = self.binary.graded_and_campaigns().map_err(|e| format!("{e:#}"))?;
        let begin = |with: &[&str]| -> Vec<String> {
            let begins = |test: &&String| with.iter().any(|start| test.starts_with(start));
            tests.iter().filter(begins).cloned().collect()
        };
        let graded = begin(&[mutant.lab.tests()]);
        let most = plan.runs_of(mutant);
        let torture = (!plan.hasty).then(|| begin(mutant.lab.torture()));
        for names in [Some(graded), torture].into_iter().flatten() {
            let abouts =
                process::describe(self.binary.command(), &names).map_err(|e| format!("{e:#}"))?;
            let first = match (mutant.is_wrong(), plan.hasty) {
                (false, _) => most,
                (true, false) => SHARES,
                (true, true) => 1,
            };
            let mut tested: Vec<Tested> = abouts.into_iter().map(Tested::nothing_yet).collect();
            let mut runs = first.min(most);
            loop {
                self.run(&mut tested, runs, plan, deadline)?;
                let mut failed: Vec<Failed> = tested.iter().filter_map(Tested::failed).collect();
                failed.sort_by(|a, b| (a.seeds, &a.test).cmp(&(b.seeds, &b.test)));
                if !failed.is_empty() {
                    let kill = kill(&tested);
                    return Ok(Outcome::Failed { failed, kill });
                }
                let fewest = tested.iter().map(|tested| tested.runs.len() as u64).min();
                let fewest = fewest.unwrap_or_default();
                if fewest < runs {
                    return Ok(Outcome::OutOfTime { seeds: fewest });
                }
                if runs == most {
                    break;
                }
                runs = (2 * runs).min(most);
            }
        }
        Ok(Outcome::Passed { seeds: most })
    }

    /// Runs each of these tests on the seeds that it lacks of so many. After the first step a test ends
    /// at its first failure; who is hasty ends them all. What the time does not suffice for is left out.
    fn run(
        &self,
        tested: &mut Vec<Tested>,
        runs: u64,
        plan: Plan,
        deadline: Instant,
    ) -> Result<(), String> {
        let enough = AtomicBool::new(false);
        let all: Vec<Mutex<Tested>> = tested.drain(..).map(Mutex::new).collect();
        parallel::each(plan.threads, &all, |_, tested| {
            let mut tested = tested.lock();
            let Tested { about, runs: done } = &mut *tested;
            let seeds = (done.len() as u64..runs).map(|n| Seed::derived(&about.test, n));
            let seeds: Vec<Seed> = seeds.collect();
            let this_enough = AtomicBool::new(false);
            let stop = if plan.hasty { &enough } else { &this_enough };
            let wall = deadline.saturating_duration_since(now());
            let limits = Limits { wall, print: 0, stop };
            let trial = trial::Trial { about, seeds: &seeds, check_determinism: false, limits };
            let mut failed = false;
            trial.run(
                || Ok(self.command(plan.view)),
                |record| {
                    if record.verdict == Verdict::Missing && now() >= deadline {
                        return; // it had no time
                    }
                    let all_seeds = !plan.hasty && runs <= SHARES;
                    if failed && !all_seeds {
                        return; // it came while the test was being ended
                    }
                    failed |= record.verdict != Verdict::Pass;
                    if failed && !all_seeds {
                        stop.store(true, Ordering::Relaxed);
                    }
                    done.push(record);
                },
            )?;
            Ok(())
        })
        .map_err(|e| format!("{e:#}"))?;
        tested.extend(all.into_iter().map(Mutex::into_inner));
        Ok(())
    }

    /// A command that runs the tests, within some memory.
    fn command(&self, view: bool) -> Command {
        let program = self.binary.command();
        let mut command = Command::new("sh");
        let script = format!("ulimit -v {MEMORY}; exec \"$0\" \"$@\"");
        command.env_clear().args(["-c", &script]).arg(program.get_program());
        if let Some(folder) = program.get_current_dir() {
            command.current_dir(folder);
        }
        if !view {
            command.env("LAB_VIEW", "no");
        }
        if let Some(change) = self.change {
            command.env(switches::VARIABLE, change.to_string());
        }
        command
    }
}

/// The place of a panic without its line, which depends on what shares the build.
fn without_line(title: &str) -> &str {
    match title.rsplit_once(':') {
        Some((place, line)) if line.parse::<u32>().is_ok() => place,
        _ => title,
    }
}

/// What it takes to see the first failure, if every test is run on its first seed, then every one on
/// its second, and so on.
fn kill(tested: &[Tested]) -> Kill {
    let mut kill = Kill::default();
    let rounds = tested.iter().map(|tested| tested.runs.len()).max().unwrap_or(0);
    for round in 0..rounds {
        for Tested { about, runs } in tested {
            let Some(run) = runs.get(round) else { continue };
            kill.seeds = round as u64 + 1;
            kill.virtual_seconds += run.virtual_seconds;
            kill.wall_seconds += run.wall_seconds;
            if run.verdict != Verdict::Pass {
                kill.test.clone_from(&about.test);
                return kill;
            }
        }
    }
    kill
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_without_its_line() {
        assert_eq!(
            without_line("a server panicked at raft/src/log.rs:64"),
            "a server panicked at raft/src/log.rs"
        );
        assert_eq!(without_line("no leader"), "no leader");
    }
}
