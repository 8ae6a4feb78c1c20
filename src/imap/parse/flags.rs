//! Flags and keywords, and STORE, which changes them.

use super::{Cursor, Fault, set};
use crate::{
    imap::command::{Request, Store},
    limits::KEYWORDS_MAX,
    mail::mailbox::{Flags, How, Keyword, ModSeq},
};

/// RFC 9051 §6.4.6, RFC 7162 §3.1.3
pub fn store(cursor: &mut Cursor, by_uid: bool) -> Result<Request, Fault> {
    cursor.space()?;
    let set = set(cursor)?;
    cursor.space()?;
    let mut unchanged_since = None;
    if cursor.take(b'(') {
        if !cursor.take_word("UNCHANGEDSINCE") {
            return Err(Fault::Bad("the one modifier of STORE is UNCHANGEDSINCE"));
        }
        cursor.space()?;
        unchanged_since = Some(ModSeq(cursor.number64()?));
        cursor.require(b')', "a closing parenthesis is missing")?;
        cursor.space()?;
    }
    let how = match cursor.peek() {
        Some(b'+') => How::Add,
        Some(b'-') => How::Remove,
        _ => How::Replace,
    };
    let _ = cursor.take(b'+') || cursor.take(b'-');
    let silent = match cursor.word()?.as_slice() {
        b"FLAGS" => false,
        b"FLAGS.SILENT" => true,
        _ => return Err(Fault::Bad("what STORE changes is FLAGS or FLAGS.SILENT")),
    };
    cursor.space()?;
    let (flags, keywords) = match cursor.peek() {
        Some(b'(') => list(cursor)?,
        _ => spaced(cursor)?,
    };
    let store = Store { set, by_uid, how, silent, flags, keywords, unchanged_since };
    Ok(Request::Store(Box::new(store)))
}

/// RFC 9051 §9 `flag-list`
pub fn list(cursor: &mut Cursor) -> Result<(Flags, Vec<Keyword>), Fault> {
    let mut found = (Flags::default(), Vec::new());
    cursor.open()?;
    if cursor.take(b')') {
        return Ok(found);
    }
    loop {
        one(cursor, &mut found)?;
        if !cursor.goes_on()? {
            return Ok(found);
        }
    }
}

/// A keyword as an argument of SEARCH; `None`: no message can have it.
pub fn keyword(cursor: &mut Cursor) -> Result<Option<Keyword>, Fault> {
    Ok(Keyword::parse(cursor.atom()?).ok())
}

fn spaced(cursor: &mut Cursor) -> Result<(Flags, Vec<Keyword>), Fault> {
    let mut found = (Flags::default(), Vec::new());
    one(cursor, &mut found)?;
    while cursor.take(b' ') && !cursor.at_end() {
        one(cursor, &mut found)?;
    }
    Ok(found)
}

fn one(cursor: &mut Cursor, (flags, keywords): &mut (Flags, Vec<Keyword>)) -> Result<(), Fault> {
    if cursor.take(b'\\') {
        let name = cursor.atom()?;
        let known = |(_, known): &&(Flags, &str)| known.as_bytes()[1..].eq_ignore_ascii_case(&name);
        // RFC 9051 §7.1: what is not among PERMANENTFLAGS, `\Recent` with it, is ignored.
        if let Some((flag, _)) = Flags::ALL.iter().find(known) {
            *flags = flags.with(*flag);
        }
        return Ok(());
    }
    let keyword = Keyword::parse(cursor.atom()?);
    let keyword =
        keyword.map_err(|_| Fault::Bad("a keyword is an atom of at most 100 characters"))?;
    if keywords.contains(&keyword) {
        return Ok(());
    }
    if keywords.len() == KEYWORDS_MAX {
        return Err(Fault::TooBig("a message has at most 64 keywords"));
    }
    keywords.push(keyword);
    Ok(())
}
