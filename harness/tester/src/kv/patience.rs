//! How long operations may take.
//!
//! While servers crash and the network is parted nothing is demanded: whoever has no majority has
//! to wait. Once all is well again, every operation has to end.

use std::collections::BTreeMap;
use std::sync::Arc;

use labrt::sim;
use labrt::time::{self, Duration, Instant};
use linearize::OpId;
use parking_lot::Mutex;

use super::KvCluster;
use crate::report::Failure;
use crate::task;
use crate::text::{at, span};

/// With all servers up and connected an operation ends within this time, elections and a network
/// that loses every tenth message included.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A new clerk knows no leader: its first operation may take this time whatever others may take. It is
/// room for a clerk that tries servers at random, and waits a moment after each refusal.
const FIRST: Duration = Duration::from_secs(2);

pub(crate) struct Patience {
    state: Mutex<State>,
}

struct State {
    /// Since when all servers are up and connected; `None` while they are not.
    calm: Option<Instant>,
    limit: Duration,
    under_way: BTreeMap<usize, UnderWay>,
}

/// An operation that was called and has not returned.
struct UnderWay {
    client: Arc<str>,
    what: String,
    since: Instant,
    promise: Option<Duration>,
    /// Is it the first of its clerk?
    is_first: bool,
}

impl Patience {
    pub(crate) fn new() -> Patience {
        let state =
            State { calm: Some(Instant::now()), limit: PATIENCE, under_way: BTreeMap::new() };
        Patience { state: Mutex::new(state) }
    }

    pub(crate) fn calm(&self) {
        self.state.lock().calm = Some(Instant::now());
    }

    pub(crate) fn disturb(&self) {
        self.state.lock().calm = None;
    }

    pub(crate) fn begins(
        &self,
        id: OpId,
        client: &Arc<str>,
        what: String,
        promise: Option<Duration>,
        is_first: bool,
    ) {
        let client = Arc::clone(client);
        let operation = UnderWay { client, what, since: Instant::now(), promise, is_first };
        self.state.lock().under_way.insert(id.0, operation);
    }

    /// The operation has ended. If it took too long, that is what there is to say.
    pub(crate) fn ends(&self, id: OpId) -> Option<Failure> {
        let mut state = self.state.lock();
        let operation = state.under_way.remove(&id.0)?;
        state.judge(&operation, "it ended")
    }

    /// An operation that takes too long.
    fn overdue(&self) -> Option<Failure> {
        let state = self.state.lock();
        state.under_way.values().find_map(|operation| state.judge(operation, "it has not ended"))
    }
}

impl State {
    fn judge(&self, operation: &UnderWay, how: &str) -> Option<Failure> {
        let UnderWay { client, what, since, promise, is_first } = operation;
        let limit = if *is_first { self.limit.max(FIRST) } else { self.limit };
        let (from, limit, why) = match (promise, self.calm) {
            (Some(promise), _) => (*since, *promise, "a majority is up and can be reached"),
            (None, Some(calm)) => ((*since).max(calm), limit, "all servers are up and connected"),
            (None, None) => return None,
        };
        if from.elapsed() <= limit {
            return None;
        }
        let failure = Failure::liveness("an operation takes too long")
            .expected(format!("an operation ends within {} when {why}", span(limit)))
            .happened(format!(
                "{client} called {what} {} before; {how} {}",
                span(since.elapsed()),
                at(sim::elapsed())
            ))
            .look_at(
                "what a server does with a request it cannot serve, what wakes one that waits there, and whom the clerk asks next",
            );
        Some(failure)
    }
}

impl KvCluster {
    /// Nothing befalls this cluster, and so operations end within this time from now on. An
    /// election must be over.
    pub fn set_patience(&self, limit: Duration) {
        self.shared.patience.state.lock().limit = limit;
    }
}

/// Looks for operations that never end. (Others are judged when they do.)
pub(crate) fn watch(kv: &KvCluster) {
    let kv = kv.clone();
    task::start("patience", move || {
        loop {
            time::sleep(Duration::from_millis(250));
            if let Some(failure) = kv.shared.patience.overdue() {
                kv.fail(failure);
            }
        }
    });
}
