//! A snapshot, and the log that it makes shorter, saved one after the other (Raft 7).

use crate::model::{Event, What};
use crate::rules::talk::Method;

use super::seen::Seen;
use super::{Diagnosis, at};

const ONE_SAVE: &str = "how a snapshot is saved (7): the shorter log, and the snapshot that takes the place \
     of the rest, go to the disk in one save, since a server can crash between two";

/// A server that crashed when its log was shorter already and its snapshot still the old one.
pub(super) fn diagnose(seen: &Seen) -> Option<Diagnosis> {
    (0..seen.run.servers).find_map(|server| torn(seen, server))
}

fn torn(seen: &Seen, server: usize) -> Option<Diagnosis> {
    let own = |event: &&Event| event.server == Some(server) && event.at <= seen.until;
    let events: Vec<&Event> = seen.run.events.iter().filter(own).collect();
    let crash = events.iter().rposition(|event| event.what == What::Crashed)?;
    let mut saves = events[..crash].iter().rev().filter_map(|event| match event.what {
        What::Saved { bytes, same, .. } => Some((event.at, bytes, same)),
        _ => None,
    });
    let ((when, bytes, same), (before, longer, _)) = (saves.next()?, saves.next()?);
    if !same || bytes >= longer {
        return None;
    }
    let handed = events[..crash].iter().rev().find_map(|event| match event.what {
        What::Snapshot { index } if (before..=when).contains(&event.at) => Some(index),
        _ => None,
    });
    let sent = seen.calls.iter().rev().find_map(|call| {
        let arrived = call.arrived.is_some_and(|at| (before..=when).contains(&at));
        (call.to == server && call.method == Method::Install && arrived)
            .then_some(call.request.snapshot?.0)
    });
    let (index, whose) = match (handed, sent) {
        (Some(index), _) => (index, "its service"),
        (None, Some(index)) => (index, "its leader"),
        (None, None) => return None,
    };
    Some(Diagnosis::new(
        format!(
            "S{server} had a snapshot up to i{index} of {whose}; the save at {} then made its Raft state \
             shorter, {bytes} bytes in place of {longer}, and left the old snapshot beside it; S{server} \
             crashed at {}, before another save",
            at(when),
            at(events[crash].at)
        ),
        ONE_SAVE,
    ))
}
