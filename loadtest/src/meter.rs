//! What is measured: latencies, troubles, sequence numbers and the time of the processor.

use std::{collections::HashMap, time::Duration};

use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};

use crate::outcome::{self, Trouble};

/// Longer latencies count as this long: every wait of a run ends sooner.
pub const LATENCY_MAX: Duration = Duration::from_secs(3_600);

/// Different texts that `Troubles` tells apart; what comes later counts as `others`.
pub const TROUBLE_TEXTS_MAX: usize = 100;

/// Characters of a text that are kept: a server's reply may be long.
pub const TROUBLE_CHARACTERS_MAX: usize = 200;

/// Digits of a latency that the histogram keeps.
const DIGITS: u8 = 3;

/// Nanoseconds in one unit of the histogram: a tenth of a microsecond.
const UNIT_NANOS: u128 = 100;

/// The percentiles of a curve: even steps at first, then ever smaller ones towards 100.
const CURVE: &[f64] = &[
    0.0, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 60.0, 65.0,
    70.0, 75.0, 80.0, 85.0, 90.0, 92.5, 95.0, 96.0, 97.0, 98.0, 98.5, 99.0, 99.2, 99.5, 99.7, 99.8,
    99.9, 99.92, 99.95, 99.97, 99.98, 99.99, 99.995, 99.999, 100.0,
];

/// A set of latencies: percentiles to three digits; lowest, highest and mean exactly.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
    min: Duration,
    max: Duration,
    total: Duration,
}

impl Latencies {
    pub fn new() -> Latencies {
        let histogram = Histogram::new(DIGITS).expect("a histogram may keep up to five digits");
        Latencies { histogram, min: Duration::MAX, max: Duration::ZERO, total: Duration::ZERO }
    }

    pub fn record(&mut self, latency: Duration) {
        let latency = latency.min(LATENCY_MAX);
        let units = (latency.as_nanos() / UNIT_NANOS) as u64;
        self.histogram.record(units).expect("the histogram grows up to the clamped latency");
        self.min = self.min.min(latency);
        self.max = self.max.max(latency);
        self.total = self.total.saturating_add(latency);
    }

    pub fn merge(&mut self, other: &Latencies) {
        self.histogram.add(&other.histogram).expect("the histogram grows to hold the other one");
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.total = self.total.saturating_add(other.total);
    }

    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// Forgets all latencies and keeps the memory.
    pub fn clear(&mut self) {
        self.histogram.reset();
        (self.min, self.max, self.total) = (Duration::MAX, Duration::ZERO, Duration::ZERO);
    }

    /// The latency that `percentile` of 100 do not pass; zero where there are none.
    pub fn percentile(&self, percentile: f64) -> Duration {
        if self.count() == 0 {
            return Duration::ZERO;
        }
        let units = self.histogram.value_at_percentile(percentile);
        let latency = Duration::from_nanos(units.saturating_mul(UNIT_NANOS as u64));
        // A bucket of the histogram names its upper end, which may never have been met.
        latency.clamp(self.min, self.max)
    }

    pub fn outcome(&self) -> outcome::Latency {
        let count = self.count();
        if count == 0 {
            return outcome::Latency::default();
        }
        let at = |percentile| micros(self.percentile(percentile));
        outcome::Latency {
            count,
            min_us: micros(self.min),
            mean_us: micros(self.total.div_f64(count as f64)),
            p50_us: at(50.0),
            p90_us: at(90.0),
            p99_us: at(99.0),
            p99_9_us: at(99.9),
            p99_99_us: at(99.99),
            max_us: micros(self.max),
            curve: CURVE.iter().map(|&percentile| (percentile, at(percentile))).collect(),
        }
    }
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies::new()
    }
}

/// Microseconds with one decimal, as far as the histogram sees.
pub fn micros(time: Duration) -> f64 {
    (time.as_nanos() as f64 / UNIT_NANOS as f64).round() / 10.0
}

/// How often each reply or failure was met. Their number is bounded, whatever a peer sends.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    counts: HashMap<String, u64>,
    others: u64,
}

impl Troubles {
    pub fn add(&mut self, text: &str) {
        self.add_many(text, 1);
    }

    pub fn add_many(&mut self, text: &str, count: u64) {
        if let Some(known) = self.counts.get_mut(text) {
            *known += count;
            return;
        }
        let text = legible(text);
        if self.counts.len() < TROUBLE_TEXTS_MAX || self.counts.contains_key(&text) {
            *self.counts.entry(text).or_default() += count;
        } else {
            self.others += count;
        }
    }

    pub fn merge(&mut self, other: &Troubles) {
        for (text, count) in &other.counts {
            self.add_many(text, *count);
        }
        self.others += other.others;
    }

    pub fn clear(&mut self) {
        self.counts.clear();
        self.others = 0;
    }

    pub fn total(&self) -> u64 {
        self.others + self.counts.values().sum::<u64>()
    }

    /// The most frequent first.
    pub fn outcome(&self) -> Vec<Trouble> {
        let mut troubles: Vec<Trouble> = self
            .counts
            .iter()
            .map(|(text, count)| Trouble { text: text.clone(), count: *count })
            .collect();
        troubles.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.text.cmp(&b.text)));
        if self.others > 0 {
            troubles.push(Trouble { text: "others".into(), count: self.others });
        }
        troubles
    }
}

/// Cut to a length, and nothing in it that could command the user's terminal.
fn legible(text: &str) -> String {
    text.chars()
        .take(TROUBLE_CHARACTERS_MAX)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}

/// The numbers as ascending inclusive ranges; sorts them and drops what comes twice.
pub fn ranges(ids: &mut Vec<u64>) -> outcome::Ranges {
    ids.sort_unstable();
    ids.dedup();
    let mut ranges = outcome::Ranges::new();
    for &id in ids.iter() {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == id => *last = id,
            _ => ranges.push((id, id)),
        }
    }
    ranges
}

/// User and system time of this process so far, ended threads included.
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::new();
        micros.into_iter().for_each(|micros| latencies.record(Duration::from_micros(micros)));
        latencies
    }

    #[test]
    fn percentiles_are_those_of_the_latencies() {
        let outcome = of((1..=10_000).map(|n| n * 10)).outcome();
        assert_eq!(outcome.count, 10_000);
        assert_eq!((outcome.min_us, outcome.max_us, outcome.mean_us), (10.0, 100_000.0, 50_005.0));
        for (got, want) in [
            (outcome.p50_us, 50_000.0),
            (outcome.p90_us, 90_000.0),
            (outcome.p99_us, 99_000.0),
            (outcome.p99_9_us, 99_900.0),
            (outcome.p99_99_us, 99_990.0),
        ] {
            assert!((got / want - 1.0).abs() < 0.001, "{got} for {want}");
        }
        assert_eq!(outcome.curve.first(), Some(&(0.0, 10.0)));
        assert_eq!(outcome.curve.last(), Some(&(100.0, 100_000.0)));
        let ascend = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
        assert!(outcome.curve.windows(2).all(ascend), "{:?}", outcome.curve);
    }

    #[test]
    fn the_ends_are_exact() {
        for (micros, min, max) in
            [(vec![12_345], 12_345.0, 12_345.0), (vec![0, 3_600_000_001], 0.0, 3.6e9)]
        {
            let outcome = of(micros).outcome();
            assert_eq!((outcome.min_us, outcome.max_us), (min, max));
            assert_eq!(outcome.p99_99_us, max);
        }
    }

    #[test]
    fn none_is_all_noughts() {
        let mut latencies = of([1, 2, 3]);
        latencies.clear();
        assert_eq!(latencies.outcome(), outcome::Latency::default());
        assert_eq!(latencies.percentile(99.0), Duration::ZERO);
    }

    #[test]
    fn merged_is_as_recorded_together() {
        let mut merged = of([5, 9, 100_000]);
        merged.merge(&of([]));
        merged.merge(&of([1, 3_000_000]));
        assert_eq!(merged.outcome(), of([5, 9, 100_000, 1, 3_000_000]).outcome());
    }

    #[test]
    fn troubles_are_bounded() {
        let mut troubles = Troubles::default();
        for n in 0..TROUBLE_TEXTS_MAX + 7 {
            troubles.add(&format!("450 4.2.0 busy {n:03}"));
        }
        troubles.add_many("450 4.2.0 busy 003", 2);
        let mut both = troubles.clone();
        both.merge(&troubles);
        assert_eq!(both.total(), 2 * (TROUBLE_TEXTS_MAX as u64 + 9));
        let outcome = both.outcome();
        assert_eq!(outcome.len(), TROUBLE_TEXTS_MAX + 1);
        assert_eq!(outcome[0], Trouble { text: "450 4.2.0 busy 003".into(), count: 6 });
        assert_eq!(outcome[1].text, "450 4.2.0 busy 000");
        assert_eq!(outcome.last(), Some(&Trouble { text: "others".into(), count: 14 }));
    }

    #[test]
    fn a_strangers_text_is_made_legible() {
        let mut troubles = Troubles::default();
        for _ in 0..2 {
            troubles.add(&format!("554 \u{1b}[2J{}", "é".repeat(500)));
        }
        let want = format!("554 ?[2J{}", "é".repeat(TROUBLE_CHARACTERS_MAX - 8));
        assert_eq!(troubles.outcome(), [Trouble { text: want, count: 2 }]);
    }

    #[test]
    fn numbers_become_ranges() {
        for (ids, want) in [
            (vec![], vec![]),
            (vec![7], vec![(7, 7)]),
            (vec![3, 1, 2, 2, 9, 8, 5], vec![(1, 3), (5, 5), (8, 9)]),
            (vec![u64::MAX, 0, u64::MAX], vec![(0, 0), (u64::MAX, u64::MAX)]),
        ] {
            let mut given = ids.clone();
            assert_eq!(ranges(&mut given), want, "{ids:?}");
        }
    }

    #[test]
    fn work_takes_time_of_the_processor() {
        let before = cpu_seconds();
        while cpu_seconds() < before + 0.001 {
            std::hint::black_box(before);
        }
    }
}
