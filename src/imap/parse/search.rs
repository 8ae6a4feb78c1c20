//! SEARCH: its options and its tree of keys (RFC 9051 §6.4.4, RFC 4731, RFC 5032, RFC 7162 §3.1.5).

use bytes::Bytes;

use super::{Cursor, Fault, date::date, flags, set};
use crate::{
    imap::command::{Request, Search, SearchKey, SearchReturn},
    limits::{SEARCH_DEPTH_MAX, SEARCH_KEYS_MAX},
    mail::{
        mailbox::{Flags, ModSeq},
        text::to_utf8,
    },
};

pub fn search(cursor: &mut Cursor, by_uid: bool) -> Result<Request, Fault> {
    cursor.space()?;
    let mut returns = None;
    if cursor.take_word("RETURN") {
        cursor.space()?;
        returns = Some(return_options(cursor)?);
        cursor.space()?;
    }
    let mut charset = Bytes::new();
    if cursor.take_word("CHARSET") {
        cursor.space()?;
        charset = cursor.astring()?.to_ascii_uppercase().into();
        cursor.space()?;
    }
    if !charset.is_empty() && to_utf8(&charset, b"").is_none() {
        return Err(Fault::Charset { saving: returns.is_some_and(|returns| returns.save) });
    }
    let mut keys = vec![];
    let mut tree = Tree { charset: &charset, keys: 0 };
    loop {
        keys.push(tree.key(cursor, 0)?);
        if !cursor.take(b' ') || cursor.at_end() {
            break;
        }
    }
    let key = all_of(keys);
    Ok(Request::Search(Box::new(Search { by_uid, returns, charset, key })))
}

/// RFC 4731 §3.1: no option at all is as ALL.
fn return_options(cursor: &mut Cursor) -> Result<SearchReturn, Fault> {
    let mut returns = SearchReturn::default();
    cursor.open()?;
    if cursor.take(b')') {
        return Ok(SearchReturn { all: true, ..returns });
    }
    loop {
        match cursor.word()?.as_slice() {
            b"MIN" => returns.min = true,
            b"MAX" => returns.max = true,
            b"ALL" => returns.all = true,
            b"COUNT" => returns.count = true,
            b"SAVE" => returns.save = true,
            _ => return Err(Fault::Bad("SEARCH does not know that return option")),
        }
        if !cursor.goes_on()? {
            return Ok(returns);
        }
    }
}

/// What holds for a whole tree of keys while it is read.
struct Tree<'a> {
    /// Known; empty: none was named.
    charset: &'a [u8],
    keys: usize,
}

impl Tree<'_> {
    fn key(&mut self, cursor: &mut Cursor, depth: usize) -> Result<SearchKey, Fault> {
        self.keys += 1;
        if self.keys > SEARCH_KEYS_MAX {
            return Err(Fault::TooBig("SEARCH has too many keys; search in parts"));
        }
        if depth > SEARCH_DEPTH_MAX {
            return Err(Fault::TooBig("SEARCH keys lie too deep within each other"));
        }
        match cursor.peek() {
            Some(b'(') => self.list(cursor, depth),
            Some(b'*' | b'$' | b'0'..=b'9') => Ok(SearchKey::Sequence(set(cursor)?)),
            _ => {
                let name = cursor.word()?;
                match bare(&name) {
                    Some(key) => Ok(key),
                    None => {
                        cursor.space()?;
                        self.with_argument(cursor, &name, depth)
                    }
                }
            }
        }
    }

    fn list(&mut self, cursor: &mut Cursor, depth: usize) -> Result<SearchKey, Fault> {
        cursor.open()?;
        let mut keys = vec![];
        loop {
            keys.push(self.key(cursor, depth + 1)?);
            if !cursor.goes_on()? {
                return Ok(all_of(keys));
            }
        }
    }

    fn with_argument(
        &mut self,
        cursor: &mut Cursor,
        name: &[u8],
        depth: usize,
    ) -> Result<SearchKey, Fault> {
        let keyword = |cursor: &mut Cursor| {
            Ok(flags::keyword(cursor)?.map_or(SearchKey::None, SearchKey::Keyword))
        };
        Ok(match name {
            b"NOT" => not(self.key(cursor, depth + 1)?),
            b"OR" => {
                let one = self.key(cursor, depth + 1)?;
                cursor.space()?;
                SearchKey::Or(Box::new((one, self.key(cursor, depth + 1)?)))
            }
            b"FROM" | b"TO" | b"CC" | b"BCC" | b"SUBJECT" => {
                let field = name.to_ascii_lowercase().into();
                SearchKey::Header { field, text: self.text(cursor)? }
            }
            b"HEADER" => {
                let field = cursor.astring()?.to_ascii_lowercase().into();
                cursor.space()?;
                SearchKey::Header { field, text: self.text(cursor)? }
            }
            b"BODY" => SearchKey::Body(self.text(cursor)?),
            b"TEXT" => SearchKey::Text(self.text(cursor)?),
            b"KEYWORD" => keyword(cursor)?,
            b"UNKEYWORD" => not(keyword(cursor)?),
            b"UID" => SearchKey::Uid(set(cursor)?),
            b"BEFORE" => SearchKey::Before(date(cursor)?),
            b"ON" => SearchKey::On(date(cursor)?),
            b"SINCE" => SearchKey::Since(date(cursor)?),
            b"SENTBEFORE" => SearchKey::SentBefore(date(cursor)?),
            b"SENTON" => SearchKey::SentOn(date(cursor)?),
            b"SENTSINCE" => SearchKey::SentSince(date(cursor)?),
            b"LARGER" => SearchKey::Larger(cursor.number64()?),
            b"SMALLER" => SearchKey::Smaller(cursor.number64()?),
            b"OLDER" => SearchKey::Older(cursor.positive()?),
            b"YOUNGER" => SearchKey::Younger(cursor.positive()?),
            b"MODSEQ" => modseq(cursor)?,
            _ => return Err(UNKNOWN),
        })
    }

    fn text(&self, cursor: &mut Cursor) -> Result<String, Fault> {
        let octets = cursor.astring()?;
        // RFC 3501 §6.4.4 means ASCII by none, and clients send what they please.
        let named = if self.charset.is_empty() { b"us-ascii" } else { self.charset };
        to_utf8(named, &octets).ok_or(Fault::Charset { saving: false })
    }
}

const UNKNOWN: Fault = Fault::Bad("SEARCH does not know that key");

fn bare(name: &[u8]) -> Option<SearchKey> {
    let flag = |flag| Some(SearchKey::Flag(flag));
    let without = |flag| Some(not(SearchKey::Flag(flag)));
    match name {
        b"ALL" => Some(SearchKey::All),
        b"ANSWERED" => flag(Flags::ANSWERED),
        b"DELETED" => flag(Flags::DELETED),
        b"DRAFT" => flag(Flags::DRAFT),
        b"FLAGGED" => flag(Flags::FLAGGED),
        b"SEEN" => flag(Flags::SEEN),
        b"UNANSWERED" => without(Flags::ANSWERED),
        b"UNDELETED" => without(Flags::DELETED),
        b"UNDRAFT" => without(Flags::DRAFT),
        b"UNFLAGGED" => without(Flags::FLAGGED),
        b"UNSEEN" => without(Flags::SEEN),
        b"RECENT" => Some(SearchKey::Recent),
        b"OLD" => Some(not(SearchKey::Recent)),
        b"NEW" => Some(all_of(vec![SearchKey::Recent, not(SearchKey::Flag(Flags::SEEN))])),
        _ => None,
    }
}

/// RFC 7162 §3.1.5: the entry's name and its type change nothing where all flags have one MODSEQ.
fn modseq(cursor: &mut Cursor) -> Result<SearchKey, Fault> {
    if cursor.peek() == Some(b'"') {
        cursor.quoted()?;
        cursor.space()?;
        match cursor.word()?.as_slice() {
            b"ALL" | b"PRIV" | b"SHARED" => {}
            _ => return Err(Fault::Bad("an entry of MODSEQ is all, priv or shared")),
        }
        cursor.space()?;
    }
    Ok(SearchKey::ModSeq(ModSeq(cursor.number64()?)))
}

fn not(key: SearchKey) -> SearchKey {
    SearchKey::Not(Box::new(key))
}

fn all_of(mut keys: Vec<SearchKey>) -> SearchKey {
    match keys.len() {
        1 => keys.remove(0),
        _ => SearchKey::And(keys),
    }
}
