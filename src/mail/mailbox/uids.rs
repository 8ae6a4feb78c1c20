//! Sets of UIDs as runs, counted so that a message sequence number is found by a search.

use std::ops::RangeInclusive;

use super::Uid;

/// A set of UIDs in rising order. A mailbox from which little was deleted is a few runs, however
/// many messages it has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Uids {
    runs: Vec<Run>,
}

/// UIDs in a row. No two runs of a set touch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    first: u32,
    last: u32,
    /// UIDs of the set before this run.
    before: u32,
}

impl Uids {
    /// How many there are.
    pub fn count(&self) -> u32 {
        self.runs.last().map_or(0, |run| run.before + run.count())
    }

    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub fn first(&self) -> Option<Uid> {
        self.runs.first().map(|run| Uid(run.first))
    }

    pub fn last(&self) -> Option<Uid> {
        self.runs.last().map(|run| Uid(run.last))
    }

    /// The UID of the message with this sequence number, which counts from 1.
    pub fn at(&self, sequence: u32) -> Option<Uid> {
        let place = sequence.checked_sub(1)?;
        let index = self.runs.partition_point(|run| run.before <= place).checked_sub(1)?;
        let run = self.runs[index];
        let uid = run.first.checked_add(place - run.before)?;
        (uid <= run.last).then_some(Uid(uid))
    }

    /// The sequence number of a message, from 1.
    pub fn sequence_of(&self, uid: Uid) -> Option<u32> {
        let run = self.runs[self.run_from(uid.0)?];
        (run.first <= uid.0).then(|| run.before + (uid.0 - run.first) + 1)
    }

    pub fn contains(&self, uid: Uid) -> bool {
        self.sequence_of(uid).is_some()
    }

    /// Puts one in.
    pub fn insert(&mut self, uid: Uid) {
        self.insert_run(uid..=uid);
    }

    /// Puts all of a range in; an empty range changes nothing.
    pub fn insert_run(&mut self, range: RangeInclusive<Uid>) {
        let (mut first, mut last) = (range.start().0, range.end().0);
        if first > last {
            return;
        }
        // Most sets are made from front to back.
        if let Some(end) = self.runs.last_mut().filter(|end| end.last < first) {
            let before = end.before + end.count();
            match end.last + 1 == first {
                true => end.last = last,
                false => self.runs.push(Run { first, last, before }),
            }
            return;
        }
        // The runs that touch or overlap the new one melt into it.
        let from = self.runs.partition_point(|run| run.last.saturating_add(1) < first);
        let to = self.runs.partition_point(|run| run.first <= last.saturating_add(1));
        if from < to {
            first = first.min(self.runs[from].first);
            last = last.max(self.runs[to - 1].last);
        }
        self.runs.splice(from..to, [Run { first, last, before: 0 }]);
        self.recount(from);
    }

    /// Takes one out; its sequence number until now.
    pub fn remove(&mut self, uid: Uid) -> Option<u32> {
        let sequence = self.sequence_of(uid)?;
        let index = self.run_from(uid.0)?;
        let Run { first, last, .. } = self.runs[index];
        let left = [(first, uid.0.wrapping_sub(1)), (uid.0.wrapping_add(1), last)];
        let kept = [first < uid.0, uid.0 < last];
        let pieces = left.into_iter().zip(kept).filter(|(_, kept)| *kept);
        let pieces = pieces.map(|((first, last), _)| Run { first, last, before: 0 });
        self.runs.splice(index..=index, pieces);
        self.recount(index);
        Some(sequence)
    }

    /// Those that are in both.
    pub fn intersection(&self, other: &Uids) -> Uids {
        let mut both = Uids::default();
        let (mut own, mut others) = (self.runs.iter().peekable(), other.runs.iter().peekable());
        while let (Some(a), Some(b)) = (own.peek(), others.peek()) {
            let (first, last) = (a.first.max(b.first), a.last.min(b.last));
            if first <= last {
                both.runs.push(Run { first, last, before: both.count() });
            }
            if a.last <= b.last {
                own.next()
            } else {
                others.next()
            };
        }
        both
    }

    /// Those of this set that are not in `other`.
    pub fn difference(&self, other: &Uids) -> Uids {
        let mut rest = Uids::default();
        let mut others = other.runs.iter().peekable();
        for run in &self.runs {
            let mut first = Some(run.first);
            while let (Some(from), Some(b)) = (first, others.peek()) {
                if b.first > run.last {
                    break;
                }
                if b.first > from {
                    rest.insert_run(Uid(from)..=Uid(b.first - 1));
                }
                if b.last >= run.last {
                    first = None;
                    break;
                }
                first = Some(from.max(b.last + 1));
                others.next();
            }
            if let Some(from) = first {
                rest.insert_run(Uid(from)..=Uid(run.last));
            }
        }
        rest
    }

    /// The runs, in rising order.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = RangeInclusive<Uid>> + '_ {
        self.runs.iter().map(|run| Uid(run.first)..=Uid(run.last))
    }

    /// Every UID, in rising order.
    pub fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.runs.iter().flat_map(|run| (run.first..=run.last).map(Uid))
    }

    /// How many there are below `uid`.
    pub fn count_below(&self, uid: Uid) -> u32 {
        match self.run_from(uid.0).map(|index| self.runs[index]) {
            Some(run) => run.before + uid.0.saturating_sub(run.first),
            None => self.count(),
        }
    }

    /// At most `count` of them, behind the first `skipped`; in time of the runs of these.
    pub fn part(&self, skipped: u32, count: u32) -> Uids {
        let mut part = Uids::default();
        let from = self.runs.partition_point(|run| run.before + run.count() <= skipped);
        let end = skipped.saturating_add(count);
        for run in self.runs[from..].iter().take_while(|run| run.before < end) {
            let first = run.first + skipped.saturating_sub(run.before);
            let last = run.last.min(run.first.saturating_add(end - run.before - 1));
            part.insert_run(Uid(first)..=Uid(last));
        }
        part
    }

    /// Those from `uid` on.
    pub fn from(&self, uid: Uid) -> Uids {
        let mut all = Uids::default();
        all.insert_run(uid..=Uid(u32::MAX));
        self.intersection(&all)
    }

    /// Octets of memory that the runs take.
    pub fn memory(&self) -> usize {
        self.runs.capacity() * size_of::<Run>()
    }

    /// The first run that ends at `uid` or behind it.
    fn run_from(&self, uid: u32) -> Option<usize> {
        let index = self.runs.partition_point(|run| run.last < uid);
        (index < self.runs.len()).then_some(index)
    }

    fn recount(&mut self, from: usize) {
        let mut before = match from.checked_sub(1).and_then(|index| self.runs.get(index)) {
            Some(run) => run.before + run.count(),
            None => 0,
        };
        for run in self.runs.iter_mut().skip(from) {
            run.before = before;
            before += run.count();
        }
    }
}

impl Run {
    fn count(self) -> u32 {
        self.last - self.first + 1
    }
}

impl FromIterator<Uid> for Uids {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> Self {
        let mut set = Uids::default();
        uids.into_iter().for_each(|uid| set.insert(uid));
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::random::Random;

    fn check(set: &Uids, model: &BTreeSet<u32>) {
        assert_eq!(set.iter().map(|uid| uid.0).collect::<Vec<_>>(), Vec::from_iter(model.clone()));
        assert_eq!(set.count() as usize, model.len());
        for (sequence, uid) in (1..).zip(model) {
            assert_eq!(set.at(sequence), Some(Uid(*uid)));
            assert_eq!(set.sequence_of(Uid(*uid)), Some(sequence));
        }
        assert_eq!((set.at(0), set.at(set.count() + 1)), (None, None));
        for at in 0..=model.len() {
            let part = set.part(at as u32, 7).iter().map(|uid| uid.0).collect::<Vec<_>>();
            assert_eq!(part, Vec::from_iter(model.iter().copied().skip(at).take(7)));
            let rest = set.part(at as u32, u32::MAX);
            assert!(rest.iter().map(|uid| uid.0).eq(model.iter().copied().skip(at)));
        }
        for uid in 0..70 {
            assert_eq!(set.count_below(Uid(uid)) as usize, model.range(..uid).count());
        }
        assert!(set.runs.windows(2).all(|pair| pair[0].last + 1 < pair[1].first));
    }

    #[test]
    fn agrees_with_a_plain_set() {
        let mut random = Random::from_seed([7; 32]);
        for _ in 0..50 {
            let (mut set, mut model) = (Uids::default(), BTreeSet::new());
            let (mut other, mut other_model) = (Uids::default(), BTreeSet::new());
            for _ in 0..200 {
                let uid = 1 + random.below(60);
                match random.below(4) {
                    0 => {
                        let had = model.iter().position(|known| *known == uid);
                        assert_eq!(set.remove(Uid(uid)), had.map(|place| place as u32 + 1));
                        model.remove(&uid);
                    }
                    1 => {
                        let last = uid + random.below(5);
                        set.insert_run(Uid(uid)..=Uid(last));
                        model.extend(uid..=last);
                    }
                    2 => {
                        other.insert(Uid(uid));
                        other_model.insert(uid);
                    }
                    _ => {
                        set.insert(Uid(uid));
                        model.insert(uid);
                    }
                }
                check(&set, &model);
            }
            check(&set.intersection(&other), &model.intersection(&other_model).copied().collect());
            check(&set.difference(&other), &model.difference(&other_model).copied().collect());
            check(&set.from(Uid(30)), &model.range(30..).copied().collect());
        }
    }

    #[test]
    fn the_ends_of_the_numbers() {
        let mut set = Uids::default();
        set.insert_run(Uid(1)..=Uid(u32::MAX));
        assert_eq!((set.count(), set.at(u32::MAX)), (u32::MAX, Some(Uid(u32::MAX))));
        assert_eq!(set.remove(Uid(u32::MAX)), Some(u32::MAX));
        assert_eq!(set.remove(Uid(1)), Some(1));
        assert_eq!((set.first(), set.last()), (Some(Uid(2)), Some(Uid(u32::MAX - 1))));
    }
}
