//! Cuts a run into intervals: what came meanwhile becomes a rate and percentiles.

use std::time::{Duration, Instant};

use crate::{
    meter::{Latencies, micros},
    outcome::Progress,
};

/// The points of a series: when it has so many, every second one goes. Even, to pair them all.
pub const SERIES_POINTS_MAX: usize = 3_600;

/// The interval of a series at first. It doubles whenever the points are too many.
const SERIES_INTERVAL: Duration = Duration::from_secs(1);

/// Counts since the start of a run, and latencies since the last cut.
#[derive(Debug)]
pub struct Sampler {
    started: Instant,
    cut: Instant,
    done: u64,
    done_at_cut: u64,
    errors: u64,
    latencies: Latencies,
}

impl Sampler {
    pub fn new(started: Instant) -> Sampler {
        Sampler {
            started,
            cut: started,
            done: 0,
            done_at_cut: 0,
            errors: 0,
            latencies: Latencies::new(),
        }
    }

    /// What came since the last `add`.
    pub fn add(&mut self, done: u64, errors: u64, latencies: &Latencies) {
        self.done += done;
        self.errors += errors;
        self.latencies.merge(latencies);
    }

    /// Once the interval has passed since the last cut: cuts, and says what lies between the two.
    pub fn every(&mut self, interval: Duration, now: Instant) -> Option<Progress> {
        let elapsed = now.saturating_duration_since(self.cut);
        if elapsed.is_zero() || elapsed < interval {
            return None;
        }
        let progress = Progress {
            seconds: now.saturating_duration_since(self.started).as_secs_f64(),
            done: self.done,
            errors: self.errors,
            rate: (self.done - self.done_at_cut) as f64 / elapsed.as_secs_f64(),
            p50_us: micros(self.latencies.percentile(50.0)),
            p99_us: micros(self.latencies.percentile(99.0)),
        };
        self.cut = now;
        self.done_at_cut = self.done;
        self.latencies.clear();
        Some(progress)
    }
}

/// A whole run as points of even distance: one a second, fewer for runs that last hours.
#[derive(Debug)]
pub struct Series {
    sampler: Sampler,
    interval: Duration,
    points: Vec<Progress>,
}

impl Series {
    pub fn new(started: Instant) -> Series {
        Series { sampler: Sampler::new(started), interval: SERIES_INTERVAL, points: Vec::new() }
    }

    /// What came since the last `add`.
    pub fn add(&mut self, done: u64, errors: u64, latencies: &Latencies) {
        self.sampler.add(done, errors, latencies);
    }

    /// Takes a point if one is due.
    pub fn tick(&mut self, now: Instant) {
        self.points.extend(self.sampler.every(self.interval, now));
        if self.points.len() >= SERIES_POINTS_MAX {
            self.thin();
        }
    }

    /// The points so far. What came since the last one makes one more, unless it is so short that
    /// its rate would say nothing.
    pub fn points(&mut self, now: Instant) -> Vec<Progress> {
        let rest = if self.points.is_empty() { Duration::ZERO } else { self.interval / 2 };
        self.points.extend(self.sampler.every(rest, now));
        self.points.clone()
    }

    /// Makes one point of two. Percentiles cannot be merged: the higher one stands, so that no
    /// peak gets lost.
    fn thin(&mut self) {
        let mut before = Progress::default();
        let pairs = self.points.chunks(2).map(|pair| {
            let mut point = pair.iter().last().cloned().unwrap_or_default();
            point.rate = (point.done - before.done) as f64 / (point.seconds - before.seconds);
            point.p50_us = pair.iter().map(|point| point.p50_us).fold(0.0, f64::max);
            point.p99_us = pair.iter().map(|point| point.p99_us).fold(0.0, f64::max);
            before = point.clone();
            point
        });
        self.points = pairs.collect();
        self.interval *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies(micros: &[u64]) -> Latencies {
        let mut latencies = Latencies::new();
        micros.iter().for_each(|&micros| latencies.record(Duration::from_micros(micros)));
        latencies
    }

    #[test]
    fn a_cut_counts_from_the_one_before() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let second = Duration::from_secs(1);
        let mut sampler = Sampler::new(start);
        assert_eq!(sampler.every(Duration::ZERO, start), None);
        sampler.add(10, 1, &latencies(&[100]));
        assert_eq!(sampler.every(second, at(999)), None);
        sampler.add(20, 0, &latencies(&[300]));
        let want = Progress {
            seconds: 1.5,
            done: 30,
            errors: 1,
            rate: 20.0,
            p50_us: 100.0,
            p99_us: 300.0,
        };
        assert_eq!(sampler.every(second, at(1_500)), Some(want));
        assert_eq!(sampler.every(second, at(2_499)), None);
        let want = Progress { seconds: 2.5, done: 30, errors: 1, ..Progress::default() };
        assert_eq!(sampler.every(second, at(2_500)), Some(want));
    }

    #[test]
    fn a_series_has_a_point_a_second_and_the_rest() {
        let start = Instant::now();
        for (millis, want) in [
            (300, vec![(0.3, 10.0)]),
            (1_200, vec![(1.0, 10.0)]),
            (2_700, vec![(1.0, 10.0), (2.0, 10.0), (2.7, 10.0)]),
        ] {
            let mut series = Series::new(start);
            for tick in (100..=millis).step_by(100) {
                series.add(1, 0, &latencies(&[]));
                series.tick(start + Duration::from_millis(tick));
            }
            let points = series.points(start + Duration::from_millis(millis));
            let got: Vec<_> = points.iter().map(|p| (p.seconds, p.rate.round())).collect();
            assert_eq!(got, want);
        }
    }

    #[test]
    fn a_long_series_is_thinned_and_loses_no_message_and_no_peak() {
        let start = Instant::now();
        let mut series = Series::new(start);
        let seconds = 3 * SERIES_POINTS_MAX as u64;
        for second in 1..=seconds {
            let peak = if second == 17 { 9_000 } else { 10 };
            series.add(5, 0, &latencies(&[peak]));
            series.tick(start + Duration::from_secs(second));
        }
        let points = series.points(start + Duration::from_secs(seconds));
        assert!(points.len() <= SERIES_POINTS_MAX, "{}", points.len());
        assert!(points.len() > SERIES_POINTS_MAX / 2, "{}", points.len());
        assert_eq!(points.last().unwrap().done, 5 * seconds);
        let is_even = |point: &Progress| (point.rate - 5.0).abs() < 1e-9;
        assert!(points.iter().all(is_even));
        let distance = points[0].seconds;
        assert!(points.windows(2).all(|pair| pair[1].seconds - pair[0].seconds == distance));
        assert_eq!(points.iter().filter(|point| point.p99_us >= 9_000.0).count(), 1);
    }
}
