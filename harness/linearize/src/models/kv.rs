//! A map from strings to strings.

use std::sync::Arc;

use super::survey;
use crate::check::{Budget, Verdict, check};
use crate::format::{Notation, word, words_of};
use crate::history::History;
use crate::model::{Coming, Known, Model, Survey};
use crate::text::{Chain, Text};

/// A key/value store with `get`, `put` and `append`; every key has the value "" at first.
///
/// Made for values that clients append to all the time: see [`Chain`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Kv;

impl Kv {
    /// [`check`] for this model, compiled once, with this crate and as it is optimized: the search of
    /// a long history takes ten times as long without.
    pub fn check(history: &History<KvOp, KvOutput>, budget: Budget) -> Verdict<Arc<str>> {
        check(&Kv, history, budget)
    }
}

/// An operation of [`Kv`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KvOp {
    /// Reads the value of a key.
    Get(Arc<str>),
    /// Replaces the value of a key.
    Put(Arc<str>, Text),
    /// Extends the value of a key.
    Append(Arc<str>, Text),
}

impl KvOp {
    /// Reads the value of `key`.
    pub fn get(key: impl Into<Arc<str>>) -> Self {
        Self::Get(key.into())
    }

    /// Replaces the value of `key`.
    pub fn put(key: impl Into<Arc<str>>, value: impl Into<Text>) -> Self {
        Self::Put(key.into(), value.into())
    }

    /// Extends the value of `key`.
    pub fn append(key: impl Into<Arc<str>>, value: impl Into<Text>) -> Self {
        Self::Append(key.into(), value.into())
    }
}

/// An answer of [`Kv`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KvOutput {
    /// The answer to a get.
    Value(Text),
    /// The answer to a put or an append, which says nothing.
    Done,
}

impl KvOutput {
    /// The answer to a get.
    pub fn value(value: impl Into<Text>) -> Self {
        Self::Value(value.into())
    }
}

/// How many gets [`Kv::foresee`] compares a state with.
const GETS_AHEAD: usize = 32;
/// How many pieces of the answers of these gets it looks for.
const PIECES_AHEAD: usize = 16;

/// A beginning of a text cut into appended pieces.
#[derive(Default)]
struct Cut<'a> {
    /// What has been cut.
    done: &'a str,
    /// Which pieces it was cut into.
    used: Vec<usize>,
}

impl<'a> Cut<'a> {
    /// Cuts `text`, which begins with `done`, as far as it is worth it. False if `text` is certainly
    /// not made of some of `pieces`, each used once. Adds the pieces that it looked at to `work`.
    fn extend(&mut self, text: &'a str, pieces: &[&str], work: &mut u64) -> bool {
        while self.done.len() < text.len() && self.used.len() < PIECES_AHEAD {
            let rest = &text[self.done.len()..];
            let mut is_next = |i: &usize| {
                *work += 1;
                !pieces[*i].is_empty() && rest.starts_with(pieces[*i]) && !self.used.contains(i)
            };
            // Pieces follow each other about as they were called.
            let likely = self.used.last().map_or(0, |last| last + 1);
            let Some(i) = (likely..pieces.len()).chain(0..likely).find(&mut is_next) else {
                *work += (self.used.len() * pieces.len()) as u64;
                return !self.is_only_cut(text, pieces);
            };
            self.used.push(i);
            self.done = &text[..self.done.len() + pieces[i].len()];
        }
        true
    }

    /// Whether `text` could not have begun with other pieces than those it was cut into.
    fn is_only_cut(&self, text: &str, pieces: &[&str]) -> bool {
        let mut rest = text;
        self.used.iter().enumerate().all(|(n, &used)| {
            let is_other = |(i, piece): (usize, &&str)| {
                *piece != pieces[used]
                    && !piece.is_empty()
                    && rest.starts_with(*piece)
                    && !self.used[..n].contains(&i)
            };
            let is_only = !pieces.iter().enumerate().any(is_other);
            rest = &rest[pieces[used].len()..];
            is_only
        })
    }
}

/// What may still be put and appended, and what follows the value in the answers seen so far.
#[derive(Default)]
struct Forecast<'a> {
    puts: Vec<&'a str>,
    appends: Vec<&'a str>,
    /// Most answers continue each other; so the next one is cut from where the last one ended.
    cut: Cut<'a>,
}

impl<'a> Forecast<'a> {
    /// False if `answer` certainly is neither `state` nor something put, with appends after it.
    fn may_be(&mut self, answer: &'a Text, state: Option<&Chain>, work: &mut u64) -> bool {
        let text = answer.as_str();
        let state = state.filter(|state| state.may_begin(answer));
        if let Some(rest) = state.and_then(|state| text.get(state.len()..))
            && self.may_follow(rest, work)
        {
            return true;
        }
        *work += self.puts.len() as u64;
        let mut from_puts = self.puts.iter().filter_map(|put| text.strip_prefix(put));
        from_puts.any(|rest| Cut::default().extend(rest, &self.appends, work))
    }

    /// False if `rest` certainly is not made of appends.
    fn may_follow(&mut self, rest: &'a str, work: &mut u64) -> bool {
        if rest.len() <= self.cut.done.len() && self.cut.done.starts_with(rest) {
            return true;
        }
        if !rest.starts_with(self.cut.done) {
            return Cut::default().extend(rest, &self.appends, work);
        }
        let (done, used) = (self.cut.done, self.cut.used.len());
        let may_follow = self.cut.extend(rest, &self.appends, work);
        if !may_follow {
            self.cut.done = done;
            self.cut.used.truncate(used);
        }
        may_follow
    }
}

impl Model for Kv {
    type Key = Arc<str>;
    /// `None` for a value that no get will see.
    type State = Option<Chain>;
    type Op = KvOp;
    type Output = KvOutput;

    fn key(&self, op: &KvOp) -> Arc<str> {
        let (KvOp::Get(key) | KvOp::Put(key, _) | KvOp::Append(key, _)) = op;
        Arc::clone(key)
    }

    fn initial(&self, _key: &Arc<str>) -> Option<Chain> {
        Some(Chain::default())
    }

    fn step(
        &self,
        state: &Option<Chain>,
        op: &KvOp,
        output: Option<&KvOutput>,
    ) -> Option<Option<Chain>> {
        match (op, output) {
            (KvOp::Get(_), Some(KvOutput::Value(value))) => {
                state.as_ref().filter(|state| state.is(value)).map(|state| Some(state.clone()))
            }
            (KvOp::Get(_), None) => Some(state.clone()),
            (KvOp::Put(_, value), None | Some(KvOutput::Done)) => Some(Some(Chain::from(value))),
            (KvOp::Append(_, value), None | Some(KvOutput::Done)) => {
                Some(state.as_ref().map(|state| state.append(value)))
            }
            (KvOp::Get(_), Some(KvOutput::Done))
            | (KvOp::Put(..) | KvOp::Append(..), Some(KvOutput::Value(_))) => None,
        }
    }

    fn is_read(&self, op: &KvOp, _output: Option<&KvOutput>) -> bool {
        matches!(op, KvOp::Get(_))
    }

    /// What the next gets answer must be made of the value, or of what is put by then, followed by
    /// what is appended by then. And a value that no get will see before the next put is as good as
    /// any other such value.
    fn foresee<'a>(
        &self,
        state: Option<Chain>,
        coming: impl Iterator<Item = Coming<'a, Self>>,
        work: &mut u64,
    ) -> Option<Option<Chain>> {
        let mut forecast = Forecast::default();
        let mut state = state;
        // Whether `state` will be, or at least may be, the beginning of an answer.
        let mut is_seen = state.is_none();
        let mut gets = 0;
        for event in coming {
            match (event.op, event.output) {
                (KvOp::Put(_, value), _) if !event.is_return => forecast.puts.push(value.as_str()),
                (KvOp::Append(_, piece), _) if !event.is_return => {
                    forecast.appends.push(piece.as_str());
                }
                (KvOp::Get(_), Some(KvOutput::Value(value))) if event.is_return => {
                    if !forecast.may_be(value, state.as_ref(), work) {
                        return None;
                    }
                    // After this, there has been a put if the answer does not begin with the value.
                    if !is_seen {
                        state = None;
                        is_seen = true;
                    }
                    gets += 1;
                    if gets == GETS_AHEAD {
                        break;
                    }
                }
                (KvOp::Get(_), Some(KvOutput::Value(value))) => {
                    is_seen |= state.as_ref().is_some_and(|state| state.may_begin(value));
                }
                _ => {}
            }
        }
        Some(state)
    }

    fn survey(&self, operations: &[Known<'_, Self>]) -> Survey {
        survey::survey(operations)
    }

    fn bytes(&self, state: &Option<Chain>) -> u64 {
        state.as_ref().map_or(0, |_| Chain::PIECE_BYTES as u64)
    }

    fn show_op(&self, op: &KvOp) -> String {
        match op {
            KvOp::Get(key) => format!("get {key}"),
            KvOp::Put(key, value) => format!("put {key} {value:?}"),
            KvOp::Append(key, value) => format!("append {key} {value:?}"),
        }
    }

    fn show_output(&self, output: &KvOutput) -> String {
        match output {
            KvOutput::Value(value) => format!("{value:?}"),
            KvOutput::Done => String::new(),
        }
    }

    fn show_state(&self, state: &Option<Chain>) -> String {
        state
            .as_ref()
            .map_or_else(|| "a value that nobody sees".into(), |value| format!("{value:?}"))
    }
}

impl Notation for Kv {
    fn read_op(&self, name: &str, words: &[String]) -> Result<KvOp, String> {
        match (name, words) {
            ("get", [key]) => Ok(KvOp::get(key.as_str())),
            ("put", [key, value]) => Ok(KvOp::put(key.as_str(), value.as_str())),
            ("append", [key, value]) => Ok(KvOp::append(key.as_str(), value.as_str())),
            ("get", _) => Err("a get is called with a key".into()),
            ("put" | "append", _) => Err(format!("{name} is called with a key and a value")),
            _ => Err(format!("the operations are get, put and append, not {name:?}")),
        }
    }

    fn read_output(&self, op: &KvOp, words: &[String]) -> Result<KvOutput, String> {
        match (op, words) {
            (KvOp::Get(_), [value]) => Ok(KvOutput::value(value.as_str())),
            (KvOp::Get(_), _) => Err("a get answers with a value, or ? if it is not known".into()),
            (KvOp::Put(..) | KvOp::Append(..), []) => Ok(KvOutput::Done),
            (KvOp::Put(..) | KvOp::Append(..), _) => Err("it answers with nothing".into()),
        }
    }

    fn write_op(&self, op: &KvOp) -> (&'static str, String) {
        match op {
            KvOp::Get(key) => ("get", word(key)),
            KvOp::Put(key, value) => ("put", words_of([key, value.as_str()])),
            KvOp::Append(key, value) => ("append", words_of([key, value.as_str()])),
        }
    }

    fn write_output(&self, output: &KvOutput) -> String {
        match output {
            KvOutput::Value(value) => word(value.as_str()),
            KvOutput::Done => String::new(),
        }
    }
}
