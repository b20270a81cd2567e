//! Which messages chance may touch: all of them, unless a run is repeated with less befalling it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Names one message: the n-th request or reply on its link.
///
/// Its fate depends on that and on the seed alone, so the name means the same message in every run
/// of a seed, as long as the link carries so many.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// Who sent it.
    pub from: String,
    /// Who was to get it.
    pub to: String,
    /// Requests and replies are counted apart.
    pub kind: MessageKind,
    /// Counted from 0, over everything of its kind on this link.
    pub number: u64,
}

/// The two kinds of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageKind {
    /// From a caller to a server.
    Request,
    /// From a server to its caller.
    Reply,
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MessageKind::Request => "request",
            MessageKind::Reply => "reply",
        })
    }
}

/// `S1>S2 request 44`.
impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}>{} {} {}", self.from, self.to, self.kind, self.number)
    }
}

/// What chance may touch.
#[derive(Default)]
pub(crate) enum Chance {
    #[default]
    Everything,
    /// By sender and receiver.
    Only(BTreeMap<String, BTreeMap<String, BTreeSet<(MessageKind, u64)>>>),
}

impl Chance {
    pub(crate) fn only(messages: impl IntoIterator<Item = MessageId>) -> Chance {
        let mut only: BTreeMap<String, BTreeMap<String, BTreeSet<_>>> = BTreeMap::new();
        for MessageId { from, to, kind, number } in messages {
            only.entry(from).or_default().entry(to).or_default().insert((kind, number));
        }
        Chance::Only(only)
    }

    #[inline]
    pub(crate) fn may_touch(&self, from: &str, to: &str, kind: MessageKind, number: u64) -> bool {
        match self {
            Chance::Everything => true,
            Chance::Only(only) => only
                .get(from)
                .and_then(|links| links.get(to))
                .is_some_and(|messages| messages.contains(&(kind, number))),
        }
    }
}
