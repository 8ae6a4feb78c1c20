//! When an attempt is repeated, when its sender is warned, when a message is given up.

use crate::time::Duration;

/// `[retry]` of the configuration.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    pub first: Duration,
    /// At least 1.
    pub factor: f64,
    pub max: Duration,
    /// 0.0 to 1.0: the part of an interval that is left to chance.
    pub jitter: f64,
    /// Zero: no delay notice.
    pub warn_after: Duration,
    pub expire: Duration,
}
