//! Commands that take long, though they are applied in the end.

use crate::model::{Micros, What};
use crate::rules::talk::Method;

use super::seen::{Exchange, Seen};
use super::{Diagnosis, span};

/// The last commands are looked at.
const LAST: usize = 100;

/// A command takes some round trips. One that takes longer than that waits for something.
const SLOW: Micros = 300_000;

const SENT: &str =
    "what start() wakes (5.3): a new entry is sent immediately, not when a timer runs out";
const HELD: &str = "what lies between a request and the acknowledgements of a majority: entries that wait \
     for earlier ones, refusals, requests that wait for each other";
const APPLIED: &str = "what happens when a majority has acknowledged an entry (5.3): it is committed and \
     applied then, not when a loop that sleeps looks the next time";

/// How long commands took, and where that time went.
pub(super) fn diagnose(seen: &Seen) -> Option<Diagnosis> {
    let times: Vec<Times> = seen
        .run
        .events
        .iter()
        .rev()
        .filter_map(|event| match (event.server, &event.what) {
            (Some(leader), What::Command { index, term, .. }) => {
                Times::of(seen, leader, (*index, *term), event.at)
            }
            _ => None,
        })
        .take(LAST)
        .collect();
    let count = times.len() as u64;
    let mean = |part: fn(&Times) -> Micros| times.iter().map(part).sum::<u64>() / count.max(1);
    let (sent, held, applied) = (mean(|t| t.sent), mean(|t| t.held), mean(|t| t.applied));
    let all = sent + held + applied;
    if count == 0 || all < SLOW {
        return None;
    }
    let hint = match sent.max(held).max(applied) {
        most if most == sent => SENT,
        most if most == held => HELD,
        _ => APPLIED,
    };
    Some(Diagnosis::new(
        format!(
            "its last {count} commands took {} each, from start() until their leader applied them: {} until \
             they were sent, {} until a majority had acknowledged them, {} until they were applied",
            span(all),
            span(sent),
            span(held),
            span(applied)
        ),
        hint,
    ))
}

/// Where the time of a command went.
struct Times {
    sent: Micros,
    held: Micros,
    applied: Micros,
}

impl Times {
    /// Of a command that its leader has applied.
    fn of(seen: &Seen, leader: usize, (index, term): (u64, u64), start: Micros) -> Option<Times> {
        let place = seen.run.events.partition_point(|event| event.at < start);
        let applied = seen.run.events[place..].iter().find(|event| {
            let own = matches!(event.what, What::Applied { index: i, term: t, .. } if (i, t) == (index, term));
            own && event.server == Some(leader)
        })?;
        let first = seen.calls.partition_point(|call| call.sent < start);
        let brings = |call: &&Exchange| {
            let begins = call.request.prev.is_some_and(|(prev, _)| prev < index);
            call.from == leader
                && call.method == Method::Append
                && call.request.term == Some(term)
                && begins
                && call.end() >= index
                && call.sent <= applied.at
        };
        let until = seen.calls.partition_point(|call| call.sent <= applied.at);
        let calls: Vec<&Exchange> = seen.calls[first..until].iter().filter(brings).collect();
        let sent = calls.iter().map(|call| call.sent).min()?;
        let mut answers: Vec<(Micros, usize)> =
            calls.iter().filter_map(|call| Some((call.answered?, call.to))).collect();
        answers.sort_unstable();
        let mut servers = Vec::new();
        answers.retain(|(_, server)| {
            let first = !servers.contains(server);
            servers.push(*server);
            first
        });
        let (held, _) = *answers.get((seen.run.servers / 2).checked_sub(1)?)?;
        let held = held.min(applied.at);
        Some(Times { sent: sent - start, held: held - sent, applied: applied.at - held })
    }
}
