//! What the rules of the sink and of the name server have in common: lines of words `name=value`
//! with a probability and a delay.

use std::time::Duration;

use thiserror::Error;

use crate::units;

/// A longer delay outlives whoever waits: both have a word for never answering.
const DELAY_MAX: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WordError {
    #[error("`{0}` is no probability; use a number above 0 and up to 1")]
    Probability(String),
    #[error("`{0}` is no delay; use a time up to 1h as 250ms, 10s or 5m")]
    Delay(String),
    #[error("`{0}` says what another word has said; leave one, or write two rules")]
    Again(String),
}

/// Keeps the value of a word, the only one of its kind in the rule.
pub fn keep<T>(place: &mut Option<T>, value: T, word: &str) -> Result<(), WordError> {
    match place.replace(value) {
        Some(_) => Err(WordError::Again(word.into())),
        None => Ok(()),
    }
}

/// The value of `p=`.
pub fn probability(value: &str) -> Result<f64, WordError> {
    let probability = value.parse().ok().filter(|&p: &f64| p > 0.0 && p <= 1.0);
    probability.ok_or_else(|| WordError::Probability(value.into()))
}

/// The value of `delay=`.
pub fn delay(value: &str) -> Result<Duration, WordError> {
    let delay = units::duration(value).ok().filter(|delay| *delay <= DELAY_MAX);
    delay.ok_or_else(|| WordError::Delay(value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_or_refused() {
        for (text, read) in [("1", Some(1.0)), ("0.25", Some(0.25))] {
            assert_eq!(probability(text).ok(), read, "{text}");
        }
        for text in ["", "0", "1.5", "-1", "NaN", "half"] {
            assert_eq!(probability(text), Err(WordError::Probability(text.into())));
        }
        assert_eq!(delay("1h"), Ok(DELAY_MAX));
        for text in ["", "2h", "soon"] {
            assert_eq!(delay(text), Err(WordError::Delay(text.into())));
        }
    }
}
