//! The bytes of single numbers and of whole values: the only file that names bincode.
//!
//! Writing is bincode's serde encoder. Reading takes bincode's numbers but not its serde decoder,
//! which believes any length that it reads: it allocates a claimed string or byte buffer before
//! looking whether the bytes are there (and panics or aborts for a length like 2^60), lets serde
//! reserve up to 1 MiB for each claimed sequence, counts through a `Vec<()>` of any length, and
//! recurses as deep as the bytes say. `source` reads with all of that bounded.

use bincode::{
    config::Configuration,
    de::{
        Decode, DecoderImpl,
        read::{BorrowReader, Reader},
    },
    enc::write::Writer,
    error::{DecodeError as Refusal, EncodeError},
};
use serde::Serialize;

use crate::DecodeError;

/// See "Format" in the crate's documentation.
const CONFIG: Configuration = bincode::config::standard();

/// Appends the bytes of `value` to `output`; an error is a sentence on what cannot be written.
pub(crate) fn write<T: Serialize + ?Sized>(value: &T, output: &mut Vec<u8>) -> Result<(), String> {
    bincode::serde::encode_into_writer(value, Output(output), CONFIG).map_err(|error| match error {
        EncodeError::Serde(bincode::serde::EncodeError::SequenceMustHaveLength) => {
            "a sequence or map must know its length before it is written".to_owned()
        }
        EncodeError::OtherString(message) => message,
        other => format!("{other:?}"),
    })
}

struct Output<'a>(&'a mut Vec<u8>);

impl Writer for Output<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// A number or character as bincode writes it.
pub(crate) trait Primitive: Decode<()> {}
impl<T: Decode<()>> Primitive for T {}

/// What is still to be read.
pub(crate) struct Input<'de> {
    decoder: DecoderImpl<Rest<'de>, Configuration, ()>,
}

impl<'de> Input<'de> {
    pub(crate) fn new(bytes: &'de [u8]) -> Input<'de> {
        Input { decoder: DecoderImpl::new(Rest(bytes), CONFIG, ()) }
    }

    /// How many bytes are left.
    #[inline]
    pub(crate) fn left(&mut self) -> usize {
        self.rest().0.len()
    }

    /// Reads one number or character.
    #[inline]
    pub(crate) fn primitive<T: Primitive>(&mut self) -> Result<T, DecodeError> {
        T::decode(&mut self.decoder).map_err(translate)
    }

    /// Reads a length and that many bytes, in place.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'de [u8], DecodeError> {
        let length = self.primitive::<usize>()?;
        self.rest().take_bytes(length).map_err(translate)
    }

    #[inline]
    fn rest(&mut self) -> &mut Rest<'de> {
        use bincode::de::Decoder as _;
        self.decoder.reader()
    }
}

#[cold]
fn translate(error: Refusal) -> DecodeError {
    match error {
        Refusal::UnexpectedEnd { additional } => DecodeError::UnexpectedEnd { missing: additional },
        Refusal::InvalidIntegerType { expected, found } => {
            DecodeError::Invalid(format!("expected an integer of type {expected:?}, got {found:?}"))
        }
        Refusal::InvalidBooleanValue(byte) => {
            DecodeError::Invalid(format!("expected a boolean, got {byte}"))
        }
        Refusal::InvalidCharEncoding(_) => DecodeError::Invalid("expected a character".to_owned()),
        other => DecodeError::Invalid(format!("{other:?}")),
    }
}

/// bincode's own slice reader does not tell how much is left.
struct Rest<'de>(&'de [u8]);

impl Reader for Rest<'_> {
    #[inline]
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Refusal> {
        bytes.copy_from_slice(self.take_bytes(bytes.len())?);
        Ok(())
    }

    #[inline]
    fn peek_read(&mut self, count: usize) -> Option<&[u8]> {
        self.0.get(..count)
    }

    #[inline]
    fn consume(&mut self, count: usize) {
        self.0 = self.0.get(count..).unwrap_or_default();
    }
}

impl<'de> BorrowReader<'de> for Rest<'de> {
    #[inline]
    fn take_bytes(&mut self, length: usize) -> Result<&'de [u8], Refusal> {
        let Some((taken, rest)) = self.0.split_at_checked(length) else {
            return Err(Refusal::UnexpectedEnd { additional: length - self.0.len() });
        };
        self.0 = rest;
        Ok(taken)
    }
}
