//! What is remembered of logins: passwords that were right, and clients that guess.

use std::net::{IpAddr, Ipv6Addr};

use super::fading::Fading;
use crate::{
    limits::{
        LOGIN_CLIENTS_MAX, LOGIN_DELAY_FIRST, LOGIN_DELAY_MAX, LOGIN_FAILURES_FREE,
        LOGIN_FAILURES_REMEMBERED, PASSWORD_REMEMBERED, PASSWORDS_REMEMBERED_MAX,
    },
    mail::mailbox::Verdict,
    time::{Duration, Instant},
};

/// A user, the hash and the password in one number that tells nothing of them without the key of
/// this process. A new password has a new hash, and so another number.
pub type Tag = u128;

pub struct Memory {
    granted: Fading<Tag, ()>,
    /// By where they come from.
    failures: Fading<IpAddr, Failures>,
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    /// What failed last.
    last: Tag,
    /// Nothing is checked before.
    until: Instant,
}

impl Memory {
    pub fn new() -> Self {
        Self {
            granted: Fading::new(PASSWORD_REMEMBERED, PASSWORDS_REMEMBERED_MAX),
            failures: Fading::new(LOGIN_FAILURES_REMEMBERED, LOGIN_CLIENTS_MAX),
        }
    }

    /// The verdict, where it needs no look at the password's hash.
    pub fn recall(&mut self, now: Instant, client: IpAddr, tag: Tag) -> Option<Verdict> {
        if let Some(failures) = self.failures.find(now, &origin(client)) {
            // A program with an old password tries it again and again, and guesses nothing: it
            // costs nothing, and does not keep out others behind its address.
            if failures.last == tag {
                return Some(Verdict::Refused);
            }
            // Before what was right: else a guess would be answered at once where it is.
            if now < failures.until {
                return Some(Verdict::Busy);
            }
        }
        self.granted.find(now, &tag).map(|()| Verdict::Granted)
    }

    /// Remembers what a look at the hash said.
    pub fn learn(&mut self, now: Instant, client: IpAddr, tag: Tag, verdict: Verdict) {
        match verdict {
            Verdict::Granted => self.granted.put(now, tag, ()),
            Verdict::Refused => {
                let origin = origin(client);
                let before = self.failures.find(now, &origin).map_or(0, |before| before.count);
                let count = before.saturating_add(1);
                let until = now + delay(count);
                self.failures.put(now, origin, Failures { count, last: tag, until });
            }
            Verdict::Busy => {}
        }
    }
}

/// One client may have all of an IPv6 /64.
fn origin(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

fn delay(failures: u32) -> Duration {
    match failures.saturating_sub(LOGIN_FAILURES_FREE) {
        0 => Duration::ZERO,
        over => {
            let doubled = 2u32.saturating_pow(over - 1);
            LOGIN_DELAY_FIRST.saturating_mul(doubled).min(LOGIN_DELAY_MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_micros(1_000_000_000);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// A client that has failed so often, each time with another password, as soon as it may.
    fn after(client: &str, failures: u32) -> (Memory, Instant) {
        let (mut memory, mut now) = (Memory::new(), START);
        for number in 1..=failures {
            memory.learn(now, ip(client), number.into(), Verdict::Refused);
            now = now + delay(number);
        }
        (memory, now)
    }

    #[test]
    fn delays_grow() {
        let free = LOGIN_FAILURES_FREE;
        for (failures, seconds) in
            [(0, 0), (free, 0), (free + 1, 1), (free + 2, 2), (free + 6, 32), (u32::MAX, 120)]
        {
            assert_eq!(delay(failures), Duration::from_secs(seconds), "{failures}");
        }
    }

    #[test]
    fn a_guesser_waits_and_its_neighbours_do_not() {
        for (guesser, other, waits) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            let (mut memory, now) = after(guesser, LOGIN_FAILURES_FREE);
            assert_eq!(memory.recall(now, ip(other), 999), None, "{guesser} {other}");
            memory.learn(now, ip(guesser), 1000, Verdict::Refused);
            let verdict = memory.recall(now, ip(other), 999);
            assert_eq!(verdict, waits.then_some(Verdict::Busy), "{guesser} {other}");
            assert_eq!(memory.recall(now + LOGIN_DELAY_FIRST, ip(other), 999), None);
        }
    }

    #[test]
    fn what_was_right_is_remembered_for_a_while() {
        let (mut memory, client) = (Memory::new(), ip("192.0.2.1"));
        memory.learn(START, client, 7, Verdict::Granted);
        let other = ip("198.51.100.1");
        assert_eq!(memory.recall(START, other, 7), Some(Verdict::Granted));
        assert_eq!(memory.recall(START, other, 8), None);
        assert_eq!(memory.recall(START + PASSWORD_REMEMBERED, other, 7), None);
    }

    #[test]
    fn a_guess_that_is_right_is_not_told_while_its_client_waits() {
        let (mut memory, now) = after("192.0.2.1", LOGIN_FAILURES_FREE);
        memory.learn(now, ip("198.51.100.1"), 7, Verdict::Granted);
        memory.learn(now, ip("192.0.2.1"), 1000, Verdict::Refused);
        assert_eq!(memory.recall(now, ip("192.0.2.1"), 7), Some(Verdict::Busy));
        assert_eq!(memory.recall(now, ip("198.51.100.1"), 7), Some(Verdict::Granted));
    }

    #[test]
    fn a_client_that_repeats_itself_is_told_the_same_and_nobody_waits_for_it() {
        let (mut memory, client) = (Memory::new(), ip("192.0.2.1"));
        memory.learn(START, client, 5, Verdict::Refused);
        for _ in 0..1000 {
            assert_eq!(memory.recall(START, client, 5), Some(Verdict::Refused));
        }
        assert_eq!(memory.recall(START, client, 6), None);
    }

    #[test]
    fn failures_are_forgotten() {
        let (mut memory, now) = after("192.0.2.1", LOGIN_FAILURES_FREE + 3);
        let later = now + LOGIN_FAILURES_REMEMBERED;
        memory.learn(later, ip("192.0.2.1"), 1000, Verdict::Refused);
        assert_eq!(memory.recall(later, ip("192.0.2.1"), 1001), None);
    }
}
