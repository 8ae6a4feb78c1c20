//! Reads the words of a structured header field: quoted strings, comments and what lies between.

use std::borrow::Cow;

use memchr::memchr2;

/// What is left of an unfolded value. Nothing it reads can fail: what is not closed ends with
/// the value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'a> {
    rest: &'a [u8],
}

impl<'a> Lexer<'a> {
    pub(super) fn new(value: &'a [u8]) -> Self {
        Self { rest: value }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Takes `octet`, where it comes next.
    pub(super) fn take(&mut self, octet: u8) -> bool {
        let next = self.peek() == Some(octet);
        if next {
            self.skip(1);
        }
        next
    }

    pub(super) fn skip(&mut self, octets: usize) {
        self.rest = self.rest.get(octets..).unwrap_or_default();
    }

    /// What comes before the first octet that is none of `wanted`.
    pub(super) fn take_while(&mut self, mut wanted: impl FnMut(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|octet| !wanted(*octet)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Skips white space; whether there was any.
    pub(super) fn skip_space(&mut self) -> bool {
        !self.take_while(is_space).is_empty()
    }

    /// Skips white space and comments (RFC 5322 §3.2.2 `CFWS`).
    pub(super) fn skip_blank(&mut self) {
        self.skip_space();
        while self.peek() == Some(b'(') {
            self.comment();
            self.skip_space();
        }
    }

    /// A comment, others within it; gives what its outer parentheses hold.
    pub(super) fn comment(&mut self) -> &'a [u8] {
        let inside = self.rest.get(1..).unwrap_or_default();
        let (mut depth, mut escaped) = (1u32, false);
        for (at, octet) in inside.iter().enumerate() {
            match octet {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.rest = &inside[at + 1..];
                return &inside[..at];
            }
        }
        self.rest = &[];
        inside
    }

    /// A quoted string, its quotes and backslashes taken off.
    pub(super) fn quoted(&mut self) -> Cow<'a, [u8]> {
        self.skip(1);
        let mut text = Cow::Borrowed(&self.rest[..0]);
        loop {
            let end = memchr2(b'"', b'\\', self.rest).unwrap_or(self.rest.len());
            let (plain, rest) = self.rest.split_at(end);
            match &mut text {
                Cow::Owned(owned) => owned.extend_from_slice(plain),
                empty => *empty = Cow::Borrowed(plain),
            }
            let [b'\\', escaped, behind @ ..] = rest else {
                self.rest = rest.get(1..).unwrap_or_default();
                return text;
            };
            text.to_mut().push(*escaped);
            self.rest = behind;
        }
    }
}

pub(super) fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}
