use serde::de::DeserializeOwned;

use crate::{DecodeError, source::Source};

/// Reads the one value that `bytes` are, written by [`to_bytes`](crate::to_bytes).
///
/// Any bytes are safe to pass, from any source: what they can ask for is bounded by their length
/// (see [`limits`](crate::limits)).
///
/// # Errors
///
/// [`DecodeError`], if the bytes are not exactly one `T`. Bytes of another type are often refused
/// but not always: `[7]` is a fine `u8`, `Some` of nothing it is not.
pub fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut source = Source::new(bytes);
    let value = T::deserialize(&mut source)?;
    source.end()?;
    Ok(value)
}

/// Reads several values one after the other, written by [`Encoder`](crate::Encoder).
///
/// Ask for the types that were written, in that order, and then call
/// [`finish`](Decoder::finish): it notices what was forgotten.
pub struct Decoder<'a> {
    /// The first error stays: after it, nobody knows where the next value would begin.
    source: Result<Source<'a>, DecodeError>,
}

impl<'a> Decoder<'a> {
    /// Begins at the first of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Decoder<'a> {
        Decoder { source: Ok(Source::new(bytes)) }
    }

    /// Reads the next value.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], if no `T` follows; then every later read gives that same error.
    pub fn decode<T: DeserializeOwned>(&mut self) -> Result<T, DecodeError> {
        let result = match &mut self.source {
            Ok(source) => T::deserialize(source),
            Err(earlier) => return Err(earlier.clone()),
        };
        if let Err(error) = &result {
            self.source = Err(error.clone());
        }
        result
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    ///
    /// [`DecodeError::TrailingBytes`], or the error of an earlier read.
    pub fn finish(self) -> Result<(), DecodeError> {
        self.source?.end()
    }
}
