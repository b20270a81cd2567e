//! Histories as text, so that a history recorded anywhere can be checked.
//!
//! One line for each event, in the order in which the events happened:
//!
//! ```text
//! # process, invoke|ok|fail|info, operation, value [, time]
//! C1, invoke, put,    x "hello world",  1.000ms
//! C2, invoke, get,    x,                1.200ms
//! C1, ok,     put,    ,                 1.900ms
//! C2, ok,     get,    "hello world",    2.100ms
//! C2, invoke, append, x !,              2.500ms
//! C2, info,   append, ,                 9.000ms
//! ```
//!
//! - *process*: who did it, any word. A process does one operation at a time.
//! - `invoke`: the operation is called; the value is what it is called with, the key first.
//! - `ok`: it returned; the value is its answer, or `?` if that is not known. For an operation that
//!   answers nothing the value is empty, or the value of the call once more.
//! - `fail`: it is known to have had no effect. The value does not matter.
//! - `info`: nobody waits for it any longer; it may take effect at any time from its call on, or never.
//!   The value does not matter. The process may go on. An operation without a second line counts
//!   the same.
//! - *operation*, and the words of its value:
//!
//!   | model | operation | called with | answers |
//!   | --- | --- | --- | --- |
//!   | kv | `get` | key | value |
//!   | | `put`, `append` | key value | |
//!   | register | `read` | key | number, or `nil` if nothing was written |
//!   | | `write` | key number | |
//!   | | `cas` | key old new | `true` if it found the old number, else `false` |
//!   | queue | `enqueue` | key number | |
//!   | | `dequeue` | key | number, or `nil` if there was none |
//!
//! - *time*: a number with its unit (`s`, `ms`, `us`, `ns`), for people: what came before what is
//!   decided by the lines alone. Without times, every event takes a millisecond.
//!
//! Spaces around fields do not matter. Words are separated by spaces; a word with spaces, commas or
//! quotes in it, or an empty one, is written as a JSON string, as is a value that happens to be `?`.
//! Empty lines, and lines that begin with `#`, are skipped.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::history::{History, Moment, OpId, Outcome};
use crate::model::Model;

/// How the operations and answers of a model are written.
///
/// Errors are for people: what is wrong with the words, or better, which words are right.
pub trait Notation: Model {
    /// The operation of this name, called with these words.
    ///
    /// # Errors
    ///
    /// If there is no such operation, or if the words do not suit it.
    fn read_op(&self, name: &str, words: &[String]) -> Result<Self::Op, String>;

    /// The answer to `op` that these words say. An unknown answer (`?`) never gets here.
    ///
    /// # Errors
    ///
    /// If `op` does not answer such words.
    fn read_output(&self, op: &Self::Op, words: &[String]) -> Result<Self::Output, String>;

    /// Name of the operation, and its words as [`words_of`] writes them.
    fn write_op(&self, op: &Self::Op) -> (&'static str, String);

    /// The words of an answer; empty if there is nothing to say.
    fn write_output(&self, output: &Self::Output) -> String;
}

/// A line of a history that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParseError {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// Reads a history. See the [module](self) for what it looks like.
///
/// # Errors
///
/// For the first line that cannot be understood, or that cannot come after those before it.
pub fn parse<M: Notation>(model: &M, text: &str) -> Result<History<M::Op, M::Output>, ParseError> {
    let mut reader =
        Reader { model, history: History::new(), running: BTreeMap::new(), timed: None, events: 0 };
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        reader.event(line, content).map_err(|message| ParseError { line, message })?;
    }
    Ok(reader.history)
}

struct Reader<'a, M: Model> {
    model: &'a M,
    history: History<M::Op, M::Output>,
    /// What each process is doing.
    running: BTreeMap<String, Running>,
    /// Whether the events have times; not known before the first one.
    timed: Option<bool>,
    events: u32,
}

struct Running {
    id: OpId,
    line: usize,
    name: String,
    words: Vec<String>,
}

impl<M: Notation> Reader<'_, M> {
    fn event(&mut self, line: usize, content: &str) -> Result<(), String> {
        let mut fields = fields(content)?;
        let time = if fields.len() == 5 { fields.pop() } else { None };
        let Ok([process, kind, name, value]) = <[Vec<Word>; 4]>::try_from(fields) else {
            return Err("expected `process, invoke|ok|fail|info, operation, value`".into());
        };
        let process = single(process, "the process")?;
        let kind = single(kind, "the second field")?;
        let name = single(name, "the operation")?;
        let time = self.time(time)?;
        if kind == "invoke" {
            if let Some(Running { line, name, .. }) = self.running.get(&process) {
                return Err(format!(
                    "process {process} has not finished its {name} of line {line}"
                ));
            }
            let words: Vec<String> = value.into_iter().map(|word| word.text).collect();
            let op = self.model.read_op(&name, &words)?;
            let id = self.history.call(process.as_str(), time, op);
            self.running.insert(process, Running { id, line, name, words });
            return Ok(());
        }
        if !["ok", "fail", "info"].contains(&kind.as_str()) {
            return Err(format!("expected invoke, ok, fail or info, not {kind:?}"));
        }
        let Some(running) = self.running.remove(&process) else {
            return Err(format!("process {process} is doing nothing that could end here"));
        };
        if running.name != name {
            let Running { name: called, line, .. } = running;
            return Err(format!("process {process} called {called}, at line {line}, not {name}"));
        }
        match kind.as_str() {
            "fail" => self.history.failed(running.id, time),
            "ok" if matches!(&value[..], [Word { text, quoted: false }] if text == "?") => {
                self.history.returned_unknown(running.id, time);
            }
            "ok" => {
                let op = &self.history[running.id].op;
                let words: Vec<String> = value.into_iter().map(|word| word.text).collect();
                let output = self.model.read_output(op, &words).or_else(|error| {
                    let is_repeated = words == running.words;
                    if is_repeated { self.model.read_output(op, &[]) } else { Err(error) }
                })?;
                self.history.returned(running.id, time, output);
            }
            _ => {}
        }
        Ok(())
    }

    fn time(&mut self, field: Option<Vec<Word>>) -> Result<Duration, String> {
        let timed = *self.timed.get_or_insert(field.is_some());
        self.events += 1;
        match field {
            Some(words) if timed => parse_time(&single(words, "the time")?),
            None if !timed => Ok(Duration::from_millis(1) * self.events),
            Some(_) => Err("a time, but the lines before have none".into()),
            None => Err("no time, but the lines before have one".into()),
        }
    }
}

/// A word of a field.
struct Word {
    text: String,
    quoted: bool,
}

/// The words of the fields of a line.
fn fields(line: &str) -> Result<Vec<Vec<Word>>, String> {
    let mut fields = vec![Vec::new()];
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let words = fields.last_mut().expect("never empty");
        if first == ',' {
            fields.push(Vec::new());
            rest = &rest[1..];
        } else if first == '"' {
            let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
            let Some(Ok(text)) = strings.next() else {
                return Err(format!("this is not a JSON string: {rest}"));
            };
            rest = &rest[strings.byte_offset()..];
            words.push(Word { text, quoted: true });
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(rest.len());
            words.push(Word { text: rest[..end].into(), quoted: false });
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(fields)
}

fn single(words: Vec<Word>, what: &str) -> Result<String, String> {
    match <[Word; 1]>::try_from(words) {
        Ok([word]) => Ok(word.text),
        Err(words) if words.is_empty() => Err(format!("{what} is missing")),
        Err(_) => Err(format!("{what} is more than one word")),
    }
}

fn parse_time(word: &str) -> Result<Duration, String> {
    let error = || format!("expected a time such as 1.25ms (s, ms, us or ns), not {word:?}");
    let (number, unit) = word
        .find(char::is_alphabetic)
        .and_then(|at| word.split_at_checked(at))
        .ok_or_else(error)?;
    let seconds = match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        "us" | "µs" => 1e-6,
        "ns" => 1e-9,
        _ => return Err(error()),
    };
    let number: f64 = number.parse().map_err(|_| error())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| error())
}

/// A number of a value.
///
/// # Errors
///
/// If the word is no whole number of 64 bits.
pub fn number(word: &str) -> Result<i64, String> {
    word.parse().map_err(|_| format!("expected a whole number, not {word:?}"))
}

/// The word, quoted if it has to be.
pub fn word(word: &str) -> String {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !",\"#?".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.into()
    } else {
        serde_json::Value::from(word).to_string()
    }
}

/// Several words, each quoted if it has to be.
pub fn words_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    words.into_iter().map(word).collect::<Vec<_>>().join(" ")
}

/// Writes a history such that [`parse`] reads the same again; times to the nanosecond.
///
/// A client that does several operations at once becomes several processes.
pub fn write<M: Notation>(model: &M, history: &History<M::Op, M::Output>) -> String {
    let mut lines: BTreeMap<u64, String> = BTreeMap::new();
    // What each process of a client did last.
    let mut processes: BTreeMap<&str, Vec<OpId>> = BTreeMap::new();
    for (id, operation) in history.operations() {
        let processes = processes.entry(&operation.client).or_default();
        let is_free = |last: &OpId| match &history[*last].outcome {
            Outcome::Returned { at, .. } | Outcome::Failed { at } => *at < operation.called,
            Outcome::Open => true,
        };
        let process = processes.iter().position(is_free).unwrap_or(processes.len());
        let client = match process {
            0 => word(&operation.client),
            _ => word(&format!("{}.{process}", operation.client)),
        };
        let mut add = |at: Moment, kind: &str, name: &str, value: &str| {
            let seconds = format!("{:.9}", at.time.as_secs_f64());
            let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
            let line = lines.entry(at.place).or_default();
            writeln!(line, "{client}, {kind}, {name}, {value}, {seconds}s")
                .expect("a string takes everything");
        };
        if process == processes.len() {
            processes.push(id);
        } else {
            let last = std::mem::replace(&mut processes[process], id);
            if matches!(history[last].outcome, Outcome::Open) {
                let (name, _) = model.write_op(&history[last].op);
                add(operation.called, "info", name, "");
            }
        }
        let (name, words) = model.write_op(&operation.op);
        add(operation.called, "invoke", name, &words);
        match &operation.outcome {
            Outcome::Returned { at, output: Some(output) } => {
                add(*at, "ok", name, &model.write_output(output));
            }
            Outcome::Returned { at, output: None } => add(*at, "ok", name, "?"),
            Outcome::Failed { at } => add(*at, "fail", name, ""),
            Outcome::Open => {}
        }
    }
    let head = "# process, invoke|ok|fail|info, operation, value, time\n";
    std::iter::once(head).chain(lines.values().map(String::as_str)).collect()
}
