//! Dates of RFC 5322 §3.3, in UTC.

use std::fmt;

use crate::time::Wall;

/// `Mon, 23 Nov 2026 09:05:00 +0000`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Date([u8; 31]);

const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
/// 9999-12-31T23:59:59Z: the last second with a year of four digits.
const LAST_SECOND: u64 = 253_402_300_799;

impl Date {
    /// Formatted by hand: each message needs one, and this takes some ten nanoseconds.
    pub fn of(wall: Wall) -> Self {
        let seconds = (wall.as_millis() / 1000).min(LAST_SECOND);
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        let mut text = *b"Thu, 01 Jan 1970 00:00:00 +0000";
        text[..3].copy_from_slice(DAYS[(days % 7) as usize]);
        two_digits(&mut text[5..7], day);
        text[8..11].copy_from_slice(MONTHS[(month - 1) as usize]);
        two_digits(&mut text[12..14], year / 100);
        two_digits(&mut text[14..16], year % 100);
        two_digits(&mut text[17..19], second / 3600);
        two_digits(&mut text[20..22], second / 60 % 60);
        two_digits(&mut text[23..25], second % 60);
        Self(text)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

/// Year, month and day of a day since 1970-01-01, by Hinnant's `civil_from_days`: years are
/// counted from March, so that the leap day is a year's last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

fn two_digits(place: &mut [u8], value: u64) {
    place[0] = b'0' + (value / 10) as u8;
    place[1] = b'0' + (value % 10) as u8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_jiff() {
        let mut random = crate::random::Random::from_seed([5; 32]);
        // jiff keeps back the last day, for the time zones.
        let last = LAST_SECOND - 100_000;
        let some = [0, 951_782_399, 951_782_400, 1_709_164_800, 4_107_542_400, last];
        for second in some.into_iter().chain((0..5000).map(|_| random.next_u64() % last)) {
            let want = jiff::Timestamp::from_second(second.cast_signed())
                .unwrap()
                .strftime("%a, %d %b %Y %H:%M:%S +0000")
                .to_string();
            assert_eq!(Date::of(Wall::from_millis(second * 1000 + 7)).to_string(), want);
        }
        assert_eq!(Date::of(Wall::MAX).to_string(), "Fri, 31 Dec 9999 23:59:59 +0000");
    }
}
