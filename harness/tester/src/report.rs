//! What a check found. The five lines that come of it are [`Report`].

use std::fmt;
use std::panic;

pub use labrecord::{Report, Verdict};

/// What a check found, before it is known how to run it again.
///
/// A check inside the simulation calls [`raise`](Self::raise): the failure travels, typed, as the
/// payload of a panic that prints nothing, and ends the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of rule was broken.
    pub verdict: Verdict,
    /// The failure in a few words. The same words for the same kind of failure, so that failures
    /// can be counted by it.
    pub title: String,
    /// The rule, with its place in the paper or the deadline.
    pub expected: String,
    /// What was seen, with servers, terms, indexes and times.
    pub happened: String,
    /// Where a reader should look: a rule, not a fix.
    pub look_at: String,
    /// Where the rule holds.
    pub holds: Holds,
    /// What is too long for a terminal.
    pub attachments: Box<[Attachment]>,
}

/// Where a rule holds that was broken: what may be left out of a run for the failure to mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// In every run, whatever the story is: anything may be left out.
    Always,
    /// In this story, whose commands are needed; fewer faults make it no harder.
    InThisStory,
}

/// A file that goes with a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// What it is, in a word.
    pub what: &'static str,
    /// How its name ends, without the dot.
    pub ending: &'static str,
    /// What is in it.
    pub text: String,
}

impl Failure {
    /// A failure with a verdict and a title; the rest is filled in by the methods below.
    #[must_use]
    pub fn new(verdict: Verdict, title: &str) -> Failure {
        let empty = String::new;
        let title = title.to_owned();
        Failure {
            verdict,
            title,
            expected: empty(),
            happened: empty(),
            look_at: empty(),
            holds: Holds::InThisStory,
            attachments: Box::default(),
        }
    }

    /// Something happened that must never happen.
    #[must_use]
    pub fn safety(title: &str) -> Failure {
        Failure::new(Verdict::Safety, title)
    }

    /// Something did not happen in time.
    #[must_use]
    pub fn liveness(title: &str) -> Failure {
        Failure::new(Verdict::Liveness, title)
    }

    /// Too much was spent.
    #[must_use]
    pub fn budget(title: &str) -> Failure {
        Failure::new(Verdict::Budget, title)
    }

    /// Sets the rule that was broken.
    #[must_use]
    pub fn expected(self, expected: impl Into<String>) -> Failure {
        Failure { expected: expected.into(), ..self }
    }

    /// Sets what was seen.
    #[must_use]
    pub fn happened(self, happened: impl fmt::Display) -> Failure {
        Failure { happened: happened.to_string(), ..self }
    }

    /// The rule holds in every run, whatever the story is.
    #[must_use]
    pub fn always(self) -> Failure {
        Failure { holds: Holds::Always, ..self }
    }

    /// Adds a file.
    #[must_use]
    pub fn attach(self, attachment: Attachment) -> Failure {
        let attachments = self.attachments.into_iter().chain([attachment]).collect();
        Failure { attachments, ..self }
    }

    /// Sets where to look.
    #[must_use]
    pub fn look_at(self, look_at: impl Into<String>) -> Failure {
        Failure { look_at: look_at.into(), ..self }
    }

    /// Ends the run with this failure. No panic message is printed.
    pub fn raise(self) -> ! {
        panic::resume_unwind(Box::new(self))
    }

    /// The report of this failure, which the shell command `again` repeats.
    #[must_use]
    pub fn report(&self, again: String) -> Report {
        let Failure { title, expected, happened, look_at, .. } = self.clone();
        Report { title, expected, happened, look_at, again }
    }
}
