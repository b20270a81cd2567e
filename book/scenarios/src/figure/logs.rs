//! All logs at an instant, a row for each server.
//!
//! | sign | meaning |
//! | --- | --- |
//! | star | leads, or believes so |
//! | cross, pale | down: the log is that on its disk |
//! | number in a box | the entry's term |
//! | thick solid box | the server knows that the entry is committed |
//! | thin dashed box | it does not |
//! | wide box, 1–9 | a snapshot up to there |
//! | dotted line between rows | no link between the two |

use std::fmt::Write as _;

use timeline::Run;
use timeline::model::Role;
use timeline::replay::{Server, State};

use super::svg::{PLAIN, Stroke, Svg, hue};
use crate::scenario::{Instant, is_linked, servers};

/// A box is so wide and high.
const BOX: u64 = 26;
/// From row to row.
const ROW: u64 = 38;
/// Where boxes begin.
const LEFT: u64 = 62;
const TOP: u64 = 24;

pub(crate) fn logs(run: &Run, then: Instant) -> String {
    let servers = servers(run, then);
    let longest = servers.iter().map(|server| shown(server).last().0).max().unwrap_or(0).max(2);
    let width = LEFT + longest * BOX + 6;
    let mut svg = Svg::default();
    for index in 1..=longest {
        svg.text((LEFT + index * BOX - BOX / 2, 14), 11, index);
    }
    let mut title = String::new();
    let mut y = TOP;
    for (me, server) in servers.iter().enumerate() {
        if server.up {
            row(&mut svg, y, me, server);
        } else {
            svg.pale(|svg| row(svg, y, me, server));
        }
        describe(&mut title, me, server);
        let next = me + 1;
        if next < servers.len() && server.up && servers[next].up && !is_linked(run, then, me, next)
        {
            let line = y + BOX + (ROW - BOX) / 2;
            svg.path(format!("M2 {line}H{}", width - 2), PLAIN, "2", Stroke::Dotted);
        }
        y += ROW;
    }
    let moment = format!("t={}", then.at);
    svg.finish((width, y - ROW + BOX + 4), title.trim_end(), &moment)
}

/// What is drawn of a server: its memory, or its disk if it is down.
fn shown(server: &Server) -> &State {
    match &server.disk {
        Some(disk) if !server.up => disk,
        _ => &server.memory,
    }
}

fn row(svg: &mut Svg, y: u64, me: usize, server: &Server) {
    let state = shown(server);
    svg.text_from((2, y + 14), 14, format!("S{me}"));
    svg.text_from((2, y + 27), 11, format!("T{}", state.term));
    match state.role {
        _ if !server.up => svg.cross((42, y + BOX / 2), PLAIN),
        Role::Leader => svg.star((42, y + BOX / 2)),
        Role::Candidate => svg.text((42, y + 18), 14, "?"),
        Role::Follower => {}
    }
    let committed = if server.up { state.commit } else { 0 };
    let (base, term) = state.base;
    if base > 0 {
        let size = (base * BOX - 4, BOX - 2);
        svg.rect((LEFT + 1, y + 1), size, &hue(term), "2.5", Stroke::Solid);
        svg.text((LEFT + base * BOX / 2, y + 18), 13, format!("1–{base} (T{term})"));
    }
    for (index, term) in (base + 1..).zip(&state.log) {
        let (width, stroke) =
            if index <= committed { ("2.5", Stroke::Solid) } else { ("1", Stroke::Dashed) };
        let x = LEFT + (index - 1) * BOX;
        svg.rect((x + 1, y + 1), (BOX - 4, BOX - 2), &hue(*term), width, stroke);
        svg.text((x + BOX / 2 - 1, y + 18), 14, term);
    }
}

fn describe(title: &mut String, me: usize, server: &Server) {
    let state = shown(server);
    let role = match state.role {
        _ if !server.up => "✗",
        Role::Leader => "★",
        Role::Candidate => "?",
        Role::Follower => "",
    };
    let _ = write!(title, "S{me}{role} T{}:", state.term);
    if state.base.0 > 0 {
        let _ = write!(title, " 1–{}", state.base.0);
    }
    for term in &state.log {
        let _ = write!(title, " {term}");
    }
    title.push_str("; ");
}
