//! What becomes of one message, drawn from the numbers that belong to it alone.
//!
//! Every number has its place: the n-th request of a link is lost or not by the same draw, whether
//! it can also be duplicated or not. So a test's faults can be taken away one by one.

use std::time::Duration;

use labrt::rand::Stream;
use rand::Rng as _;

use crate::{Conditions, DelayRange};

/// A server that vanishes, or a link that breaks under a waiting call, is noticed this late at most.
const NOTICED_WITHIN: DelayRange = DelayRange::millis(0, 100);

/// The fate of a request.
pub(crate) struct RequestFate {
    /// When it arrives, or when the caller learns that it does not.
    pub(crate) delay: Duration,
    pub(crate) lost: bool,
    /// It arrives this much later than `delay`, when its caller waits no more.
    pub(crate) late: Option<Duration>,
    /// A second copy arrives this much later than the first.
    pub(crate) duplicate: Option<Duration>,
    /// How long the caller waits if there is no path.
    pub(crate) no_path: Duration,
}

impl RequestFate {
    /// Of the `n`-th request on the link whose requests have `stream`.
    pub(crate) fn draw(stream: Stream, n: u64, conditions: &Conditions) -> RequestFate {
        let [delay, extra, lost, duplicate, second, late, lateness, no_path] = numbers(stream, n);
        let c = conditions;
        RequestFate {
            delay: uniform(c.delay, delay) + uniform(c.extra_request_delay, extra),
            lost: happens(c.request_loss, lost),
            duplicate: happens(c.duplicate, duplicate).then(|| uniform(c.duplicate_delay, second)),
            late: happens(c.late_request, late).then(|| uniform(c.late_request_delay, lateness)),
            no_path: uniform(c.no_path_delay, no_path),
        }
    }

    /// It arrives, once, after its delay; unless it is certain to be lost, which is no chance.
    pub(crate) fn spare(&mut self, c: &Conditions) {
        (self.lost, self.late, self.duplicate) = (c.request_loss >= 1.0, None, None);
    }
}

/// The fate of a reply.
pub(crate) struct ReplyFate {
    pub(crate) delay: Duration,
    pub(crate) lost: bool,
    /// It is held back this long instead, and then arrives in any case.
    pub(crate) held: Option<Duration>,
    /// How long the caller waits if there is no path.
    pub(crate) no_path: Duration,
}

impl ReplyFate {
    /// Of the `n`-th reply on the link whose replies have `stream`.
    pub(crate) fn draw(stream: Stream, n: u64, conditions: &Conditions) -> ReplyFate {
        let [delay, lost, held, bound, lateness, no_path] = numbers(stream, n);
        let c = conditions;
        let holding_time = || {
            let DelayRange { min, max } = c.late_reply_delay;
            uniform(DelayRange { min, max: uniform(DelayRange { min, max }, bound) }, lateness)
        };
        ReplyFate {
            delay: uniform(c.delay, delay),
            lost: happens(c.reply_loss, lost),
            held: happens(c.late_reply, held).then(holding_time),
            no_path: uniform(c.no_path_delay, no_path),
        }
    }

    /// It arrives after its delay; unless it is certain to be lost, which is no chance.
    pub(crate) fn spare(&mut self, c: &Conditions) {
        (self.lost, self.held) = (c.reply_loss >= 1.0, None);
    }
}

/// How long the `n`-th caller of a link waits until it notices that its server has vanished.
pub(crate) fn notice_delay(stream: Stream, n: u64) -> Duration {
    let [delay] = numbers(stream, n);
    uniform(NOTICED_WITHIN, delay)
}

fn numbers<const N: usize>(stream: Stream, n: u64) -> [u64; N] {
    let mut rng = stream.at(n);
    std::array::from_fn(|_| rng.next_u64())
}

/// Takes exactly one number, unlike `random_range`, so that each keeps its place.
fn uniform(range: DelayRange, number: u64) -> Duration {
    let span = range.max.saturating_sub(range.min).as_nanos();
    if span == 0 {
        return range.min;
    }
    let part = (u128::from(number) * (span + 1)) >> 64;
    range.min + Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX))
}

fn happens(probability: f64, number: u64) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit into an f64 exactly")]
    let fraction = (number >> 11) as f64 / (1_u64 << 53) as f64;
    fraction < probability
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_reaches_both_ends() {
        let range = DelayRange::millis(3, 7);
        assert_eq!(uniform(range, 0), range.min);
        assert_eq!(uniform(range, u64::MAX), range.max);
        assert_eq!(uniform(DelayRange::NONE, u64::MAX), Duration::ZERO);
    }

    #[test]
    fn certain_and_impossible_events() {
        assert!(happens(1.0, u64::MAX) && !happens(0.0, 0));
    }

    /// Taking a hardship away leaves the rest of a message's fate as it was.
    #[test]
    fn hardships_do_not_disturb_each_other() {
        let stream = Stream::new(7, "link");
        let hard = Conditions::unreliable().with_duplicates(0.5).with_late_requests(0.5);
        let softer = Conditions { request_loss: 0.0, duplicate: 0.0, ..hard };
        for n in 0..100 {
            let a = RequestFate::draw(stream, n, &hard);
            let b = RequestFate::draw(stream, n, &softer);
            assert_eq!((a.delay, a.late, a.no_path), (b.delay, b.late, b.no_path));
        }
    }
}
