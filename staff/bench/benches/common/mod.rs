//! How all benchmarks are measured: shortly, since CPU time is steady.

use std::time::Duration;

use criterion::Criterion;

pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .without_plots()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .nresamples(2000)
        .noise_threshold(0.05)
        .configure_from_args()
}

/// Measures one operation by a function that gives the time of `n`.
pub(crate) fn measure(c: &mut Criterion, name: &str, time_of: impl Fn(u64) -> Duration) {
    c.bench_function(name, |bencher| bencher.iter_custom(&time_of));
}
