//! What decoding refuses although it is well formed.
//!
//! Bytes from a network may lie about lengths. Decoding therefore reserves memory only for
//! elements whose bytes are really there, each byte counted once however deeply sequences nest;
//! so memory stays below the input's length times the size of the largest element type, plus the
//! usual doubling of a growing vector. The two limits here bound what costs no bytes at all.

/// How many structs, options, variants and sequences may stand inside each other in one value.
///
/// Bounds the stack that a recursive type can use. A list that links its nodes by
/// `Option<Box<Node>>` uses two levels a node; lists belong into a `Vec`.
pub const MAX_DEPTH: usize = 64;

/// How many sequence elements and map entries that take no bytes, such as those of `Vec<()>`,
/// one [`Decoder`](crate::Decoder) accepts in all.
///
/// Bounds time: a length of 2^60 would otherwise be honest for a `Vec<()>`, and count for ever.
pub const MAX_EMPTY_ELEMENTS: usize = 1024;
