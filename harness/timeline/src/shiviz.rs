//! The run as a log for [ShiViz](https://bestchai.bitbucket.io/shiviz/): each line an event of one
//! host with its vector clock.
//!
//! It is read there with the expression `(?<host>\S*) (?<clock>{.*})\n(?<event>.*)`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::model::{Leg, Micros, Run, What};

/// What a host does, in the order of the run.
enum Act {
    /// Something of its own.
    Local(String),
    /// A message leaves.
    Send(usize, String),
    /// A message arrives.
    Receive(usize, String),
}

/// The log: messages, state changes, crashes, applies.
pub fn shiviz(run: &Run) -> String {
    let mut acts: Vec<(Micros, u8, usize, Act)> = Vec::new();
    let mut add = |n: usize, leg: &Leg, from: usize, to: usize, what: &str| {
        acts.push((leg.sent, 1, from, Act::Send(n, format!("sends {what} to {}", name(run, to)))));
        if let Some(arrived) = leg.arrived {
            let text = format!("receives {what} from {}", name(run, from));
            acts.push((arrived, 2, to, Act::Receive(n, text)));
        }
    };
    for (n, call) in run.calls.iter().enumerate() {
        let method = run.methods.get(call.method).map_or("?", String::as_str);
        let text = |leg: &Leg| {
            let content = leg.content.and_then(|n| run.contents.get(n));
            content.map_or(String::new(), |text| format!(" {text}"))
        };
        add(2 * n, &call.request, call.from, call.to, &format!("{method}{}", text(&call.request)));
        if let Some(reply) = &call.reply {
            let what = format!("reply to {method}{}", text(reply));
            add(2 * n + 1, reply, call.to, call.from, &what);
        }
    }
    for event in &run.events {
        if let (Some(server), Some(text)) = (event.server, describe(&event.what)) {
            acts.push((event.at, 0, server, Act::Local(text)));
        }
    }
    acts.sort_by_key(|(at, order, ..)| (*at, *order));
    let mut clocks = vec![BTreeMap::<usize, u64>::new(); run.peers.len()];
    let mut on_the_way: BTreeMap<usize, BTreeMap<usize, u64>> = BTreeMap::new();
    let mut log = String::new();
    for (at, _, host, act) in acts {
        let Some(clock) = clocks.get_mut(host) else { continue };
        *clock.entry(host).or_default() += 1;
        let text = match act {
            Act::Local(text) => text,
            Act::Send(n, text) => {
                on_the_way.insert(n, clock.clone());
                text
            }
            Act::Receive(n, text) => {
                for (peer, count) in on_the_way.get(&n).into_iter().flatten() {
                    let known = clock.entry(*peer).or_default();
                    *known = (*known).max(*count);
                }
                text
            }
        };
        let entries: Vec<String> =
            clock.iter().map(|(peer, n)| format!("\"{}\":{n}", name(run, *peer))).collect();
        let (host, clock) = (name(run, host), entries.join(", "));
        let _ =
            writeln!(log, "{host} {{{clock}}}\n{}.{:06} {text}", at / 1_000_000, at % 1_000_000);
    }
    log
}

fn name(run: &Run, peer: usize) -> &str {
    run.peers.get(peer).map_or("?", String::as_str)
}

fn describe(what: &What) -> Option<String> {
    Some(match what {
        What::Started => "starts".to_owned(),
        What::Crashed => "crashes".to_owned(),
        What::State(change) => {
            let mut text = "is".to_owned();
            if let Some(role) = change.role {
                let _ = write!(text, " {}", format!("{role:?}").to_lowercase());
            }
            if let Some(term) = change.term {
                let _ = write!(text, " in T{term}");
            }
            if let Some(commit) = change.commit {
                let _ = write!(text, " commit {commit}");
            }
            if text == "is" {
                return None;
            }
            text
        }
        What::Applied { index, term, command } => format!("applies T{term}:i{index} {command}"),
        What::Installed { index, term } => format!("installs a snapshot up to T{term}:i{index}"),
        What::Command { index, term, command } => format!("takes {command} as T{term}:i{index}"),
        _ => return None,
    })
}
