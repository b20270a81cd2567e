//! Strings that are compared and extended all the time: [`Text`], and [`Chain`], a string made of
//! appended texts.
//!
//! A value to which clients only append grows with every operation, and the search holds thousands
//! of its versions. So a version shares everything but its last piece with the one before it, and
//! carries a hash of its content that does not depend on how the content was cut into pieces.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The hash of a string is a polynomial over this prime, 2^61 - 1, so that the hash of two strings
/// put together follows from theirs.
const PRIME: u64 = (1 << 61) - 1;
/// Where the polynomial is evaluated.
const BASE: u64 = 0x0d3c_21f6_5b7a_94e1;

/// `a * b` modulo [`PRIME`].
fn times(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    #[expect(clippy::cast_possible_truncation, reason = "both halves are below 2^62")]
    let sum = (product as u64 & PRIME) + (product >> 61) as u64;
    if sum >= PRIME { sum - PRIME } else { sum }
}

/// `a + b` modulo [`PRIME`].
fn plus(a: u64, b: u64) -> u64 {
    let sum = a + b;
    if sum >= PRIME { sum - PRIME } else { sum }
}

/// [`BASE`] to the power of `exponent`.
fn power(mut exponent: usize) -> u64 {
    let (mut result, mut square) = (1, BASE);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = times(result, square);
        }
        square = times(square, square);
        exponent >>= 1;
    }
    result
}

/// An immutable string, cheap to clone and, when it differs, cheap to tell from another.
#[derive(Clone)]
pub struct Text(Arc<Content>);

struct Content {
    string: Box<str>,
    /// The polynomial of the bytes.
    hash: u64,
    /// [`BASE`] to the power of the length: by this the hash of what stands before is multiplied.
    shift: u64,
}

impl Text {
    /// The string itself.
    pub fn as_str(&self) -> &str {
        &self.0.string
    }
}

impl<S: Into<Box<str>>> From<S> for Text {
    fn from(string: S) -> Self {
        let string: Box<str> = string.into();
        let hash = string.bytes().fold(0, |h, b| plus(times(h, BASE), u64::from(b) + 1));
        let shift = power(string.len());
        Self(Arc::new(Content { string, hash, shift }))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.hash == other.0.hash && self.0.string == other.0.string)
    }
}

impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A string that grows at its end; every version shares what it begins with.
///
/// Appending and hashing take constant time. Two versions are equal if their contents are: first
/// length and hash are compared, then the pieces, from the end to the first one that they share.
#[derive(Clone, Default)]
pub struct Chain(Option<Arc<Link>>);

struct Link {
    before: Chain,
    /// Never empty.
    piece: Text,
    /// Length in bytes up to the end of `piece`.
    len: usize,
    /// Hash of everything up to the end of `piece`.
    hash: u64,
}

impl Chain {
    /// What the last piece takes in memory; the others are shared.
    pub(crate) const PIECE_BYTES: usize = size_of::<Link>() + 2 * size_of::<usize>();

    /// This string with `piece` at its end.
    #[must_use]
    pub fn append(&self, piece: &Text) -> Self {
        if piece.as_str().is_empty() {
            return self.clone();
        }
        let hash = plus(times(self.hash(), piece.0.shift), piece.0.hash);
        let len = self.len() + piece.as_str().len();
        Self(Some(Arc::new(Link { before: self.clone(), piece: piece.clone(), len, hash })))
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |link| link.len)
    }

    /// Whether this is the empty string.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether both are the same in memory.
    fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(link), Some(other)) => Arc::ptr_eq(link, other),
            _ => false,
        }
    }

    fn hash(&self) -> u64 {
        self.0.as_ref().map_or(0, |link| link.hash)
    }

    /// Whether the content is exactly `text`.
    pub fn is(&self, text: &Text) -> bool {
        if self.len() != text.as_str().len() || self.hash() != text.0.hash {
            return false;
        }
        let mut rest = text.as_str().as_bytes();
        let mut chain = self;
        while let Some(link) = &chain.0 {
            let Some(shorter) = rest.strip_suffix(link.piece.as_str().as_bytes()) else {
                return false;
            };
            rest = shorter;
            chain = &link.before;
        }
        rest.is_empty()
    }

    /// False if `text` certainly does not begin with this string.
    ///
    /// Only the last piece is looked at, which makes it cheap; who asks after every append has seen
    /// all the pieces.
    pub fn may_begin(&self, text: &Text) -> bool {
        let Some(link) = &self.0 else { return true };
        text.as_str()
            .as_bytes()
            .get(..link.len)
            .is_some_and(|begin| begin.ends_with(link.piece.as_str().as_bytes()))
    }
}

impl From<&Text> for Chain {
    fn from(text: &Text) -> Self {
        Self::default().append(text)
    }
}

impl PartialEq for Chain {
    fn eq(&self, other: &Self) -> bool {
        if self.len() != other.len() || self.hash() != other.hash() {
            return false;
        }
        let (mut left, mut right) = (self, other);
        // What is left of the pieces being compared: the pieces may be cut at different places.
        let (mut x, mut y): (&[u8], &[u8]) = (&[], &[]);
        loop {
            if x.is_empty() && y.is_empty() && left.is_same(right) {
                return true;
            }
            if x.is_empty() {
                let Some(link) = &left.0 else { return false };
                (x, left) = (link.piece.as_str().as_bytes(), &link.before);
            }
            if y.is_empty() {
                let Some(link) = &right.0 else { return false };
                (y, right) = (link.piece.as_str().as_bytes(), &link.before);
            }
            let common = x.len().min(y.len());
            let (x_rest, x_end) = x.split_at(x.len() - common);
            let (y_rest, y_end) = y.split_at(y.len() - common);
            if x_end != y_end {
                return false;
            }
            (x, y) = (x_rest, y_rest);
        }
    }
}

impl Eq for Chain {}

impl Hash for Chain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash());
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pieces = Vec::new();
        let mut chain = self;
        while let Some(link) = &chain.0 {
            pieces.push(link.piece.as_str());
            chain = &link.before;
        }
        pieces.iter().rev().try_for_each(|piece| f.write_str(piece))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string(), f)
    }
}

/// Frees a long chain link by link: the drop that the compiler writes would recurse as deep as the
/// chain is long.
impl Drop for Chain {
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some(mut link) = next.and_then(Arc::into_inner) {
            next = link.before.0.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Chain, Text};

    fn chain(pieces: &[&str]) -> Chain {
        pieces.iter().fold(Chain::default(), |chain, &piece| chain.append(&Text::from(piece)))
    }

    #[test]
    fn equality_is_that_of_the_content_however_it_was_cut() {
        let cuts = [&["abcde"][..], &["ab", "cde"], &["a", "", "bc", "d", "e"], &["abc", "de"]];
        for a in cuts {
            for b in cuts {
                assert_eq!(chain(a), chain(b));
            }
            assert!(chain(a).is(&Text::from("abcde")));
            assert!(!chain(a).is(&Text::from("abcdf")));
            assert_ne!(chain(a), chain(&["ab", "cdf"]));
            assert_ne!(chain(a), chain(&["abcd"]));
            assert_eq!(chain(a).to_string(), "abcde");
        }
        assert!(chain(&[]).is(&Text::from("")));
        assert_eq!(chain(&[]), chain(&[""]));
    }

    #[test]
    fn a_beginning_is_never_denied() {
        let whole = Text::from("abcde");
        assert!(chain(&["ab", "c"]).may_begin(&whole));
        assert!(chain(&[]).may_begin(&whole));
        assert!(chain(&["abcd", "e"]).may_begin(&whole));
        assert!(!chain(&["ab", "d"]).may_begin(&whole));
        assert!(!chain(&["abcde", "f"]).may_begin(&whole));
    }

    #[test]
    fn a_long_chain_is_freed_without_recursion() {
        let piece = Text::from("x");
        let long = (0..300_000).fold(Chain::default(), |chain, _| chain.append(&piece));
        assert_eq!(long.len(), 300_000);
        drop(long);
    }
}
