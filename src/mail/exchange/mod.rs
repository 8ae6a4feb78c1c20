//! The formats in which other programs keep mail, written and read: mbox and Maildir.
//!
//! Both keep lines that end in LF, while the store keeps CRLF. What is exported and imported again
//! is the same message, but for a lone LF, which becomes CRLF, a CR before a CRLF, which is lost,
//! and a last line without its end, which an mbox adds.

pub mod lines;
pub mod maildir;
pub mod mbox;

use super::mailbox::{Flags, Keyword};
use crate::time::Wall;

/// What is kept of a message besides its octets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Marks {
    pub flags: Flags,
    pub keywords: Vec<Keyword>,
    /// When it came, where that is said.
    pub received: Option<Wall>,
}
