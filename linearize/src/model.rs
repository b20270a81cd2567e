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
    type Op: Debug;
    /// What a client is answered.
    type Output: Debug;

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
    fn foresee<'a>(
        &self,
        state: Self::State,
        coming: impl Iterator<Item = Coming<'a, Self>>,
    ) -> Option<Self::State>
    where
        Self: 'a,
    {
        let _ = coming;
        Some(state)
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
