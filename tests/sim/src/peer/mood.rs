//! The mood of a host, which the weather changes.

/// How a host feels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mood {
    Good,
    /// Refuses connections.
    Down,
    /// No route to it.
    Unreachable,
    /// Connections to it are never made.
    Hole,
    /// 421 instead of a greeting.
    Busy,
    /// 554 instead of a greeting.
    Closed,
    /// Lets in and says nothing.
    Mute,
    /// Every step takes long.
    Slow,
}
