//! The cache of answers by name and type: bounded, read without allocation, a value of time.

use std::{cell::Cell, collections::HashMap, sync::Arc};

use super::{Answer, Kind, Options, Question, Records};
use crate::{
    limits::{DNS_CACHE_ENTRIES_MIN, DNS_CACHE_SWEEP, DNS_UNANSWERED_TTL},
    time::{Duration, Instant},
};

/// Entries lie in one vector and are found by one index a type, so that a look-up borrows its
/// name. The vector is the clock of the second-chance eviction.
pub struct Cache {
    index: [HashMap<Arc<str>, u32>; Kind::COUNT],
    entries: Vec<Entry>,
    /// Where the search for the next victim begins.
    hand: usize,
    capacity: usize,
    ttl_min: Duration,
    ttl_max: Duration,
    negative_ttl_max: Duration,
    serve_stale: Duration,
}

struct Entry {
    question: Question,
    records: Records,
    expires: Instant,
    /// Until then it may serve when no server answers (RFC 8767).
    stale_until: Instant,
    /// Read since the hand last passed.
    read: Cell<bool>,
}

impl Cache {
    pub fn new(options: &Options) -> Cache {
        Cache {
            index: Default::default(),
            entries: Vec::new(),
            hand: 0,
            // One next hop may need many entries at a time; a smaller cache would lose the first
            // before the last is there.
            capacity: options.cache_entries_max.clamp(DNS_CACHE_ENTRIES_MIN, u32::MAX as usize),
            ttl_min: options.ttl_min,
            ttl_max: options.ttl_max,
            negative_ttl_max: options.negative_ttl_max,
            serve_stale: options.serve_stale,
        }
    }

    /// What was good at `as_of`, or came after it.
    pub fn get(&self, name: &str, kind: Kind, as_of: Instant) -> Option<&Records> {
        let entry = &self.entries[*self.index[kind as usize].get(name)? as usize];
        if entry.expires < as_of {
            return None;
        }
        entry.read.set(true);
        Some(&entry.records)
    }

    pub fn put(&mut self, question: Question, answer: Answer, now: Instant) {
        let lifetime = self.lifetime(&answer);
        let expires = now + lifetime;
        let stale_until = match may_go_stale(&answer.records, question.kind) {
            true => expires + self.serve_stale,
            false => expires,
        };
        let read = Cell::new(false);
        let entry = Entry { question, records: answer.records, expires, stale_until, read };
        let index = &self.index[entry.question.kind as usize];
        if let Some(&at) = index.get(&*entry.question.name) {
            self.entries[at as usize] = entry;
            return;
        }
        let at =
            if self.entries.len() < self.capacity { self.entries.len() } else { self.victim(now) };
        let Question { name, kind } = entry.question.clone();
        if let Some(old) = self.entries.get_mut(at) {
            let old = std::mem::replace(old, entry).question;
            self.index[old.kind as usize].remove(&*old.name);
        } else {
            self.entries.push(entry);
        }
        // `capacity` fits.
        self.index[kind as usize].insert(name, at as u32);
    }

    /// No server answered: an expired answer serves a little longer, or the failure is kept for
    /// as long, so that a dead server is not asked for every message.
    pub fn put_unanswered(&mut self, question: Question, now: Instant) {
        let known = self.index[question.kind as usize].get(&*question.name);
        if let Some(&at) = known
            && let entry = &mut self.entries[at as usize]
            && entry.stale_until > now
        {
            entry.expires = entry.expires.max(now + DNS_UNANSWERED_TTL);
            return;
        }
        self.put(question, Answer { records: Records::Unanswered, ttl: None }, now);
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        assert_eq!(self.entries.len(), self.index.iter().map(HashMap::len).sum::<usize>());
        self.entries.len()
    }

    fn lifetime(&self, answer: &Answer) -> Duration {
        let Some(ttl) = answer.ttl else { return DNS_UNANSWERED_TTL };
        match answer.records {
            Records::NoData | Records::NoName | Records::Unanswered => {
                ttl.max(self.ttl_min).min(self.negative_ttl_max)
            }
            _ => ttl.max(self.ttl_min).min(self.ttl_max),
        }
    }

    /// Second chance: the first entry behind the hand that nobody has read since the hand last
    /// passed, or that is over. After a bounded sweep whatever lies under the hand goes.
    fn victim(&mut self, now: Instant) -> usize {
        let mut at = self.hand;
        for _ in 0..DNS_CACHE_SWEEP {
            at = self.hand;
            self.hand = (at + 1) % self.entries.len();
            let entry = &self.entries[at];
            if !entry.read.replace(false) || entry.stale_until < now {
                break;
            }
        }
        at
    }
}

/// Only what leads to hosts serves beyond its time; a stale "no" would bounce mail. That a domain
/// has no MX leads to its addresses.
fn may_go_stale(records: &Records, kind: Kind) -> bool {
    match records {
        Records::Mx(_) | Records::Addresses(_) | Records::Alias(_) => true,
        Records::NoData => kind == Kind::Mx,
        Records::NullMx | Records::NoName | Records::Unanswered => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_micros(5);

    fn cache() -> Cache {
        Cache::new(&Options {
            servers: Vec::new(),
            timeout: Duration::ZERO,
            cache_entries_max: 1,
            ttl_min: Duration::from_secs(5),
            ttl_max: Duration::from_secs(100),
            negative_ttl_max: Duration::from_secs(50),
            serve_stale: Duration::ZERO,
        })
    }

    fn question(n: usize, kind: Kind) -> Question {
        Question { name: format!("n{n}.example").into(), kind }
    }

    fn put(cache: &mut Cache, question: Question, records: Records, ttl: u64) {
        let answer = Answer { records, ttl: Some(Duration::from_secs(ttl)) };
        cache.put(question, answer, NOW);
    }

    #[test]
    fn lifetimes_are_clamped() {
        for (records, ttl, lives) in [
            (Records::NullMx, 1, 5),
            (Records::NullMx, 50, 50),
            (Records::NullMx, 1000, 100),
            (Records::NoData, 1, 5),
            (Records::NoName, 1000, 50),
        ] {
            let mut cache = cache();
            put(&mut cache, question(0, Kind::Mx), records.clone(), ttl);
            let at = |seconds| NOW + Duration::from_secs(seconds);
            let get = |as_of| cache.get("n0.example", Kind::Mx, as_of);
            assert_eq!(get(at(lives)), Some(&records));
            assert_eq!(get(at(lives) + Duration::from_micros(1)), None);
            assert_eq!(cache.get("n0.example", Kind::A, NOW), None);
        }
    }

    #[test]
    fn the_bound_holds_and_what_is_read_stays() {
        let mut cache = cache();
        let kinds = [Kind::Mx, Kind::A, Kind::Aaaa];
        for n in 0..3 * DNS_CACHE_ENTRIES_MIN {
            put(&mut cache, question(n, kinds[n % 3]), Records::NullMx, 60);
            if n >= 10 {
                assert!(cache.get("n9.example", Kind::Mx, NOW).is_some(), "lost at {n}");
            }
            assert!(cache.get(&format!("n{n}.example"), kinds[n % 3], NOW).is_some());
        }
        assert_eq!(cache.len(), DNS_CACHE_ENTRIES_MIN);
        // The same question again takes no room.
        put(&mut cache, question(9, Kind::Mx), Records::NoName, 60);
        assert_eq!(cache.get("n9.example", Kind::Mx, NOW), Some(&Records::NoName));
        assert_eq!(cache.len(), DNS_CACHE_ENTRIES_MIN);
    }
}
