//! Counts queries by name and type, in bounded memory.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::name::{Kind, Name};
use crate::outcome::Asked;

/// Pairs of name and type that are told apart; the rest are counted together.
pub const PAIRS_MAX: usize = 1_000_000;
/// Pairs that a result lists.
pub const LISTED_MAX: usize = 1000;

/// Nearly all names, with a type's two octets behind them, need no allocation to be looked for.
const KEY_OCTETS_INLINE: usize = 128;

/// How often each name was asked for each type.
pub struct Asks {
    pairs: HashMap<Box<[u8]>, u64>,
    pairs_max: usize,
    total: u64,
}

impl Asks {
    /// `pairs_max` bounds the memory: about 100 octets each.
    pub fn new(pairs_max: usize) -> Asks {
        Asks { pairs: HashMap::new(), pairs_max, total: 0 }
    }

    pub fn add(&mut self, name: &Name, kind: Kind) {
        let mut key: SmallVec<[u8; KEY_OCTETS_INLINE]> = SmallVec::from_slice(name.octets());
        key.extend_from_slice(&kind.0.to_be_bytes());
        self.add_many(&key, 1);
    }

    fn add_many(&mut self, key: &[u8], count: u64) {
        self.total += count;
        if let Some(counted) = self.pairs.get_mut(key) {
            *counted += count;
        } else if self.pairs.len() < self.pairs_max {
            self.pairs.insert(key.into(), count);
        }
    }

    /// Takes in what another core counted.
    pub fn merge(&mut self, other: &Asks) {
        let before = self.total;
        for (key, count) in &other.pairs {
            self.add_many(key, *count);
        }
        self.total = before + other.total;
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    /// The most asked first, names in order where as often, and how many are not listed.
    pub fn listed(&self) -> (Vec<Asked>, u64) {
        let mut pairs: Vec<(&[u8], u64)> =
            self.pairs.iter().map(|(key, count)| (&**key, *count)).collect();
        let order = |a: &(&[u8], u64), b: &(&[u8], u64)| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0));
        if pairs.len() > LISTED_MAX {
            pairs.select_nth_unstable_by(LISTED_MAX, order);
            pairs.truncate(LISTED_MAX);
        }
        pairs.sort_unstable_by(order);
        let names: Vec<Asked> =
            pairs.iter().filter_map(|(key, count)| asked(key, *count)).collect();
        let others = self.total - names.iter().map(|asked| asked.count).sum::<u64>();
        (names, others)
    }
}

fn asked(key: &[u8], count: u64) -> Option<Asked> {
    let (name, kind) = key.split_last_chunk::<2>()?;
    let kind = Kind(u16::from_be_bytes(*kind));
    Some(Asked { name: Name::of_wire(name).to_string(), kind: kind.to_string(), count })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_times(asks: &mut Asks, name: &str, kind: Kind, times: u64) {
        let name = Name::parse(name).expect(name);
        (0..times).for_each(|_| asks.add(&name, kind));
    }

    fn lines(asks: &Asks) -> (Vec<String>, u64) {
        let (names, others) = asks.listed();
        let line = |asked: &Asked| format!("{} {} {}", asked.name, asked.kind, asked.count);
        (names.iter().map(line).collect(), others)
    }

    #[test]
    fn the_most_asked_come_first() {
        let mut asks = Asks::new(10);
        asked_times(&mut asks, "b.test", Kind::MX, 2);
        asked_times(&mut asks, "a.test", Kind::MX, 2);
        let mut other = Asks::new(10);
        asked_times(&mut other, "b.test", Kind::A, 4);
        asked_times(&mut other, "b.test", Kind::MX, 1);
        asks.merge(&other);
        assert_eq!(lines(&asks).0, ["b.test A 4", "b.test MX 3", "a.test MX 2"]);
        assert_eq!(asks.total(), 9);
    }

    #[test]
    fn what_has_no_room_is_counted_together() {
        let mut asks = Asks::new(2);
        asked_times(&mut asks, "a.test", Kind::MX, 2);
        asked_times(&mut asks, "b.test", Kind::MX, 1);
        asked_times(&mut asks, "c.test", Kind::MX, 3);
        asked_times(&mut asks, "a.test", Kind::MX, 1);
        assert_eq!(lines(&asks), (vec!["a.test MX 3".into(), "b.test MX 1".into()], 3));
    }

    #[test]
    fn a_result_lists_so_many_and_tells_the_rest() {
        let mut asks = Asks::new(PAIRS_MAX);
        for number in 0..LISTED_MAX + 5 {
            asked_times(&mut asks, &format!("d{number}.test"), Kind::A, 1);
        }
        asked_times(&mut asks, "often.test", Kind::A, 2);
        let (names, others) = lines(&asks);
        assert_eq!((names.len(), names[0].as_str(), others), (LISTED_MAX, "often.test A 2", 6));
    }
}
