//! A run that fails, reduced: as few faults, commands and hardships of messages as still lead to the
//! same failure.
//!
//! Whatever is left out, all else keeps its name and its fate ([`crate::choices`]), and so a run can
//! be tried again with less befalling it. First faults are taken away, then what clients ask for,
//! then what chance did to messages: halves, quarters, and so on down to single ones, as long as the
//! failure stays the same in its title and in the roles that servers have in it (delta debugging:
//! Zeller and Hildebrandt, IEEE TSE 2002). Runs are independent, so several are tried at once.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use labrecord::{Reduction, Seed, Shrunk};
use labrt::sim::Engine;
use parking_lot::Mutex;

use crate::artefacts;
use crate::choices::{Happened, Keep, Kept};
use crate::replay::Replay;
use crate::report::{Failure, Holds, Verdict};
use crate::run::{How, Run, Test};
use crate::settings::Settings;

/// All tests of a process together may spend so much more on it than one is allowed.
const PROCESS: u32 = 3;

/// A candidate that has not failed so long after the original did will not.
const GRACE: Duration = Duration::from_secs(5);

/// Reduces a run that failed and was recorded, within what the settings allow. `None` if that is not wanted, makes no
/// sense for this failure, or the process has spent enough on it.
pub(crate) fn shrink(test: &Test, seed: Seed, run: &Run, settings: &Settings) -> Option<Shrunk> {
    // One after the other: each uses all cores.
    static SPENT: Mutex<Duration> = Mutex::new(Duration::ZERO);
    let (failure, limit) = (run.failure.as_ref()?, settings.shrink?);
    if !makes_sense(failure) || settings.engine == Engine::Real {
        return None;
    }
    let mut spent = SPENT.lock();
    let left = (limit * PROCESS).checked_sub(*spent).filter(|left| !left.is_zero())?;
    let began = now();
    let search = Search {
        test,
        seed,
        settings: Settings { check_determinism: false, ..settings.clone() },
        original: run,
        failure,
        signature: run.signature.clone(),
        roles: roles(failure),
        time_limit: run.report.virtual_time + GRACE,
        deadline: began + limit.min(left),
        runs: Mutex::new(0),
    };
    let shrunk = search.run(began);
    *spent += began.elapsed();
    shrunk
}

/// Would a run with less in it say more?
fn makes_sense(failure: &Failure) -> bool {
    match failure.verdict {
        Verdict::Safety
        | Verdict::Liveness
        | Verdict::Budget
        | Verdict::Panic
        | Verdict::Deadlock => true,
        // A task that is stuck takes seconds each time, and leaves a thread behind.
        Verdict::Stuck
        | Verdict::Pass
        | Verdict::Nondeterministic
        | Verdict::Tester
        | Verdict::Missing => false,
    }
}

/// Who did what in a failure, without numbers and times, servers named in the order in which they
/// turn up: `A led T#, first seen at # s; B leads T# too, seen at # s`. What is demanded in time is
/// described by lists of servers, which say nothing of that kind.
fn roles(failure: &Failure) -> Option<String> {
    if failure.verdict != Verdict::Safety {
        return None;
    }
    let mut servers: Vec<String> = Vec::new();
    let mut roles = String::new();
    let mut rest = failure.happened.chars().peekable();
    while let Some(c) = rest.next() {
        let mut digits = String::new();
        let is_server = c == 'S' && !roles.ends_with(char::is_alphanumeric);
        if is_server || c.is_ascii_digit() {
            while let Some(digit) = rest.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
        }
        match (is_server, digits.is_empty()) {
            (true, false) => {
                let known = servers.iter().position(|server| *server == digits);
                let place = known.unwrap_or(servers.len());
                if known.is_none() {
                    servers.push(digits);
                }
                roles.push(char::from(b'A' + u8::try_from(place % 26).unwrap_or_default()));
            }
            _ if c.is_ascii_digit() => {
                // 1.840 and 7 are both a number.
                if !roles.ends_with("#.") {
                    roles.push('#');
                }
            }
            _ => roles.push(c),
        }
    }
    Some(roles.replace("#.#", "#").replace("#.", "#"))
}

struct Search<'a> {
    test: &'a Test,
    seed: Seed,
    settings: Settings,
    original: &'a Run,
    failure: &'a Failure,
    signature: Option<String>,
    roles: Option<String>,
    /// Of virtual time, for each candidate.
    time_limit: Duration,
    deadline: Instant,
    runs: Mutex<u64>,
}

impl Search<'_> {
    fn run(&self, began: Instant) -> Option<Shrunk> {
        let all = self.original.happened.clone();
        let mut kept = Kept::EVERYTHING;
        let mut left = all.clone();
        // What was needed for something that is gone now may go, too.
        loop {
            let before = size(&left);
            self.without_faults(&mut kept, &mut left);
            if self.failure.holds == Holds::Always {
                self.without_commands(&mut kept, &mut left);
            }
            self.without_messages(&mut kept, &mut left);
            if size(&left) == before || self.is_late() {
                break;
            }
        }
        let minimal = !self.is_late();
        let reduced = self.happened(&kept)?;
        let happened = reduced.failure.as_ref().map(|failure| failure.happened.clone());
        let replay = artefacts::replay(self.test, self.seed, &self.file(&kept, &all, &reduced));
        let number = |from: usize, to: usize| Reduction { from, to };
        Some(Shrunk {
            faults: number(all.faults.len(), left.faults.len()),
            commands: number(all.commands.len(), left.commands.len()),
            messages: number(all.messages.len(), left.messages.len()),
            virtual_seconds: reduced.report.virtual_time.as_secs_f64(),
            runs: *self.runs.lock(),
            seconds: began.elapsed().as_secs_f64(),
            minimal,
            happened: happened.unwrap_or_default(),
            replay,
        })
    }

    fn without_faults(&self, kept: &mut Kept, left: &mut Happened) {
        let base = kept.clone();
        left.faults = self.reduce(&left.faults, |faults| Kept {
            faults: Keep::Only(faults.iter().map(|(step, ..)| *step).collect()),
            ..base.clone()
        });
        kept.faults = Keep::Only(left.faults.iter().map(|(step, ..)| *step).collect());
        self.unless_it_matters(kept, base);
    }

    fn without_commands(&self, kept: &mut Kept, left: &mut Happened) {
        let base = kept.clone();
        left.commands = self.reduce(&left.commands, |commands| Kept {
            commands: Keep::Only(commands.iter().map(|(step, ..)| *step).collect()),
            ..base.clone()
        });
        kept.commands = Keep::Only(left.commands.iter().map(|(step, ..)| *step).collect());
        self.unless_it_matters(kept, base);
    }

    fn without_messages(&self, kept: &mut Kept, left: &mut Happened) {
        let base = kept.clone();
        left.messages = self.reduce(&left.messages, |messages| Kept {
            messages: Keep::Only(ids(messages)),
            ..base.clone()
        });
        kept.messages = Keep::Only(ids(&left.messages));
        self.unless_it_matters(kept, base);
    }

    /// If nothing could be taken away, that things are listed may still make a difference: to what
    /// the original never came to.
    fn unless_it_matters(&self, kept: &mut Kept, base: Kept) {
        if *kept != base && !self.fails(kept) {
            *kept = base;
        }
    }

    /// As few of `all` as are found to be enough.
    fn reduce<T: Clone>(&self, all: &[T], with: impl Fn(&[T]) -> Kept) -> Vec<T> {
        let mut left = all.to_vec();
        // Often nothing matters, or only what came last.
        let sizes = std::iter::once(0).chain((0..).map(|n| 1 << n));
        let sizes: Vec<usize> = sizes.take_while(|size| *size < all.len()).collect();
        let candidates: Vec<Kept> =
            sizes.iter().map(|size| with(&all[all.len() - size..])).collect();
        if let Some(found) = self.first_that_fails(&candidates) {
            left.drain(..all.len() - sizes[found]);
        }
        let mut chunk = left.len().div_ceil(2);
        while chunk > 0 && !left.is_empty() && !self.is_late() {
            let before = left.len();
            let mut end = left.len();
            while end > 0 && !self.is_late() {
                // From the end, as many chunks as can be tried at once.
                let starts: Vec<usize> = (1..=workers())
                    .map(|n| end.saturating_sub(n * chunk))
                    .scan(end, |last, start| {
                        let more = *last > 0;
                        *last = start;
                        more.then_some(start)
                    })
                    .collect();
                let without = |start: usize| {
                    let end = (start + chunk).min(end);
                    [&left[..start], &left[end..]].concat()
                };
                let candidates: Vec<Kept> =
                    starts.iter().map(|start| with(&without(*start))).collect();
                match self.first_that_fails(&candidates) {
                    Some(found) => {
                        left = without(starts[found]);
                        end = starts[found];
                    }
                    None => end = *starts.last().unwrap_or(&0),
                }
            }
            chunk = match chunk {
                1 if left.len() == before => 0,
                1 => 1,
                _ => chunk.min(left.len()).div_ceil(2),
            };
        }
        left
    }

    /// The first of these that fails as the original did; the same one, however many are tried at
    /// once.
    fn first_that_fails(&self, candidates: &[Kept]) -> Option<usize> {
        let workers = workers();
        for (round, batch) in candidates.chunks(workers).enumerate() {
            if self.is_late() {
                return None;
            }
            #[expect(clippy::disallowed_methods, reason = "each run has a thread of its own")]
            let failed: Vec<bool> = thread::scope(|scope| {
                let others: Vec<_> =
                    batch[1..].iter().map(|kept| scope.spawn(|| self.fails(kept))).collect();
                let first = self.fails(&batch[0]);
                let others = others.into_iter().map(|other| other.join().unwrap_or(false));
                std::iter::once(first).chain(others).collect()
            });
            if let Some(place) = failed.iter().position(|failed| *failed) {
                return Some(round * workers + place);
            }
        }
        None
    }

    fn is_late(&self) -> bool {
        now() >= self.deadline
    }

    fn fails(&self, kept: &Kept) -> bool {
        self.is_same(&self.try_out(kept, false))
    }

    /// The run with a list of what happens in it; `None` if it does not fail as the original did.
    fn happened(&self, kept: &Kept) -> Option<Run> {
        let run = self.try_out(kept, true);
        self.is_same(&run).then_some(run)
    }

    fn try_out(&self, kept: &Kept, record: bool) -> Run {
        *self.runs.lock() += 1;
        let time_limit = Some(self.time_limit);
        let settings = self.settings.clone();
        self.test
            .run(self.seed, &How { settings, kept: kept.clone(), record, quiet: true, time_limit })
    }

    fn is_same(&self, run: &Run) -> bool {
        run.signature == self.signature && run.failure.as_ref().and_then(roles) == self.roles
    }

    /// The file for `LAB_REPLAY`, with comments for people.
    fn file(&self, kept: &Kept, all: &Happened, reduced: &Run) -> String {
        let replay = Replay {
            test: self.test.name.clone(),
            seed: self.seed,
            fails: self.failure.title.clone(),
            kept: kept.clone(),
        };
        let happened = reduced.failure.as_ref().map_or("", |failure| &failure.happened);
        replay.annotated(happened, all, &reduced.happened)
    }
}

fn ids<A, B>(messages: &[(labrpc::MessageId, A, B)]) -> BTreeSet<labrpc::MessageId> {
    messages.iter().map(|(id, ..)| id.clone()).collect()
}

fn size(happened: &Happened) -> usize {
    happened.faults.len() + happened.commands.len() + happened.messages.len()
}

/// How many runs are tried at once.
fn workers() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().min(4))
}

#[expect(clippy::disallowed_methods, reason = "wall time, outside the runs")]
fn now() -> Instant {
    Instant::now()
}
