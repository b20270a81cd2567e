//! Values to bytes and back.
//!
//! ```text
//!  value ──to_bytes──▶ 05 68 65 6c 6c 6f ──from_bytes──▶ Ok(equal value)
//!                            │
//!                     cut, flipped, or invented on the way
//!                            └──────────from_bytes──▶ Err(DecodeError), never a panic
//! ```
//!
//! ```
//! use labgob::{DecodeError, Decoder, Encoder};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, PartialEq, Debug)]
//! struct Vote {
//!     term: u64,
//!     granted: bool,
//! }
//!
//! let vote = Vote { term: 7, granted: true };
//! let bytes = labgob::to_bytes(&vote);
//! assert_eq!(labgob::from_bytes::<Vote>(&bytes)?, vote);
//! assert_eq!(labgob::from_bytes::<Vote>(&bytes[..1]), Err(DecodeError::UnexpectedEnd { missing: 1 }));
//!
//! // Several values, one after the other, as a server saves its state.
//! let mut encoder = Encoder::new();
//! encoder.encode(&7_u64).encode(&Some("S2"));
//! let saved = encoder.finish();
//!
//! let mut decoder = Decoder::new(&saved);
//! let term: u64 = decoder.decode()?;
//! let voted_for: Option<String> = decoder.decode()?;
//! decoder.finish()?;
//! assert_eq!((term, voted_for.as_deref()), (7, Some("S2")));
//! # Ok::<(), DecodeError>(())
//! ```
//!
//! Any type with serde's `Serialize` and `DeserializeOwned` works. Nothing but the values is
//! written: no field names, no types. So the reader must ask for the types that the writer wrote,
//! in that order; serde attributes that need names (`flatten`, `untagged`, `tag`) do not work.
//!
//! - [`to_bytes`] and [`from_bytes`] are for one value; they are each other's inverse.
//! - [`Encoder`] and [`Decoder`] are for several.
//! - [`Bytes`] is a byte string that is encoded, copied and compared as one piece.
//! - [`DecodeError`] says why bytes were refused; [`limits`] says how much they may ask for.
//! - Not here: what the bytes are for, and any promise that tomorrow's version reads today's.
//!
//! # Format
//!
//! bincode 2, "standard" configuration: little endian; an integer below 251 takes one byte and a
//! longer one a marker and 2, 4 or 8 bytes; a sequence is its length and its elements; an option
//! is one byte and the value; an enum is its variant's number and the variant's fields. Small
//! numbers are by far the most frequent ones in the messages of these labs, hence this
//! configuration and not the fixed-width one.

mod bytes;
mod decode;
mod encode;
mod error;
pub mod limits;
mod source;
mod wire;

pub use bytes::Bytes;
pub use decode::{Decoder, from_bytes};
pub use encode::{Encoder, to_bytes};
pub use error::DecodeError;
