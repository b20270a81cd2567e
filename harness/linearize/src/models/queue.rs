//! A first-in, first-out queue.

use std::sync::Arc;

use crate::format::{Notation, number, word};
use crate::model::{Coming, Model};

/// Queues of numbers, empty at first; one for each key.
#[derive(Debug, Clone, Copy, Default)]
pub struct Queue;

/// An operation of [`Queue`]. The first field is the key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum QueueOp {
    /// Adds a number at the end.
    Enqueue(Arc<str>, i64),
    /// Takes the first number away.
    Dequeue(Arc<str>),
}

/// An answer of [`Queue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QueueOutput {
    /// The answer to an enqueue, which says nothing.
    Done,
    /// The answer to a dequeue; `None` if the queue was empty.
    Item(Option<i64>),
}

/// How many returns of dequeues [`Queue::foresee`] looks at.
const DEQUEUES_AHEAD: usize = 16;

/// How many of `items` are not among `takes`.
fn missing(items: &[i64], takes: &[i64]) -> usize {
    let mut takes = takes.to_vec();
    items
        .iter()
        .filter(|item| {
            let by = takes.iter().position(|take| take == *item);
            by.map(|by| takes.swap_remove(by)).is_none()
        })
        .count()
}

impl Model for Queue {
    type Key = Arc<str>;
    type State = Arc<[i64]>;
    type Op = QueueOp;
    type Output = QueueOutput;

    fn key(&self, op: &QueueOp) -> Arc<str> {
        let (QueueOp::Enqueue(key, _) | QueueOp::Dequeue(key)) = op;
        Arc::clone(key)
    }

    fn initial(&self, _key: &Arc<str>) -> Arc<[i64]> {
        Arc::default()
    }

    fn step(
        &self,
        state: &Arc<[i64]>,
        op: &QueueOp,
        output: Option<&QueueOutput>,
    ) -> Option<Arc<[i64]>> {
        let is_right = |answer| output.is_none_or(|output| *output == answer);
        match *op {
            QueueOp::Enqueue(_, item) => {
                is_right(QueueOutput::Done).then(|| state.iter().copied().chain([item]).collect())
            }
            QueueOp::Dequeue(_) => is_right(QueueOutput::Item(state.first().copied()))
                .then(|| state.get(1..).map_or_else(|| Arc::clone(state), Arc::from)),
        }
    }

    fn is_read(&self, op: &QueueOp, output: Option<&QueueOutput>) -> bool {
        matches!((op, output), (QueueOp::Dequeue(_), Some(QueueOutput::Item(None))))
    }

    /// For each dequeue that returns: all items before the one that it takes have to be taken first,
    /// by dequeues that were called before that return.
    fn foresee<'a>(
        &self,
        state: Arc<[i64]>,
        coming: impl Iterator<Item = Coming<'a, Self>>,
        work: &mut u64,
    ) -> Option<Arc<[i64]>> {
        let mut takes = Vec::new();
        let mut takes_anything = 0;
        let mut returns = 0;
        // So many of the items in `state` are known to be taken in time.
        let mut checked = 0;
        for event in coming {
            match (event.op, event.output) {
                (QueueOp::Dequeue(_), Some(QueueOutput::Item(item))) if event.is_return => {
                    let is_it = |first: &i64| Some(*first) == *item;
                    let ahead = state.iter().position(is_it).unwrap_or(state.len());
                    *work += ahead as u64;
                    if ahead > checked {
                        *work += (ahead + takes.len()) as u64;
                        checked = ahead;
                        if missing(&state[..ahead], &takes) > takes_anything {
                            return None;
                        }
                    }
                    returns += 1;
                    if returns == DEQUEUES_AHEAD || checked == state.len() {
                        break;
                    }
                }
                (QueueOp::Dequeue(_), Some(QueueOutput::Item(Some(item)))) => takes.push(*item),
                (QueueOp::Dequeue(_), None) if !event.is_return => takes_anything += 1,
                _ => {}
            }
        }
        Some(state)
    }

    fn bytes(&self, state: &Arc<[i64]>) -> u64 {
        size_of_val(&**state) as u64 + 16
    }

    fn show_op(&self, op: &QueueOp) -> String {
        match op {
            QueueOp::Enqueue(key, item) => format!("enqueue {key} {item}"),
            QueueOp::Dequeue(key) => format!("dequeue {key}"),
        }
    }

    fn show_output(&self, output: &QueueOutput) -> String {
        self.write_output(output)
    }

    fn show_state(&self, state: &Arc<[i64]>) -> String {
        format!("{state:?}")
    }
}

impl Notation for Queue {
    fn read_op(&self, name: &str, words: &[String]) -> Result<QueueOp, String> {
        match (name, words) {
            ("enqueue", [key, item]) => Ok(QueueOp::Enqueue(key.as_str().into(), number(item)?)),
            ("dequeue", [key]) => Ok(QueueOp::Dequeue(key.as_str().into())),
            ("enqueue", _) => Err("an enqueue is called with a key and a number".into()),
            ("dequeue", _) => Err("a dequeue is called with a key".into()),
            _ => Err(format!("the operations are enqueue and dequeue, not {name:?}")),
        }
    }

    fn read_output(&self, op: &QueueOp, words: &[String]) -> Result<QueueOutput, String> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match (op, &words[..]) {
            (QueueOp::Enqueue(..), []) => Ok(QueueOutput::Done),
            (QueueOp::Enqueue(..), _) => Err("an enqueue answers with nothing".into()),
            (QueueOp::Dequeue(_), ["nil"]) => Ok(QueueOutput::Item(None)),
            (QueueOp::Dequeue(_), [item]) => Ok(QueueOutput::Item(Some(number(item)?))),
            (QueueOp::Dequeue(_), _) => Err(
                "a dequeue answers with a number, nil if there was none, or ? if it is not known"
                    .into(),
            ),
        }
    }

    fn write_op(&self, op: &QueueOp) -> (&'static str, String) {
        match op {
            QueueOp::Enqueue(key, item) => ("enqueue", format!("{} {item}", word(key))),
            QueueOp::Dequeue(key) => ("dequeue", word(key)),
        }
    }

    fn write_output(&self, output: &QueueOutput) -> String {
        match output {
            QueueOutput::Done => String::new(),
            QueueOutput::Item(Some(item)) => item.to_string(),
            QueueOutput::Item(None) => "nil".into(),
        }
    }
}
