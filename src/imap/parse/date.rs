//! Dates as SEARCH and APPEND write them.

use super::{Cursor, Dialect, Fault};
use crate::time::Wall;

const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];
const FAULT: Fault = Fault::Bad("a date is written 1-Feb-1994");
const TIME_FAULT: Fault =
    Fault::Bad("a date with its time is written \"01-Feb-1994 21:52:25 -0800\"");

/// RFC 9051 §9 `date`, quoted or not: days since 1970.
pub fn date(cursor: &mut Cursor) -> Result<i64, Fault> {
    let quoted = cursor.take(b'"');
    let days = days(cursor)?;
    if quoted {
        cursor.require(b'"', "a quoted date does not end")?;
    }
    Ok(days)
}

/// RFC 9051 §9 `date-time`, less its quotation marks. What was before 1970 becomes 1970.
pub fn date_time(text: &bytes::Bytes) -> Result<Wall, Fault> {
    let mut cursor = Cursor::new(text.clone(), Dialect::default());
    // A day of one digit has a space before it.
    cursor.take(b' ');
    let seconds = seconds(&mut cursor).map_err(|_| TIME_FAULT)?;
    if cursor.peek().is_some() {
        return Err(TIME_FAULT);
    }
    Ok(Wall::from_millis(u64::try_from(seconds).unwrap_or(0) * 1000))
}

fn seconds(cursor: &mut Cursor) -> Result<i64, Fault> {
    let days = days(cursor)?;
    cursor.space()?;
    let hour = below(cursor, 24)?;
    cursor.require(b':', "")?;
    let minute = below(cursor, 60)?;
    cursor.require(b':', "")?;
    // A leap second is the last of its minute.
    let second = below(cursor, 61)?.min(59);
    cursor.space()?;
    let west = cursor.take(b'-');
    if !west {
        cursor.require(b'+', "")?;
    }
    let zone = below(cursor, 10_000)?;
    let zone = (zone / 100 * 60 + zone % 100) * 60;
    let local = days * 86_400 + hour * 3600 + minute * 60 + second;
    Ok(if west { local + zone } else { local - zone })
}

fn below(cursor: &mut Cursor, bound: u32) -> Result<i64, Fault> {
    let number = cursor.number()?;
    if number < bound { Ok(number.into()) } else { Err(FAULT) }
}

fn days(cursor: &mut Cursor) -> Result<i64, Fault> {
    let day = cursor.number().map_err(|_| FAULT)?;
    cursor.require(b'-', "a date is written 1-Feb-1994")?;
    let name = cursor.run(|octet| octet.is_ascii_alphabetic()).to_ascii_lowercase();
    let month = MONTHS.iter().position(|month| **month == *name).ok_or(FAULT)? as i64 + 1;
    cursor.require(b'-', "a date is written 1-Feb-1994")?;
    let year = cursor.number().map_err(|_| FAULT)?;
    if !(1..=9999).contains(&year) || !(1..=month_length(i64::from(year), month)).contains(&day) {
        return Err(FAULT);
    }
    Ok(days_since_1970(year.into(), month, day.into()))
}

fn month_length(year: i64, month: i64) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Hinnant's `days_from_civil`: years are counted from March, so that the leap day is a year's
/// last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}
