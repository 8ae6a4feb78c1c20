//! Which message is due next: the loop open or closed, by count or by time, one core's share.

use std::time::{Duration, Instant};

use crate::random::Random;

/// A message to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    pub sequence: u64,
    /// Open loop: when it was to be sent. Its latency counts from here, however late a session is
    /// free to take it, so that a server that stalls cannot hide the wait of those behind.
    pub due: Option<Instant>,
}

/// When messages come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// As soon as a session is free.
    Closed,
    /// This many a second, evenly spaced.
    Even(f64),
    /// This many a second, each gap drawn by itself, as independent senders make them.
    Poisson(f64),
}

/// When the run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Count(u64),
    /// Nothing new is due after this; what was due before is still sent.
    After(Duration),
}

/// One core's share of the messages: those whose sequence number leaves `core` over `cores`.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub core: u64,
    pub cores: u64,
}

/// Gives out the messages of one core. What is due and not yet taken needs no memory: it follows
/// from the clock.
#[derive(Debug)]
pub struct Schedule {
    arrivals: Arrivals,
    end: End,
    share: Share,
    begun: Instant,
    next: u64,
    /// Poisson: the draws of the gaps, and when the next message is due after `begun`.
    random: Random,
    drawn: Duration,
    /// Taken by a session that lost its connection before the server had the message.
    returned: Vec<Job>,
    /// Given out, and neither settled nor given back.
    under_way: u64,
    stopped: bool,
}

impl Schedule {
    pub fn new(arrivals: Arrivals, end: End, share: Share, seed: u64, begun: Instant) -> Schedule {
        let random = Random::of(seed, u64::MAX - share.core);
        let next = share.core;
        let mut schedule = Schedule {
            arrivals,
            end,
            share,
            begun,
            next,
            random,
            drawn: Duration::ZERO,
            returned: Vec::new(),
            under_way: 0,
            stopped: false,
        };
        schedule.draw_gap();
        schedule
    }

    /// A message that is due, if there is one.
    pub fn take(&mut self, now: Instant) -> Option<Job> {
        if self.stopped {
            return None;
        }
        if let Some(job) = self.returned.pop() {
            self.under_way += 1;
            return Some(job);
        }
        let due = self.next_due();
        if due.is_some_and(|due| due > now) || self.is_past_end(now) {
            return None;
        }
        let job = Job { sequence: self.next, due };
        self.next += self.share.cores;
        self.under_way += 1;
        self.draw_gap();
        Some(job)
    }

    /// `take` has something now.
    pub fn is_due(&self, now: Instant) -> bool {
        let is_next_due = || self.next_due().is_none_or(|due| due <= now);
        !self.is_exhausted(now) && (!self.returned.is_empty() || is_next_due())
    }

    /// Open loop: when `take` will next have something that it has not now.
    pub fn wakes_at(&self, now: Instant) -> Option<Instant> {
        self.next_due().filter(|_| !self.is_exhausted(now))
    }

    /// Nothing is left and nothing will come, but for what is given back.
    fn is_exhausted(&self, now: Instant) -> bool {
        self.stopped || (self.returned.is_empty() && self.is_past_end(now))
    }

    /// Puts a message back that no server has taken.
    pub fn give_back(&mut self, job: Job) {
        self.under_way -= 1;
        self.returned.push(job);
    }

    /// One that was given out has its verdict.
    pub fn settled(&mut self) {
        self.under_way -= 1;
    }

    /// Every message has its verdict.
    pub fn is_done(&self, now: Instant) -> bool {
        self.under_way == 0 && self.is_exhausted(now)
    }

    /// Nothing more is given out.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    fn is_past_end(&self, now: Instant) -> bool {
        match self.end {
            End::Count(count) => self.next >= count,
            End::After(duration) => {
                self.next_due().unwrap_or(now).saturating_duration_since(self.begun) >= duration
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        match self.arrivals {
            Arrivals::Closed => None,
            Arrivals::Even(rate) => {
                Some(self.begun + Duration::from_secs_f64(self.next as f64 / rate))
            }
            Arrivals::Poisson(_) => Some(self.begun + self.drawn),
        }
    }

    /// The shares of the cores are independent, and their sum is again a Poisson process.
    fn draw_gap(&mut self) {
        if let Arrivals::Poisson(rate) = self.arrivals {
            let mean = self.share.cores as f64 / rate;
            let gap = -(1.0 - self.random.unit()).ln() * mean;
            self.drawn += Duration::from_secs_f64(gap);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: Share = Share { core: 0, cores: 1 };

    fn taken(schedule: &mut Schedule, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| schedule.take(now)).map(|job| job.sequence).collect()
    }

    #[test]
    fn the_cores_share_the_count_among_them() {
        let now = Instant::now();
        let mut all = Vec::new();
        for core in 0..3 {
            let share = Share { core, cores: 3 };
            let mut schedule = Schedule::new(Arrivals::Closed, End::Count(10), share, 1, now);
            assert!(!schedule.is_exhausted(now));
            all.extend(taken(&mut schedule, now));
            assert!(schedule.is_exhausted(now));
        }
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<u64>>());
    }

    #[test]
    fn an_even_rate_is_due_on_its_ticks_and_not_before() {
        let begun = Instant::now();
        let mut schedule = Schedule::new(
            Arrivals::Even(10.0),
            End::After(Duration::from_secs(1)),
            ALONE,
            1,
            begun,
        );
        let at = |millis| begun + Duration::from_millis(millis);
        assert_eq!(schedule.take(begun), Some(Job { sequence: 0, due: Some(begun) }));
        assert_eq!(schedule.take(begun), None);
        assert_eq!(schedule.wakes_at(begun), Some(at(100)));
        let late: Vec<Job> = std::iter::from_fn(|| schedule.take(at(350))).collect();
        assert_eq!(
            late.iter().map(|job| job.due).collect::<Vec<_>>(),
            [100, 200, 300].map(|ms| Some(at(ms)))
        );
        assert_eq!(taken(&mut schedule, at(60_000)), (4..10).collect::<Vec<u64>>());
        assert!(schedule.is_exhausted(at(60_000)));
        assert_eq!(schedule.wakes_at(at(60_000)), None);
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_repeat_by_the_seed() {
        let begun = Instant::now();
        let run = |seed| {
            let end = End::After(Duration::from_secs(100));
            let mut schedule = Schedule::new(Arrivals::Poisson(100.0), end, ALONE, seed, begun);
            let after = begun + Duration::from_secs(1000);
            std::iter::from_fn(|| schedule.take(after)).map(|job| job.due).collect::<Vec<_>>()
        };
        let due = run(1);
        assert!((9_700..10_300).contains(&due.len()), "{}", due.len());
        assert!(due.is_sorted());
        assert_eq!(due, run(1));
        assert_ne!(due, run(2));
    }

    #[test]
    fn a_closed_loop_by_time_ends_at_its_time() {
        let begun = Instant::now();
        let end = End::After(Duration::from_secs(1));
        let mut schedule = Schedule::new(Arrivals::Closed, end, ALONE, 1, begun);
        assert!(schedule.take(begun).is_some());
        assert!(schedule.take(begun + Duration::from_millis(999)).is_some());
        assert!(schedule.take(begun + Duration::from_secs(1)).is_none());
        assert!(schedule.is_exhausted(begun + Duration::from_secs(1)));
    }

    #[test]
    fn what_is_given_back_comes_again_even_past_the_end_but_not_past_a_stop() {
        let now = Instant::now();
        let mut schedule = Schedule::new(Arrivals::Closed, End::Count(1), ALONE, 1, now);
        let job = schedule.take(now).unwrap();
        schedule.give_back(job);
        assert!(!schedule.is_exhausted(now));
        assert_eq!(schedule.take(now), Some(job));
        schedule.give_back(job);
        schedule.stop();
        assert!(schedule.is_exhausted(now));
        assert_eq!(schedule.take(now), None);
    }
}
