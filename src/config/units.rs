//! Sizes and times as an operator writes them: `50MiB`, `5m`.

use crate::{
    limits::{CONFIG_SIZE_MAX, CONFIG_TIME_MAX},
    time::Duration,
};

const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1)];

/// In milliseconds, the largest first.
const TIMES: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Octets: digits and `KiB`, `MiB`, `GiB` or nothing.
pub fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZES).filter(|octets| *octets <= CONFIG_SIZE_MAX)
}

/// Digits and `ms`, `s`, `m`, `h` or `d`; a number without a unit could mean anything.
pub(super) fn parse_time(text: &str) -> Option<Duration> {
    parse(text, &TIMES).map(Duration::from_millis).filter(|time| *time <= CONFIG_TIME_MAX)
}

pub fn size_text(octets: u64) -> String {
    text(octets, &SIZES)
}

pub(super) fn time_text(time: Duration) -> String {
    if time.is_zero() {
        return "0s".to_owned();
    }
    text(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), &TIMES)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*scale)
}

/// In the largest unit that leaves no rest.
fn text(value: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .find(|(_, scale)| value > 0 && value.is_multiple_of(*scale))
        .map(|(name, scale)| format!("{}{name}", value / scale))
        .unwrap_or_else(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (written, octets) in [
            ("0", Some(0)),
            ("123", Some(123)),
            ("1KiB", Some(1024)),
            ("50MiB", Some(50 << 20)),
            ("2GiB", Some(2 << 30)),
            ("", None),
            ("MiB", None),
            ("50MB", None),
            ("50 MiB", None),
            ("50mib", None),
            ("-1KiB", None),
            ("1.5GiB", None),
            ("18446744073709551616", None),
            ("18446744073709551615GiB", None),
        ] {
            assert_eq!(parse_size(written), octets, "{written}");
            if let Some(octets) = octets {
                assert_eq!(size_text(octets), written);
            }
        }
    }

    #[test]
    fn times() {
        for (written, millis) in [
            ("0s", Some(0)),
            ("200ms", Some(200)),
            ("2s", Some(2000)),
            ("5m", Some(300_000)),
            ("4h", Some(14_400_000)),
            ("5d", Some(432_000_000)),
            ("5", None),
            ("5M", None),
            ("5min", None),
            ("1h30m", None),
            ("s", None),
            ("", None),
            ("99999999999d", None),
            ("20000d", None),
        ] {
            assert_eq!(parse_time(written), millis.map(Duration::from_millis), "{written}");
            if let Some(millis) = millis {
                assert_eq!(time_text(Duration::from_millis(millis)), written);
            }
        }
    }
}
