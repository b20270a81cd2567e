//! std's maps and sets with a hasher that makes iteration repeatable.
//!
//! std takes the keys of its hashers from the system, so the order of iteration differs in every
//! run, and with it everything that a loop over a map does. Here the hash of a value is the same
//! for ever. The order is still arbitrary: where it means something, take a `BTreeMap`.

use std::hash::{BuildHasherDefault, Hasher};

use crate::rand::mix;

/// [`std::collections::HashMap`] with a fixed hasher. Make one with `HashMap::default()`.
pub type HashMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<FixedHasher>>;

/// [`std::collections::HashSet`] with a fixed hasher. Make one with `HashSet::default()`.
pub type HashSet<T> = std::collections::HashSet<T, BuildHasherDefault<FixedHasher>>;

/// The hasher of [`HashMap`] and [`HashSet`]: quick, the same everywhere, no protection against
/// keys chosen to collide.
#[derive(Debug, Clone, Copy, Default)]
pub struct FixedHasher(u64);

impl Hasher for FixedHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.write_u64(n.into());
    }

    fn write_u32(&mut self, n: u32) {
        self.write_u64(n.into());
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }

    fn finish(&self) -> u64 {
        mix(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iteration_order_is_the_same_in_every_map() {
        let order = || (0..100_u32).map(|n| (n, n)).collect::<HashMap<_, _>>().into_keys();
        assert!(order().eq(order()));
    }
}
