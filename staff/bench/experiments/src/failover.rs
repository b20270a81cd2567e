//! The paper's Figure 16: how long a crashed leader is missed, for several ranges of election
//! timeouts.

use std::{fmt::Write as _, time::Duration};

use crate::{
    File,
    plot::{Line, Plot},
    trial::{self, Broadcast, Timeouts},
};

/// One curve, and what section 9.3 says of it in words. (The rest is in a drawing only, from which
/// no number can be quoted.)
struct Curve {
    timeouts: Timeouts,
    paper: &'static str,
    /// A tenth of the trials, as in the paper: they end in ten seconds each.
    is_hopeless: bool,
}

const fn curve(min: u64, max: u64, paper: &'static str) -> Curve {
    Curve { timeouts: Timeouts { min, max }, paper, is_hopeless: min == max }
}

/// How much randomness is needed.
const SPREADS: [Curve; 6] = [
    curve(150, 150, "over 10 s"),
    curve(150, 151, ""),
    curve(150, 155, "median 287 ms"),
    curve(150, 175, ""),
    curve(150, 200, "longest 513 ms"),
    curve(150, 300, "recommended"),
];

/// How short timeouts may be.
const SCALES: [Curve; 5] = [
    curve(12, 24, "mean 35 ms, longest 152 ms"),
    curve(25, 50, ""),
    curve(50, 100, ""),
    curve(100, 200, ""),
    curve(150, 300, "recommended"),
];

/// What the crashes of one curve came to, shortest first; those without a new leader are `None`
/// and come last.
struct Measured<'a> {
    curve: &'a Curve,
    times: Vec<Option<Duration>>,
}

pub(crate) fn run(trials: u64) -> Vec<File> {
    let logs = trial::saved_logs();
    let measure = |curve: &'static Curve, broadcast| {
        let trials = if curve.is_hopeless { trials.div_ceil(10) } else { trials };
        let trial = |seed| trial::downtime(curve.timeouts, broadcast, &logs, seed);
        let mut times: Vec<Option<Duration>> = (0..trials).map(trial).collect();
        times.sort_by_key(|time| time.unwrap_or(Duration::MAX));
        Measured { curve, times }
    };
    let mut files = Vec::new();
    for (broadcast, [spread, scale, rows]) in [
        (Broadcast::Disk, ["figure16-spread.svg", "figure16-scale.svg", "figure16.md"]),
        (
            Broadcast::Wire,
            ["figure16-wire-spread.svg", "figure16-wire-scale.svg", "figure16-wire.md"],
        ),
    ] {
        let spreads: Vec<_> = SPREADS.iter().map(|curve| measure(curve, broadcast)).collect();
        let scales: Vec<_> = SCALES.iter().map(|curve| measure(curve, broadcast)).collect();
        files.push((spread, plot(&spreads, (50.0, 10_000.0))));
        files.push((scale, plot(&scales, (10.0, 1_000.0))));
        files.push((rows, table(spreads.iter().chain(&scales[..4]))));
    }
    files
}

/// No line is broken in it.
fn label(timeouts: Timeouts) -> String {
    format!("{}–\u{2060}{}\u{a0}ms", timeouts.min, timeouts.max)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A fraction of all trials against the time within which they had a leader.
fn plot(all: &[Measured<'_>], range: (f64, f64)) -> String {
    let lines = all
        .iter()
        .map(|measured| {
            #[expect(clippy::cast_precision_loss, reason = "a few thousand trials")]
            let share = |n: usize| 100.0 * n as f64 / measured.times.len() as f64;
            let found = measured.times.iter().flatten();
            let points = found.enumerate().map(|(n, time)| (ms(*time), share(n + 1))).collect();
            Line { label: label(measured.curve.timeouts), points }
        })
        .collect();
    Plot {
        x_title: "time without a leader / 没有 leader 的时间 (ms)",
        y_title: "% of crashes / 占全部崩溃的百分比",
        x: range,
        y: (0.0, 100.0),
        lines,
    }
    .svg()
}

/// Rows for a Markdown table; the page has the head, in its language.
fn table<'a>(all: impl Iterator<Item = &'a Measured<'a>>) -> String {
    let mut rows = String::new();
    for Measured { curve, times } in all {
        let at = |part: f64| {
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a place in a list of a thousand"
            )]
            let place = (part * (times.len() - 1) as f64).round() as usize;
            show(times[place])
        };
        let all: Option<Duration> = times.iter().copied().sum();
        let mean = all.map(|sum| sum / u32::try_from(times.len()).unwrap_or(u32::MAX));
        let _ = writeln!(
            rows,
            "| {} | {} | {} | {} | {} | {} | {} |",
            label(curve.timeouts),
            times.len(),
            at(0.5),
            show(mean),
            at(0.99),
            at(1.0),
            if curve.paper.is_empty() { "–" } else { curve.paper },
        );
    }
    rows
}

fn show(time: Option<Duration>) -> String {
    time.map_or_else(|| ">\u{a0}10\u{a0}000".to_owned(), |time| format!("{:.0}", ms(time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_found_no_leader_is_counted() {
        let times = [Some(200), Some(300), None].map(|t| t.map(Duration::from_millis)).to_vec();
        let measured = Measured { curve: &SPREADS[2], times };
        let row = table([&measured].into_iter());
        let expected =
            "| 150–155 ms | 3 | 300 | > 10 000 | > 10 000 | > 10 000 | median 287 ms |\n";
        assert_eq!(row.replace('\u{a0}', " ").replace('\u{2060}', ""), expected);
        let drawn = plot(&[measured], (100.0, 10_000.0));
        assert!(drawn.contains("155\u{a0}ms"), "{drawn}");
    }
}
