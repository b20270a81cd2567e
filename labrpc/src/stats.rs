/// What a [`Network`](crate::Network) has carried since it was made.
///
/// Second copies are counted in `duplicates` alone. Every request ends up in at most one of
/// `requests_lost`, `late_requests`, `replies`, `replies_lost`, `no_path` and `cut_off`; those in
/// none are still on their way, or waiting for a handler, or arrived late where nobody was. `late_replies` are
/// among `replies`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Requests sent, whatever became of them.
    pub requests: u64,
    /// Bytes of all requests sent and all replies delivered.
    pub bytes: u64,
    /// Replies that reached their callers.
    pub replies: u64,
    /// Requests lost by chance.
    pub requests_lost: u64,
    /// Replies lost by chance.
    pub replies_lost: u64,
    /// Replies that were held back and reached their callers.
    pub late_replies: u64,
    /// Requests that were delivered a second time.
    pub duplicates: u64,
    /// Requests that were delivered when their callers waited no more.
    pub late_requests: u64,
    /// Requests and replies without a path: the link was down, or no living server had the name.
    pub no_path: u64,
    /// Calls whose server or link back vanished while they waited.
    pub cut_off: u64,
}
