//! Sets of message numbers and UIDs: what they mean in a mailbox, and how they are written.

use std::ops::RangeInclusive;

use super::command::Set;
use crate::mail::mailbox::{Uid, Uids};

/// A message number that no message has; the client knows how many there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("there is no message with that number; count again after the last EXISTS and EXPUNGE")]
pub struct NoSuchMessage;

impl Set {
    /// The messages of `view` with these UIDs. UIDs that nobody has are passed over
    /// (RFC 9051 §6.4.9); `$` is `saved` less what was expunged since (RFC 5182 §2.1).
    pub fn resolve_uids(&self, view: &Uids, saved: &Uids) -> Uids {
        let Set::Ranges(ranges) = self else { return saved.intersection(view) };
        let Some(Uid(last)) = view.last() else { return Uids::default() };
        // `*` is the highest, and a range has no direction: `999:*` always has the last.
        let numbers =
            ranges.iter().map(|(one, other)| (one.unwrap_or(last), other.unwrap_or(last)));
        let ranges = numbers.map(|(one, other)| Uid(one.min(other))..=Uid(one.max(other)));
        union(ranges.collect()).intersection(view)
    }

    /// The messages of `view` with these sequence numbers.
    pub fn resolve_sequences(&self, view: &Uids, saved: &Uids) -> Result<Uids, NoSuchMessage> {
        let Set::Ranges(ranges) = self else { return Ok(saved.intersection(view)) };
        let count = view.count();
        let mut found = Vec::with_capacity(ranges.len());
        for (one, other) in ranges {
            // `1:*` is said of an empty mailbox too, and asks for nothing.
            if count == 0 && (one.is_none() || other.is_none()) {
                continue;
            }
            let (one, other) = (one.unwrap_or(count), other.unwrap_or(count));
            let first = view.at(one.min(other)).ok_or(NoSuchMessage)?;
            let last = view.at(one.max(other)).ok_or(NoSuchMessage)?;
            found.push(first..=last);
        }
        // Between two messages of the view lie UIDs that it no longer has.
        Ok(union(found).intersection(view))
    }

    /// The same for SEARCH, where a number that no message has finds nothing: clients ask for
    /// what they counted before they heard of an end.
    pub fn found_sequences(&self, view: &Uids, saved: &Uids) -> Uids {
        let Set::Ranges(ranges) = self else { return saved.intersection(view) };
        let count = view.count();
        let numbers =
            ranges.iter().map(|(one, other)| (one.unwrap_or(count), other.unwrap_or(count)));
        let found = numbers.filter_map(|(one, other)| {
            let last = view.at(one.max(other).min(count))?;
            Some(view.at(one.min(other))?..=last)
        });
        union(found.collect()).intersection(view)
    }
}

/// Writes a set in as few ranges as it has: `1:4,7`.
pub fn write(set: &Uids, out: &mut Vec<u8>) {
    write_ranges(set.runs(), out);
}

/// Writes UIDs in their order, as COPYUID and APPENDUID do (RFC 4315 §3): those that follow each
/// other become ranges.
pub fn write_in_order(uids: &[Uid], out: &mut Vec<u8>) {
    let follows = |one: &Uid, next: &Uid| one.0.checked_add(1) == Some(next.0);
    let ranges = uids.chunk_by(follows).filter_map(|run| Some(*run.first()?..=*run.last()?));
    write_ranges(ranges, out);
}

fn write_ranges(ranges: impl Iterator<Item = RangeInclusive<Uid>>, out: &mut Vec<u8>) {
    for (index, range) in ranges.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_number(range.start().0, out);
        if range.start() != range.end() {
            out.push(b':');
            write_number(range.end().0, out);
        }
    }
}

fn write_number(number: u32, out: &mut Vec<u8>) {
    let mut digits = [0; 10];
    let (mut at, mut rest) = (digits.len(), number);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 || at == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Sorted first: each range then lands at the end of what is there, whatever order it came in.
fn union(mut ranges: Vec<RangeInclusive<Uid>>) -> Uids {
    ranges.sort_unstable_by_key(|range| *range.start());
    let mut set = Uids::default();
    ranges.into_iter().for_each(|range| set.insert_run(range));
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uids(text: &str) -> Uids {
        text.split(',').filter_map(|uid| uid.parse().ok()).map(Uid).collect()
    }

    fn written(set: &Uids) -> String {
        let mut out = Vec::new();
        write(set, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn sets_in_a_mailbox() {
        let view = uids("3,4,5,9,10,4294967295");
        let saved = uids("4,6,10");
        let range = |one, other| Set::Ranges(vec![(one, other)]);
        let some = |one, other| range(Some(one), Some(other));
        let gone = Err(NoSuchMessage);
        for (set, by_uid, by_sequence) in [
            (some(3, 3), "3", Ok("5")),
            (some(5, 3), "3:5", Ok("5,9:10")),
            (some(1, 6), "3:5", Ok("3:5,9:10,4294967295")),
            (some(1, 7), "3:5", gone),
            (some(7, 8), "", gone),
            (range(None, None), "4294967295", Ok("4294967295")),
            (range(Some(6), None), "9:10,4294967295", Ok("4294967295")),
            (range(None, Some(5)), "5,9:10,4294967295", Ok("10,4294967295")),
            (Set::Ranges(vec![(Some(9), Some(9)), (Some(3), Some(4))]), "3:4,9", gone),
            (Set::Ranges(vec![(Some(2), Some(4)), (Some(3), Some(3))]), "3:4", Ok("4:5,9")),
            (Set::Saved, "4,10", Ok("4,10")),
        ] {
            assert_eq!(written(&set.resolve_uids(&view, &saved)), by_uid, "{set:?}");
            let found = set.resolve_sequences(&view, &saved).map(|found| written(&found));
            assert_eq!(found, by_sequence.map(String::from), "{set:?}");
            if by_sequence.is_ok() {
                assert_eq!(Ok(written(&set.found_sequences(&view, &saved))), found, "{set:?}");
            }
        }
        for (set, want) in
            [(some(5, 9), "10,4294967295"), (some(7, 8), ""), (some(9, 1), "3:5,9:10,4294967295")]
        {
            assert_eq!(written(&set.found_sequences(&view, &saved)), want, "{set:?}");
        }
        let empty = Uids::default();
        for (set, want) in
            [(range(Some(1), None), Ok(empty.clone())), (some(1, 1), Err(NoSuchMessage))]
        {
            assert_eq!(set.resolve_sequences(&empty, &saved), want);
            assert_eq!(set.found_sequences(&empty, &saved), empty);
            assert_eq!(set.resolve_uids(&empty, &saved), empty);
        }
    }

    #[test]
    fn sets_in_their_order() {
        let mut out = Vec::new();
        write_in_order(&[7, 8, 9, 3, 4, 4, 20, 4294967295].map(Uid), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "7:9,3:4,4,20,4294967295");
    }
}
