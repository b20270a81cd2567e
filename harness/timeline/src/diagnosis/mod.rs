//! What kept a run from making progress: the pattern in its messages that repeats without effect.
//!
//! A missed deadline says only that something did not happen. Here the messages of the time before
//! it are searched for what a correct Raft does not do again and again, and the report names it:
//! which follower lacks what and what it was sent, which candidate had its votes, which server does
//! not campaign. Only messages, commands and what was applied are read, never a server's memory, so
//! the search works for servers that show nothing of themselves as well. It runs after a failure, and
//! so can fail nobody.
//!
//! | file | of what |
//! | --- | --- |
//! | `seen.rs` | messages, by leader and follower |
//! | `elections.rs` | servers that elect no leader |
//! | `replication.rs` | a leader and a follower that does not get what it lacks |
//! | `slow.rs` | commands that take long |
//! | `saves.rs` | a snapshot that is saved in two steps |

mod elections;
mod replication;
mod saves;
mod seen;
mod slow;

use crate::model::{Micros, Run};
use seen::Seen;

/// What was seen in a run that failed, and where it points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// What servers did, as a sentence without a final period.
    pub seen: String,
    /// Where to look: a rule, not a fix.
    pub hint: String,
}

impl Diagnosis {
    fn new(seen: impl Into<String>, hint: &str) -> Diagnosis {
        Diagnosis { seen: seen.into(), hint: hint.to_owned() }
    }

    /// Adds this to the first line of what a report says has happened, in the place of what else was
    /// listed there, and puts its hint in the place of the general one.
    pub fn add_to(&self, happened: &mut String, look_at: &mut String) {
        happened.truncate(happened.find('\n').unwrap_or(happened.len()));
        happened.push('\n');
        happened.push_str(&self.seen);
        look_at.clone_from(&self.hint);
    }

    /// Returns what kept this run from making progress, if that can be told from what was seen.
    pub fn of(run: &Run) -> Option<Diagnosis> {
        let verdict = run.verdict.as_ref()?;
        let seen = Seen::of(run, verdict.at);
        match (verdict.kind.as_str(), verdict.title.as_str()) {
            ("liveness", "a needless election" | "the term keeps changing") => {
                elections::terms(&seen).or_else(|| elections::needless(&seen))
            }
            // That has been said.
            ("liveness", "a leader refused a command") => None,
            ("budget", "agreement is slow") => slow::diagnose(&seen),
            ("liveness", title) => {
                let slow = if title == TOO_LONG { slow::diagnose(&seen) } else { None };
                slow.or_else(|| replication::diagnose(&seen)).or_else(|| elections::diagnose(&seen))
            }
            ("safety", "apply out of order") => saves::diagnose(&seen),
            _ => None,
        }
    }
}

/// The title of a run that was not over in time.
const TOO_LONG: &str = "the test took too long";

/// `3.210 s`
fn at(time: Micros) -> String {
    format!("{}.{:03} s", time / 1_000_000, time / 1_000 % 1_000)
}

/// `9.9 s` or `120 ms`
fn span(time: Micros) -> String {
    if time < 1_000 {
        "less than 1 ms".to_owned()
    } else if time < 1_000_000 {
        format!("{} ms", time / 1_000)
    } else {
        format!("{}.{} s", time / 1_000_000, time / 100_000 % 10)
    }
}

/// `S0, S2 and S4`
fn list(servers: impl IntoIterator<Item = usize>) -> String {
    let names: Vec<String> = servers.into_iter().map(|server| format!("S{server}")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// `once` or `3 times`
fn times(count: usize) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}
