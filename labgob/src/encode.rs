use std::any::type_name;

use serde::Serialize;

use crate::wire;

/// Most messages of the labs fit, so that one allocation is enough for them.
const FIRST_ALLOCATION: usize = 64;

/// The bytes of one value; [`from_bytes`](crate::from_bytes) reads them.
///
/// # Panics
///
/// If the value cannot be written, which is a mistake in its type and not in its contents: a
/// sequence that does not know its length, or a `Serialize` implementation that fails.
#[track_caller]
pub fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut output = Vec::with_capacity(FIRST_ALLOCATION);
    append(value, &mut output);
    output
}

/// Writes several values one after the other; [`Decoder`](crate::Decoder) reads them.
#[derive(Debug, Default)]
pub struct Encoder {
    output: Vec<u8>,
}

impl Encoder {
    /// Begins with no bytes.
    pub fn new() -> Encoder {
        Encoder { output: Vec::with_capacity(FIRST_ALLOCATION) }
    }

    /// Appends a value.
    ///
    /// # Panics
    ///
    /// As [`to_bytes`].
    #[track_caller]
    pub fn encode<T: Serialize + ?Sized>(&mut self, value: &T) -> &mut Encoder {
        append(value, &mut self.output);
        self
    }

    /// All bytes written.
    pub fn finish(self) -> Vec<u8> {
        self.output
    }
}

#[track_caller]
fn append<T: Serialize + ?Sized>(value: &T, output: &mut Vec<u8>) {
    if let Err(reason) = wire::write(value, output) {
        panic!("a value of type {} cannot be encoded: {reason}", type_name::<T>());
    }
}
