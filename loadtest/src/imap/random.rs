//! Numbers that look random and repeat by seed: the same run asks the same.

/// SplitMix64: a counter, stirred.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Of `0..bound`; 0 when there is nothing to choose from.
    pub fn below(&mut self, bound: usize) -> usize {
        // The high half of the product is even enough for bounds far below 2^64.
        ((u128::from(self.stir()) * bound as u128) >> 64) as usize
    }

    fn stir(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_is_met_and_none_beyond() {
        let mut random = Random::new(7);
        let mut met = [0; 5];
        for _ in 0..1000 {
            met[random.below(5)] += 1;
        }
        assert!(met.iter().all(|count| *count > 100), "{met:?}");
        assert_eq!(random.below(0), 0);
    }
}
