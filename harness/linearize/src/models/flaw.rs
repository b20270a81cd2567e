//! What is wrong with the answer of a get.

use super::KvOp;

/// What an answer has not, or has too much of. `W` names a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw<W> {
    /// Without this write, which others follow in the answer.
    Missing(W),
    /// With this write a second time.
    Twice(W),
}

/// The first flaw of `answer`, which a get of `key` had, beside the writes in the order in which a right
/// service executes them.
///
/// `None` if the answer is the value at some time: it may be too old, and has no other flaw. And if it begins
/// like the value at no time, or goes on in a way that no write explains.
///
/// Every get, put and append may be among `executed`; those of other keys are passed over.
///
/// ```
/// use linearize::models::{Flaw, KvOp, flaw};
///
/// let ops = [KvOp::append("k", "a"), KvOp::append("k", "b"), KvOp::append("k", "c")];
/// let executed = || ops.iter().enumerate();
/// assert_eq!(flaw("k", "ac", executed()), Some(Flaw::Missing(1)));
/// assert_eq!(flaw("k", "abb", executed()), Some(Flaw::Twice(1)));
/// assert_eq!(flaw("k", "ab", executed()), None);
/// ```
pub fn flaw<'a, W: Copy>(
    key: &str,
    answer: &str,
    executed: impl IntoIterator<Item = (W, &'a KvOp)>,
) -> Option<Flaw<W>> {
    // The writes that make up the value, after each of them; and the value that the answer is most like.
    let mut pieces: Vec<(W, &str)> = Vec::new();
    let mut nearest: (usize, Vec<(W, &str)>) = (0, Vec::new());
    for (write, op) in executed {
        match op {
            KvOp::Put(of, text) if **of == *key => pieces = vec![(write, text.as_str())],
            KvOp::Append(of, text) if **of == *key => pieces.push((write, text.as_str())),
            _ => continue,
        }
        let alike = alike(answer, &pieces);
        let length: usize = pieces.iter().map(|(_, piece)| piece.len()).sum();
        if alike == answer.len() && alike == length {
            return None;
        }
        if alike > 0 && alike >= nearest.0 {
            nearest = (alike, pieces.clone());
        }
    }

    let (mut rest, mut before) = (answer, Vec::new());
    let repeated = |rest: &str, before: &[(W, &str)]| {
        let again = before.iter().find(|(_, piece)| !piece.is_empty() && rest.starts_with(piece));
        again.map(|(write, _)| Flaw::Twice(*write))
    };
    for (write, piece) in nearest.1 {
        match rest.strip_prefix(piece) {
            Some(after) => rest = after,
            None => return repeated(rest, &before).or(Some(Flaw::Missing(write))),
        }
        before.push((write, piece));
    }
    repeated(rest, &before)
}

/// How much of the beginning of `answer` is pieces, one after the other: bytes.
fn alike(answer: &str, pieces: &[(impl Copy, &str)]) -> usize {
    let mut rest = answer;
    for (_, piece) in pieces {
        let Some(after) = rest.strip_prefix(piece) else { break };
        rest = after;
    }
    answer.len() - rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `=a` puts, `+a` appends, to the key `k`.
    fn of(answer: &str, writes: &[&str]) -> Option<Flaw<usize>> {
        let op = |write: &&str| match write.split_at(1) {
            ("=", text) => KvOp::put("k", text),
            (_, text) => KvOp::append("k", text),
        };
        let ops: Vec<KvOp> = writes.iter().map(op).collect();
        flaw("k", answer, ops.iter().enumerate())
    }

    #[test]
    fn an_append_that_is_lost() {
        assert_eq!(of("ac", &["+a", "+b", "+c"]), Some(Flaw::Missing(1)));
        assert_eq!(of("cd", &["+x", "=c", "+b", "+d"]), Some(Flaw::Missing(2)));
        // It begins like no value, so there is nothing to go by.
        assert_eq!(of("bc", &["+a", "+b", "+c"]), None);
    }

    #[test]
    fn an_append_that_took_effect_twice() {
        assert_eq!(of("abbc", &["+a", "+b", "+c"]), Some(Flaw::Twice(1)));
        assert_eq!(of("abca", &["+a", "+b", "+c"]), Some(Flaw::Twice(0)), "at the end");
        assert_eq!(of("xabab", &["+y", "=x", "+ab", "+c"]), Some(Flaw::Twice(2)));
    }

    #[test]
    fn an_old_value_has_no_other_flaw() {
        for old in ["a", "ab", "abc", "z", "zc"] {
            assert_eq!(of(old, &["+a", "+b", "+c", "=z", "+c"]), None, "{old}");
        }
    }

    #[test]
    fn what_nothing_explains_is_left_alone() {
        assert_eq!(of("", &["+a"]), None);
        assert_eq!(of("abx", &["+a", "+b"]), None);
        assert_eq!(of("q", &["+a", "+b"]), None);
        assert_eq!(of("a", &[]), None);
        // An empty append is nowhere, and so not twice.
        assert_eq!(of("ax", &["+", "+a"]), None);
    }

    #[test]
    fn other_keys_and_gets_are_passed_over() {
        let ops = [
            KvOp::append("k", "a"),
            KvOp::append("other", "b"),
            KvOp::get("k"),
            KvOp::append("k", "c"),
            KvOp::append("k", "d"),
        ];
        assert_eq!(flaw("k", "ad", ops.iter().enumerate()), Some(Flaw::Missing(3)));
        assert_eq!(flaw("other", "bb", ops.iter().enumerate()), Some(Flaw::Twice(1)));
    }
}
