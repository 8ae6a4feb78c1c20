//! Reads lists of addresses as they come, old syntax and broken ones too, and writes ENVELOPE's.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{
    lexer::{Lexer, is_space},
    string::{nstring, string},
};
use crate::limits::SUMMARY_LIST_MAX;

/// Writes the addresses of all these fields as one list, or `NIL` where there is none.
pub(super) fn write_list<'a>(out: &mut Vec<u8>, values: impl Iterator<Item = &'a [u8]>) {
    let start = out.len();
    out.push(b'(');
    for value in values {
        let mut reader = Reader::new(value);
        while out.len() - start < SUMMARY_LIST_MAX && reader.entry(out) {}
        // A group that is open at the end of its field ends with it.
        if reader.in_group {
            out.extend_from_slice(GROUP_END);
        }
    }
    if out.len() == start + 1 {
        out.truncate(start);
        nstring(out, None);
    } else {
        out.push(b')');
    }
}

/// RFC 9051 §7.5.2: a group's end has neither a mailbox name nor a host name.
const GROUP_END: &[u8] = b"(NIL NIL NIL NIL)";

/// Reads one field.
struct Reader<'a> {
    lexer: Lexer<'a>,
    in_group: bool,
    words: Words<'a>,
    local: Words<'a>,
    host: Words<'a>,
}

/// Most names and hosts fit and take no memory of their own.
type Text = SmallVec<[u8; 64]>;

/// Words in a row: a display name, or the local part of an address, which is not known before
/// what follows them.
#[derive(Default)]
struct Words<'a> {
    /// With one space where there was any.
    phrase: Text,
    /// Without, as old syntax has space around the dots of a local part (RFC 5322 §4.4).
    joined: Text,
    /// The last comment, in which a name stood of old: `alice@example.org (Alice)`.
    comment: &'a [u8],
    spaced: bool,
}

impl<'a> Reader<'a> {
    fn new(value: &'a [u8]) -> Self {
        let (words, local, host) = <_>::default();
        Self { lexer: Lexer::new(value), in_group: false, words, local, host }
    }

    /// Writes one address, or one end of a group; `false` at the end of the field.
    fn entry(&mut self, out: &mut Vec<u8>) -> bool {
        self.words.clear();
        loop {
            self.words.read(&mut self.lexer, is_word);
            let Some(octet) = self.lexer.peek() else {
                return self.words.write_bare(out);
            };
            match octet {
                b'<' => return self.angle(out),
                b'@' => {
                    if self.at_sign(out) {
                        return true;
                    }
                }
                b':' if !self.in_group => {
                    self.lexer.skip(1);
                    self.in_group = true;
                    out.extend_from_slice(b"(NIL NIL ");
                    string(out, &self.words.phrase);
                    out.extend_from_slice(b" NIL)");
                    return true;
                }
                b',' => {
                    self.lexer.skip(1);
                    if self.words.write_bare(out) {
                        return true;
                    }
                }
                b';' => {
                    if self.words.write_bare(out) {
                        return true;
                    }
                    self.lexer.skip(1);
                    if std::mem::take(&mut self.in_group) {
                        out.extend_from_slice(GROUP_END);
                        return true;
                    }
                }
                // Nothing begins with it: it is stray.
                _ => self.lexer.skip(1),
            }
        }
    }

    /// Behind a local part. `false`: an address in angle brackets follows, and what was read is
    /// its name, as in `alice@example.org <alice@example.org>`.
    fn at_sign(&mut self, out: &mut Vec<u8>) -> bool {
        self.lexer.skip(1);
        self.host.clear();
        self.host.comment = self.words.comment;
        self.host.read(&mut self.lexer, is_host);
        if self.lexer.peek() == Some(b'<') {
            self.words.phrase.push(b'@');
            self.words.phrase.extend_from_slice(&self.host.joined);
            return false;
        }
        write(out, self.host.comment, None, &self.words.joined, &self.host.joined);
        self.skip_to_separator();
        true
    }

    /// An address in angle brackets, a name before it or none.
    fn angle(&mut self, out: &mut Vec<u8>) -> bool {
        self.lexer.skip(1);
        self.lexer.skip_blank();
        // RFC 5322 §4.4 `obs-route`: `<@relay.example,@other.example:alice@example.org>`.
        let mut route = None;
        if self.lexer.peek() == Some(b'@') {
            let text = self.lexer.take_while(|octet| octet != b':' && octet != b'>');
            self.lexer.take(b':');
            route = Some(text.trim_ascii_end());
        }
        self.local.clear();
        self.local.read(&mut self.lexer, is_word);
        self.host.clear();
        if self.lexer.take(b'@') {
            self.host.read(&mut self.lexer, is_host);
        }
        self.lexer.take_while(|octet| !matches!(octet, b'>' | b',' | b';'));
        self.lexer.take(b'>');
        self.words.read_comments(&mut self.lexer);
        let words = &self.words;
        let name = if words.phrase.is_empty() { words.comment } else { &words.phrase };
        write(out, name, route, &self.local.joined, &self.host.joined);
        self.skip_to_separator();
        true
    }

    /// What stands between an address and its comma means nothing.
    fn skip_to_separator(&mut self) {
        loop {
            self.lexer.take_while(|octet| !matches!(octet, b',' | b';' | b'"' | b'('));
            match self.lexer.peek() {
                Some(b'"') => drop(self.lexer.quoted()),
                Some(b'(') => drop(self.lexer.comment()),
                Some(b',') => return self.lexer.skip(1),
                _ => return,
            }
        }
    }
}

impl<'a> Words<'a> {
    /// Adds words made of what is `wanted`, and quoted strings.
    fn read(&mut self, lexer: &mut Lexer<'a>, wanted: fn(u8) -> bool) {
        loop {
            self.read_comments(lexer);
            let word = match lexer.peek() {
                Some(b'"') => lexer.quoted(),
                Some(octet) if wanted(octet) => Cow::Borrowed(lexer.take_while(wanted)),
                _ => return,
            };
            if std::mem::take(&mut self.spaced) && !self.phrase.is_empty() {
                self.phrase.push(b' ');
            }
            self.phrase.extend_from_slice(&word);
            self.joined.extend_from_slice(&word);
        }
    }

    /// Skips white space and comments, of which the last is kept.
    fn read_comments(&mut self, lexer: &mut Lexer<'a>) {
        self.spaced |= lexer.skip_space();
        while lexer.peek() == Some(b'(') {
            self.comment = lexer.comment();
            self.spaced = true;
            lexer.skip_space();
        }
    }

    /// Words that no address follows are one without a host; `false` where there are none.
    fn write_bare(&mut self, out: &mut Vec<u8>) -> bool {
        if self.phrase.is_empty() {
            return false;
        }
        write(out, b"", None, &self.phrase, b"");
        self.clear();
        true
    }

    fn clear(&mut self) {
        self.phrase.clear();
        self.joined.clear();
        self.comment = b"";
        self.spaced = false;
    }
}

/// RFC 9051 §7.5.2: name, route, mailbox name, host name. The last two are never `NIL`, which
/// would make a group of it.
fn write(out: &mut Vec<u8>, name: &[u8], route: Option<&[u8]>, local: &[u8], host: &[u8]) {
    out.push(b'(');
    nstring(out, Some(name.trim_ascii()).filter(|name| !name.is_empty()));
    out.push(b' ');
    nstring(out, route);
    out.push(b' ');
    string(out, local);
    out.push(b' ');
    string(out, host);
    out.push(b')');
}

/// A dot may stand in a name too (RFC 5322 §4.1 `obs-phrase`).
fn is_word(octet: u8) -> bool {
    !is_space(octet) && !b"()<>,;:@\"".contains(&octet)
}

/// Domains, and literals like `[IPv6:2001:db8::1]`; a second `@` is taken for a part of them.
fn is_host(octet: u8) -> bool {
    !is_space(octet) && !b"()<>,;\"".contains(&octet)
}
