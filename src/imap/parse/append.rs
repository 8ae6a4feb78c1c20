//! APPEND up to each of its messages, and what stands behind them (RFC 3502, RFC 6855 §4).

use bytes::Bytes;
use memchr::memchr;

use super::{Cursor, Dialect, Fault, date, flags, folders};
use crate::imap::command::{Appended, Command, Request};

/// What the first literal of an APPEND is.
pub enum Head {
    /// The mailbox's name: the command goes on behind it.
    Name,
    Message {
        command: Command,
        appended: Appended,
        /// `UTF8 (` stands before the literal, so `)` has to follow it.
        wrapped: bool,
    },
}

/// Whether a command that has just begun is an APPEND.
pub fn is_append(octets: &[u8]) -> bool {
    let verb = memchr(b' ', octets).and_then(|space| octets.get(space + 1..space + 8));
    verb.is_some_and(|verb| verb.eq_ignore_ascii_case(b"APPEND "))
}

/// `octets` end with the line whose literal's header begins at `header`.
pub fn head_of_append(octets: Bytes, header: usize, dialect: Dialect) -> Result<Head, Fault> {
    let mut cursor = Cursor::new(octets, dialect);
    let tag = super::tag(&mut cursor)?;
    cursor.space()?;
    cursor.atom()?;
    cursor.space()?;
    if cursor.at() == header {
        return Ok(Head::Name);
    }
    let request = Request::Append { name: folders::name(&mut cursor)? };
    cursor.space()?;
    let (appended, wrapped) = message(&mut cursor, header)?;
    Ok(Head::Message { command: Command { tag, request }, appended, wrapped })
}

/// The line behind a message announces another one.
pub fn next_of_append(
    line: Bytes,
    header: usize,
    wrapped: bool,
) -> Result<(Appended, bool), Fault> {
    let mut cursor = behind_message(line, wrapped)?;
    cursor.space()?;
    message(&mut cursor, header)
}

/// The line behind the last message.
pub fn end_of_append(line: Bytes, wrapped: bool) -> Result<(), Fault> {
    behind_message(line, wrapped)?.end()
}

fn behind_message(line: Bytes, wrapped: bool) -> Result<Cursor, Fault> {
    let mut cursor = Cursor::new(line, Dialect::default());
    if wrapped {
        cursor.require(b')', "the parenthesis of UTF8 is not closed")?;
    }
    Ok(cursor)
}

/// Flags and date up to the literal, and whether it is within `UTF8 (`.
fn message(cursor: &mut Cursor, header: usize) -> Result<(Appended, bool), Fault> {
    let mut appended = Appended::default();
    if cursor.peek() == Some(b'(') {
        (appended.flags, appended.keywords) = flags::list(cursor)?;
        cursor.space()?;
    }
    if cursor.peek() == Some(b'"') {
        appended.received = Some(date::date_time(&cursor.quoted()?)?);
        cursor.space()?;
    }
    let wrapped = cursor.take_word("UTF8");
    if wrapped {
        cursor.space()?;
        cursor.open()?;
    }
    if cursor.at() != header {
        return Err(Fault::Bad("before the message stand at most its flags and its date"));
    }
    Ok((appended, wrapped))
}
