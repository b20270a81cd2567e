use std::time::Duration;

/// Bounds of a delay, both included; every delay between them is equally likely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DelayRange {
    /// The shortest.
    pub min: Duration,
    /// The longest; not below `min`.
    pub max: Duration,
}

impl DelayRange {
    /// No delay at all.
    pub const NONE: DelayRange = DelayRange::millis(0, 0);

    /// From `min` to `max` microseconds.
    pub const fn micros(min: u64, max: u64) -> DelayRange {
        DelayRange { min: Duration::from_micros(min), max: Duration::from_micros(max) }
    }

    /// From `min` to `max` milliseconds.
    pub const fn millis(min: u64, max: u64) -> DelayRange {
        DelayRange { min: Duration::from_millis(min), max: Duration::from_millis(max) }
    }
}

/// The hardships of a link, or of all links: see [`Network::set_conditions`] and
/// [`Network::set_link_conditions`].
///
/// A probability is from 0 (never) to 1 (always). Each message draws its own fate, in the order of
/// the fields, so that one more hardship leaves what the others do to a message as it was. What
/// concerns requests is read from the link that the request takes, what concerns replies from the
/// link back.
///
/// Start from a preset and change what the test is about:
///
/// ```
/// use labrpc::{Conditions, DelayRange};
///
/// let lossy = Conditions { request_loss: 0.5, ..Conditions::reliable() };
/// let lab = Conditions::unreliable().with_long_delays().with_long_reordering();
/// assert_eq!(lab.no_path_delay, DelayRange::millis(0, 6999));
/// # let _ = lossy;
/// ```
///
/// [`Network::set_conditions`]: crate::Network::set_conditions
/// [`Network::set_link_conditions`]: crate::Network::set_link_conditions
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// What every message takes, requests and replies alike. Never zero in the presets, so that
    /// the order of arrival varies.
    pub delay: DelayRange,
    /// What a request takes in addition.
    pub extra_request_delay: DelayRange,
    /// What a message takes in addition for each full 1,000 bytes of it: how slow a link is. Messages do not
    /// wait for each other.
    pub per_kilobyte: Duration,
    /// Probability that a request is lost. The caller learns of it when the request would have
    /// arrived.
    pub request_loss: f64,
    /// Probability that a request is delivered twice; the reply to the second copy goes nowhere.
    pub duplicate: f64,
    /// How long after the first copy the second arrives.
    pub duplicate_delay: DelayRange,
    /// Probability that a request arrives very late: its caller is told that there is no reply, as
    /// if it had been lost, and still it arrives.
    pub late_request: f64,
    /// How much later than usual.
    pub late_request_delay: DelayRange,
    /// Probability that a reply is lost. The caller learns of it at once.
    pub reply_loss: f64,
    /// Probability that a reply is held back. Whatever happens to its sender or the link meanwhile,
    /// it arrives: it had left.
    pub late_reply: f64,
    /// How long it is held back: `min` and some more, small additions being likelier than large
    /// ones (uniform up to a bound that is itself uniform up to `max - min`).
    pub late_reply_delay: DelayRange,
    /// How long a caller waits for the bad news if a message has no path: its link is down, or no
    /// living server has the name.
    pub no_path_delay: DelayRange,
}

impl Conditions {
    /// What a message of so many bytes takes because of its length.
    pub(crate) fn transmission(&self, bytes: usize) -> Duration {
        self.per_kilobyte.saturating_mul(u32::try_from(bytes / 1000).unwrap_or(u32::MAX))
    }

    /// Messages take 0.1 to 0.5 ms each way, and arrive. A dead link is known within 99 ms.
    pub const fn reliable() -> Conditions {
        Conditions {
            delay: DelayRange::micros(100, 500),
            extra_request_delay: DelayRange::NONE,
            per_kilobyte: Duration::ZERO,
            request_loss: 0.0,
            duplicate: 0.0,
            duplicate_delay: DelayRange::millis(0, 5000),
            late_request: 0.0,
            late_request_delay: DelayRange::millis(200, 5000),
            reply_loss: 0.0,
            late_reply: 0.0,
            late_reply_delay: DelayRange::millis(200, 2199),
            no_path_delay: DelayRange::millis(0, 99),
        }
    }

    /// Requests take up to 26 ms longer; one request in ten is lost, and one reply in ten. So 81 of
    /// 100 calls succeed.
    pub const fn unreliable() -> Conditions {
        Conditions {
            extra_request_delay: DelayRange::millis(0, 26),
            request_loss: 0.1,
            reply_loss: 0.1,
            ..Conditions::reliable()
        }
    }

    /// The same on links where each 1,000 bytes of a message take so long.
    #[must_use]
    pub const fn with_slow_links(self, per_kilobyte: Duration) -> Conditions {
        Conditions { per_kilobyte, ..self }
    }

    /// The same, but a caller waits up to 7 s for the news that a link is dead. Whoever calls its
    /// peers one after the other is found out.
    #[must_use]
    pub const fn with_long_delays(self) -> Conditions {
        Conditions { no_path_delay: DelayRange::millis(0, 6999), ..self }
    }

    /// The same, but two replies in three are held back for 200 to 2199 ms (0.7 s on average).
    #[must_use]
    pub const fn with_long_reordering(self) -> Conditions {
        Conditions { late_reply: 2.0 / 3.0, ..self }
    }

    /// The same, but this part of the requests arrives a second time, up to 5 s later.
    #[must_use]
    pub const fn with_duplicates(self, probability: f64) -> Conditions {
        Conditions { duplicate: probability, ..self }
    }

    /// The same, but this part of the requests arrives 0.2 to 5 s late, when nobody waits for the
    /// reply any more.
    #[must_use]
    pub const fn with_late_requests(self, probability: f64) -> Conditions {
        Conditions { late_request: probability, ..self }
    }
}

/// [`Conditions::reliable`].
impl Default for Conditions {
    fn default() -> Conditions {
        Conditions::reliable()
    }
}
