//! When to clear away what nobody looks at any more: expunged messages, deleted mailboxes.

use std::time::{Duration, Instant};

use crate::{
    limits::{CLEAR_REST, SPACE_CHECK},
    store::mailbox::Purged,
};

/// Clearing goes in small steps that ride along with a commit, or make one of their own when none
/// comes.
pub struct Clearing {
    /// The next step; `None`: there is nothing that could be cleared.
    due: Option<Instant>,
    /// What was known of who looks at what, when there was last nothing to do.
    watched: u64,
}

impl Clearing {
    /// At a start nobody looks at anything, and a crash may have left much.
    pub fn new() -> Self {
        Self { due: Some(Instant::now()), watched: 0 }
    }

    /// Messages have been expunged, perhaps, or sessions told; `watched` counts what was said of
    /// who looks at what.
    pub fn look_again(&mut self, changed: bool, watched: u64) {
        if self.due.is_none() && (changed || watched != self.watched) {
            self.due = Some(Instant::now() + SPACE_CHECK);
        }
        self.watched = watched;
    }

    pub fn is_due(&self) -> bool {
        self.due.is_some_and(|due| due <= Instant::now())
    }

    /// How long until the next step, should no commit come before.
    pub fn until_due(&self) -> Duration {
        self.due.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()))
    }

    /// A step was made; it is on the disk.
    pub fn cleared(&mut self, purged: Purged) {
        self.due = match purged {
            Purged { more: true, .. } => Some(Instant::now() + CLEAR_REST),
            Purged { rows: 0, .. } => None,
            Purged { .. } => Some(Instant::now() + SPACE_CHECK),
        };
    }

    /// It could not be made now.
    pub fn put_off(&mut self) {
        self.due = Some(Instant::now() + SPACE_CHECK);
    }
}
