//! Which segments are worth to be written anew: mostly dead ones, and many small ones.

use std::collections::HashSet;

use super::Segment;
use crate::limits::{BACKUP_SEGMENT, BACKUP_SMALL_MAX};

/// The segments whose live units move to new ones. Half of what is written anew was dead, or it
/// comes together with many others into one file: so a backup stays within twice the octets that
/// it needs and has few files, and each octet moves seldom.
pub fn worth_moving(list: &[Segment]) -> HashSet<u32> {
    let is_small = |segment: &&Segment| segment.length < BACKUP_SEGMENT / 2;
    let many_small = list.iter().filter(is_small).count() > BACKUP_SMALL_MAX;
    let moves =
        |segment: &&Segment| segment.live < segment.length / 2 || many_small && is_small(segment);
    list.iter().filter(moves).map(|segment| segment.number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_and_small_ones_move() {
        let full = BACKUP_SEGMENT;
        let segment = |number, length, live| Segment { number, length, live };
        let list = [segment(1, full, full), segment(2, full, full / 4), segment(3, 100, 90)];
        assert_eq!(worth_moving(&list), HashSet::from([2]));
        let small = (10..).take(BACKUP_SMALL_MAX).map(|number| segment(number, 100, 90));
        let list: Vec<_> = list.into_iter().chain(small).collect();
        assert_eq!(worth_moving(&list).len(), 2 + BACKUP_SMALL_MAX);
        assert_eq!(worth_moving(&[]), HashSet::new());
    }
}
