//! mbox in its reversible form, mboxrd: before each message a line `From `, and in the message a
//! `>` before each line that could be taken for one. Flags are in the fields `Status`, `X-Status`
//! and `X-Keywords`, as other servers have them.
//!
//! A file is written and read in pieces; of a line no more than `MBOX_LINE_SEEN` octets are held.

mod date;
mod reader;
mod writer;

use memchr::memchr;

pub use self::{
    reader::{Event, Reader},
    writer::Writer,
};
use crate::{limits::MBOX_LINE_SEEN, mail::mailbox::Flags};

/// Cuts octets into lines: of each its start, at most `MBOX_LINE_SEEN` octets with the LF, and
/// then the rest as it comes.
#[derive(Debug, Default)]
struct Lines {
    /// A start that is not complete.
    start: Vec<u8>,
    /// The start of this line has been told.
    inside: bool,
}

/// Where a header stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Header {
    /// On the line `From `.
    Ahead,
    /// In a field that is kept, or before the first.
    Kept,
    /// In one of the fields that keep what a store knows.
    Ours(Field),
    /// Behind it.
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    Status,
    XStatus,
    XKeywords,
    /// Numbers of a store that we have no use for.
    Other,
}

const FIELDS: [(&[u8], Field); 6] = [
    (b"Status:", Field::Status),
    (b"X-Status:", Field::XStatus),
    (b"X-Keywords:", Field::XKeywords),
    (b"X-UID:", Field::Other),
    (b"X-IMAP:", Field::Other),
    (b"X-IMAPbase:", Field::Other),
];

/// Each letter of `Status` and `X-Status` that is a flag.
const LETTERS: [(u8, Field, Flags); 5] = [
    (b'R', Field::Status, Flags::SEEN),
    (b'A', Field::XStatus, Flags::ANSWERED),
    (b'F', Field::XStatus, Flags::FLAGGED),
    (b'D', Field::XStatus, Flags::DELETED),
    (b'T', Field::XStatus, Flags::DRAFT),
];

impl Header {
    /// Where it stands on the next line.
    fn behind(self, line: &[u8]) -> Self {
        let folded = line.starts_with(b" ") || line.starts_with(b"\t");
        match self {
            Header::Over => Header::Over,
            _ if is_blank(line) => Header::Over,
            Header::Ours(_) | Header::Kept if folded => self,
            _ => {
                let starts = |(name, _): &&(&[u8], Field)| {
                    line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
                };
                let field = FIELDS.iter().find(starts).map(|(_, field)| *field);
                field.map_or(Header::Kept, Header::Ours)
            }
        }
    }
}

impl Lines {
    /// Tells each part of a line, and whether the line begins with it.
    fn feed(&mut self, octets: &[u8], mut each: impl FnMut(&[u8], bool)) {
        let mut rest = octets;
        while !rest.is_empty() {
            let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
            let (line, behind) = rest.split_at(end);
            rest = behind;
            let room = if self.inside { 0 } else { MBOX_LINE_SEEN - self.start.len() };
            let (start, more) = line.split_at(line.len().min(room));
            let ends = line.ends_with(b"\n");
            if !self.inside && !ends && start.len() < room {
                self.start.extend_from_slice(start);
                continue;
            }
            if !self.inside && self.start.is_empty() {
                each(start, true);
            } else if !self.inside {
                self.start.extend_from_slice(start);
                each(&self.start, true);
                self.start.clear();
            }
            if !more.is_empty() {
                each(more, false);
            }
            self.inside = !ends;
        }
    }
}

fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

/// `From `, with `>` before it or without. A line of which all that is seen may become one counts
/// as one, however it goes on: with a `>` more it still does, so that what was quoted is found.
fn is_from(start: &[u8]) -> bool {
    let angles = start.iter().take_while(|octet| **octet == b'>').count();
    let rest = &start[angles..];
    rest.starts_with(b"From ") || start.len() == MBOX_LINE_SEEN && b"From ".starts_with(rest)
}

#[cfg(test)]
mod tests;
