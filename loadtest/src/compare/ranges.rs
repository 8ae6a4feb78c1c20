//! Sets of sequence numbers: what was acknowledged and never seen.

use crate::outcome::Ranges;

/// How many numbers of `acknowledged` are not in `seen`. Both are ascending and do not overlap.
pub fn missing(acknowledged: &Ranges, seen: &Ranges) -> u64 {
    let mut seen = seen.iter().copied().peekable();
    let mut missing = 0;
    for &(first, last) in acknowledged {
        let mut next = first;
        while next <= last {
            // What ends below can hold nothing that is still to come.
            while seen.next_if(|(_, end)| *end < next).is_some() {}
            match seen.peek() {
                Some(&(begin, end)) if begin <= last => {
                    missing += begin.saturating_sub(next);
                    let Some(after) = end.checked_add(1) else { return missing };
                    next = after;
                }
                _ => {
                    missing += last - next + 1;
                    break;
                }
            }
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing() {
        for (acknowledged, seen, count) in [
            (vec![], vec![], 0),
            (vec![], vec![(1, 5)], 0),
            (vec![(0, 9)], vec![], 10),
            (vec![(0, 9)], vec![(0, 9)], 0),
            (vec![(0, 9)], vec![(0, 3), (5, 9)], 1),
            (vec![(5, 9)], vec![(0, 3), (5, 6), (8, 20)], 1),
            (vec![(0, 1), (4, 5), (8, 9)], vec![(1, 8)], 2),
            (vec![(0, 1), (4, 5)], vec![(10, 20)], 4),
            (vec![(0, 1), (4, 5)], vec![(0, 20)], 0),
            (vec![(2, u64::MAX)], vec![(3, u64::MAX)], 1),
            (vec![(7, 7)], vec![(0, 2), (3, 4), (5, 6)], 1),
        ] {
            assert_eq!(missing(&acknowledged, &seen), count, "{acknowledged:?} without {seen:?}");
        }
    }

    #[test]
    fn it_is_the_difference_of_sets() {
        let set = |bits: u32| -> Ranges {
            let mut ids = (0..8).filter(|bit| bits & (1 << bit) != 0).collect();
            crate::meter::ranges(&mut ids)
        };
        for (acknowledged, seen) in (0..256_u32).flat_map(|a| (0..256_u32).map(move |b| (a, b))) {
            let count = u64::from((acknowledged & !seen).count_ones());
            assert_eq!(missing(&set(acknowledged), &set(seen)), count);
        }
    }
}
