//! What the checked object would do if it were used by one client at a time.

use std::fmt::{Debug, Display};
use std::hash::Hash;

/// A sequential specification: the states of an object and what each operation does to them.
///
/// A model is deterministic: a state and an operation give one next state and one right answer.
pub trait Model {
    /// Names an independent part of the object, such as one key of a map. The operations of each
    /// part are checked by themselves: a history is linearizable if every part of it is.
    type Key: Ord + Clone + Display;
    /// All that decides the future of one part. Many are kept, so clones should be cheap.
    type State: Clone + Eq + Hash;
    /// What a client asks for.
    type Op: Debug + Eq + Hash;
    /// What a client is answered.
    type Output: Debug + Eq + Hash;

    /// The part that `op` works on.
    fn key(&self, op: &Self::Op) -> Self::Key;

    /// The state of a part before the first operation.
    fn initial(&self, key: &Self::Key) -> Self::State;

    /// The state after `op`, or `None` if `op` would not answer `output` in `state`. With `None`
    /// for the output, any answer is right.
    fn step(
        &self,
        state: &Self::State,
        op: &Self::Op,
        output: Option<&Self::Output>,
    ) -> Option<Self::State>;

    /// True only if `op`, when it answers `output`, leaves every state as it is, so that the search
    /// need not put it off. When in doubt, false; the answer `false` is always right.
    fn is_read(&self, op: &Self::Op, output: Option<&Self::Output>) -> bool {
        let _ = (op, output);
        false
    }

    /// What `state` amounts to, given what is still to come: `None` only if it certainly contradicts
    /// that, so that the search may turn back early; otherwise a state that gives the same answers to
    /// what is to come, or `state` itself, which is always right. It pays to give the same state
    /// for all those whose differences nobody will see.
    ///
    /// `coming` gives the calls and returns of all operations that have not taken effect, in the
    /// order in which they happened. What returns has to take effect before that return, and only
    /// operations called before it can have taken effect by then.
    ///
    /// What is compared, other than one thing for each of these events, is to be added to `work`; it
    /// is charged to [`Budget::work`](crate::Budget::work).
    fn foresee<'a>(
        &self,
        state: Self::State,
        coming: impl Iterator<Item = Coming<'a, Self>>,
        work: &mut u64,
    ) -> Option<Self::State>
    where
        Self: 'a,
    {
        let _ = (coming, work);
        Some(state)
    }

    /// What is plain about the operations of one part before any search, in time about linear in what
    /// they say. `operations` are in the order of their calls.
    fn survey(&self, operations: &[Known<'_, Self>]) -> Survey {
        let _ = operations;
        Survey::default()
    }

    /// What a state refers to and does not share with the states it was made from, in bytes, about.
    fn bytes(&self, state: &Self::State) -> u64 {
        let _ = state;
        0
    }

    /// The operation as a person writes it, such as `get x`.
    fn show_op(&self, op: &Self::Op) -> String {
        format!("{op:?}")
    }

    /// The answer as a person writes it; empty if there is nothing to say, as for a write.
    fn show_output(&self, output: &Self::Output) -> String {
        format!("{output:?}")
    }

    /// The state as a person writes it.
    fn show_state(&self, state: &Self::State) -> String;
}

/// An event of an operation that has not taken effect yet. See [`Model::foresee`].
pub struct Coming<'a, M: Model + ?Sized> {
    /// Whether this is the return of the operation; otherwise it is its call.
    pub is_return: bool,
    /// The operation.
    pub op: &'a M::Op,
    /// What it answered or will answer; `None` if that is not known, or if it never returns.
    pub output: Option<&'a M::Output>,
}

/// An operation that may have had an effect. See [`Model::survey`].
pub struct Known<'a, M: Model + ?Sized> {
    /// The operation.
    pub op: &'a M::Op,
    /// What it answered; `None` if that is not known, or if it never returned.
    pub output: Option<&'a M::Output>,
    /// Place of its call in the history.
    pub call: u64,
    /// Place of its return, if it returned.
    pub returned: Option<u64>,
}

/// What is plain without a search. See [`Model::survey`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Place of a return up to which, inclusively, the operations certainly cannot have happened as
    /// recorded. `None` says nothing.
    pub impossible_at: Option<u64>,
    /// For each operation, a number by which they probably took effect, the lowest first: where there
    /// is a choice, the search begins with those. Empty if nothing is known of that.
    pub ranks: Vec<u32>,
    /// Comparisons that it took; they are charged to [`Budget::work`](crate::Budget::work).
    pub work: u64,
}
