//! When to commit: a lone client never waits, a crowd shares a sync, settles ride along.

use crate::{
    limits::{
        COMMIT_GATHER, GATHER_COMPANY, GATHER_ENOUGH, GATHER_HOLD, GATHER_SILENCE, SETTLE_GATHER,
    },
    time::Duration,
};

/// How many messages to wait for, learned from the last commits.
///
/// The wait ends early when as many are there as came together lately, and when nothing more
/// comes: clients that wait for their answers are not made to wait for others that wait as well.
/// A wait that was filled is widened; one that ended in silence is narrowed to what came, and
/// held there for a while.
#[derive(Debug)]
pub struct Gather {
    target: usize,
    hold: u32,
    /// How many were there at the last look of this wait.
    seen: Option<usize>,
    /// The wait took all the time it may, and was not ended by silence.
    flowing: bool,
}

/// What to do about what waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advice {
    Commit,
    /// Wait this long, or until this many messages are there, and ask again.
    Wait {
        messages: usize,
        time: Duration,
    },
}

impl Default for Gather {
    fn default() -> Self {
        Self { target: 1, hold: 0, seen: None, flowing: false }
    }
}

impl Gather {
    /// `messages` wait to be acknowledged, or only settles do; the oldest since `waited`.
    pub fn advise(&mut self, messages: usize, waited: Duration) -> Advice {
        if messages == 0 {
            let time = SETTLE_GATHER.saturating_sub(waited);
            return if time.is_zero() {
                Advice::Commit
            } else {
                Advice::Wait { messages: 1, time }
            };
        }
        let time = COMMIT_GATHER.saturating_sub(waited);
        let silent = self.seen == Some(messages);
        if messages >= self.target || time.is_zero() || silent {
            self.flowing = time.is_zero();
            return Advice::Commit;
        }
        self.seen = Some(messages);
        Advice::Wait { messages: self.target, time: time.min(GATHER_SILENCE) }
    }

    /// A commit began with this many messages.
    pub fn committed(&mut self, messages: usize) {
        self.seen = None;
        if messages == 0 {
            return;
        }
        if messages < self.target {
            if !self.flowing {
                self.target = messages;
                self.hold = GATHER_HOLD;
            }
        } else if messages < GATHER_COMPANY {
            self.hold = 0;
        } else if self.hold > 0 {
            self.hold -= 1;
        } else {
            self.target = (messages * 2).min(GATHER_ENOUGH);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const MICRO: Duration = Duration::from_micros(1);

    /// Messages at these times, in microseconds, with commits of `sync`: the sizes of commits
    /// and the longest that a message waited for its commit to begin.
    fn run(times: &[u64], sync: u64) -> (Vec<usize>, u64) {
        let (mut gather, mut now, mut next) = (Gather::default(), 0, 0);
        let (mut sizes, mut longest) = (Vec::new(), 0);
        while next < times.len() {
            now = now.max(times[next]);
            let oldest = times[next];
            let there = |now: u64| times[next..].iter().take_while(|&&at| at <= now).count();
            while let Advice::Wait { messages, time } =
                gather.advise(there(now), Duration::from_micros(now - oldest))
            {
                let filled = times.get(next + messages - 1).copied().unwrap_or(u64::MAX);
                now = filled.min(now + time.as_micros() as u64).max(now + 1);
            }
            let size = there(now);
            gather.committed(size);
            sizes.push(size);
            longest = longest.max(now - oldest);
            now += sync;
            next += size;
        }
        (sizes, longest)
    }

    #[test]
    fn a_lone_client_waits_for_nobody() {
        let times: Vec<u64> = (0..200).map(|n| n * 700).collect();
        let (sizes, longest) = run(&times, 500);
        assert!(sizes.iter().all(|&size| size == 1));
        assert_eq!(longest, 0);
    }

    #[test]
    fn ten_thousand_a_second_share_syncs() {
        for sync in [100, 200, 1000, 4000] {
            let mut random = Random::from_seed([sync as u8; 32]);
            let mut last = 0.0;
            let mut strangers = || {
                last -= (1.0 - random.fraction()).ln() * 100.0;
                last as u64
            };
            let times: Vec<u64> = (0..20_000).map(|_| strangers()).collect();
            let (sizes, longest) = run(&times, sync);
            let mean = times.len() / sizes.len();
            assert!(mean >= 20, "{mean} a sync of {sync} µs");
            assert!(longest <= sync.max(COMMIT_GATHER.as_micros() as u64), "{longest} at {sync}");
        }
    }

    #[test]
    fn a_crowd_that_leaves_costs_one_wait() {
        let mut gather = Gather::default();
        for crowd in [2, 4, 8, 16] {
            gather.committed(crowd);
        }
        let wait = Advice::Wait { messages: GATHER_ENOUGH, time: GATHER_SILENCE };
        assert_eq!(gather.advise(1, Duration::ZERO), wait);
        assert_eq!(gather.advise(1, GATHER_SILENCE), Advice::Commit);
        gather.committed(1);
        assert_eq!(gather.advise(1, Duration::ZERO), Advice::Commit);
    }

    #[test]
    fn clients_that_wait_for_their_answers_are_not_held_up() {
        // Eight are there, eight come next: the wait is for eight, but for a try now and then.
        let mut gather = Gather::default();
        let mut waits_in_vain = 0;
        for _ in 0..340 {
            while gather.advise(8, 100 * MICRO) != Advice::Commit {
                waits_in_vain += 1;
            }
            gather.committed(8);
        }
        assert!((1..=40).contains(&waits_in_vain), "{waits_in_vain}");
    }

    #[test]
    fn settles_wait_for_a_message_and_not_for_ever() {
        let mut gather = Gather::default();
        let wait = Advice::Wait { messages: 1, time: SETTLE_GATHER - MICRO };
        assert_eq!(gather.advise(0, MICRO), wait);
        assert_eq!(gather.advise(1, MICRO), Advice::Commit);
        assert_eq!(gather.advise(0, SETTLE_GATHER), Advice::Commit);
    }
}
