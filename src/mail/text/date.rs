//! Reads the date of a `Date:` field, as RFC 5322 §3.3 and §4.3 have it and a little beyond.

use crate::time::Wall;

/// When a message was sent, by its own word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SentDate {
    /// Days since 1970-01-01 of the date as it is written, whatever its time and zone: what
    /// SENTBEFORE, SENTON and SENTSINCE compare (RFC 9051 §6.4.4).
    pub day: i64,
    /// The moment in UTC, by which messages are sorted (RFC 5256 §2.2); 1970 for any before it.
    pub moment: Wall,
}

/// The value of a `Date:` field. `None`: it has no date that ever was. A missing time is midnight;
/// a missing or unknown zone is UTC.
pub fn parse_date(value: &[u8]) -> Option<SentDate> {
    let mut text = Reader { rest: value };
    // RFC 5322 §3.3 has a comma behind the day of the week; nobody misses it.
    text.word();
    text.mark(b',');
    let (day, _) = text.number()?;
    text.mark(b'-');
    let month = month(text.word())?;
    text.mark(b'-');
    let year = text.year()?;
    let day = (1..=days_of_month(year, month)).contains(&day).then(|| days(year, month, day))?;
    let second = day * 86_400 + text.time()? - text.zone();
    let moment = Wall::from_millis(u64::try_from(second).unwrap_or(0) * 1000);
    Some(SentDate { day, moment })
}

/// Takes tokens off the front, and what may stand before each: blanks and comments.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Letters; none where something else stands here.
    fn word(&mut self) -> &'a [u8] {
        self.take_while(u8::is_ascii_alphabetic)
    }

    /// A number and how many digits it has: at most nine.
    fn number(&mut self) -> Option<(i64, usize)> {
        let digits = self.take_while(u8::is_ascii_digit);
        let value = || digits.iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
        (1..=9).contains(&digits.len()).then(|| (value(), digits.len()))
    }

    fn mark(&mut self, mark: u8) -> bool {
        self.skip();
        let rest = self.rest.strip_prefix(&[mark]);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// RFC 5322 §4.3: years of two and three digits.
    fn year(&mut self) -> Option<i64> {
        match self.number()? {
            (year, ..=2) if year < 50 => Some(2000 + year),
            (year, ..=3) => Some(1900 + year),
            (year, 4) => Some(year),
            _ => None,
        }
    }

    /// Seconds of the day.
    fn time(&mut self) -> Option<i64> {
        let Some((hour, _)) = self.number() else { return Some(0) };
        if !self.mark(b':') {
            return None;
        }
        let (minute, _) = self.number()?;
        let second = if self.mark(b':') { self.number()?.0 } else { 0 };
        // RFC 5322 §3.3: a leap second is the sixtieth.
        let right = hour < 24 && minute < 60 && second <= 60;
        right.then_some(hour * 3600 + minute * 60 + second)
    }

    /// Seconds that the zone is ahead of UTC.
    fn zone(&mut self) -> i64 {
        let east = self.mark(b'+');
        if east || self.mark(b'-') {
            return match self.number() {
                Some((zone, 4)) if zone % 100 < 60 => {
                    let seconds = zone / 100 * 3600 + zone % 100 * 60;
                    if east { seconds } else { -seconds }
                }
                _ => 0,
            };
        }
        let name = self.word();
        // RFC 5322 §4.3: other names, and letters of the military, say nothing that is sure.
        let known = ZONES.iter().find(|(zone, _)| zone.eq_ignore_ascii_case(name));
        known.map_or(0, |(_, hours)| hours * 3600)
    }

    fn take_while(&mut self, wanted: impl Fn(&u8) -> bool) -> &'a [u8] {
        self.skip();
        let length = self.rest.iter().take_while(|octet| wanted(octet)).count();
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    /// Over blanks, line ends and comments (RFC 5322 §3.2.2), which may lie within each other.
    fn skip(&mut self) {
        let mut depth = 0_usize;
        while let [first, behind @ ..] = self.rest {
            match first {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b'\\' if depth > 0 => {
                    self.rest = behind.get(1..).unwrap_or_default();
                    continue;
                }
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ if depth > 0 => {}
                _ => return,
            }
            self.rest = behind;
        }
    }
}

const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

/// Hours ahead of UTC.
const ZONES: [(&[u8], i64); 8] = [
    (b"EDT", -4),
    (b"EST", -5),
    (b"CDT", -5),
    (b"CST", -6),
    (b"MDT", -6),
    (b"MST", -7),
    (b"PDT", -7),
    (b"PST", -8),
];

/// From 1, by the first three letters: some write the whole name.
fn month(name: &[u8]) -> Option<i64> {
    let start = name.get(..3)?;
    (1..).zip(MONTHS).find(|(_, month)| start.eq_ignore_ascii_case(*month)).map(|(month, _)| month)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01, by Hinnant's `days_from_civil`: years are counted from March, so that
/// the leap day is a year's last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{mail::date::Date, random::Random};

    #[test]
    fn dates_good_and_bad() {
        for (value, want) in [
            ("Mon, 23 Nov 2026 09:05:00 +0000", Some((20_780, 1_795_424_700))),
            ("Mon, 23 Nov 2026 23:05:00 -0500", Some((20_780, 1_795_493_100))),
            ("Mon, 23 Nov 2026 00:05:00 +0130", Some((20_780, 1_795_386_900))),
            ("23 Nov 2026 09:05 GMT", Some((20_780, 1_795_424_700))),
            ("Mon 23 November 26 09:05:00 EST (New York)", Some((20_780, 1_795_442_700))),
            ("Mon,23-Nov-126 9:5:0 pdt", Some((20_780, 1_795_449_900))),
            (
                "(a (b\\)) c) 23 (x)\r\n Nov(y)2026 09 : 05 : 00 +0000",
                Some((20_780, 1_795_424_700)),
            ),
            ("23 Nov 2026", Some((20_780, 1_795_392_000))),
            ("1 Jan 70 00:00:00 Z", Some((0, 0))),
            ("31 Dec 1969 12:00:00 +0000", Some((-1, 0))),
            ("29 Feb 2000 00:00:60 +0000", Some((11_016, 951_782_460))),
            ("29 Feb 1900 00:00:00 +0000", None),
            ("31 Apr 2026 00:00:00 +0000", None),
            ("0 Apr 2026 00:00:00 +0000", None),
            ("1 Foo 2026 00:00:00 +0000", None),
            ("1 Apr 20260 00:00:00 +0000", None),
            ("1 Apr 2026 24:00:00 +0000", None),
            ("1 Apr 2026 09", None),
            ("1 Apr 2026 00:00:00 +9999", Some((20_544, 1_775_001_600))),
            ("99999999999999999999 Apr 2026", None),
            ("(((", None),
            ("", None),
        ] {
            let want = want
                .map(|(day, second)| SentDate { day, moment: Wall::from_millis(second * 1000) });
            assert_eq!(parse_date(value.as_bytes()), want, "{value:?}");
        }
    }

    #[test]
    fn what_we_write_comes_back() {
        let mut random = Random::from_seed([13; 32]);
        for _ in 0..5000 {
            let second = random.next_u64() % 253_402_300_799;
            let moment = Wall::from_millis(second * 1000);
            let day = (second / 86_400) as i64;
            let found = parse_date(Date::of(moment).as_bytes());
            assert_eq!(found, Some(SentDate { day, moment }), "{second}");
        }
    }
}
