//! A bounded map that forgets: what was put in stays for at least half its life.

use std::{collections::HashMap, hash::Hash, mem};

use crate::time::{Duration, Instant};

/// Two generations. The older one goes as a whole when its life is over or the younger one is
/// full, so that forgetting costs nothing and no flood of keys takes more than the room there is.
pub struct Fading<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// When the young generation began.
    since: Instant,
    half_life: Duration,
    half_room: usize,
}

impl<K: Eq + Hash, V> Fading<K, V> {
    pub fn new(life: Duration, room: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            since: Instant::default(),
            half_life: life / 2,
            half_room: room / 2,
        }
    }

    pub fn find(&mut self, now: Instant, key: &K) -> Option<&V> {
        self.age(now);
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Begins the entry's life anew.
    pub fn put(&mut self, now: Instant, key: K, value: V) {
        self.age(now);
        if self.young.len() >= self.half_room && !self.young.contains_key(&key) {
            self.turn(now);
        }
        self.young.insert(key, value);
    }

    fn age(&mut self, now: Instant) {
        let age = now.since(self.since);
        if age >= self.half_life {
            self.turn(now);
        }
        if age >= 2 * self.half_life {
            self.old.clear();
        }
    }

    fn turn(&mut self, now: Instant) {
        self.old = mem::take(&mut self.young);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn what_was_put_in_fades() {
        for (put, look, found) in [
            (0, 0, true),
            (0, 49, true),
            (49, 99, true),
            (49, 149, false),
            (0, 100, false),
            (0, 1000, false),
        ] {
            let mut fading = Fading::new(Duration::from_secs(100), 10);
            fading.put(at(put), 'x', ());
            assert_eq!(fading.find(at(look), &'x').is_some(), found, "{put} {look}");
        }
    }

    #[test]
    fn a_flood_takes_no_more_than_the_room() {
        let mut fading = Fading::new(Duration::from_secs(100), 10);
        for number in 0..1000u32 {
            fading.put(at(1), number, ());
            assert!(fading.young.len() + fading.old.len() <= 10, "{number}");
            assert!((number.saturating_sub(4)..=number).all(|n| fading.find(at(1), &n).is_some()));
        }
    }
}
