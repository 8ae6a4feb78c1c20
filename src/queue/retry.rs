//! When an attempt is repeated, when its sender is warned, when a message is given up.

use crate::{
    limits::DESTINATION_BACKOFF_MAX,
    random::Random,
    time::{Duration, Wall},
};

/// `[retry]` of the configuration.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    pub first: Duration,
    /// At least 1.
    pub factor: f64,
    pub max: Duration,
    /// 0.0 to 1.0: the part of an interval that is left to chance.
    pub jitter: f64,
    /// Zero: no delay notice.
    pub warn_after: Duration,
    pub expire: Duration,
}

impl Options {
    /// When the parcel of a message that arrived at `arrived` is tried again, after `attempts`
    /// attempts (at least 1). The last attempt falls on the expiry itself.
    pub fn next_attempt(
        &self,
        attempts: u32,
        arrived: Wall,
        now: Wall,
        random: &mut Random,
    ) -> Wall {
        let interval = self.interval(attempts, self.max);
        // Chance only shortens, so that `max` holds; retries that began together drift apart.
        let next = now + interval.mul_f64(1.0 - self.jitter * random.fraction());
        let expiry = arrived + self.expire;
        if now < expiry { next.min(expiry) } else { next }
    }

    /// How long a next hop that failed `failures` times in a row is left alone.
    pub fn backoff(&self, failures: u32) -> Duration {
        self.interval(failures, self.max.min(DESTINATION_BACKOFF_MAX))
    }

    /// RFC 5321 §4.5.4.1: the message has been tried for long enough.
    pub fn expired(&self, arrived: Wall, now: Wall) -> bool {
        now.since(arrived) >= self.expire
    }

    /// The sender should hear that the message is still waiting.
    pub fn warn_due(&self, arrived: Wall, now: Wall) -> bool {
        !self.warn_after.is_zero() && now.since(arrived) >= self.warn_after
    }

    fn interval(&self, attempts: u32, max: Duration) -> Duration {
        let power = attempts.saturating_sub(1).min(1000) as i32;
        let seconds = self.first.as_secs_f64() * self.factor.powi(power);
        Duration::from_secs_f64(seconds.min(max.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(jitter: f64) -> Options {
        let minutes = |m: u64| Duration::from_secs(60 * m);
        Options {
            first: minutes(5),
            factor: 2.0,
            max: minutes(240),
            jitter,
            warn_after: minutes(240),
            expire: minutes(5 * 24 * 60),
        }
    }

    #[test]
    fn intervals_grow_to_the_longest() {
        let mut random = Random::from_seed([0; 32]);
        let now = Wall::from_millis(1_000_000_000);
        for (attempts, minutes) in [(1, 5), (2, 10), (3, 20), (6, 160), (7, 240), (4_000_000, 240)]
        {
            let next = options(0.0).next_attempt(attempts, now, now, &mut random);
            assert_eq!(next.since(now).as_secs(), 60 * minutes, "after {attempts}");
        }
    }

    #[test]
    fn chance_takes_at_most_its_part() {
        let mut random = Random::from_seed([0; 32]);
        let now = Wall::from_millis(1_000_000_000);
        let mut spread = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let next = options(0.2).next_attempt(1, now, now, &mut random).since(now).as_secs();
            assert!((240..=300).contains(&next), "{next}");
            spread.insert(next);
        }
        assert!(spread.len() > 30);
    }

    #[test]
    fn the_last_attempt_falls_on_the_expiry() {
        let mut random = Random::from_seed([0; 32]);
        let arrived = Wall::from_millis(0);
        let options = options(0.2);
        let now = arrived + options.expire - Duration::from_secs(60);
        assert!(!options.expired(arrived, now));
        let next = options.next_attempt(50, arrived, now, &mut random);
        assert_eq!(next, arrived + options.expire);
        assert!(options.expired(arrived, next));
        assert!(options.warn_due(arrived, next));
    }
}
