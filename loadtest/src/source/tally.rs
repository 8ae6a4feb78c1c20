//! What one core's sessions have done, and the sum of all cores.

use std::time::{Duration, Instant};

use super::work::Verdict;
use crate::{
    meter::{Latencies, Troubles},
    outcome::Ranges,
};

/// Counts of a core, kept to the end of the run.
#[derive(Debug, Default)]
pub struct Tally {
    pub acknowledged: u64,
    pub recipients: u64,
    pub refused_temporarily: u64,
    pub refused_permanently: u64,
    pub unknown: u64,
    pub octets: u64,
    pub connections: u64,
    pub greeting: Latencies,
    pub troubles: Troubles,
    pub last_answer: Option<Instant>,
    /// The sequence numbers acknowledged, divided by the number of cores.
    taken: Bits,
}

/// What a core has done since it told last; the main thread adds them up.
#[derive(Debug, Default)]
pub struct Figures {
    pub acknowledged: u64,
    /// Messages refused or of unknown fate, and connections that failed.
    pub errors: u64,
    pub latencies: Latencies,
}

/// A set of small numbers: a long run has tens of millions of messages.
#[derive(Debug, Default)]
struct Bits(Vec<u64>);

impl Tally {
    /// Counts a message of this core, the `place`-th.
    pub fn settled(&mut self, place: u64, verdict: Verdict, now: Instant) {
        match verdict {
            Verdict::Acknowledged { recipients, octets } => {
                self.acknowledged += 1;
                self.recipients += u64::from(recipients);
                self.octets += octets;
                self.taken.insert(place);
            }
            Verdict::Refused(400..500) => self.refused_temporarily += 1,
            Verdict::Refused(_) => self.refused_permanently += 1,
            Verdict::Unknown => self.unknown += 1,
        }
        if verdict != Verdict::Unknown {
            self.last_answer = Some(now);
        }
    }

    /// The sum of the cores, and the sequence numbers that were acknowledged.
    pub fn sum(cores: Vec<Tally>) -> (Tally, Ranges) {
        let ranges = ranges(&cores);
        let mut sum = Tally::default();
        for core in cores {
            sum.acknowledged += core.acknowledged;
            sum.recipients += core.recipients;
            sum.refused_temporarily += core.refused_temporarily;
            sum.refused_permanently += core.refused_permanently;
            sum.unknown += core.unknown;
            sum.octets += core.octets;
            sum.connections += core.connections;
            sum.greeting.merge(&core.greeting);
            sum.troubles.merge(&core.troubles);
            sum.last_answer = sum.last_answer.max(core.last_answer);
        }
        (sum, ranges)
    }
}

impl Figures {
    pub fn settled(&mut self, verdict: Verdict, latency: Duration) {
        match verdict {
            Verdict::Acknowledged { .. } => {
                self.acknowledged += 1;
                self.latencies.record(latency);
            }
            Verdict::Refused(_) | Verdict::Unknown => self.errors += 1,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.acknowledged == 0 && self.errors == 0
    }
}

/// The messages are dealt to the cores in turn.
fn ranges(cores: &[Tally]) -> Ranges {
    let count = cores.len() as u64;
    let end = cores.iter().map(|core| core.taken.end()).max().unwrap_or(0) * count;
    let mut ranges = Ranges::new();
    for sequence in 0..end {
        let core = &cores[(sequence % count) as usize];
        if !core.taken.contains(sequence / count) {
            continue;
        }
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == sequence => *last = sequence,
            _ => ranges.push((sequence, sequence)),
        }
    }
    ranges
}

impl Bits {
    fn insert(&mut self, number: u64) {
        let word = (number / 64) as usize;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (number % 64);
    }

    fn contains(&self, number: u64) -> bool {
        let word = self.0.get((number / 64) as usize);
        word.is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// Above all numbers of the set.
    fn end(&self) -> u64 {
        self.0.len() as u64 * 64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAKEN: Verdict = Verdict::Acknowledged { recipients: 2, octets: 10 };

    #[test]
    fn cores_add_up_and_their_numbers_interleave() {
        let now = Instant::now();
        let core = |places: &[u64]| {
            let mut tally = Tally::default();
            places.iter().for_each(|&place| tally.settled(place, TAKEN, now));
            tally
        };
        let cases: [(&[&[u64]], Ranges); 4] = [
            (&[&[]], vec![]),
            (&[&[0, 1, 2, 64, 65, 200]], vec![(0, 2), (64, 65), (200, 200)]),
            (&[&[0, 1, 3], &[0, 2]], vec![(0, 2), (5, 6)]),
            (&[&[], &[70]], vec![(141, 141)]),
        ];
        for (places, expected) in cases {
            let (sum, ranges) = Tally::sum(places.iter().map(|places| core(places)).collect());
            assert_eq!(ranges, expected);
            let count = places.iter().map(|places| places.len() as u64).sum();
            assert_eq!((sum.acknowledged, sum.recipients), (count, 2 * count));
            assert_eq!(sum.octets, 10 * count);
        }
    }

    #[test]
    fn verdicts_are_told_apart() {
        let mut tally = Tally::default();
        let now = Instant::now();
        for code in [421, 451, 499, 500, 554, 354] {
            tally.settled(0, Verdict::Refused(code), now);
        }
        tally.settled(0, Verdict::Unknown, now);
        let counts = (tally.refused_temporarily, tally.refused_permanently, tally.unknown);
        assert_eq!(counts, (3, 3, 1));
    }
}
