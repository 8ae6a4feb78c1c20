//! Sets of UIDs put together, in time of their runs.

use super::command::Set;
use crate::mail::mailbox::{Uid, Uids};

/// Those that are in one of two sets.
pub(in crate::imap) fn union(one: &Uids, other: &Uids) -> Uids {
    if other.is_empty() {
        return one.clone();
    }
    let (mut ones, mut others) = (one.runs().peekable(), other.runs().peekable());
    let mut both = Uids::default();
    loop {
        let run = match (ones.peek(), others.peek()) {
            (Some(a), Some(b)) if a.start() <= b.start() => ones.next(),
            (Some(_), None) => ones.next(),
            _ => others.next(),
        };
        // In rising order each run is put behind the last: no other run moves.
        match run {
            Some(run) => both.insert_run(run),
            None => return both,
        }
    }
}

/// Every number of a set below `next`, whether a message has it or not.
pub(in crate::imap) fn of_set(set: &Set, next: Uid) -> Uids {
    let last = next.0.saturating_sub(1);
    let mut all = Uids::default();
    let Set::Ranges(ranges) = set else { return all };
    let number = |end: Option<u32>| end.unwrap_or(last);
    let mut ranges: Vec<(u32, u32)> = ranges
        .iter()
        .map(|(one, other)| (number(*one), number(*other)))
        .map(|(one, other)| (one.min(other), one.max(other).min(last)))
        .collect();
    ranges.sort_unstable();
    for (first, last) in ranges {
        all.insert_run(Uid(first)..=Uid(last));
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::random::Random;

    #[test]
    fn sets_agree_with_plain_ones() {
        let mut random = Random::from_seed([3; 32]);
        for round in 0..500 {
            let mut some = || -> BTreeSet<Uid> {
                (0..random.below(20)).map(|_| Uid(1 + random.below(40))).collect()
            };
            let (one, other) = (some(), some());
            let sets = [&one, &other].map(|all| all.iter().copied().collect::<Uids>());
            let both: Uids = one.union(&other).copied().collect();
            assert_eq!(union(&sets[0], &sets[1]), both, "round {round}");
        }
        let ranges =
            vec![(Some(9), Some(3)), (None, Some(12)), (Some(20), None), (Some(1), Some(1))];
        let runs: Vec<_> = of_set(&Set::Ranges(ranges), Uid(16))
            .runs()
            .map(|run| (run.start().0, run.end().0))
            .collect();
        assert_eq!(runs, [(1, 1), (3, 9), (12, 15)]);
    }
}
