//! A history as a page for the browser: rows are clients, time runs to the right, each operation is
//! a bar, and the order that was found is a line through the bars.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::check::Verdict;
use crate::explain::{answer, ended};
use crate::history::{History, OpId, Outcome};
use crate::model::Model;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Longest answer or state in a page, in characters; of longer ones the middle is left out. The
/// operations of a contradiction are always shown whole.
const CLIP: usize = 600;

/// How a history and its verdict are drawn. The page is one file that needs nothing else.
///
/// ```
/// use linearize::models::{Kv, KvOp, KvOutput};
/// use linearize::{Budget, History, Picture, check};
/// use std::time::Duration;
///
/// let mut history = History::new();
/// let get = history.call("C1", Duration::from_millis(1), KvOp::get("x"));
/// history.returned(get, Duration::from_millis(2), KvOutput::value("from nowhere"));
/// let verdict = check(&Kv, &history, Budget::default());
/// let html = Picture::new("seed 7").note(Duration::ZERO, "S1 crashed").page(&Kv, &history, &verdict);
/// assert!(html.starts_with("<!doctype html>"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Picture {
    title: String,
    notes: Vec<Note>,
}

#[derive(Debug, Clone, Serialize)]
struct Note {
    from: u64,
    /// The same as `from` for something that took no time.
    to: u64,
    text: String,
}

impl Picture {
    /// A picture under this title.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), notes: Vec::new() }
    }

    /// Marks an instant, such as that of a crash.
    #[must_use]
    pub fn note(self, at: Duration, text: impl Into<String>) -> Self {
        self.span(at, at, text)
    }

    /// Marks a span of time, such as that of a partition of the network.
    #[must_use]
    pub fn span(mut self, from: Duration, to: Duration, text: impl Into<String>) -> Self {
        self.notes.push(Note { from: nanos(from), to: nanos(to), text: text.into() });
        self
    }

    /// The page, as HTML. `model` and `history` are those that `verdict` is about.
    ///
    /// # Panics
    ///
    /// If `verdict` names operations that are not in `history`.
    pub fn page<M: Model>(
        &self,
        model: &M,
        history: &History<M::Op, M::Output>,
        verdict: &Verdict<M::Key>,
    ) -> String {
        let data = self.data(model, history, verdict);
        let json =
            serde_json::to_string(&data).expect("strings and numbers can be written as JSON");
        // Inside a script element nothing but `</script` and `<!--` has a meaning of its own.
        let json = json.replace('<', "\\u003c");
        let title = self.title.replace('&', "&amp;").replace('<', "&lt;");
        let mut page =
            String::with_capacity(TEMPLATE.len() + STYLE.len() + SCRIPT.len() + json.len());
        let mut rest = TEMPLATE;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").expect("the template closes its braces");
            page.push_str(before);
            page.push_str(match name {
                "title" => &title,
                "style" => STYLE,
                "script" => SCRIPT,
                "data" => &json,
                _ => unreachable!("the template asks for {name}"),
            });
            rest = after;
        }
        page + rest
    }

    fn data<M: Model>(
        &self,
        model: &M,
        history: &History<M::Op, M::Output>,
        verdict: &Verdict<M::Key>,
    ) -> Data {
        let summary = Summary::of(model, history, verdict);
        let mut clients: Vec<&str> = history.operations().map(|(_, op)| &*op.client).collect();
        clients.sort_by_cached_key(|name| natural(name));
        clients.dedup();
        let orders = orders(verdict);
        let mut keys: BTreeMap<M::Key, (&str, &[OpId])> = BTreeMap::new();
        for (_, operation) in history.operations() {
            let key = model.key(&operation.op);
            let known = orders.get(&key).copied().unwrap_or(("unknown", &[]));
            keys.entry(key).or_insert(known);
        }
        let names: Vec<&M::Key> = keys.keys().collect();
        let ops = history
            .operations()
            .map(|(id, operation)| {
                let whole = summary.marks.iter().any(|mark| mark.op == id.0);
                let show = |text: String| if whole { text } else { clip(&text) };
                OpData {
                    client: clients.iter().position(|name| **name == *operation.client),
                    key: names.binary_search(&&model.key(&operation.op)).ok(),
                    op: show(model.show_op(&operation.op)),
                    answer: answer(model, history, id).map(show),
                    from: nanos(operation.called.time),
                    to: ended(history, id).map(nanos),
                    end: match &operation.outcome {
                        Outcome::Returned { output: Some(_), .. } => "ok",
                        Outcome::Returned { output: None, .. } => "unseen",
                        Outcome::Open => "open",
                        Outcome::Failed { .. } => "failed",
                    },
                }
            })
            .collect();
        let keys = keys
            .iter()
            .map(|(key, (status, order))| KeyData {
                name: key.to_string(),
                status: (*status).into(),
                order: points(model, history, key, order, summary.until),
            })
            .collect();
        Data {
            title: self.title.clone(),
            clients: clients.into_iter().map(Into::into).collect(),
            end: nanos(history.end()),
            keys,
            ops,
            notes: self.notes.clone(),
            summary,
        }
    }
}

/// All that the page's script knows. Times are in nanoseconds.
#[derive(Serialize)]
struct Data {
    title: String,
    clients: Vec<String>,
    end: u64,
    keys: Vec<KeyData>,
    ops: Vec<OpData>,
    notes: Vec<Note>,
    summary: Summary,
}

#[derive(Serialize)]
struct KeyData {
    name: String,
    /// "ok", "bad" or "unknown".
    status: String,
    order: Vec<Point>,
}

/// One operation taking effect.
#[derive(Serialize)]
struct Point {
    op: usize,
    at: u64,
    /// The state that it leaves.
    state: String,
}

#[derive(Serialize)]
struct OpData {
    client: Option<usize>,
    key: Option<usize>,
    op: String,
    answer: Option<String>,
    from: u64,
    to: Option<u64>,
    end: &'static str,
}

/// What is said above the picture.
#[derive(Serialize)]
struct Summary {
    verdict: &'static str,
    headline: String,
    reason: String,
    because: Vec<String>,
    prefix: String,
    /// The operation that cannot fit, then those that it contradicts.
    marks: Vec<Mark>,
    /// The end of what the order explains.
    until: u64,
}

#[derive(Serialize)]
struct Mark {
    op: usize,
}

impl Summary {
    fn of<M: Model>(
        model: &M,
        history: &History<M::Op, M::Output>,
        verdict: &Verdict<M::Key>,
    ) -> Self {
        let mut summary = Self {
            verdict: "linearizable",
            headline: String::new(),
            reason: String::new(),
            because: Vec::new(),
            prefix: String::new(),
            marks: Vec::new(),
            until: nanos(history.end()),
        };
        match verdict {
            Verdict::Linearizable(proof) => {
                let taken: usize = proof.orders.values().map(Vec::len).sum();
                summary.headline = format!(
                    "Each of {taken} operations takes effect at the point marked in its bar, and every \
                     answer is right."
                );
            }
            Verdict::NotLinearizable(violation) => {
                let explanation = violation.explain(model, history);
                summary.verdict = "not linearizable";
                summary.headline = explanation.headline;
                summary.reason = explanation.reason;
                summary.because = explanation.because;
                summary.prefix = explanation.prefix;
                summary.marks.push(Mark { op: violation.operation.0 });
                let others = violation.contradicts.iter().map(|other| other.operation);
                summary.marks.extend(others.map(|id| Mark { op: id.0 }));
                summary.until = ended(history, violation.operation).map_or(summary.until, nanos);
            }
            Verdict::Unknown(undecided) => {
                summary.verdict = "unknown";
                let keys: Vec<String> =
                    undecided.undecided.keys().map(ToString::to_string).collect();
                summary.headline = format!(
                    "No answer after {} steps, for {}; the budget of {} is used up. The line shows the most \
                     that could be explained. This is not a pass.",
                    undecided.steps,
                    keys.join(", "),
                    undecided.used_up
                );
            }
        }
        summary
    }
}

/// What is known of each key.
fn orders<K: Ord>(verdict: &Verdict<K>) -> BTreeMap<&K, (&'static str, &[OpId])> {
    let (known, others, status) = match verdict {
        Verdict::Linearizable(proof) => (vec![], &proof.orders, "ok"),
        Verdict::NotLinearizable(violation) => {
            (vec![(&violation.key, &violation.prefix)], &violation.others, "bad")
        }
        Verdict::Unknown(undecided) => {
            (undecided.undecided.iter().collect(), &undecided.others, "unknown")
        }
    };
    let others = others.iter().map(|(key, order)| (key, ("ok", &order[..])));
    let known = known.into_iter().map(|(key, order)| (key, (status, &order[..])));
    others.chain(known).collect()
}

/// Instants for the operations of an order: each between call and return, none before the one
/// before it, and all as far from the ends of their bars as they can be.
fn points<M: Model>(
    model: &M,
    history: &History<M::Op, M::Output>,
    key: &M::Key,
    order: &[OpId],
    until: u64,
) -> Vec<Point> {
    let mut earliest = Vec::with_capacity(order.len());
    let mut latest = vec![0; order.len()];
    let mut bound = 0;
    for &id in order {
        bound = nanos(history[id].called.time).max(bound);
        earliest.push(bound);
    }
    let mut bound = until;
    for (&id, latest) in order.iter().zip(&mut latest).rev() {
        bound = ended(history, id).map_or(bound, |end| nanos(end).min(bound));
        *latest = bound;
    }
    let windows: Vec<(u64, u64)> = earliest.into_iter().zip(latest).collect();
    let mut points = Vec::with_capacity(order.len());
    let mut state = model.initial(key);
    let mut at = 0;
    let mut index = 0;
    for run in windows.chunk_by(|a, b| a == b) {
        for i in 0..run.len() as u64 {
            let (from, to) = run[0];
            let span = u128::from(to.saturating_sub(from)) * u128::from(i + 1);
            let offset = span / (run.len() as u128 + 1);
            at = at.max(from + u64::try_from(offset).expect("no longer than the window"));
            let id = order[index];
            index += 1;
            if let Some(next) = model.step(&state, &history[id].op, None) {
                state = next;
            }
            points.push(Point { op: id.0, at, state: clip(&model.show_state(&state)) });
        }
    }
    points
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn clip(text: &str) -> String {
    let length = text.chars().count();
    if length <= CLIP {
        return text.into();
    }
    let begin: String = text.chars().take(CLIP / 3).collect();
    let end: String = text.chars().skip(length - CLIP * 2 / 3).collect();
    format!("{begin} … ({} characters) … {end}", length - CLIP)
}

/// Sorts C2 before C10: the name cut into words and numbers.
fn natural(name: &str) -> Vec<(String, u64)> {
    let is_digit = |c: &char| c.is_ascii_digit();
    let mut rest = name;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let word: String = rest.chars().take_while(|c| !is_digit(c)).collect();
        rest = &rest[word.len()..];
        let digits: String = rest.chars().take_while(is_digit).take(18).collect();
        rest = &rest[digits.len()..];
        parts.push((word, digits.parse().unwrap_or(0)));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::{Picture, natural};
    use crate::models::{Kv, KvOp, KvOutput};
    use crate::{Budget, History, check};
    use std::time::Duration;

    #[test]
    fn names_sort_by_their_numbers() {
        let mut names = vec!["C10", "C2", "10", "9", "C", "", "C2b"];
        names.sort_by_cached_key(|name| natural(name));
        assert_eq!(names, ["", "9", "10", "C", "C2", "C2b", "C10"]);
    }

    #[test]
    fn nothing_in_a_history_can_leave_its_place_in_the_page() {
        let mut history = History::new();
        let evil = "</script><script>alert(1)</script><!-- {{data}}";
        let put = history.call(evil, Duration::ZERO, KvOp::put(evil, evil));
        history.returned(put, Duration::ZERO, KvOutput::Done);
        let verdict = check(&Kv, &history, Budget::default());
        let page = Picture::new(evil).page(&Kv, &history, &verdict);
        assert_eq!(page.matches("</script>").count(), 2, "those of the template");
        assert!(!page.contains("<!-- "));
    }

    #[test]
    fn the_page_asks_the_network_for_nothing() {
        let verdict = check(&Kv, &History::new(), Budget::default());
        let page = Picture::new("empty").page(&Kv, &History::new(), &verdict);
        assert!(page.contains("default-src 'none'"));
        for word in ["src=", "href=", "@import", "url(", "fetch("] {
            assert!(!page.contains(word), "{word}");
        }
    }
}
