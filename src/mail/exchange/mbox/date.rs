//! The line before a message of an mbox file, and its date.

use crate::{mail::date::Date, time::Wall};

const DAYS: &[u8] = b"MonTueWedThuFriSatSun";
const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// As `asctime` of the C library has it, in UTC (RFC 4155).
pub(super) fn asctime(wall: Wall) -> [u8; 24] {
    let date = Date::of(wall);
    let date = date.as_bytes();
    let mut text = *b"Thu Jan  1 00:00:00 1970";
    text[..3].copy_from_slice(&date[..3]);
    text[4..7].copy_from_slice(&date[8..11]);
    text[8] = if date[5] == b'0' { b' ' } else { date[5] };
    text[9] = date[6];
    text[11..19].copy_from_slice(&date[17..25]);
    text[20..].copy_from_slice(&date[12..16]);
    text
}

/// When a message came by the line before it; `None`: it is no such line, but text of a message
/// whose writer did not quote it. `From sender Mon Nov 23 09:05:00 2026`, with or without seconds,
/// a zone before or behind the year.
pub(super) fn from_line(line: &[u8]) -> Option<Wall> {
    let words = line.strip_prefix(b"From ")?.split(u8::is_ascii_whitespace);
    let words = Vec::from_iter(words.filter(|word| !word.is_empty()));
    let name = |names: &[u8], word: &[u8]| {
        names.chunks(3).position(|name| name.eq_ignore_ascii_case(word))
    };
    let at = words
        .windows(2)
        .position(|pair| name(DAYS, pair[0]).is_some() && name(MONTHS, pair[1]).is_some())?;
    let month = name(MONTHS, words.get(at + 1)?)? as i64 + 1;
    let day = number(words.get(at + 2)?).filter(|day| (1..=31).contains(day))?;
    let mut time = words.get(at + 3)?.split(|octet| *octet == b':').map(number);
    let hour = time.next()?.filter(|hour| *hour < 24)?;
    let minute = time.next()?.filter(|minute| *minute < 60)?;
    let second = time.next().unwrap_or(Some(0)).filter(|second| *second <= 60)?;
    let behind = &words[at + 4..];
    let year = behind.iter().filter(|word| word.len() == 4).find_map(|word| number(word))?;
    let zone = behind.iter().find_map(|word| zone(word)).unwrap_or(0);
    let days = days_since_1970(year, month, day);
    let seconds = ((days * 24 + hour) * 60 + minute - zone) * 60 + second;
    Some(Wall::from_millis(u64::try_from(seconds).ok()? * 1000))
}

/// Minutes east of Greenwich.
fn zone(word: &[u8]) -> Option<i64> {
    let (sign, digits) = match word.split_first()? {
        (b'+', digits) => (1, digits),
        (b'-', digits) => (-1, digits),
        _ => return None,
    };
    let number = number(digits).filter(|_| digits.len() == 4)?;
    Some(sign * (number / 100 * 60 + number % 100))
}

/// Of at most four digits.
fn number(word: &[u8]) -> Option<i64> {
    if word.is_empty() || word.len() > 4 || !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(word.iter().fold(0, |number, octet| number * 10 + i64::from(*octet - b'0')))
}

/// Hinnant's `days_from_civil`: years are counted from March, so that the leap day is a year's
/// last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}
