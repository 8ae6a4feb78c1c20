//! Commands on mailboxes as wholes: SELECT, CREATE, LIST, STATUS and their like.

use bytes::Bytes;

use super::{Cursor, Fault, set};
use crate::{
    imap::command::{List, Qresync, Request, Select, Set, StatusItems},
    limits::{LIST_PATTERN_MAX, LIST_PATTERNS_MAX},
    mail::{
        mailbox::{MailboxName, ModSeq, SpecialUse},
        utf7,
    },
};

/// The space behind the verb has been read.
pub fn request(cursor: &mut Cursor, verb: &[u8]) -> Result<Request, Fault> {
    match verb {
        b"SELECT" => select(cursor, false),
        b"EXAMINE" => select(cursor, true),
        b"CREATE" => create(cursor),
        b"DELETE" => Ok(Request::Delete { name: name(cursor)? }),
        b"SUBSCRIBE" => Ok(Request::Subscribe { name: name(cursor)? }),
        b"UNSUBSCRIBE" => Ok(Request::Unsubscribe { name: name(cursor)? }),
        b"GETQUOTAROOT" => Ok(Request::GetQuotaRoot { name: name(cursor)? }),
        b"RENAME" => {
            let from = name(cursor)?;
            cursor.space()?;
            Ok(Request::Rename { from, to: name(cursor)? })
        }
        b"LIST" => list(cursor),
        b"LSUB" => lsub(cursor),
        _ => {
            let name = name(cursor)?;
            cursor.space()?;
            Ok(Request::Status { name, items: status_items(cursor)? })
        }
    }
}

pub fn name(cursor: &mut Cursor) -> Result<MailboxName, Fault> {
    let octets = cursor.astring()?;
    let text = decoded(cursor, &octets)?;
    MailboxName::parse(&text).map_err(Fault::Name)
}

/// RFC 9051 §5.1: UTF-8 where the client has enabled it, else modified UTF-7.
fn decoded(cursor: &Cursor, octets: &Bytes) -> Result<String, Fault> {
    if cursor.dialect.utf8 {
        let text = std::str::from_utf8(octets);
        return Ok(text.map_err(|_| Fault::Bad("a mailbox name is not in UTF-8"))?.into());
    }
    utf7::decode(octets).ok_or(Fault::Bad("a mailbox name is not in modified UTF-7"))
}

fn select(cursor: &mut Cursor, read_only: bool) -> Result<Request, Fault> {
    let name = name(cursor)?;
    let mut select = Select { name, read_only, condstore: false, qresync: None };
    if cursor.take(b' ') && !cursor.at_end() {
        cursor.open()?;
        loop {
            match cursor.word()?.as_slice() {
                b"CONDSTORE" => select.condstore = true,
                b"QRESYNC" => select.qresync = Some(qresync(cursor)?),
                _ => return Err(Fault::Bad("SELECT does not know that parameter")),
            }
            if !cursor.goes_on()? {
                break;
            }
        }
    }
    Ok(Request::Select(select))
}

/// RFC 7162 §3.2.5
fn qresync(cursor: &mut Cursor) -> Result<Qresync, Fault> {
    cursor.space()?;
    cursor.open()?;
    let uid_validity = cursor.positive()?;
    cursor.space()?;
    let modseq = ModSeq(cursor.number64()?);
    let mut qresync = Qresync { uid_validity, modseq, known: None, matched: None };
    let mut more = cursor.goes_on()?;
    if more && cursor.peek() != Some(b'(') {
        qresync.known = Some(known_set(cursor)?);
        more = cursor.goes_on()?;
    }
    if more {
        cursor.open()?;
        let sequences = known_set(cursor)?;
        cursor.space()?;
        qresync.matched = Some((sequences, known_set(cursor)?));
        cursor.require(b')', "a closing parenthesis is missing")?;
        cursor.require(b')', "a closing parenthesis is missing")?;
    }
    Ok(qresync)
}

/// What a client knows has numbers: neither `*` nor `$`.
fn known_set(cursor: &mut Cursor) -> Result<Set, Fault> {
    let set = set(cursor)?;
    let known = matches!(&set, Set::Ranges(ranges)
        if ranges.iter().all(|(first, last)| first.is_some() && last.is_some()));
    if known { Ok(set) } else { Err(Fault::Bad("the sets of QRESYNC are numbers only")) }
}

/// RFC 9051 §6.3.4, RFC 6154 §3
fn create(cursor: &mut Cursor) -> Result<Request, Fault> {
    let octets = cursor.astring()?;
    let text = decoded(cursor, &octets)?;
    // A slash at the end says that others will lie below it, as they may in any case.
    let text = text.strip_suffix('/').unwrap_or(&text);
    let name = MailboxName::parse(text).map_err(Fault::Name)?;
    let mut special_use = None;
    if cursor.take(b' ') && !cursor.at_end() {
        cursor.open()?;
        if !cursor.take_word("USE") {
            return Err(Fault::Bad("the one parameter of CREATE is USE"));
        }
        cursor.space()?;
        cursor.open()?;
        special_use = uses(cursor)?;
        cursor.require(b')', "a closing parenthesis is missing")?;
    }
    Ok(Request::Create { name, special_use })
}

/// A mailbox has one use here; who asks for two is told, as who asks for an unknown one.
fn uses(cursor: &mut Cursor) -> Result<Option<SpecialUse>, Fault> {
    let (mut found, mut refused) = (None, false);
    if cursor.take(b')') {
        return Ok(None);
    }
    loop {
        cursor.require(b'\\', "a special use begins with a backslash")?;
        let special_use = SpecialUse::parse(&[b"\\", &cursor.atom()?[..]].concat());
        refused |= special_use.is_none() || found.is_some_and(|found| Some(found) != special_use);
        found = special_use;
        if !cursor.goes_on()? {
            return if refused { Err(Fault::Use) } else { Ok(found) };
        }
    }
}

fn empty_list(lsub: bool) -> List {
    List {
        reference: String::new(),
        patterns: Vec::new(),
        lsub,
        extended: false,
        only_subscribed: false,
        only_special_use: false,
        recursive_match: false,
        return_subscribed: false,
        return_children: false,
        return_special_use: false,
        return_status: None,
    }
}

fn lsub(cursor: &mut Cursor) -> Result<Request, Fault> {
    let mut list = empty_list(true);
    list.reference = reference(cursor)?;
    cursor.space()?;
    list.patterns.push(pattern(cursor)?);
    Ok(Request::List(Box::new(list)))
}

/// RFC 9051 §6.3.9
fn list(cursor: &mut Cursor) -> Result<Request, Fault> {
    let mut list = empty_list(false);
    if cursor.take(b'(') {
        list.extended = true;
        selection(cursor, &mut list)?;
        cursor.space()?;
    }
    list.reference = reference(cursor)?;
    cursor.space()?;
    if cursor.take(b'(') {
        list.extended = true;
        loop {
            if list.patterns.len() == LIST_PATTERNS_MAX {
                return Err(Fault::TooBig("LIST has too many patterns"));
            }
            list.patterns.push(pattern(cursor)?);
            if !cursor.goes_on()? {
                break;
            }
        }
    } else {
        list.patterns.push(pattern(cursor)?);
    }
    if cursor.take(b' ') && !cursor.at_end() {
        list.extended = true;
        returns(cursor, &mut list)?;
    }
    Ok(Request::List(Box::new(list)))
}

fn selection(cursor: &mut Cursor, list: &mut List) -> Result<(), Fault> {
    if cursor.take(b')') {
        return Ok(());
    }
    loop {
        match cursor.word()?.as_slice() {
            // RFC 5258 §3.1: it implies the return option.
            b"SUBSCRIBED" => (list.only_subscribed, list.return_subscribed) = (true, true),
            b"SPECIAL-USE" => list.only_special_use = true,
            b"RECURSIVEMATCH" => list.recursive_match = true,
            // There are no mailboxes elsewhere that could be listed too.
            b"REMOTE" => {}
            _ => return Err(Fault::Bad("LIST does not know that selection option")),
        }
        if !cursor.goes_on()? {
            break;
        }
    }
    // RFC 5258 §3.1
    if list.recursive_match && !(list.only_subscribed || list.only_special_use) {
        return Err(Fault::Bad("RECURSIVEMATCH needs another selection option, as SUBSCRIBED"));
    }
    Ok(())
}

fn returns(cursor: &mut Cursor, list: &mut List) -> Result<(), Fault> {
    if !cursor.take_word("RETURN") {
        return Err(Fault::Bad("behind the patterns of LIST may only stand RETURN"));
    }
    cursor.space()?;
    cursor.open()?;
    if cursor.take(b')') {
        return Ok(());
    }
    loop {
        match cursor.word()?.as_slice() {
            b"SUBSCRIBED" => list.return_subscribed = true,
            b"CHILDREN" => list.return_children = true,
            b"SPECIAL-USE" => list.return_special_use = true,
            // RFC 5819
            b"STATUS" => {
                cursor.space()?;
                list.return_status = Some(status_items(cursor)?);
            }
            _ => return Err(Fault::Bad("LIST does not know that return option")),
        }
        if !cursor.goes_on()? {
            return Ok(());
        }
    }
}

/// RFC 9051 §9 `list-mailbox`
fn pattern(cursor: &mut Cursor) -> Result<String, Fault> {
    let octets = match cursor.peek() {
        Some(b'"' | b'{') => cursor.string()?,
        _ => cursor.run(|octet| super::cursor::is_astring(octet) || b"*%".contains(&octet)),
    };
    bounded(decoded(cursor, &octets)?)
}

fn reference(cursor: &mut Cursor) -> Result<String, Fault> {
    let octets = cursor.astring()?;
    bounded(decoded(cursor, &octets)?)
}

fn bounded(text: String) -> Result<String, Fault> {
    let fits = text.len() <= LIST_PATTERN_MAX;
    if fits { Ok(text) } else { Err(Fault::TooBig("a pattern of LIST is too long")) }
}

fn status_items(cursor: &mut Cursor) -> Result<StatusItems, Fault> {
    let mut items = StatusItems::default();
    cursor.open()?;
    loop {
        match cursor.word()?.as_slice() {
            b"MESSAGES" => items.messages = true,
            b"RECENT" => items.recent = true,
            b"UIDNEXT" => items.uid_next = true,
            b"UIDVALIDITY" => items.uid_validity = true,
            b"UNSEEN" => items.unseen = true,
            b"DELETED" => items.deleted = true,
            b"SIZE" => items.size = true,
            b"HIGHESTMODSEQ" => items.highest_modseq = true,
            b"APPENDLIMIT" => items.append_limit = true,
            _ => return Err(Fault::Bad("STATUS does not know that item")),
        }
        if !cursor.goes_on()? {
            return Ok(items);
        }
    }
}
