//! Randomness that a seed decides: one stream for each use, so that uses do not disturb each other.
//!
//! Lab code calls [`rng`]; each node (and each incarnation of it) draws from a stream of its own.
//! The harness names its streams: [`stream`]`("link/S1->S3").at(n)` is the fate of the n-th message
//! on that link, whatever happens elsewhere. That is what lets one fault be taken out of a failing
//! run while all others stay as they were.

use std::convert::Infallible;
use std::sync::Arc;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng as _, SeedableRng, TryRng};

use crate::kernel;
use crate::mode::{Mode, mode};
use crate::observe;
use crate::real;

/// A generator with a fixed algorithm (Xoshiro256++): the same numbers in every release.
///
/// Implements `rand`'s traits; import [`rand::RngExt`] for `random_range` and its kin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rng(Xoshiro256PlusPlus);

impl Rng {
    /// The generator that belongs to a number. Not for secrets.
    pub fn from_seed(seed: u64) -> Self {
        Rng(Xoshiro256PlusPlus::seed_from_u64(seed))
    }
}

impl TryRng for Rng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0.try_next_u64()
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.try_fill_bytes(bytes)
    }
}

/// One named source of choices within a seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    key: u64,
}

impl Stream {
    /// The stream `name` of `seed`. Equal arguments give equal streams, on every machine.
    pub fn new(seed: u64, name: &str) -> Self {
        let mut key = mix(seed ^ 0x9e37_79b9_7f4a_7c15);
        for &byte in name.as_bytes() {
            key = (key ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3); // FNV-1a
        }
        Stream { key: mix(key) }
    }

    /// Numbers one after the other, from the start of the stream.
    pub fn rng(&self) -> Rng {
        Rng::from_seed(self.key)
    }

    /// The numbers of the `n`-th choice, independent of all other choices. Costs nanoseconds.
    pub fn at(&self, n: u64) -> Rng {
        Rng::from_seed(mix(self.key.wrapping_add(mix(n.wrapping_add(1)))))
    }
}

/// The stream `name` of this run's seed.
///
/// # Panics
///
/// Outside a simulation.
pub fn stream(name: &str) -> Stream {
    Stream::new(seed(), name)
}

/// The run's seed.
///
/// # Panics
///
/// Outside a simulation.
pub fn seed() -> u64 {
    match mode() {
        Mode::Real => real::seed(),
        Mode::Simulated | Mode::Observing | Mode::Outside => kernel::with(|kernel| kernel.seed()),
    }
}

/// A generator for lab code: that of the node this task works for.
///
/// It is a handle; all handles of one node draw from the same stream, and a restarted node has a
/// new one. Nothing is drawn until a method is called.
pub fn rng() -> NodeRng {
    NodeRng { _private: () }
}

/// What [`rng`] returns. Implements `rand`'s traits.
#[derive(Debug, Clone)]
pub struct NodeRng {
    _private: (),
}

impl TryRng for NodeRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(with_node_rng(Rng::next_u32))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(with_node_rng(Rng::next_u64))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        with_node_rng(|rng| rng.fill_bytes(bytes));
        Ok(())
    }
}

fn with_node_rng<R>(draw: impl FnOnce(&mut Rng) -> R) -> R {
    match mode() {
        Mode::Real => real::with_node_rng(draw),
        Mode::Observing => observe::give_up(),
        Mode::Simulated | Mode::Outside => kernel::with(|kernel| draw(kernel.node_rng())),
    }
}

/// The stream of one incarnation of a node.
pub(crate) fn node_stream(seed: u64, name: &Arc<str>, incarnation: u32) -> Rng {
    Stream::new(seed, &format!("node/{name}/{incarnation}")).rng()
}

/// Spreads every input bit over the output (the finalizer of `SplitMix64`).
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded once: replay must survive a change of compiler, machine and release.
    #[test]
    fn streams_are_the_same_for_ever() {
        assert_eq!(Stream::new(7, "link/S0->S1").rng().next_u64(), FIRST);
        assert_eq!(Stream::new(7, "link/S0->S1").at(3).next_u64(), THIRD);
    }
    const FIRST: u64 = 1_630_482_940_470_803_052;
    const THIRD: u64 = 7_419_118_498_857_204_105;

    #[test]
    fn names_seeds_and_places_all_matter() {
        let draw = |seed, name, n| Stream::new(seed, name).at(n).next_u64();
        let base = draw(1, "a", 0);
        assert_ne!(base, draw(2, "a", 0));
        assert_ne!(base, draw(1, "b", 0));
        assert_ne!(base, draw(1, "a", 1));
    }
}
