//! What a session knows of its mailbox: how many messages there are, and the newest UIDs.

use super::reply::{number, word};
use crate::random::Random;

/// Of a large mailbox only the newest messages are asked for: a session remembers these.
pub const KNOWN_MAX: u32 = 10_000;
/// A client fills a screen at a time.
const WINDOW: usize = 50;

#[derive(Debug, Default)]
pub struct Mailbox {
    pub exists: u32,
    uid_next: Option<u32>,
    /// Of the last messages of the mailbox, ascending.
    uids: Vec<u32>,
}

impl Mailbox {
    /// Takes `3 EXISTS`, `3 EXPUNGE` or `OK [UIDNEXT 9]`; anything else says nothing here.
    pub fn told(&mut self, words: &[u8]) {
        let (first, rest) = word(words);
        if first.eq_ignore_ascii_case(b"OK") {
            if let Some(uid) = code(rest, b"UIDNEXT").and_then(|value| small(word(value).0)) {
                self.uid_next = Some(uid);
            }
            return;
        }
        let Some(count) = small(first) else { return };
        let (what, _) = word(rest);
        if what.eq_ignore_ascii_case(b"EXISTS") {
            self.exists = count;
        } else if what.eq_ignore_ascii_case(b"EXPUNGE") {
            self.expunged(count);
        }
    }

    fn expunged(&mut self, sequence: u32) {
        let unknown = self.exists.saturating_sub(self.uids.len() as u32);
        let place = sequence.checked_sub(unknown + 1).map(|place| place as usize);
        if let Some(place) = place.filter(|place| *place < self.uids.len()) {
            self.uids.remove(place);
        }
        self.exists = self.exists.saturating_sub(1);
    }

    /// Whether the UIDs need not be asked for: they are known, or SELECT told enough.
    pub fn knows(&mut self) -> bool {
        // UIDs ascend from 1 (RFC 3501 §2.3.1.1): as many numbers as messages leave no gap.
        if self.uids.is_empty() && self.uid_next == Some(self.exists.saturating_add(1)) {
            self.uids = (self.first_known()..=self.exists).collect();
        }
        !self.uids.is_empty() || self.exists == 0
    }

    /// The sequence number of the oldest message that is remembered.
    pub fn first_known(&self) -> u32 {
        self.exists.saturating_sub(KNOWN_MAX) + 1
    }

    /// Takes `3 FETCH (UID 7)`.
    pub fn learn(&mut self, words: &[u8]) {
        let inner =
            words.iter().position(|octet| *octet == b'(').map(|at| words.split_at(at + 1).1);
        let Some((label, rest)) = inner.map(word) else { return };
        let digits = rest.split(|octet| *octet == b')' || *octet == b' ').next();
        if label.eq_ignore_ascii_case(b"UID")
            && let Some(uid) = digits.and_then(small)
            && self.uids.last().is_none_or(|last| *last < uid)
            && self.uids.len() < KNOWN_MAX as usize
        {
            self.uids.push(uid);
        }
    }

    /// An APPEND of ours was answered by OK; `exists` is what was there before it.
    pub fn appended(&mut self, exists: u32, text: &[u8]) {
        self.exists = self.exists.max(exists.saturating_add(1));
        // RFC 4315 §3: APPENDUID names the validity, then the UID.
        let uid = code(text, b"APPENDUID").and_then(|value| small(word(word(value).1).0));
        if let Some(uid) = uid
            && self.uids.last().is_some_and(|last| *last < uid)
            && self.uids.len() < KNOWN_MAX as usize
        {
            self.uids.push(uid);
        }
    }

    /// The first and the last UID of one screen of messages.
    pub fn window(&self, random: &mut Random) -> Option<(u32, u32)> {
        let first = random.below(self.uids.len().saturating_sub(WINDOW) + 1);
        let last = (first + WINDOW).min(self.uids.len()).checked_sub(1)?;
        Some((*self.uids.get(first)?, *self.uids.get(last)?))
    }

    /// The UID of one message.
    pub fn one(&self, random: &mut Random) -> Option<u32> {
        self.uids.get(random.below(self.uids.len())).copied()
    }
}

/// What follows `name` in a response code at the start of `text`: of `[UIDNEXT 9] next`, `9`.
pub fn code<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let inner = text.strip_prefix(b"[")?;
    let (inner, _) = inner.split_at(inner.iter().position(|octet| *octet == b']')?);
    let (label, value) = word(inner);
    label.eq_ignore_ascii_case(name).then_some(value)
}

fn small(digits: &[u8]) -> Option<u32> {
    u32::try_from(number(digits)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Mailbox {
        let mut mailbox = Mailbox::default();
        lines.iter().for_each(|line| mailbox.told(line.as_bytes()));
        mailbox
    }

    #[test]
    fn uids_without_a_gap_are_known_from_select() {
        let mut mailbox = told(&["3 EXISTS", "OK [UIDNEXT 4] next", "0 RECENT", "x EXISTS"]);
        assert!(mailbox.knows());
        assert_eq!(mailbox.window(&mut Random::new(1)), Some((1, 3)));
        mailbox.appended(3, b"[APPENDUID 1234 4] done");
        assert_eq!(mailbox.exists, 4);
        assert_eq!(mailbox.window(&mut Random::new(1)), Some((1, 4)));
        mailbox.told(b"2 EXPUNGE");
        assert_eq!((mailbox.exists, &mailbox.uids[..]), (3, &[1, 3, 4][..]));
    }

    #[test]
    fn uids_with_gaps_are_learned() {
        let mut mailbox = told(&["2 EXISTS", "OK [UIDNEXT 40] next"]);
        assert!(!mailbox.knows());
        for line in ["1 FETCH (UID 7)", "2 FETCH (UID 9 FLAGS ())", "2 FETCH (FLAGS ())"] {
            mailbox.learn(line.as_bytes());
        }
        assert!(mailbox.knows());
        assert_eq!(mailbox.uids, [7, 9]);
        assert!(matches!(mailbox.one(&mut Random::new(3)), Some(7 | 9)));
    }

    #[test]
    fn a_large_mailbox_is_known_in_part_and_its_window_is_a_screen() {
        let mut mailbox = told(&["4000000000 EXISTS", "OK [UIDNEXT 4000000001] next"]);
        assert!(mailbox.knows());
        assert_eq!(mailbox.uids.len(), KNOWN_MAX as usize);
        for seed in 0..100 {
            let (first, last) = mailbox.window(&mut Random::new(seed)).unwrap();
            assert_eq!(last - first, 49);
            assert!(first > 4_000_000_000 - KNOWN_MAX && last <= 4_000_000_000);
        }
        mailbox.told(b"1 EXPUNGE");
        assert_eq!(mailbox.uids.len(), KNOWN_MAX as usize);
    }

    #[test]
    fn an_empty_mailbox_has_nothing_to_ask_for() {
        let mut mailbox = told(&["0 EXISTS", "OK [UIDNEXT 1] next"]);
        assert!(mailbox.knows());
        assert_eq!(mailbox.one(&mut Random::new(1)), None);
        assert_eq!(mailbox.window(&mut Random::new(1)), None);
    }
}
