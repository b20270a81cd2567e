//! A register with compare-and-swap.

use std::sync::Arc;

use crate::format::{Notation, number, word};
use crate::model::Model;

/// Registers that hold a number, or nothing at first; one for each key.
#[derive(Debug, Clone, Copy, Default)]
pub struct Register;

/// An operation of [`Register`]. The first field is the key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RegisterOp {
    /// Reads the register.
    Read(Arc<str>),
    /// Replaces what is in it.
    Write(Arc<str>, i64),
    /// Replaces what is in it by the last field if it is the one before.
    Cas(Arc<str>, i64, i64),
}

/// An answer of [`Register`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegisterOutput {
    /// The answer to a read; `None` if nothing was ever written.
    Value(Option<i64>),
    /// The answer to a write, which says nothing.
    Done,
    /// The answer to a compare-and-swap: whether it found what it expected.
    Swapped(bool),
}

impl Model for Register {
    type Key = Arc<str>;
    type State = Option<i64>;
    type Op = RegisterOp;
    type Output = RegisterOutput;

    fn key(&self, op: &RegisterOp) -> Arc<str> {
        let (RegisterOp::Read(key) | RegisterOp::Write(key, _) | RegisterOp::Cas(key, ..)) = op;
        Arc::clone(key)
    }

    fn initial(&self, _key: &Arc<str>) -> Option<i64> {
        None
    }

    fn step(
        &self,
        state: &Option<i64>,
        op: &RegisterOp,
        output: Option<&RegisterOutput>,
    ) -> Option<Option<i64>> {
        let (next, answer) = match *op {
            RegisterOp::Read(_) => (*state, RegisterOutput::Value(*state)),
            RegisterOp::Write(_, value) => (Some(value), RegisterOutput::Done),
            RegisterOp::Cas(_, old, new) if *state == Some(old) => {
                (Some(new), RegisterOutput::Swapped(true))
            }
            RegisterOp::Cas(..) => (*state, RegisterOutput::Swapped(false)),
        };
        output.is_none_or(|output| *output == answer).then_some(next)
    }

    fn is_read(&self, op: &RegisterOp, output: Option<&RegisterOutput>) -> bool {
        matches!(op, RegisterOp::Read(_))
            || matches!((op, output), (RegisterOp::Cas(..), Some(RegisterOutput::Swapped(false))))
    }

    fn show_op(&self, op: &RegisterOp) -> String {
        match op {
            RegisterOp::Read(key) => format!("read {key}"),
            RegisterOp::Write(key, value) => format!("write {key} {value}"),
            RegisterOp::Cas(key, old, new) => format!("cas {key} {old} {new}"),
        }
    }

    fn show_output(&self, output: &RegisterOutput) -> String {
        self.write_output(output)
    }

    fn show_state(&self, state: &Option<i64>) -> String {
        state.map_or_else(|| "nil".into(), |value| value.to_string())
    }
}

impl Notation for Register {
    fn read_op(&self, name: &str, words: &[String]) -> Result<RegisterOp, String> {
        match (name, words) {
            ("read", [key]) => Ok(RegisterOp::Read(key.as_str().into())),
            ("write", [key, value]) => Ok(RegisterOp::Write(key.as_str().into(), number(value)?)),
            ("cas", [key, old, new]) => {
                Ok(RegisterOp::Cas(key.as_str().into(), number(old)?, number(new)?))
            }
            ("read", _) => Err("a read is called with a key".into()),
            ("write", _) => Err("a write is called with a key and a number".into()),
            ("cas", _) => Err("a cas is called with a key, the old number and the new one".into()),
            _ => Err(format!("the operations are read, write and cas, not {name:?}")),
        }
    }

    fn read_output(&self, op: &RegisterOp, words: &[String]) -> Result<RegisterOutput, String> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match (op, &words[..]) {
            (RegisterOp::Read(_), ["nil"]) => Ok(RegisterOutput::Value(None)),
            (RegisterOp::Read(_), [value]) => Ok(RegisterOutput::Value(Some(number(value)?))),
            (RegisterOp::Read(_), _) => {
                Err("a read answers with a number or nil, or ? if it is not known".into())
            }
            (RegisterOp::Write(..), []) => Ok(RegisterOutput::Done),
            (RegisterOp::Write(..), _) => Err("a write answers with nothing".into()),
            (RegisterOp::Cas(..), ["true"]) => Ok(RegisterOutput::Swapped(true)),
            (RegisterOp::Cas(..), ["false"]) => Ok(RegisterOutput::Swapped(false)),
            (RegisterOp::Cas(..), _) => {
                Err("a cas answers with true or false, or ? if it is not known".into())
            }
        }
    }

    fn write_op(&self, op: &RegisterOp) -> (&'static str, String) {
        match op {
            RegisterOp::Read(key) => ("read", word(key)),
            RegisterOp::Write(key, value) => ("write", format!("{} {value}", word(key))),
            RegisterOp::Cas(key, old, new) => ("cas", format!("{} {old} {new}", word(key))),
        }
    }

    fn write_output(&self, output: &RegisterOutput) -> String {
        match output {
            RegisterOutput::Value(Some(value)) => value.to_string(),
            RegisterOutput::Value(None) => "nil".into(),
            RegisterOutput::Done => String::new(),
            RegisterOutput::Swapped(swapped) => swapped.to_string(),
        }
    }
}
