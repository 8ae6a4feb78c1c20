//! A verdict: what one attempt means for one recipient.

use bytes::Bytes;

use super::Status;

/// What becomes of the recipient.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// The next hop has taken responsibility (RFC 5321 §6.1).
    Delivered,
    /// To be tried again, until the message expires.
    Deferred,
    /// Never: the sender gets a report.
    Failed,
}

/// An outcome with its reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    pub outcome: Outcome,
    pub status: Status,
    /// For people: the remote's reply with its code, or our own sentence. UTF-8, no CR or LF, at
    /// most `REPLY_TEXT_KEPT` octets.
    pub reason: Bytes,
    /// The reason is the remote's reply (RFC 3464's `Diagnostic-Code: smtp;`), not our own words.
    pub remote_said: bool,
}

impl Verdict {
    /// A verdict in our own words.
    pub fn own(outcome: Outcome, status: Status, reason: impl Into<Bytes>) -> Self {
        Self { outcome, status, reason: reason.into(), remote_said: false }
    }
}
