//! A violation in sentences.

use std::fmt;
use std::time::Duration;

use crate::check::{Contradiction, Violation};
use crate::history::{History, OpId, Outcome};
use crate::model::Model;

/// Longest answer or state that is shown whole.
const SHOWN: usize = 72;

/// Of the operations that a violation contradicts, so many are shown.
const LINES: usize = 8;

/// Why a history is not linearizable, in sentences. What [`Violation::explain`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The operation that cannot fit, in one sentence.
    pub headline: String,
    /// What it is at odds with: one sentence, or one that introduces those in `because`.
    pub reason: String,
    /// The operations that it contradicts, one sentence each.
    pub because: Vec<String>,
    /// How far the history can be explained, and what the state is then.
    pub prefix: String,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.headline)?;
        writeln!(f, "  {}", self.reason)?;
        for line in self.because.iter().take(LINES) {
            writeln!(f, "  - {line}")?;
        }
        if let Some(more) = self.because.len().checked_sub(LINES + 1) {
            writeln!(f, "  - and {} more.", more + 1)?;
        }
        write!(f, "  {}", self.prefix)
    }
}

impl<K: fmt::Display> Violation<K> {
    /// Says in sentences what cannot be. `model` and `history` are those that were checked.
    pub fn explain<M: Model<Key = K>>(
        &self,
        model: &M,
        history: &History<M::Op, M::Output>,
    ) -> Explanation {
        let culprit = &history[self.operation];
        let headline = format!(
            "{} cannot fit: called at {}, returned at {}.",
            show(model, history, self.operation),
            seconds(culprit.called.time),
            ended(history, self.operation).map_or_else(|| "?".into(), seconds),
        );
        let key = &self.key;
        let reason = match self.contradicts.len() {
            0 => format!("Nothing that was called on {} by then can lead to this.", Shown(key)),
            1 => "It contradicts one operation, whatever the others did:".into(),
            n => format!("It contradicts {n} operations taken together, whatever the others did:"),
        };
        let because = self
            .contradicts
            .iter()
            .map(|contradiction| self.because(model, history, contradiction))
            .collect();
        let state = state_after(model, history, key, &self.prefix);
        let [state, answer] = match answer(model, history, self.operation) {
            Some(answer) => differing(&state, &answer),
            None => [shorten(&state), String::new()],
        };
        let all = if self.is_longest { "Everything" } else { "At least everything" };
        let found = format!(
            "{all} that returned before can be explained, by {} in an order that leaves {} at {state}",
            count(self.prefix.len()),
            Shown(key),
        );
        let prefix = if answer.is_empty() {
            format!("{found}.")
        } else {
            format!("{found}; the answer was {answer}.")
        };
        Explanation { headline, reason, because, prefix }
    }

    fn because<M: Model>(
        &self,
        model: &M,
        history: &History<M::Op, M::Output>,
        contradiction: &Contradiction,
    ) -> String {
        let (id, culprit) = (contradiction.operation, &history[self.operation]);
        let called = seconds(history[id].called.time);
        let returned = ended(history, id).map_or_else(|| "?".into(), seconds);
        let is_before = match &history[id].outcome {
            Outcome::Returned { at, .. } => at.place < culprit.called.place,
            _ => false,
        };
        let is_after_call = history[id].called.place > culprit.called.place;
        let relation = match (is_before, is_after_call) {
            (true, _) => format!("had returned, at {returned}, before that was called"),
            (false, true) => {
                format!("was called after it, at {called}, and returned before it, at {returned}")
            }
            (false, false) => format!("overlaps it, from {called} to {returned}"),
        };
        let operation = if contradiction.by_answer {
            show(model, history, id)
        } else {
            format!("{}: {}", history[id].client, model.show_op(&history[id].op))
        };
        format!("{operation}, which {relation}.")
    }
}

/// `C1: get x → "a"`, shortened.
pub(crate) fn show<M: Model>(model: &M, history: &History<M::Op, M::Output>, id: OpId) -> String {
    let operation = &history[id];
    let op = shorten(&model.show_op(&operation.op));
    match answer(model, history, id) {
        Some(answer) => format!("{}: {op} → {}", operation.client, shorten(&answer)),
        None => format!("{}: {op}", operation.client),
    }
}

/// What an operation answered, if that is known and says anything.
pub(crate) fn answer<M: Model>(
    model: &M,
    history: &History<M::Op, M::Output>,
    id: OpId,
) -> Option<String> {
    match &history[id].outcome {
        Outcome::Returned { output: Some(output), .. } => {
            Some(model.show_output(output)).filter(|answer| !answer.is_empty())
        }
        _ => None,
    }
}

/// When the operation ended, if it did.
pub(crate) fn ended<Op, Output>(history: &History<Op, Output>, id: OpId) -> Option<Duration> {
    match &history[id].outcome {
        Outcome::Returned { at, .. } | Outcome::Failed { at } => Some(at.time),
        Outcome::Open => None,
    }
}

/// The state that an order leaves, or what is wrong with the order.
fn state_after<M: Model>(
    model: &M,
    history: &History<M::Op, M::Output>,
    key: &M::Key,
    order: &[OpId],
) -> String {
    let state = order
        .iter()
        .try_fold(model.initial(key), |state, &id| model.step(&state, &history[id].op, None));
    state.map_or_else(|| "no state at all".into(), |state| model.show_state(&state))
}

/// A time as `1.234567 s`, with no more digits than it has.
pub(crate) fn seconds(time: Duration) -> String {
    let digits = format!("{:.9}", time.as_secs_f64());
    let shortest = digits.find('.').map_or(0, |point| point + 4);
    let end = digits.trim_end_matches('0').len().max(shortest);
    format!("{} s", &digits[..end])
}

fn count(operations: usize) -> String {
    if operations == 1 { "1 operation".into() } else { format!("{operations} operations") }
}

/// A key, also if it is empty.
struct Shown<'a, K>(&'a K);

impl<K: fmt::Display> fmt::Display for Shown<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.0.to_string();
        if key.is_empty() { f.write_str("the empty key") } else { f.write_str(&key) }
    }
}

/// The text with its middle left out if it is long; of two ends the later one tells more.
pub(crate) fn shorten(text: &str) -> String {
    let length = text.chars().count();
    if length <= SHOWN {
        return text.into();
    }
    let begin: String = text.chars().take(SHOWN / 3).collect();
    let end: String = text.chars().skip(length - SHOWN / 2).collect();
    format!("{begin} … {end}")
}

/// Both texts shortened such that the first difference can be seen.
fn differing(a: &str, b: &str) -> [String; 2] {
    let same = a.chars().zip(b.chars()).take_while(|(x, y)| x == y).count();
    let show = |text: &str| {
        let length = text.chars().count();
        if length <= SHOWN || same < SHOWN / 2 {
            return shorten(text);
        }
        let from = same.saturating_sub(SHOWN / 3);
        let begin: String = text.chars().take(SHOWN / 6).collect();
        let part: String = text.chars().skip(from).take(SHOWN).collect();
        let rest = if from + SHOWN < length { " …" } else { "" };
        format!("{begin} … {part}{rest}")
    };
    [show(a), show(b)]
}
