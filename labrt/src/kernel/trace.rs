//! What a recorded run did, step by step.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use super::place;
use crate::sim::{TaskInfo, seconds};

/// Every step of a run, and who its tasks were.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    pub(crate) steps: Vec<TraceStep>,
    /// By serial number.
    pub(crate) tasks: Vec<TaskInfo>,
}

/// One step of the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceStep {
    /// Virtual time, in nanoseconds.
    pub(crate) at: u64,
    pub(crate) what: TraceWhat,
}

/// What a [`TraceStep`] records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TraceWhat {
    /// A task went on from where it had last waited, or began.
    Task { serial: u64, from: Option<&'static Location<'static>> },
    /// An event ran.
    Event,
    /// The harness added this number.
    Mixed(u64),
}

impl Trace {
    /// Tells a person what step `n` was.
    pub(crate) fn describe(&self, n: usize) -> String {
        struct Described<'a>(&'a Trace, TraceStep);
        impl fmt::Display for Described<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let Described(trace, step) = self;
                write!(f, "[{}] ", seconds(Duration::from_nanos(step.at)))?;
                match step.what {
                    TraceWhat::Event => f.write_str("ran an event"),
                    TraceWhat::Mixed(n) => write!(f, "noted {n:#x}"),
                    TraceWhat::Task { serial, from } => {
                        let task = usize::try_from(serial).ok().and_then(|n| trace.tasks.get(n));
                        match task {
                            Some(task) => write!(f, "ran {task}")?,
                            None => write!(f, "ran task #{serial}")?,
                        }
                        match from {
                            Some(from) => write!(f, ", from its wait at {}", place(from)),
                            None => f.write_str(", from its beginning"),
                        }
                    }
                }
            }
        }
        self.steps.get(n).map_or("was over".to_owned(), |step| Described(self, *step).to_string())
    }
}
