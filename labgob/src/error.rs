use std::fmt;

use crate::limits;

/// Why bytes are not the value that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a value, or a length in them promises more than there is.
    #[error("the bytes end too early, {missing} more are needed at least")]
    UnexpectedEnd {
        /// How many bytes the read that failed lacked; the whole value may lack more.
        missing: usize,
    },
    /// A value was decoded, and bytes follow that belong to no value asked for.
    #[error("{left} bytes are left over")]
    TrailingBytes {
        /// How many.
        left: usize,
    },
    /// The bytes stand for nothing of this type: an unknown variant, text that is not UTF-8.
    #[error("{0}")]
    Invalid(String),
    /// Values nest deeper than [`limits::MAX_DEPTH`].
    #[error("values nest deeper than {} levels", limits::MAX_DEPTH)]
    TooDeep,
    /// More than [`limits::MAX_EMPTY_ELEMENTS`] elements that take no bytes.
    #[error("more than {} elements that take no bytes", limits::MAX_EMPTY_ELEMENTS)]
    TooManyEmptyElements,
    /// The type asks the bytes what they contain, and they do not say.
    ///
    /// This is a mistake in the type and not in the bytes: serde's `untagged`, `flatten` and `tag`
    /// need a format with names.
    #[error("the type needs a format that describes itself (serde's untagged, flatten or tag?)")]
    NotSelfDescribing,
}

impl serde::de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> DecodeError {
        DecodeError::Invalid(message.to_string())
    }
}
