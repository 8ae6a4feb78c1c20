//! Randomness as a value: one seeded ChaCha8 generator, split by value. The same seed gives the
//! same relay; a stranger who sees some outputs cannot guess the next (DNS ids need that).

use chacha20::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// A seeded generator. Cloning would repeat outputs, so it is `split` instead.
#[derive(Debug)]
pub struct Random(ChaCha8Rng);

impl Random {
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// A generator of its own for a part of the relay.
    pub fn split(&mut self) -> Self {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        Self::from_seed(seed)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub fn next_u16(&mut self) -> u16 {
        self.0.next_u32() as u16
    }

    /// A number in `0..bound`, uniform to within 2⁻³²; 0 for a bound of 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.0.next_u32()) * u64::from(bound)) >> 32) as u32
    }

    /// A number in `0.0..1.0`.
    pub fn fraction(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Fisher-Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u32 + 1) as usize;
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn one_seed_one_stream() {
        let mut a = Random::from_seed([7; 32]);
        let mut b = Random::from_seed([7; 32]);
        let mut c = Random::from_seed([8; 32]);
        let (x, y, z) = (a.next_u64(), b.next_u64(), c.next_u64());
        assert_eq!(x, y);
        assert_ne!(x, z);
        assert_ne!(a.split().next_u64(), a.next_u64());
    }

    #[test]
    fn below_stays_below() {
        let mut random = Random::from_seed([1; 32]);
        for bound in [1, 2, 3, 1000] {
            for _ in 0..100 {
                assert!(random.below(bound) < bound);
            }
        }
        assert_eq!(random.below(0), 0);
    }
}
