//! MIME: one look at a message as it is delivered, which gives all that IMAP's listings show.
//!
//! [`Scan`] takes the octets of a message in plain form and gives its `Summary`: ENVELOPE and
//! BODYSTRUCTURE as they go over the wire, and where each part lies.
//!
//! The parts come in preorder:
//!
//! - The message itself is the first, at depth 0. Its kind is that of its content type.
//! - The parts of a multipart follow it, one deeper. A multipart has at least one: where no
//!   delimiter came, one of plain text that is the whole body.
//! - A `message/rfc822` or `message/global` is followed by its embedded message, one deeper and
//!   one entry only: its header is the embedded message's header, its body that one's body, and
//!   its kind is that of the embedded message's content type. So where part 2 is a message whose
//!   embedded message is a multipart, 2.1 is the first part of that multipart; where it is not,
//!   2.1 is the embedded message's body. [`locate`] knows these rules.
//!
//! A part's body ends before the line end that belongs to the delimiter; where that line end is
//! the empty line of a header, it stays the header's, and the body is empty. What is beyond the
//! bounds of `limits` is content of the part that it follows; a multipart or message that lies too
//! deep is shown as octets.

mod address;
mod envelope;
mod header;
mod lexer;
mod locate;
mod media;
mod scan;
mod string;
mod structure;
mod tree;

#[cfg(test)]
mod tests;

pub use locate::{Located, locate};
pub use scan::Scan;
pub use structure::plain_structure;
