//! How sure one can be, after so many runs.

/// The exact upper bound on the probability of a failure, at 95 % confidence, after `failures` in
/// `runs` independent runs (Clopper and Pearson 1934): the probability at which so few failures, or
/// fewer, would still be seen once in twenty times.
///
/// 1 after no runs.
#[must_use]
pub fn upper_bound(failures: u64, runs: u64) -> f64 {
    const CHANCE: f64 = 0.05;
    if failures >= runs {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if at_most(failures, runs, middle) > CHANCE {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The probability of at least one failure in `n` runs that each fail with probability `p`.
#[must_use]
pub fn any_of(n: u64, p: f64) -> f64 {
    -(real(n) * (-p).ln_1p()).exp_m1()
}

/// The probability of at most `k` failures in `n` runs that each fail with probability `p`.
fn at_most(k: u64, n: u64, p: f64) -> f64 {
    // Each term from the one before. In logarithms, because the first may be too small for a float.
    let mut log_term = real(n) * (-p).ln_1p();
    let mut sum = log_term.exp();
    for i in 0..k {
        log_term += (real(n - i) / real(i + 1) * p / (1.0 - p)).ln();
        sum += log_term.exp();
    }
    sum
}

#[expect(clippy::cast_precision_loss, reason = "numbers of runs are far below 2^53")]
fn real(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(bound: f64, expected: f64) {
        assert!((bound / expected - 1.0).abs() < 1e-3, "{bound} is not {expected}");
    }

    #[test]
    fn without_a_failure_it_is_the_root_of_one_twentieth() {
        for runs in [1, 10, 100, 400, 1000, 1_000_000] {
            near(upper_bound(0, runs), 1.0 - 0.05_f64.powf(1.0 / real(runs)));
        }
    }

    /// Figures of tables of the Clopper-Pearson bound, one-sided 95 %.
    #[test]
    fn with_failures() {
        near(upper_bound(1, 10), 0.394_16);
        near(upper_bound(5, 10), 0.777_56);
        near(upper_bound(9, 10), 0.994_88);
        near(upper_bound(5, 100), 0.102_25);
        near(upper_bound(500, 1000), 0.526_48);
    }

    #[test]
    fn many_chances_to_fail() {
        near(any_of(20, 0.03), 0.4562);
        near(any_of(20, upper_bound(0, 1000)), 0.0582);
        near(any_of(20, 1.0), 1.0);
    }

    #[test]
    fn at_the_edges() {
        near(upper_bound(0, 0), 1.0);
        near(upper_bound(10, 10), 1.0);
        assert!(upper_bound(9_999, 10_000) < 1.0);
        assert!(upper_bound(100_000, 200_000) > 0.5);
    }
}
