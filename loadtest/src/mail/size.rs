//! How large the messages are: what `--size` says.

use std::{path::PathBuf, str::FromStr};

use crate::units;

/// No larger message is made: a template lies in memory whole.
pub const SIZE_MAX: u64 = 256 * 1024 * 1024;

/// The sizes or the messages to choose from.
#[derive(Clone, Debug, PartialEq)]
pub enum Sizes {
    /// Octets and weight: plain text.
    List(Vec<(u64, f64)>),
    /// As mail is: text, HTML and attachments.
    Mix,
    /// A message as a file, or a folder of them.
    Files(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub enum SizeError {
    #[error("`{0}` is no size; write 4KiB, a list as 1KiB,4KiB*3,64KiB, mix, or path:FILE")]
    Size(String),
    #[error("`{0}` is no weight above 0; write it as 4KiB*3")]
    Weight(String),
    #[error("{0} octets are more than {SIZE_MAX}, the largest message; ask for less")]
    TooLarge(u64),
}

impl FromStr for Sizes {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Sizes, SizeError> {
        if text == "mix" {
            return Ok(Sizes::Mix);
        }
        if let Some(path) = text.strip_prefix("path:") {
            return Ok(Sizes::Files(path.into()));
        }
        text.split(',').map(weighted).collect::<Result<_, _>>().map(Sizes::List)
    }
}

fn weighted(text: &str) -> Result<(u64, f64), SizeError> {
    let (size, weight) = text.split_once('*').unwrap_or((text, "1"));
    let octets = units::octets(size.trim()).map_err(|_| SizeError::Size(text.into()))?;
    let weight: f64 = weight.trim().parse().map_err(|_| SizeError::Weight(text.into()))?;
    if !(weight.is_finite() && weight > 0.0) {
        return Err(SizeError::Weight(text.into()));
    }
    if octets > SIZE_MAX {
        return Err(SizeError::TooLarge(octets));
    }
    Ok((octets, weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifications_and_what_they_mean() {
        let cases: &[(&str, Sizes)] = &[
            ("4KiB", Sizes::List(vec![(4096, 1.0)])),
            ("1000", Sizes::List(vec![(1000, 1.0)])),
            ("1KiB,4KiB*3,64KiB*0.5", Sizes::List(vec![(1024, 1.0), (4096, 3.0), (65536, 0.5)])),
            ("mix", Sizes::Mix),
            ("path:/a/b.eml", Sizes::Files("/a/b.eml".into())),
        ];
        for (text, expected) in cases {
            assert_eq!(&text.parse::<Sizes>().unwrap(), expected, "{text}");
        }
        for text in ["", "x", "4KiB,", "4KiB*0", "4KiB*-1", "4KiB*x", "4KiB*nan", "1024GiB"] {
            assert!(text.parse::<Sizes>().is_err(), "{text}");
        }
    }
}
