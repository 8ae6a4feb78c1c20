//! Repeatable draws: a small generator, and a table that picks by weight in constant time.

/// SplitMix64: sound enough to mix sizes and domains, and a message's whole fate follows from the
/// run's seed and its sequence number alone, whichever thread or session sends it.
#[derive(Clone, Debug)]
pub struct Random(u64);

/// The increment of SplitMix64: 2^64 divided by the golden ratio, odd.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The generator of one message (or one other numbered thing) of a run.
    pub fn of(seed: u64, number: u64) -> Random {
        let mut mixed = Random(seed ^ number.wrapping_mul(GOLDEN));
        Random(mixed.draw())
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to and without `bound`; 0 when there is nothing to choose from.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.draw()) * bound as u128) >> 64) as usize
    }

    /// From 0 up to and without 1.
    pub fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Whether something of this probability happens; what is certain takes no draw.
    pub fn happens(&mut self, probability: f64) -> bool {
        probability >= 1.0 || self.unit() < probability
    }
}

/// Picks an index with the probability of its weight: Walker's alias method, so that a draw among
/// a million domains costs as much as one among two.
#[derive(Clone, Debug)]
pub struct Alias {
    /// How likely the column keeps its own index, and the index it gives otherwise.
    columns: Vec<(f64, u32)>,
}

impl Alias {
    /// Of at least one weight, none negative, not all zero.
    pub fn new(weights: &[f64]) -> Alias {
        let mean = weights.iter().sum::<f64>() / weights.len() as f64;
        let mut columns: Vec<(f64, u32)> = weights
            .iter()
            .enumerate()
            .map(|(index, weight)| (weight / mean, index as u32))
            .collect();
        let (mut poor, mut rich): (Vec<usize>, Vec<usize>) =
            (0..columns.len()).partition(|&index| columns[index].0 < 1.0);
        while let (Some(low), Some(&high)) = (poor.pop(), rich.last()) {
            columns[low].1 = high as u32;
            columns[high].0 -= 1.0 - columns[low].0;
            if columns[high].0 < 1.0 {
                rich.pop();
                poor.push(high);
            }
        }
        // Whoever is left over is there by rounding alone and keeps its own index.
        for index in poor.into_iter().chain(rich) {
            columns[index].0 = 1.0;
        }
        Alias { columns }
    }

    /// Weights of Zipf's law: the k-th of `count` has 1 / k^`exponent`.
    pub fn zipf(count: usize, exponent: f64) -> Alias {
        let weights: Vec<f64> = (1..=count).map(|rank| (rank as f64).powf(-exponent)).collect();
        Alias::new(&weights)
    }

    pub fn pick(&self, random: &mut Random) -> usize {
        let column = random.below(self.columns.len());
        let (own, other) = self.columns[column];
        if random.unit() < own { column } else { other as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: usize = 100_000;

    fn shares(alias: &Alias, count: usize) -> Vec<f64> {
        let mut random = Random::new(7);
        let mut hits = vec![0usize; count];
        for _ in 0..DRAWS {
            hits[alias.pick(&mut random)] += 1;
        }
        hits.into_iter().map(|hits| hits as f64 / DRAWS as f64).collect()
    }

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

    #[test]
    fn what_happens_keeps_to_its_odds_and_its_seed() {
        let draws = |seed| {
            let mut random = Random::new(seed);
            (0..10_000).map(|_| random.happens(0.1)).collect::<Vec<_>>()
        };
        let hits = draws(7).iter().filter(|&&hit| hit).count();
        assert!((900..1100).contains(&hits), "{hits}");
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
    }

    #[test]
    fn picks_follow_the_weights() {
        let cases: &[&[f64]] =
            &[&[1.0], &[1.0, 1.0], &[1.0, 3.0], &[0.0, 5.0, 5.0], &[70.0, 20.0, 9.0, 1.0]];
        for weights in cases {
            let sum: f64 = weights.iter().sum();
            let shares = shares(&Alias::new(weights), weights.len());
            for (weight, share) in weights.iter().zip(&shares) {
                assert!((weight / sum - share).abs() < 0.01, "{weights:?} gave {shares:?}");
            }
        }
    }

    #[test]
    fn zipf_gives_the_first_rank_twice_the_second() {
        let shares = shares(&Alias::zipf(10, 1.0), 10);
        assert!((shares[0] / shares[1] - 2.0).abs() < 0.1, "{shares:?}");
        let even = Alias::zipf(4, 0.0);
        assert!(even.columns.iter().all(|&(own, _)| own == 1.0));
    }

    #[test]
    fn a_number_of_a_seed_draws_the_same_again_and_others_differ() {
        let draw = |seed, number| Random::of(seed, number).draw();
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }
}
