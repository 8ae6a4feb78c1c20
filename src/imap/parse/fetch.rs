//! FETCH: which items of which messages (RFC 9051 §6.4.5, RFC 3516, RFC 7162 §3.1.4).

use bytes::Bytes;

use super::{Cursor, Fault, set};
use crate::{
    imap::command::{BodyForm, BodyItem, Fetch, FetchItem, Request, Section},
    limits::{FETCH_ITEMS_MAX, IMAP_WORDS_MAX},
    mail::mailbox::ModSeq,
};

const UNKNOWN_ITEM: Fault = Fault::Bad("FETCH does not know that item");

pub fn fetch(cursor: &mut Cursor, by_uid: bool) -> Result<Request, Fault> {
    cursor.space()?;
    let set = set(cursor)?;
    cursor.space()?;
    let items = items(cursor)?;
    let mut fetch = Fetch { set, by_uid, items, changed_since: None, vanished: false };
    if cursor.take(b' ') && !cursor.at_end() {
        modifiers(cursor, &mut fetch)?;
    }
    Ok(Request::Fetch(Box::new(fetch)))
}

fn modifiers(cursor: &mut Cursor, fetch: &mut Fetch) -> Result<(), Fault> {
    cursor.open()?;
    loop {
        match cursor.word()?.as_slice() {
            b"CHANGEDSINCE" => {
                cursor.space()?;
                fetch.changed_since = Some(ModSeq(cursor.number64()?));
            }
            b"VANISHED" => fetch.vanished = true,
            _ => return Err(Fault::Bad("FETCH does not know that modifier")),
        }
        if !cursor.goes_on()? {
            break;
        }
    }
    // RFC 7162 §3.2.6
    if fetch.vanished && !(fetch.by_uid && fetch.changed_since.is_some()) {
        return Err(Fault::Bad("VANISHED needs UID FETCH and CHANGEDSINCE"));
    }
    Ok(())
}

fn items(cursor: &mut Cursor) -> Result<Vec<FetchItem>, Fault> {
    for (name, items) in MACROS {
        if cursor.take_word(name) {
            return Ok(items.to_vec());
        }
    }
    if !cursor.take(b'(') {
        return Ok(vec![item(cursor)?]);
    }
    let mut items = Vec::new();
    loop {
        if items.len() == FETCH_ITEMS_MAX {
            return Err(Fault::TooBig("FETCH asks for too many items at once"));
        }
        items.push(item(cursor)?);
        if !cursor.goes_on()? {
            return Ok(items);
        }
    }
}

/// RFC 9051 §6.4.5: they stand alone.
const MACROS: [(&str, &[FetchItem]); 3] = {
    use FetchItem::{Envelope, Flags, InternalDate, Size, Structure};
    [
        ("ALL", &[Flags, InternalDate, Size, Envelope]),
        ("FAST", &[Flags, InternalDate, Size]),
        ("FULL", &[Flags, InternalDate, Size, Envelope, Structure { extended: false }]),
    ]
};

fn item(cursor: &mut Cursor) -> Result<FetchItem, Fault> {
    let rfc822 = |section, peek| {
        let form = BodyForm::Rfc822;
        FetchItem::Body(BodyItem { form, part: Vec::new(), section, peek, partial: None })
    };
    let name = cursor.word()?;
    if cursor.peek() == Some(b'[') {
        return match name.as_slice() {
            b"BODY" => body(cursor, false),
            b"BODY.PEEK" => body(cursor, true),
            b"BINARY" => binary(cursor, BodyForm::Binary, false),
            b"BINARY.PEEK" => binary(cursor, BodyForm::Binary, true),
            b"BINARY.SIZE" => binary(cursor, BodyForm::BinarySize, true),
            _ => Err(UNKNOWN_ITEM),
        };
    }
    Ok(match name.as_slice() {
        b"UID" => FetchItem::Uid,
        b"FLAGS" => FetchItem::Flags,
        b"MODSEQ" => FetchItem::ModSeq,
        b"INTERNALDATE" => FetchItem::InternalDate,
        b"RFC822.SIZE" => FetchItem::Size,
        b"ENVELOPE" => FetchItem::Envelope,
        b"BODY" => FetchItem::Structure { extended: false },
        b"BODYSTRUCTURE" => FetchItem::Structure { extended: true },
        b"RFC822" => rfc822(Section::Whole, false),
        // RFC 3501 §6.4.5: as BODY.PEEK[HEADER].
        b"RFC822.HEADER" => rfc822(Section::Header, true),
        b"RFC822.TEXT" => rfc822(Section::Text, false),
        _ => return Err(UNKNOWN_ITEM),
    })
}

fn body(cursor: &mut Cursor, peek: bool) -> Result<FetchItem, Fault> {
    cursor.take(b'[');
    let (part, open) = part(cursor)?;
    let section = if open { section(cursor, !part.is_empty())? } else { Section::Whole };
    close(cursor)?;
    let partial = partial(cursor)?;
    Ok(FetchItem::Body(BodyItem { form: BodyForm::Body, part, section, peek, partial }))
}

/// RFC 3516 §4.2
fn binary(cursor: &mut Cursor, form: BodyForm, peek: bool) -> Result<FetchItem, Fault> {
    cursor.take(b'[');
    let (part, open) = part(cursor)?;
    if open && !part.is_empty() {
        return Err(Fault::Bad("a section of BINARY is a part's number"));
    }
    close(cursor)?;
    let partial = if form == BodyForm::Binary { partial(cursor)? } else { None };
    Ok(FetchItem::Body(BodyItem { form, part, section: Section::Whole, peek, partial }))
}

fn close(cursor: &mut Cursor) -> Result<(), Fault> {
    cursor.require(b']', "a section does not end with a bracket")
}

/// Part numbers, and whether a section's name may follow.
fn part(cursor: &mut Cursor) -> Result<(Vec<u32>, bool), Fault> {
    let mut part = Vec::new();
    while cursor.peek().is_some_and(|octet| octet.is_ascii_digit()) {
        if part.len() == IMAP_WORDS_MAX {
            return Err(Fault::TooBig("a part lies too deep"));
        }
        part.push(cursor.positive()?);
        if !cursor.take(b'.') {
            return Ok((part, false));
        }
    }
    Ok((part, true))
}

fn section(cursor: &mut Cursor, of_part: bool) -> Result<Section, Fault> {
    if !of_part && cursor.peek() == Some(b']') {
        return Ok(Section::Whole);
    }
    match cursor.word()?.as_slice() {
        b"HEADER" => Ok(Section::Header),
        b"TEXT" => Ok(Section::Text),
        b"MIME" if of_part => Ok(Section::Mime),
        b"HEADER.FIELDS" => Ok(Section::Fields { names: field_names(cursor)?, not: false }),
        b"HEADER.FIELDS.NOT" => Ok(Section::Fields { names: field_names(cursor)?, not: true }),
        _ => Err(Fault::Bad("a message has no such section")),
    }
}

fn field_names(cursor: &mut Cursor) -> Result<Vec<Bytes>, Fault> {
    cursor.space()?;
    cursor.open()?;
    let mut names = Vec::new();
    loop {
        if names.len() == IMAP_WORDS_MAX {
            return Err(Fault::TooBig("FETCH names too many header fields at once"));
        }
        names.push(cursor.astring()?);
        if !cursor.goes_on()? {
            return Ok(names);
        }
    }
}

/// First octet and count.
fn partial(cursor: &mut Cursor) -> Result<Option<(u64, u64)>, Fault> {
    if !cursor.take(b'<') {
        return Ok(None);
    }
    let first = cursor.number64()?;
    cursor.require(b'.', "a partial is written <first.count>")?;
    let count = cursor.number64()?;
    cursor.require(b'>', "a partial is written <first.count>")?;
    if count == 0 {
        return Err(Fault::Bad("a partial of no octets is nothing"));
    }
    Ok(Some((first, count)))
}
