//! A search of one test on one seed, and what it found.

use std::fmt::Write as _;

use labrecord::Seed;
use labrt::sim::Engine;

use super::choice::{Deviation, Point};
use super::walk::{Limits, Walk};
use crate::artefacts;
use crate::choices::Kept;
use crate::replay::Replay;
use crate::run::{How, Run, Test};
use crate::settings::Settings;
use crate::text::at;

/// What a search came to.
pub(crate) struct Found {
    walk: Walk,
    /// The first run that failed.
    failed: Option<Vec<Deviation>>,
    wall: std::time::Duration,
}

/// Runs it with one list of choices after the other, until one fails, or all within the limits were tried.
/// On the wall clock there is nothing to choose.
pub(crate) fn search(test: &Test, seed: Seed, settings: &Settings, limits: Limits) -> Found {
    #[expect(clippy::disallowed_methods, reason = "wall time, outside the runs")]
    let began = std::time::Instant::now();
    let mut walk = Walk::new(limits);
    let mut failed = None;
    while settings.engine == Engine::Simulated
        && let Some(deviations) = walk.next()
    {
        let how = How { kept: forced(&deviations), quiet: true, ..How::usual(settings) };
        let run = test.run(seed, &how);
        walk.met(&deviations, &run.happened.points);
        if run.failure.is_some() {
            failed = Some(deviations);
            break;
        }
    }
    Found { walk, failed, wall: began.elapsed() }
}

/// A run in which these are forced.
fn forced(deviations: &[Deviation]) -> Kept {
    let forced = deviations.iter().map(|deviation| (deviation.point, deviation.choice)).collect();
    Kept { forced, ..Kept::EVERYTHING }
}

/// What was forced, in words; nothing, if nothing was.
pub(crate) fn list(points: &[Point]) -> Vec<String> {
    let chosen: Vec<_> = (1..).zip(points).filter(|(_, point)| point.chosen.is_some()).collect();
    if chosen.is_empty() {
        return Vec::new();
    }
    let mut text = format!("of {} choices {} were forced:", points.len(), chosen.len());
    for (number, point) in chosen {
        let _ = write!(text, "\n               {number:>3}  {point}, {}", at(point.at));
    }
    vec![text]
}

impl Found {
    /// What is forced in the run that failed; nothing, if none did.
    pub(crate) fn kept(&self) -> Kept {
        forced(self.failed.as_deref().unwrap_or_default())
    }

    /// Writes the file for `LAB_REPLAY`, and says where it is.
    pub(crate) fn keep(&self, test: &Test, seed: Seed, run: &Run) -> String {
        let fails = run.failure.as_ref().map_or_else(String::new, |failure| failure.title.clone());
        let replay = Replay { test: test.name.clone(), seed, fails, kept: self.kept() };
        artefacts::replay(test, seed, &replay.with_points(&run.happened.points))
    }

    /// What was covered: one line, and one for each number of forced choices.
    pub(crate) fn coverage(&self) -> String {
        let (walk, seconds) = (&self.walk, self.wall.as_secs_f64());
        let mut text = format!("{} runs, {} states, {seconds:.1} s; ", walk.runs(), walk.states());
        let _ = match (&self.failed, walk.exhausted()) {
            (Some(deviations), _) => {
                write!(text, "one with {} forced choices failed", deviations.len())
            }
            (None, None) => write!(text, "not exhausted"),
            (None, Some(all)) => {
                write!(text, "exhausted up to {all} forced choices")
            }
        };
        for (forced, level) in walk.levels().iter().enumerate() {
            let _ = write!(
                text,
                "\n               {forced} forced: {} runs, which met {} points with {} choices, {} of them new",
                level.runs,
                level.points,
                level.choices,
                level.choices - level.repeated
            );
        }
        text
    }
}
