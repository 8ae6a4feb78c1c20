//! What became of a login.

/// The answer to a user's name and password. A user that is unknown is told the same as one whose
/// password is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Granted,
    Refused,
    /// Nothing was checked: too many passwords wait, or too many of this client were wrong. The
    /// client may come again.
    Busy,
}
