//! When to commit: a lone client never waits, a crowd shares a sync, settles ride along.

use crate::{
    limits::{
        COMMIT_GATHER, GATHER_COMMITS, GATHER_COMPANY, GATHER_ENOUGH, GATHER_HOLD, GATHER_LOOKS,
        GATHER_SILENCE_MIN, SETTLE_GATHER,
    },
    time::Duration,
};

/// How many messages to wait for, learned from the last commits.
///
/// The wait ends early when as many are there as came together lately, and when nothing more
/// comes: clients that wait for their answers are not made to wait for others that wait as well.
/// A wait that was filled is widened; one that ended in silence is narrowed to what came, and
/// held there for a while.
///
/// No message waits longer for its commit to begin than a few commits take: where the disk is fast
/// there is little to save, and a client waits for this answer.
#[derive(Debug)]
pub struct Gather {
    target: usize,
    hold: u32,
    /// How many were there at the last look of this wait.
    seen: Option<usize>,
    /// The wait took all the time it may, and was not ended by silence.
    flowing: bool,
    /// How long a commit takes, averaged over the last ones.
    commit: Duration,
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
        Self { target: 1, hold: 0, seen: None, flowing: false, commit: COMMIT_GATHER }
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
        let patience = COMMIT_GATHER.min(self.commit * GATHER_COMMITS);
        let time = patience.saturating_sub(waited);
        let silent = self.seen == Some(messages);
        if messages >= self.target || time.is_zero() || silent {
            self.flowing = time.is_zero();
            return Advice::Commit;
        }
        self.seen = Some(messages);
        let silence = GATHER_SILENCE_MIN.max(patience / GATHER_LOOKS);
        Advice::Wait { messages: self.target, time: time.min(silence) }
    }

    /// A commit of this many messages is done, and took so long.
    pub fn committed(&mut self, messages: usize, took: Duration) {
        self.seen = None;
        self.commit = (self.commit * 7 + took) / 8;
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

    /// At the longest patience.
    const SILENCE: Duration =
        Duration::from_nanos(COMMIT_GATHER.as_nanos() as u64 / GATHER_LOOKS as u64);
    const MICRO: Duration = Duration::from_micros(1);

    /// Messages at these times, in microseconds, with commits that take `sync`: the sizes of the
    /// commits, and how long the oldest message of each had waited for it to begin.
    fn run(times: &[u64], sync: u64) -> (Vec<usize>, Vec<u64>) {
        let (mut gather, mut now, mut next) = (Gather::default(), 0, 0);
        let (mut sizes, mut waits) = (Vec::new(), Vec::new());
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
            gather.committed(size, Duration::from_micros(sync));
            sizes.push(size);
            waits.push(now - oldest);
            now += sync;
            next += size;
        }
        (sizes, waits)
    }

    #[test]
    fn a_lone_client_waits_for_nobody() {
        let times: Vec<u64> = (0..200).map(|n| n * 700).collect();
        let (sizes, waits) = run(&times, 500);
        assert!(sizes.iter().all(|&size| size == 1));
        assert!(waits.iter().all(|&wait| wait == 0));
    }

    #[test]
    fn ten_thousand_a_second_share_syncs() {
        for (sync, least) in [(100, 2), (200, 3), (1000, 15), (4000, 35)] {
            let mut random = Random::from_seed([sync as u8; 32]);
            let mut last = 0.0;
            let mut strangers = || {
                last -= (1.0 - random.fraction()).ln() * 100.0;
                last as u64
            };
            let times: Vec<u64> = (0..20_000).map(|_| strangers()).collect();
            let (sizes, waits) = run(&times, sync);
            let mean = times.len() / sizes.len();
            assert!(mean >= least, "{mean} a commit of {sync} µs");
            // By then the average of the times that commits take is right.
            let longest = waits[waits.len() / 10..].iter().max().copied();
            let patience = (sync * u64::from(GATHER_COMMITS)).min(COMMIT_GATHER.as_micros() as u64);
            let bound = sync.max(patience) + 1;
            assert!(longest.is_some_and(|wait| wait <= bound), "{longest:?} µs at {sync}");
        }
    }

    #[test]
    fn a_crowd_that_leaves_costs_one_wait() {
        let mut gather = Gather::default();
        for crowd in [2, 4, 8, 16] {
            gather.committed(crowd, COMMIT_GATHER);
        }
        let wait = Advice::Wait { messages: GATHER_ENOUGH, time: SILENCE };
        assert_eq!(gather.advise(1, Duration::ZERO), wait);
        assert_eq!(gather.advise(1, SILENCE), Advice::Commit);
        gather.committed(1, COMMIT_GATHER);
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
            gather.committed(8, COMMIT_GATHER);
        }
        assert!((1..=40).contains(&waits_in_vain), "{waits_in_vain}");
    }

    #[test]
    fn a_crowd_that_is_complete_is_not_kept_waiting_for_more() {
        // Each of them comes back within 300 µs of its answer, and none is left to come then.
        for (crowd, sync) in [(5, 200), (12, 500), (20, 500), (20, 1000), (31, 3000)] {
            let mut gather = Gather::default();
            let mut random = Random::from_seed([crowd as u8; 32]);
            let (mut now, mut cycles) = (0, 0);
            let mut back: Vec<u64> = vec![0; crowd];
            while now < 1_000_000 {
                now = now.max(back.iter().copied().min().unwrap_or(0));
                let oldest = back.iter().copied().min().unwrap_or(0);
                let there = |now: u64| back.iter().filter(|&&at| at <= now).count();
                while let Advice::Wait { messages, time } =
                    gather.advise(there(now), Duration::from_micros(now - oldest))
                {
                    let mut order = back.clone();
                    order.sort_unstable();
                    let filled = order.get(messages - 1).copied().unwrap_or(u64::MAX);
                    now = filled.min(now + time.as_micros() as u64).max(now + 1);
                }
                let size = there(now);
                gather.committed(size, Duration::from_micros(sync));
                let acknowledged = now + sync;
                for at in back.iter_mut().filter(|at| **at <= now) {
                    *at = acknowledged + 20 + u64::from(random.below(280));
                }
                now = acknowledged;
                cycles += 1;
            }
            let mean = 1_000_000 / cycles;
            assert!(mean < sync + 300 + sync / 8, "{crowd}, {sync}: {mean} µs");
        }
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
