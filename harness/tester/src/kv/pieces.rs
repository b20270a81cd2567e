//! What is wrong with a value that clients append to, told by its pieces.
//!
//! In most stories each piece is written once, and none begins like another. Then an answer can be cut into
//! pieces in one way only, and which are in it twice, or are not in it, says more than that no order
//! of all operations explains it.

use std::collections::{BTreeMap, BTreeSet};

use labrt::time::Duration;
use linearize::models::{KvOp, KvOutput};
use linearize::{History, OpId, Operation, Outcome};

type Op = Operation<KvOp, KvOutput>;

/// What an answer has that it must not have, or lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// It has this append twice.
    Twice(OpId),
    /// It has what was written to another key.
    Foreign(OpId),
    /// It is empty, though this append was done.
    Empty(OpId),
    /// It lacks this append, though it has later ones; other gets have seen it.
    Hole(OpId),
    /// It lacks this append, which nobody has ever seen.
    Never(OpId),
    /// It lacks this append, which was seen before, and never again.
    Gone(OpId),
    /// It lacks this append and all later ones: it is too old.
    Old(OpId),
}

/// What the pieces say of the first answer that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Some sentences.
    pub(super) says: String,
    /// Where such a mistake as a rule is.
    pub(super) look_at: &'static str,
}

/// The first answer whose pieces cannot be right; `None` if there is none, or pieces are not unique.
pub(super) fn find(history: &History<KvOp, KvOutput>, restored: bool) -> Option<Finding> {
    let ops: Vec<(OpId, &Op)> = (0..history.len()).map(|n| (OpId(n), &history[OpId(n)])).collect();
    let keys: BTreeSet<&str> = ops.iter().map(|(_, op)| key(op)).collect();
    let flaws = keys.into_iter().filter_map(|key| Key::of(key, &ops)?.first_flaw());
    let (_, get, flaw) = flaws.min_by_key(|(place, ..)| *place)?;
    Some(Finding { says: says(history, get, flaw), look_at: look_at(flaw, restored) })
}

/// What was done to one key.
struct Key<'a> {
    /// Appends by what they append.
    appends: BTreeMap<&'a str, (OpId, &'a Op)>,
    puts: Vec<(&'a str, &'a Op)>,
    /// Pieces that were written to other keys, and to none else.
    foreign: BTreeMap<&'a str, OpId>,
    /// Gets that were answered, with the pieces of their answers, in the order of their returns.
    gets: Vec<Get<'a>>,
}

struct Get<'a> {
    id: OpId,
    op: &'a Op,
    returned: u64,
    answer: &'a str,
    pieces: Vec<OpId>,
    /// What cannot be cut.
    rest: &'a str,
}

impl<'a> Key<'a> {
    /// `None` if answers could be cut in more than one way.
    fn of(key: &str, ops: &[(OpId, &'a Op)]) -> Option<Key<'a>> {
        let (mut appends, mut puts, mut gets) = (BTreeMap::new(), Vec::new(), Vec::new());
        let (mut foreign, mut here) = (BTreeMap::new(), BTreeSet::new());
        for &(id, op) in ops {
            match &op.op {
                KvOp::Append(of, piece) if **of == *key => {
                    here.insert(piece.as_str());
                    if piece.as_str().is_empty()
                        || appends.insert(piece.as_str(), (id, op)).is_some()
                    {
                        return None;
                    }
                }
                KvOp::Put(of, value) if **of == *key => {
                    here.insert(value.as_str());
                    puts.push((value.as_str(), op));
                }
                KvOp::Get(of) if **of == *key => gets.push((id, op)),
                KvOp::Append(_, piece) | KvOp::Put(_, piece) if !piece.as_str().is_empty() => {
                    foreign.insert(piece.as_str(), id);
                }
                _ => {}
            }
        }
        let all: BTreeSet<&str> = here.iter().copied().filter(|piece| !piece.is_empty()).collect();
        if all.iter().zip(all.iter().skip(1)).any(|(one, next)| next.starts_with(one)) {
            return None;
        }
        foreign.retain(|piece, _| !here.contains(piece));
        let mut key = Key { appends, puts, foreign, gets: Vec::new() };
        key.gets = gets.into_iter().filter_map(|(id, op)| key.get(id, op)).collect();
        key.gets.sort_by_key(|get| get.returned);
        Some(key)
    }

    fn get(&self, id: OpId, op: &'a Op) -> Option<Get<'a>> {
        let Outcome::Returned { at, output: Some(KvOutput::Value(value)) } = &op.outcome else {
            return None;
        };
        let answer = value.as_str();
        let put = self.puts.iter().find(|(put, _)| !put.is_empty() && answer.starts_with(put));
        let mut rest = put.map_or(answer, |(put, _)| &answer[put.len()..]);
        let mut pieces = Vec::new();
        // None begins like another, so the one that `rest` begins with is the last before it in order.
        while let Some((piece, (append, _))) = self.appends.range(..=rest).next_back()
            && let Some(after) = rest.strip_prefix(piece)
        {
            pieces.push(*append);
            rest = after;
        }
        Some(Get { id, op, returned: at.place, answer, pieces, rest })
    }

    /// When it was answered, which get, and what is wrong with it.
    fn first_flaw(&self) -> Option<(u64, OpId, Flaw)> {
        self.gets.iter().find_map(|get| Some((get.returned, get.id, self.flaw(get)?)))
    }

    fn flaw(&self, get: &Get) -> Option<Flaw> {
        let mut once = BTreeSet::new();
        if let Some(twice) = get.pieces.iter().find(|piece| !once.insert(**piece)) {
            return Some(Flaw::Twice(*twice));
        }
        if !get.rest.is_empty() {
            let (piece, id) = self.foreign.range(..=get.rest).next_back()?;
            return get.rest.starts_with(piece).then_some(Flaw::Foreign(*id));
        }
        let missing = self.appends.values().filter(|(id, append)| {
            let done = returned(append).is_some_and(|at| at < get.op.called.place);
            done && !once.contains(id) && self.nothing_replaces(append, get)
        });
        // The one done first.
        let &(id, append) = missing.min_by_key(|(_, append)| returned(append))?;
        let sees = |other: &&Get| other.pieces.contains(&id);
        let before = self.gets.iter().filter(|other| other.returned < get.op.called.place);
        let after = self.gets.iter().filter(|other| other.returned > get.returned);
        let (before, after) = (before.filter(sees).count() > 0, after.filter(sees).count() > 0);
        let later = |other: &OpId| {
            let mut appends = self.appends.values();
            appends.any(|(id, op)| id == other && Some(op.called.place) > returned(append))
        };
        let has_later = get.pieces.iter().any(later);
        Some(match (before, after) {
            _ if get.answer.is_empty() && (before || after) => Flaw::Empty(id),
            (false, false) => Flaw::Never(id),
            _ if has_later => Flaw::Hole(id),
            (true, false) => Flaw::Gone(id),
            (_, true) => Flaw::Old(id),
        })
    }

    /// Can no put have taken effect between these two?
    fn nothing_replaces(&self, append: &Op, get: &Get) -> bool {
        self.puts.iter().all(|(_, put)| {
            let is_before = returned(put).is_some_and(|at| at < append.called.place);
            is_before || put.called.place > get.returned
        })
    }
}

fn key(op: &Op) -> &str {
    let (KvOp::Get(key) | KvOp::Put(key, _) | KvOp::Append(key, _)) = &op.op;
    key
}

fn returned(op: &Op) -> Option<u64> {
    match &op.outcome {
        Outcome::Returned { at, .. } => Some(at.place),
        _ => None,
    }
}

fn says(history: &History<KvOp, KvOutput>, get: OpId, flaw: Flaw) -> String {
    let (Flaw::Twice(id)
    | Flaw::Foreign(id)
    | Flaw::Empty(id)
    | Flaw::Hole(id)
    | Flaw::Never(id)
    | Flaw::Gone(id)
    | Flaw::Old(id)) = flaw;
    let (get, write) = (&history[get], &history[id]);
    let answer = match &get.outcome {
        Outcome::Returned { output: Some(KvOutput::Value(value)), .. } => value.as_str(),
        _ => "",
    };
    let piece = match &write.op {
        KvOp::Append(_, piece) | KvOp::Put(_, piece) => piece.as_str(),
        KvOp::Get(_) => "",
    };
    let writer = &write.client;
    let done = match &write.outcome {
        Outcome::Returned { at, .. } => {
            format!("{writer} was told at {} that it was done", seconds(at.time))
        }
        _ => format!("{writer} wrote it"),
    };
    let what = match flaw {
        Flaw::Twice(_) => {
            let places: Vec<usize> = answer.match_indices(piece).map(|(at, _)| at).collect();
            let [.., first, second] = places[..] else { return String::new() };
            let (one, other) = (around(answer, first, piece), around(answer, second, piece));
            format!(
                "`{piece}` is in it twice; it was appended once, by {writer}. \
                 It reads `{one}`, and then `{other}`"
            )
        }
        Flaw::Foreign(_) => format!("it has `{piece}`, which {writer} wrote to key {}", key(write)),
        Flaw::Empty(_) => format!("it is empty, and `{piece}` should be in it: {done}"),
        Flaw::Hole(_) => format!(
            "`{piece}` is missing, and what was appended later is there. {done}, and others have seen it"
        ),
        Flaw::Never(_) => format!("`{piece}` is missing. {done}, and nobody has ever seen it"),
        Flaw::Gone(_) => format!("`{piece}` is missing. {done}; it was seen before, and is gone"),
        Flaw::Old(_) => format!(
            "`{piece}` is missing, and all that was appended later. {done}; the answer is older than that"
        ),
    };
    format!(
        "{} got {} from {} to {}, and of the answer: {what}.",
        get.client,
        key(get),
        seconds(get.called.time),
        match &get.outcome {
            Outcome::Returned { at, .. } => seconds(at.time),
            _ => String::new(),
        }
    )
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

/// What is beside a piece of an answer.
fn around(answer: &str, place: usize, piece: &str) -> String {
    const BESIDE: usize = 24;
    let before = answer[..place].char_indices().rev().nth(BESIDE - 1).map_or(0, |(at, _)| at);
    let end = place + piece.len();
    let after = answer[end..].char_indices().nth(BESIDE).map_or(answer.len(), |(at, _)| end + at);
    let (begin, rest) =
        (if before > 0 { "… " } else { "" }, if after < answer.len() { " …" } else { "" });
    format!("{begin}{}{rest}", &answer[before..after])
}

/// A server that never restarted nor took a snapshot has lost nothing by that.
const fn look_at(flaw: Flaw, restored: bool) -> &'static str {
    match flaw {
        Flaw::Twice(_) => {
            "how a retry is told from a new operation: on every server, by the next leader, after a restart and a snapshot"
        }
        Flaw::Foreign(_) => {
            "whom a result belongs to: the entry at an index may be another one than the request waits for"
        }
        Flaw::Empty(_) => {
            "what a retry of a get is answered, and what a restart and a snapshot bring back"
        }
        Flaw::Hole(_) | Flaw::Gone(_) if !restored => {
            "when the new value of an append is worked out: as its entry is applied, from the value at that place of the log, \
             by every server; not when the request comes"
        }
        Flaw::Hole(_) => {
            "what a restart and a snapshot bring back: a snapshot's state, its index and the table of clients must be of the \
             same moment; and that every entry after it is executed once, from the value at its place of the log"
        }
        Flaw::Never(_) => {
            "what a server knows when it says that an operation is done: that its own entry was applied. It does not when it has \
             waited long enough, nor when another entry is at that index"
        }
        Flaw::Gone(_) => {
            "what a restart and a snapshot bring back: a snapshot's state and its index must be of the same moment"
        }
        Flaw::Old(_) => {
            "when the value of a get is taken: after its place in the log is applied, or a majority has said after its call \
             that this server leads; not when the request comes"
        }
    }
}

#[cfg(test)]
mod tests;
