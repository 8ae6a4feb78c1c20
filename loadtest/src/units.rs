//! Sizes, times and rates as people write and read them.

use std::time::Duration;

use thiserror::Error;

/// The longest time taken from a command line: far below where adding it to a clock overflows.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 3_600);

/// The lowest and highest rate, in events a second: both make an interval that a clock can hold.
const RATE_MIN: f64 = 1.0 / 86_400.0;
const RATE_MAX: f64 = 1e9;

const OCTETS: &[(&str, u64)] =
    &[("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// In microseconds.
const TIMES: &[(&str, u64)] = &[
    ("us", 1),
    ("µs", 1),
    ("ms", 1_000),
    ("s", 1_000_000),
    ("m", 60 * 1_000_000),
    ("h", 3_600 * 1_000_000),
];

/// In seconds.
const PERIODS: &[(&str, f64)] = &[("", 1.0), ("/s", 1.0), ("/min", 60.0), ("/h", 3_600.0)];

/// Why a text is no size, time or rate.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnitError {
    #[error("`{0}` is no size: write a whole number and B, KiB, MiB or GiB, such as 4KiB")]
    Octets(String),
    #[error("`{0}` is no time: write a whole number and us, ms, s, m or h, such as 10s")]
    Duration(String),
    #[error("`{0}` is no rate: write a number and /s, /min or /h, such as 500/s")]
    Rate(String),
    #[error("`{0}` is too much: write a smaller number")]
    TooMuch(String),
    #[error("`{0}` is too slow: write a rate of at least one a day")]
    TooSlow(String),
}

/// A size in octets: `512`, `512B`, `4KiB`, `10MiB`, `1GiB`.
pub fn octets(text: &str) -> Result<u64, UnitError> {
    let fault = || UnitError::Octets(text.to_owned());
    let (number, unit) = split(text);
    let scale = scale_of(unit, OCTETS).ok_or_else(fault)?;
    let number = whole(number).ok_or_else(fault)?;
    u64::try_from(number * u128::from(scale)).map_err(|_| UnitError::TooMuch(text.to_owned()))
}

/// A time: `250us`, `5ms`, `10s`, `2m`, `1h`. It names its unit, for `10` could be any.
pub fn duration(text: &str) -> Result<Duration, UnitError> {
    let fault = || UnitError::Duration(text.to_owned());
    let (number, unit) = split(text);
    let scale = scale_of(unit, TIMES).ok_or_else(fault)?;
    let number = whole(number).ok_or_else(fault)?;
    u64::try_from(number * u128::from(scale))
        .map(Duration::from_micros)
        .ok()
        .filter(|time| *time <= DURATION_MAX)
        .ok_or_else(|| UnitError::TooMuch(text.to_owned()))
}

/// A rate in events a second: `500`, `500/s`, `90/min`, `1.5/h`. Never zero.
pub fn rate(text: &str) -> Result<f64, UnitError> {
    let fault = || UnitError::Rate(text.to_owned());
    let (number, unit) = split(text);
    let period = scale_of(unit, PERIODS).ok_or_else(fault)?;
    let rate = number.parse::<f64>().map_err(|_| fault())? / period;
    if rate > RATE_MAX {
        Err(UnitError::TooMuch(text.to_owned()))
    } else if rate < RATE_MIN {
        Err(UnitError::TooSlow(text.to_owned()))
    } else {
        Ok(rate)
    }
}

/// `312 B`, `4 KiB`, `1.5 MiB`: three digits, without noughts that say nothing.
pub fn show_octets(octets: u64) -> String {
    let &(unit, scale) =
        OCTETS[1..].iter().rev().find(|(_, scale)| octets >= *scale).unwrap_or(&OCTETS[1]);
    let shown = three_digits(octets as f64 / scale as f64);
    let shown = if shown.contains('.') {
        shown.trim_end_matches('0').trim_end_matches('.')
    } else {
        &shown
    };
    format!("{shown} {unit}")
}

/// `850 µs`, `1.23 ms`, `12.3 s`: microseconds with three digits.
pub fn show_micros(micros: f64) -> String {
    // The next unit begins where rounding to three digits would show 1000 of this one.
    if micros < 999.5 {
        format!("{} µs", three_digits(micros))
    } else if micros < 999_500.0 {
        format!("{} ms", three_digits(micros / 1e3))
    } else {
        format!("{} s", three_digits(micros / 1e6))
    }
}

/// `1,234,567`.
pub fn show_count(count: u64) -> String {
    let digits = count.to_string();
    let mut shown = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

fn three_digits(value: f64) -> String {
    if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

/// The number and the unit behind it; a space between them does no harm.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

fn scale_of<T: Copy>(unit: &str, scales: &[(&str, T)]) -> Option<T> {
    scales.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale)
}

/// In 128 bits, so that no scale makes a 64-bit number overflow.
fn whole(number: &str) -> Option<u128> {
    number.parse::<u64>().ok().map(u128::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_read() {
        for (text, want) in [
            ("0", Some(0)),
            ("512", Some(512)),
            ("512B", Some(512)),
            ("4KiB", Some(4096)),
            (" 10 MiB ", Some(10 << 20)),
            ("3GiB", Some(3 << 30)),
            ("18446744073709551615", Some(u64::MAX)),
        ] {
            assert_eq!(octets(text).ok(), want, "{text}");
        }
        for text in
            ["", "KiB", "4kb", "4K", "-1", "1.5KiB", "4 KiB x", "0x10", "18446744073709551616"]
        {
            assert_eq!(octets(text), Err(UnitError::Octets(text.into())));
        }
        let text = "18446744073709551615KiB";
        assert_eq!(octets(text), Err(UnitError::TooMuch(text.into())));
    }

    #[test]
    fn times_are_read() {
        for (text, micros) in [
            ("0s", 0),
            ("250us", 250),
            ("250µs", 250),
            ("5ms", 5_000),
            ("10s", 10_000_000),
            ("2m", 120_000_000),
            ("1h", 3_600_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_micros(micros)), "{text}");
        }
        for text in ["", "10", "s", "1.5s", "-1s", "1d", "1S"] {
            assert_eq!(duration(text), Err(UnitError::Duration(text.into())));
        }
        for text in ["8761h", "18446744073709551615h"] {
            assert_eq!(duration(text), Err(UnitError::TooMuch(text.into())));
        }
    }

    #[test]
    fn rates_are_read() {
        for (text, want) in
            [("500", 500.0), ("500/s", 500.0), ("90/min", 1.5), ("1.5/s", 1.5), ("7200/h", 2.0)]
        {
            assert_eq!(rate(text), Ok(want), "{text}");
        }
        for text in ["", "/s", "inf", "nan", "1e9", "-5/s", "5/d", "1.2.3/s"] {
            assert_eq!(rate(text), Err(UnitError::Rate(text.into())));
        }
        for text in ["0", "0/s", "0.00001/s", "0.01/h"] {
            assert_eq!(rate(text), Err(UnitError::TooSlow(text.into())));
        }
        assert_eq!(rate("1000000001"), Err(UnitError::TooMuch("1000000001".into())));
    }

    #[test]
    fn sizes_times_and_counts_are_shown() {
        for (octets, want) in [
            (0, "0 B"),
            (312, "312 B"),
            (1023, "1023 B"),
            (4096, "4 KiB"),
            (1_572_864, "1.5 MiB"),
            (10 << 30, "10 GiB"),
            (500 << 30, "500 GiB"),
        ] {
            assert_eq!(show_octets(octets), want);
        }
        for (micros, want) in [
            (0.0, "0.00 µs"),
            (8.5, "8.50 µs"),
            (850.0, "850 µs"),
            (999.6, "1.00 ms"),
            (1_234.0, "1.23 ms"),
            (99_960.0, "100 ms"),
            (999_600.0, "1.00 s"),
            (12_300_000.0, "12.3 s"),
        ] {
            assert_eq!(show_micros(micros), want);
        }
        for (count, want) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345, "12,345"), (1_234_567, "1,234,567")]
        {
            assert_eq!(show_count(count), want);
        }
    }
}
