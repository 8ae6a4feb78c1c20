//! One command, its literals in place, becomes a `Command` or a fault.

mod append;
mod cursor;
mod date;
mod fetch;
mod flags;
mod folders;
mod search;

use bytes::Bytes;
use data_encoding::BASE64;

pub use append::{Head, end_of_append, head_of_append, is_append, next_of_append};
use cursor::Cursor;

use super::{
    command::{Command, Request, Set},
    frame::Dialect,
};
use crate::{
    limits::{ID_FIELDS_MAX, IMAP_SET_MAX, IMAP_WORDS_MAX},
    mail::mailbox::NameError,
};

/// Why a command is not carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    Bad(&'static str),
    TooBig(&'static str),
    /// SEARCH names a charset that we do not know; `saving`: its result was to be kept.
    Charset {
        saving: bool,
    },
    /// No mailbox can have that name.
    Name(NameError),
    /// CREATE asks for a special use that we do not have.
    Use,
}

/// The tag is there where it could be read.
pub fn parse(octets: Bytes, dialect: Dialect) -> Result<Command, (Option<Bytes>, Fault)> {
    let mut cursor = Cursor::new(octets, dialect);
    let tag = tag(&mut cursor).map_err(|fault| (None, fault))?;
    match request(&mut cursor) {
        Ok(request) => Ok(Command { tag, request }),
        Err(fault) => Err((Some(tag), fault)),
    }
}

/// The tag of a command of which only the beginning may be there.
pub fn tag_of(octets: &[u8]) -> Option<Bytes> {
    let length = octets.iter().position(|octet| !is_tag(*octet))?;
    let has_tag = length > 0 && octets[length] == b' ';
    has_tag.then(|| Bytes::copy_from_slice(&octets[..length]))
}

/// RFC 9051 §9 `tag`: what an astring may hold, less `+`.
fn is_tag(octet: u8) -> bool {
    cursor::is_astring(octet) && octet != b'+' && octet.is_ascii()
}

fn tag(cursor: &mut Cursor) -> Result<Bytes, Fault> {
    let tag = cursor.run(is_tag);
    if tag.is_empty() || cursor.peek() != Some(b' ') {
        return Err(Fault::Bad("a command begins with a tag and a space"));
    }
    Ok(tag)
}

fn request(cursor: &mut Cursor) -> Result<Request, Fault> {
    cursor.space()?;
    let verb = cursor.word()?;
    let request = match verb.as_slice() {
        b"UID" => {
            cursor.space()?;
            let verb = cursor.word()?;
            on_messages(cursor, &verb, true)?
        }
        verb => match bare(verb) {
            Some(request) => request,
            None => with_arguments(cursor, verb)?,
        },
    };
    cursor.end()?;
    Ok(request)
}

/// The commands that have no arguments.
fn bare(verb: &[u8]) -> Option<Request> {
    Some(match verb {
        b"CAPABILITY" => Request::Capability,
        b"NOOP" => Request::Noop,
        b"LOGOUT" => Request::Logout,
        b"STARTTLS" => Request::StartTls,
        b"NAMESPACE" => Request::Namespace,
        b"IDLE" => Request::Idle,
        b"CHECK" => Request::Check,
        b"CLOSE" => Request::Close,
        b"UNSELECT" => Request::Unselect,
        b"EXPUNGE" => Request::Expunge,
        _ => return None,
    })
}

fn with_arguments(cursor: &mut Cursor, verb: &[u8]) -> Result<Request, Fault> {
    match verb {
        b"ID" => id(cursor),
        b"LOGIN" => {
            cursor.space()?;
            let user = cursor.astring()?;
            cursor.space()?;
            Ok(Request::Login { user, password: cursor.astring()? })
        }
        b"AUTHENTICATE" => authenticate(cursor),
        b"ENABLE" => enable(cursor),
        b"APPEND" => Err(Fault::Bad("APPEND brings its message as a literal")),
        b"GETQUOTA" => {
            cursor.space()?;
            Ok(Request::GetQuota { root: cursor.astring()? })
        }
        b"SETQUOTA" => {
            // Quotas are the operator's; what is asked for does not matter.
            cursor.space()?;
            cursor.astring()?;
            cursor.run(|octet| octet != b'\r' && octet != b'\n');
            Ok(Request::SetQuota)
        }
        b"COMPRESS" => {
            cursor.space()?;
            if !cursor.take_word("DEFLATE") {
                return Err(Fault::Bad("the one compression here is DEFLATE"));
            }
            Ok(Request::CompressDeflate)
        }
        b"SELECT" | b"EXAMINE" | b"CREATE" | b"DELETE" | b"RENAME" | b"SUBSCRIBE"
        | b"UNSUBSCRIBE" | b"LIST" | b"LSUB" | b"STATUS" | b"GETQUOTAROOT" => {
            cursor.space()?;
            folders::request(cursor, verb)
        }
        _ => on_messages(cursor, verb, false),
    }
}

/// What UID may stand before.
fn on_messages(cursor: &mut Cursor, verb: &[u8], by_uid: bool) -> Result<Request, Fault> {
    match verb {
        b"FETCH" => fetch::fetch(cursor, by_uid),
        b"STORE" => flags::store(cursor, by_uid),
        b"SEARCH" => search::search(cursor, by_uid),
        b"COPY" | b"MOVE" => {
            cursor.space()?;
            let set = set(cursor)?;
            cursor.space()?;
            let to = folders::name(cursor)?;
            Ok(Request::Copy { set, by_uid, to, moving: verb == b"MOVE" })
        }
        // RFC 4315 §2.1
        b"EXPUNGE" if by_uid => {
            cursor.space()?;
            Ok(Request::UidExpunge { set: set(cursor)? })
        }
        _ => Err(Fault::Bad("that command is not known here")),
    }
}

/// RFC 2971 §3.1
fn id(cursor: &mut Cursor) -> Result<Request, Fault> {
    cursor.space()?;
    let mut fields = Vec::new();
    if cursor.take_word("NIL") {
        return Ok(Request::Id(fields));
    }
    cursor.open()?;
    if cursor.take(b')') {
        return Ok(Request::Id(fields));
    }
    loop {
        let field = cursor.string()?;
        cursor.space()?;
        let value = if cursor.take_word("NIL") { None } else { Some(cursor.string()?) };
        if fields.len() == ID_FIELDS_MAX {
            return Err(Fault::TooBig("ID takes at most 30 fields"));
        }
        fields.push((field, value));
        if !cursor.goes_on()? {
            return Ok(Request::Id(fields));
        }
    }
}

fn authenticate(cursor: &mut Cursor) -> Result<Request, Fault> {
    cursor.space()?;
    let mechanism = cursor.atom()?.to_ascii_uppercase().into();
    if cursor.at_end() {
        return Ok(Request::Authenticate { mechanism, initial: None });
    }
    // RFC 4959 §3: `=` is an initial response of no octets.
    cursor.space()?;
    let text = cursor.atom()?;
    let initial = if *text == *b"=" {
        Bytes::new()
    } else {
        let decoded = BASE64.decode(&text);
        decoded.map_err(|_| Fault::Bad("the initial response is not in base64"))?.into()
    };
    Ok(Request::Authenticate { mechanism, initial: Some(initial) })
}

/// RFC 5161 §3.1
fn enable(cursor: &mut Cursor) -> Result<Request, Fault> {
    let mut capabilities: Vec<Bytes> = Vec::new();
    while cursor.take(b' ') && !cursor.at_end() {
        if capabilities.len() == IMAP_WORDS_MAX {
            return Err(Fault::TooBig("ENABLE names too many capabilities"));
        }
        capabilities.push(cursor.atom()?.to_ascii_uppercase().into());
    }
    if capabilities.is_empty() {
        return Err(Fault::Bad("ENABLE names what is to be enabled"));
    }
    Ok(Request::Enable(capabilities))
}

/// RFC 9051 §9 `sequence-set`
fn set(cursor: &mut Cursor) -> Result<Set, Fault> {
    // RFC 5182 §2.1
    if cursor.take(b'$') {
        return Ok(Set::Saved);
    }
    let mut ranges = Vec::new();
    loop {
        let first = number_or_star(cursor)?;
        let last = if cursor.take(b':') { number_or_star(cursor)? } else { first };
        if ranges.len() == IMAP_SET_MAX {
            return Err(Fault::TooBig("the set has too many ranges; ask for it in parts"));
        }
        ranges.push((first, last));
        if !cursor.take(b',') {
            return Ok(Set::Ranges(ranges));
        }
    }
}

fn number_or_star(cursor: &mut Cursor) -> Result<Option<u32>, Fault> {
    if cursor.take(b'*') { Ok(None) } else { cursor.positive().map(Some) }
}

#[cfg(test)]
pub mod tests;
