//! Drawings of a recorded run, as SVG: the logs of all servers at an instant ([`logs()`]), or what went
//! between servers in a short while ([`lanes()`]).
//!
//! They say nothing in words: names, numbers and signs only, so both languages share them. Put into a
//! page they take its colours; by themselves they follow the reader's. Colour repeats what numbers,
//! line styles and signs say. They are narrow enough for a phone. Equal runs give equal bytes.

mod lanes;
mod logs;
mod svg;

pub(crate) use lanes::{Window, lanes};
pub(crate) use logs::logs;
