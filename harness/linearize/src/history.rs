//! What the clients saw: [`History`], and [`Recorder`], which many clients write to.

use std::ops::Index;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

/// Names an operation of one history; operations are numbered in the order of their calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub usize);

/// When something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// Place among all calls and returns of the history, from 0. This, and not the time, says what
    /// came before what.
    pub place: u64,
    /// Time since the history began; for people to read.
    pub time: Duration,
}

/// One operation of one client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation<Op, Output> {
    /// Who asked for it.
    pub client: Arc<str>,
    /// What was asked for.
    pub op: Op,
    /// When it was asked for. It takes effect after this.
    pub called: Moment,
    /// How it ended.
    pub outcome: Outcome<Output>,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<Output> {
    /// It returned, and took effect before that.
    Returned {
        /// When it returned.
        at: Moment,
        /// What it answered; `None` if that is not known, so that any answer would be right.
        output: Option<Output>,
    },
    /// It has not returned: it takes effect at any time after its call, or never.
    Open,
    /// It is known to have had no effect, and says nothing about the state.
    Failed {
        /// When this became known.
        at: Moment,
    },
}

/// All operations of all clients, with what came before what.
///
/// Calls and returns are entered in the order in which they happened.
///
/// ```
/// use linearize::models::{KvOp, KvOutput};
/// use linearize::{History, Outcome};
/// use std::time::Duration;
///
/// let mut history = History::new();
/// let put = history.call("C1", Duration::from_millis(1), KvOp::put("x", "1"));
/// let get = history.call("C2", Duration::from_millis(2), KvOp::get("x"));
/// history.returned(get, Duration::from_millis(3), KvOutput::value("1"));
/// assert_eq!(history[put].outcome, Outcome::Open); // the put never returned
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History<Op, Output> {
    operations: Vec<Operation<Op, Output>>,
    /// How many calls and returns there are.
    events: u64,
    /// The latest time of an event.
    end: Duration,
}

impl<Op, Output> Default for History<Op, Output> {
    fn default() -> Self {
        Self { operations: Vec::new(), events: 0, end: Duration::ZERO }
    }
}

impl<Op, Output> History<Op, Output> {
    /// A history without operations.
    pub fn new() -> Self {
        Self::default()
    }

    /// `client` calls `op` now. Until one of the methods below is called, the operation is
    /// [`Outcome::Open`].
    pub fn call(&mut self, client: impl Into<Arc<str>>, time: Duration, op: Op) -> OpId {
        let called = self.moment(time);
        let client = client.into();
        self.operations.push(Operation { client, op, called, outcome: Outcome::Open });
        OpId(self.operations.len() - 1)
    }

    /// The operation returns now and answers `output`.
    ///
    /// # Panics
    ///
    /// If the operation has ended already, as do the two methods below.
    #[track_caller]
    pub fn returned(&mut self, id: OpId, time: Duration, output: Output) {
        let at = self.moment(time);
        self.end_with(id, Outcome::Returned { at, output: Some(output) });
    }

    /// The operation returns now, but what it answered is not known.
    #[track_caller]
    pub fn returned_unknown(&mut self, id: OpId, time: Duration) {
        let at = self.moment(time);
        self.end_with(id, Outcome::Returned { at, output: None });
    }

    /// It turns out now that the operation has not had and will not have any effect.
    #[track_caller]
    pub fn failed(&mut self, id: OpId, time: Duration) {
        let at = self.moment(time);
        self.end_with(id, Outcome::Failed { at });
    }

    #[track_caller]
    fn end_with(&mut self, id: OpId, outcome: Outcome<Output>) {
        let operation = &mut self.operations[id.0];
        assert!(matches!(operation.outcome, Outcome::Open), "operation {} ended twice", id.0);
        operation.outcome = outcome;
    }

    fn moment(&mut self, time: Duration) -> Moment {
        let place = self.events;
        self.events += 1;
        self.end = self.end.max(time);
        Moment { place, time }
    }

    /// All operations with their names, in the order of their calls.
    pub fn operations(&self) -> impl ExactSizeIterator<Item = (OpId, &Operation<Op, Output>)> {
        self.operations.iter().enumerate().map(|(i, operation)| (OpId(i), operation))
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether there are no operations.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The latest time of a call or return.
    pub fn end(&self) -> Duration {
        self.end
    }
}

impl<Op, Output> Index<OpId> for History<Op, Output> {
    type Output = Operation<Op, Output>;

    fn index(&self, id: OpId) -> &Operation<Op, Output> {
        &self.operations[id.0]
    }
}

/// A history that is being written by many clients. A cheap handle; clones share the history.
///
/// The time is given by the caller, who knows which clock counts.
///
/// ```
/// use linearize::models::{KvOp, KvOutput};
/// use linearize::Recorder;
/// use std::time::Duration;
///
/// let recorder = Recorder::new();
/// let call = recorder.call("C1", Duration::from_millis(1), KvOp::get("x"));
/// // ... the client does it ...
/// call.returned(Duration::from_millis(3), KvOutput::value(""));
/// assert_eq!(recorder.history().len(), 1);
/// ```
#[derive(Debug)]
pub struct Recorder<Op, Output> {
    // Held for a moment only, never across anything that waits; so it is safe in a simulation too.
    history: Arc<Mutex<History<Op, Output>>>,
}

impl<Op, Output> Clone for Recorder<Op, Output> {
    fn clone(&self) -> Self {
        Self { history: Arc::clone(&self.history) }
    }
}

impl<Op, Output> Default for Recorder<Op, Output> {
    fn default() -> Self {
        Self { history: Arc::default() }
    }
}

impl<Op, Output> Recorder<Op, Output> {
    /// A recorder of an empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// Enters a call. To be called right before the client's operation begins.
    ///
    /// If the [`Call`] is dropped, for instance because the client was killed, the operation stays
    /// [`Outcome::Open`].
    #[must_use = "an operation whose return is not entered counts as one that never returned"]
    pub fn call(&self, client: impl Into<Arc<str>>, time: Duration, op: Op) -> Call<Op, Output> {
        let id = self.history.lock().call(client, time, op);
        Call { recorder: self.clone(), id }
    }

    /// The history up to now.
    pub fn history(&self) -> History<Op, Output>
    where
        Op: Clone,
        Output: Clone,
    {
        self.history.lock().clone()
    }
}

/// An operation that has been called and has not returned.
#[derive(Debug)]
pub struct Call<Op, Output> {
    recorder: Recorder<Op, Output>,
    id: OpId,
}

impl<Op, Output> Call<Op, Output> {
    /// The operation's name in the history.
    pub fn id(&self) -> OpId {
        self.id
    }

    /// Enters the return. To be called right after the client's operation has ended.
    pub fn returned(self, time: Duration, output: Output) {
        self.recorder.history.lock().returned(self.id, time, output);
    }

    /// Enters a return whose answer is not known.
    pub fn returned_unknown(self, time: Duration) {
        self.recorder.history.lock().returned_unknown(self.id, time);
    }

    /// Enters that the operation had no effect and never will have.
    pub fn failed(self, time: Duration) {
        self.recorder.history.lock().failed(self.id, time);
    }
}
