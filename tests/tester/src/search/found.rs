//! A search of one test on one seed, and what it found.

use std::fmt::Write as _;

use labrecord::Seed;

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
    limits: Limits,
    /// The first run that failed.
    failed: Option<Vec<Deviation>>,
    wall: std::time::Duration,
}

/// Runs it with one list of choices after the other, until one fails, or all within the limits were tried.
pub(crate) fn search(test: &Test, seed: Seed, settings: &Settings, limits: Limits) -> Found {
    #[expect(clippy::disallowed_methods, reason = "wall time, outside the runs")]
    let began = std::time::Instant::now();
    let mut walk = Walk::new(limits);
    let mut failed = None;
    while let Some(deviations) = walk.next() {
        let how = How { kept: forced(&deviations), quiet: true, ..How::usual(settings) };
        let run = test.run(seed, &how);
        walk.met(&deviations, &run.happened.points);
        if run.failure.is_some() {
            failed = Some(deviations);
            break;
        }
    }
    Found { walk, limits, failed, wall: began.elapsed() }
}

/// A run in which these are forced.
fn forced(deviations: &[Deviation]) -> Kept {
    let forced = deviations.iter().map(|deviation| (deviation.point, deviation.choice)).collect();
    Kept { forced, ..Kept::EVERYTHING }
}

/// What was forced, in words.
pub(crate) fn list(points: &[Point]) -> String {
    let chosen: Vec<_> = (1..).zip(points).filter(|(_, point)| point.chosen.is_some()).collect();
    let mut text = format!("{} of {} choices forced, in this order:", chosen.len(), points.len());
    for (number, point) in chosen {
        let _ = write!(text, "\n               {point}, {} (choice {number})", at(point.at));
    }
    text
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
        let points = list(&run.happened.points);
        let text: String = points.lines().map(|line| format!("# {}\n", line.trim_start())).collect();
        artefacts::replay(test, seed, &(text + &replay.to_string()))
    }

    /// What was covered, in a few lines.
    pub(crate) fn coverage(&self, test: &str) -> String {
        let Found { walk, limits, .. } = self;
        let mut text = format!(
            "{test}: {} runs, {} states, {:.1} s",
            walk.runs(),
            walk.states(),
            self.wall.as_secs_f64()
        );
        for (deviations, level) in walk.levels().iter().enumerate() {
            let _ = write!(
                text,
                "\n  {deviations} forced   {} runs met {} points with {} choices, {} of them tried before in an equal state",
                level.runs, level.points, level.choices, level.repeated
            );
        }
        let _ = match (&self.failed, walk.exhausted()) {
            (Some(_), _) => write!(text, "\n  a run failed"),
            (None, Some(all)) if all == limits.deviations => {
                write!(text, "\n  exhausted: all with up to {all} forced choices were tried")
            }
            (None, Some(all)) => write!(
                text,
                "\n  not exhausted: all with up to {all} forced choices were tried, and some with {}",
                all + 1
            ),
            (None, None) => write!(text, "\n  not even the usual run was tried"),
        };
        text.push('\n');
        text
    }
}
