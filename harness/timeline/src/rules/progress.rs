//! Leaders, and what they know of their followers.

use std::collections::BTreeMap;

use crate::model::{Micros, Role};
use crate::replay::State;

use super::talk::{Message, Method, Way};
use super::{Act, Report, Rule, Scene};

/// A leader that has to send a snapshot does so within this time.
const PATIENCE: Micros = 1_500_000;

#[derive(Default)]
pub(super) struct Progress {
    /// Up to where each leader has sent entries to each follower in its term; at first, the end of
    /// its log when it was elected.
    sent: BTreeMap<(usize, usize), (u64, u64)>,
    /// Since when a follower has needed a snapshot that it is not sent.
    starving: BTreeMap<(usize, usize), (u64, Micros, usize)>,
    /// When what a leader knows of a follower last changed.
    changed: BTreeMap<(usize, usize), Micros>,
    /// Where the next to send went beyond what was sent: some move it before they send.
    ahead: BTreeMap<(usize, usize), (u64, Micros, usize)>,
}

impl Progress {
    pub(super) fn state(&mut self, scene: &Scene, report: &mut Report, old: &State, new: &State) {
        let server = scene.server;
        if new.role != Role::Leader {
            return;
        }
        let elected = old.role != Role::Leader || old.term != new.term;
        let last = new.last().0;
        for &(follower, next, matched) in &new.followers {
            let before = old.followers.iter().find(|(peer, ..)| *peer == follower);
            let before = before.filter(|_| !elected);
            if before != Some(&(follower, next, matched)) {
                self.changed.insert((server, follower), scene.at);
            }
            let sent = self.sent.get(&(server, follower)).map_or(last, |(_, sent)| *sent);
            if next > sent.max(matched).max(new.base.0) + 1 {
                self.ahead.entry((server, follower)).or_insert((next, scene.at, scene.event));
            }
            let mut add = |act, index, text| {
                report.add((Rule::Followers, act), new.term, Some(index), text);
            };
            match before {
                None if !elected => {}
                None => {
                    let began = old.last().0;
                    self.sent.insert((server, follower), (new.term, last));
                    if matched > 0 {
                        add(
                            Act::Elected,
                            matched,
                            format!(
                                "S{server} begins to lead T{} and takes S{follower} to hold its log up to i{matched}, before it has asked",
                                new.term
                            ),
                        );
                    } else if next > last + 1 || next <= began.min(last) {
                        add(
                            Act::Elected,
                            next,
                            format!(
                                "S{server} begins to lead T{} with i{next} as the next to send to S{follower}; its log ends at i{last}",
                                new.term
                            ),
                        );
                    }
                }
                Some(&(_, _, before)) if matched < before => add(
                    Act::Progress,
                    before,
                    format!(
                        "S{server} knew that S{follower} has its log up to i{before}, and takes that back to i{matched}"
                    ),
                ),
                Some(_) => {
                    let holds = new.term_at(matched).is_none_or(|term| {
                        let peer = &scene.replay.servers[follower];
                        // Since then it may have listened to another leader.
                        !scene.shown[follower]
                            || peer.memory.term != new.term
                            || peer.memory.holds(matched, term)
                            || peer.disk.as_ref().is_some_and(|disk| disk.holds(matched, term))
                    });
                    if !holds {
                        let has = scene.replay.servers[follower].memory.last();
                        add(
                            Act::Progress,
                            matched,
                            format!(
                                "S{server} takes S{follower} to hold its log up to i{matched}; S{follower}'s ends with T{}:i{}",
                                has.1, has.0
                            ),
                        );
                    } else if next <= matched {
                        add(
                            Act::Progress,
                            matched,
                            format!(
                                "S{server} goes back to i{next} as the next to send to S{follower}, which has acknowledged all up to i{matched}"
                            ),
                        );
                    }
                }
            }
        }
    }

    pub(super) fn message(&mut self, scene: &Scene, report: &mut Report, message: &Message) {
        let (server, memory, other) = (scene.server, scene.memory(), message.other);
        if message.way != Way::RequestLeaves || memory.role != Role::Leader {
            return;
        }
        let follower = memory.followers.iter().find(|(follower, ..)| *follower == other);
        let Some(&(_, next, matched)) = follower else { return };
        let pair = (server, other);
        match message.method {
            Method::Install => {
                self.starving.remove(&pair);
                if let Some((index, _)) = message.request.snapshot {
                    let sent = self.sent.entry(pair).or_insert((memory.term, index));
                    sent.1 = sent.1.max(index);
                }
                return;
            }
            Method::Append => {}
            _ => return,
        }
        // One that does not answer may wait until it does.
        let answers = scene.talk.answered.get(&pair).is_some_and(|at| at + PATIENCE / 3 > scene.at);
        if next <= memory.base.0 && memory.base.0 > 0 && answers {
            let (_, since, event) =
                *self.starving.entry(pair).or_insert((memory.base.0, scene.at, scene.event));
            if since + PATIENCE < scene.at {
                let text = format!(
                    "S{server} leads T{} and does not send its snapshot to S{other}, which lacks i{next}: its own log begins after i{}",
                    memory.term, memory.base.0
                );
                let what = (Rule::Followers, Act::Request);
                report.add_at((since, event, server), what, memory.term, None, text);
            }
        } else {
            self.starving.remove(&pair);
        }
        let (Some(prev), Some(end)) = (message.request.prev, message.request.end()) else { return };
        if message.request.term != Some(memory.term) {
            return;
        }
        let sent = self.sent.entry(pair).or_insert((memory.term, memory.last().0));
        if prev.0 > sent.1.max(matched).max(memory.base.0) && sent.0 == memory.term {
            let text = format!(
                "S{server} takes i{} as the next to send to S{other}, and has sent it entries up to i{} only",
                prev.0 + 1,
                sent.1
            );
            let place = self
                .ahead
                .get(&pair)
                .map_or((scene.at, scene.event), |(_, at, event)| (*at, *event));
            let what = (Rule::Followers, Act::Progress);
            report.add_at((place.0, place.1, server), what, memory.term, Some(prev.0), text);
        }
        sent.1 = sent.1.max(end);
        if self.ahead.get(&pair).is_some_and(|(next, ..)| *next <= sent.1 + 1) {
            self.ahead.remove(&pair);
        }
        let settled = self.changed.get(&pair).is_none_or(|at| at + 1_000 < scene.at);
        if end > prev.0 && prev.0 < matched && settled {
            let text = format!(
                "S{server} sends S{other} its log from i{} on, and S{other} has acknowledged all up to i{matched}",
                prev.0 + 1
            );
            report.add((Rule::Followers, Act::Request), memory.term, Some(matched), text);
        }
    }
}
