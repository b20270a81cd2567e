//! What went between servers in a short while: a lane for each, time going down.
//!
//! | sign | meaning |
//! | --- | --- |
//! | thick lane | leads |
//! | dashed lane | asks for votes |
//! | thin lane, none | follows; is down |
//! | solid arrow, dashed arrow | a request; a reply |
//! | cross | it does not arrive |
//! | `✓`, `–` at a reply | the vote is granted; refused |
//! | `≠` at a reply | entries are refused |
//! | `+2`, `1–9` at a request | it has two entries; a snapshot up to 9 |
//! | `T2 ★`, `T2 ?`, `→S0` | leads T2; stands in T2; votes for S0 |
//! | `1 1 2`, `1–9 +3` | the terms in the log; a snapshot up to 9 and three entries |

use std::collections::BTreeMap;
use std::fmt::Write as _;

use timeline::Run;
use timeline::model::{Call, Change, Fate, Leg, Micros, Role, What};
use timeline::replay::{Replay, Server};
use timeline::words::Words;

use super::svg::{APPEND, INSTALL, PLAIN, Stroke, Svg, VOTE};

/// A stretch of time.
pub(crate) struct Window {
    pub(crate) from: Micros,
    pub(crate) to: Micros,
}

/// Pixels for a millisecond.
const SCALE: u64 = 270;
/// From one window to the next.
const GAP: u64 = 34;
const TOP: u64 = 26;
/// Where the first lane is, and from lane to lane.
const LEFT: u64 = 74;
const LANE: u64 = 70;
/// A tick every so many microseconds.
const TICK: Micros = 500;
/// A label is so high; changes that are nearer share one.
const LABEL: u64 = 17;

pub(crate) fn lanes(run: &Run, windows: &[Window]) -> String {
    let mut svg = Svg::default();
    for server in 0..run.servers {
        svg.text((x(server), 15), 14, format!("S{server}"));
    }
    svg.text_up_to((32, 15), 11, "ms");
    let mut top = TOP;
    let mut title = String::new();
    for window in windows {
        let stretch = Stretch { run, window, top };
        stretch.draw(&mut svg, &mut title);
        top = stretch.bottom() + GAP;
    }
    let first = windows.first().unwrap_or(&Window { from: 0, to: 0 });
    let moment = format!("t={}&amp;view={}-{}", first.from, first.from, first.to);
    svg.finish((width(run), top - GAP + 4), title.trim_end(), &moment)
}

fn x(server: usize) -> u64 {
    LEFT + LANE * server as u64
}

fn width(run: &Run) -> u64 {
    x(run.servers) - LANE + 42
}

/// A window, and where it is drawn.
struct Stretch<'a> {
    run: &'a Run,
    window: &'a Window,
    top: u64,
}

impl Stretch<'_> {
    fn has(&self, at: Micros) -> bool {
        (self.window.from..=self.window.to).contains(&at)
    }

    fn y(&self, at: Micros) -> u64 {
        self.top + (at.clamp(self.window.from, self.window.to) - self.window.from) * SCALE / 1000
    }

    fn bottom(&self) -> u64 {
        self.y(self.window.to)
    }

    fn draw(&self, svg: &mut Svg, title: &mut String) {
        let mut tick = self.window.from.next_multiple_of(TICK);
        while tick <= self.window.to {
            let y = self.y(tick);
            svg.text_up_to((38, y + 4), 11, format!("{}.{}", tick / 1000, tick % 1000 / 100));
            svg.path(format!("M42 {y}h6"), PLAIN, "1", Stroke::Solid);
            tick += TICK;
        }
        let labels = self.draw_lanes(svg);
        for call in &self.run.calls {
            if call.from < self.run.servers
                && call.to < self.run.servers
                && self.has(call.request.sent)
            {
                self.draw_call(svg, call);
            }
        }
        for label in labels {
            let length = label.text.chars().count() as u64 * 7 + 8;
            let rightmost = width(self.run) - length / 2 - 2;
            let middle = x(label.server).min(rightmost);
            let corner = (middle - length / 2, label.y - 12);
            svg.cover(corner, (length, LABEL));
            svg.rect(corner, (length, LABEL), "none", "1", Stroke::Solid);
            svg.text((middle, label.y + 1), 12, &label.text);
            let _ = write!(title, "S{}: {}; ", label.server, label.text);
        }
    }

    /// The lanes; returned are the labels that go on them.
    fn draw_lanes(&self, svg: &mut Svg) -> Vec<Label> {
        let mut replay = Replay::new(self.run.servers);
        let mut since = vec![self.window.from; self.run.servers];
        let mut open: BTreeMap<usize, Label> = BTreeMap::new();
        let mut labels = Vec::new();
        for event in self.run.events.iter().take_while(|event| event.at <= self.window.to) {
            let Some(me) = event.server else { continue };
            let before = replay.servers[me].clone();
            replay.step(event);
            let now = &replay.servers[me];
            if !self.has(event.at) {
                continue;
            }
            if style(&before) != style(now) {
                self.draw_lane(svg, me, &before, since[me], event.at);
                since[me] = event.at;
            }
            let What::State(change) = &event.what else { continue };
            let mut seen = Seen::of(change);
            if !seen.anything() {
                continue;
            }
            let y = self.y(event.at);
            // What is close together is told by one label.
            match open.get_mut(&me) {
                Some(label) if label.y + LABEL > y => {
                    label.seen.add(&seen);
                    label.text = label.seen.text(me, now);
                }
                _ => {
                    seen.term |= seen.role;
                    let text = seen.text(me, now);
                    labels.extend(open.insert(me, Label { server: me, y, text, seen }));
                }
            }
        }
        for (me, server) in replay.servers.iter().enumerate() {
            self.draw_lane(svg, me, server, since[me], self.window.to);
        }
        labels.extend(open.into_values());
        labels.sort_by_key(|label| (label.y, label.server));
        labels
    }

    fn draw_lane(&self, svg: &mut Svg, me: usize, server: &Server, from: Micros, to: Micros) {
        if let Some((width, stroke)) = style(server) {
            svg.path(format!("M{} {}V{}", x(me), self.y(from), self.y(to)), PLAIN, width, stroke);
        }
    }

    fn draw_call(&self, svg: &mut Svg, call: &Call) {
        let method = self.run.methods[call.method].as_str();
        let colour = match method {
            "Raft.RequestVote" => VOTE,
            "Raft.InstallSnapshot" => INSTALL,
            _ => APPEND,
        };
        self.draw_leg(svg, (call.from, call.to), &call.request, colour, Stroke::Solid);
        if let Some(reply) = call.reply.as_ref().filter(|reply| self.has(reply.sent)) {
            self.draw_leg(svg, (call.to, call.from), reply, colour, Stroke::Dashed);
        }
    }

    fn draw_leg(
        &self,
        svg: &mut Svg,
        (from, to): (usize, usize),
        leg: &Leg,
        colour: &str,
        stroke: Stroke,
    ) {
        let (x1, x2, y1) = (x(from), x(to), self.y(leg.sent));
        let right = x2 > x1;
        let Some(arrived) = leg.arrived.filter(|_| leg.fate != Fate::NoPath) else {
            let x2 = if right { x1 + 26 } else { x1 - 26 };
            svg.path(format!("M{x1} {y1}L{x2} {}", y1 + 8), colour, "1.5", stroke);
            return svg.cross((x2, y1 + 8), colour);
        };
        if arrived > self.window.to {
            return; // its end is not shown
        }
        let y2 = self.y(arrived);
        svg.path(format!("M{x1} {y1}L{x2} {y2}"), colour, "1.5", stroke);
        // The head, along the line.
        let (dx, dy) = (x2.abs_diff(x1), y2 - y1);
        let lift = 9 * dy / dx.max(1);
        let back = if right { x2 - 9 } else { x2 + 9 };
        let tip = y2.saturating_sub(lift);
        svg.shape(format!("M{x2} {y2}L{back} {}V{}Z", tip.saturating_sub(4), tip + 4), colour);
        if let Some(text) = leg.content.and_then(|place| sign(&self.run.contents[place])) {
            // Near the one of many: requests fan out from one, and replies meet at one.
            let far = if stroke == Stroke::Solid { 6 } else { 3 };
            let at = |a: u64, b: u64| (a * (10 - far) + b * far) / 10;
            let (tx, ty) = (at(x1, x2), at(y1, y2));
            let length = text.chars().count() as u64 * 7 + 4;
            svg.cover((tx - length / 2, ty - 8), (length, 15));
            svg.text((tx, ty + 4), 12, text);
        }
    }
}

/// The width and stroke of a server's lane; `None` if it is down.
fn style(server: &Server) -> Option<(&'static str, Stroke)> {
    server.up.then_some(match server.memory.role {
        Role::Leader => ("6", Stroke::Solid),
        Role::Candidate => ("4", Stroke::Dashed),
        Role::Follower => ("1", Stroke::Solid),
    })
}

/// What a message says, in a sign; `None` for what goes without saying.
fn sign(content: &str) -> Option<String> {
    let has = |what: &str| content.contains(what);
    if let Some(granted) = Words::of(content).granted {
        return Some(if granted { "✓" } else { "–" }.to_owned());
    }
    match content.matches("\"command\":").count() {
        0 if has("\"Refused\"") || has("\"Stale\"") => Some("≠".to_owned()),
        0 => None,
        entries => Some(format!("+{entries}")),
    }
}

/// What is written on a lane.
struct Label {
    server: usize,
    y: u64,
    text: String,
    seen: Seen,
}

/// Which of a server's things have changed.
#[expect(clippy::struct_excessive_bools, reason = "each is a thing")]
#[derive(Default)]
struct Seen {
    term: bool,
    role: bool,
    vote: bool,
    log: bool,
}

impl Seen {
    fn of(change: &Change) -> Seen {
        Seen {
            term: change.term.is_some(),
            role: change.role.is_some(),
            vote: change.vote.is_some_and(|vote| vote >= 0),
            log: change.log.is_some() || change.base.is_some(),
        }
    }

    fn anything(&self) -> bool {
        self.term || self.role || self.vote || self.log
    }

    fn add(&mut self, other: &Seen) {
        self.term |= other.term || other.role;
        self.role |= other.role;
        self.vote |= other.vote;
        self.log |= other.log;
    }

    fn text(&self, me: usize, server: &Server) -> String {
        let state = &server.memory;
        let mut words = Vec::new();
        if self.term {
            words.push(format!("T{}", state.term));
        }
        match state.role {
            Role::Leader if self.role => words.push("★".to_owned()),
            Role::Candidate if self.role || self.term => words.push("?".to_owned()),
            _ => {}
        }
        if let Some(vote) = state.vote.filter(|vote| self.vote && *vote != me) {
            words.push(format!("→S{vote}"));
        }
        if self.log {
            match (state.base.0, state.log.len()) {
                (0, _) => words.extend(state.log.iter().map(u64::to_string)),
                (base, 0) => words.push(format!("1–{base}")),
                (base, more) => words.push(format!("1–{base} +{more}")),
            }
        }
        words.join(" ")
    }
}
