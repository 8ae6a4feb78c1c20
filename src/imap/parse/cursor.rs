//! Reads the words of one command from the front to the back.

use bytes::Bytes;
use memchr::memchr2;
use smallvec::SmallVec;

use super::{Dialect, Fault};

/// A command with its literals in place, and how far it has been read. What it hands out are
/// slices of the command.
pub struct Cursor {
    octets: Bytes,
    at: usize,
    pub dialect: Dialect,
}

/// No word of the protocol is longer.
pub type Word = SmallVec<[u8; 24]>;

/// RFC 9051 §9 `ATOM-CHAR`. `]` is left to the callers that have a use for it.
pub fn is_atom(octet: u8) -> bool {
    octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(&octet)
}

/// RFC 9051 §9 `ASTRING-CHAR`. Names come in raw UTF-8 from clients that know no better.
pub fn is_astring(octet: u8) -> bool {
    is_atom(octet) || octet == b']' || octet >= 0x80
}

impl Cursor {
    pub fn new(octets: Bytes, dialect: Dialect) -> Self {
        Self { octets, at: 0, dialect }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    pub fn peek(&self) -> Option<u8> {
        self.octets.get(self.at).copied()
    }

    /// Steps over `octet` where it is next.
    pub fn take(&mut self, octet: u8) -> bool {
        let is_next = self.peek() == Some(octet);
        self.at += usize::from(is_next);
        is_next
    }

    pub fn require(&mut self, octet: u8, fault: &'static str) -> Result<(), Fault> {
        if self.take(octet) { Ok(()) } else { Err(Fault::Bad(fault)) }
    }

    pub fn space(&mut self) -> Result<(), Fault> {
        self.require(b' ', "a space and another argument are missing")
    }

    pub fn open(&mut self) -> Result<(), Fault> {
        self.require(b'(', "an opening parenthesis is missing")
    }

    /// Between the items of a list in parentheses: `false` behind the last.
    pub fn goes_on(&mut self) -> Result<bool, Fault> {
        if self.take(b')') {
            return Ok(false);
        }
        self.require(b' ', "a space or a closing parenthesis is missing")?;
        Ok(true)
    }

    /// The end of the line. Spaces before it do no harm.
    pub fn end(&mut self) -> Result<(), Fault> {
        while self.take(b' ') {}
        self.take(b'\r');
        self.require(b'\n', "there is more than the command takes")
    }

    pub fn at_end(&self) -> bool {
        matches!(self.peek(), None | Some(b'\r' | b'\n'))
    }

    /// The octets from here on that are of this kind, maybe none.
    pub fn run(&mut self, kind: impl Fn(u8) -> bool) -> Bytes {
        let rest = &self.octets[self.at..];
        let length = rest.iter().position(|octet| !kind(*octet)).unwrap_or(rest.len());
        self.at += length;
        self.octets.slice(self.at - length..self.at)
    }

    pub fn atom(&mut self) -> Result<Bytes, Fault> {
        let atom = self.run(is_atom);
        if atom.is_empty() { Err(Fault::Bad("a word is missing")) } else { Ok(atom) }
    }

    /// A keyword of the protocol in capitals, with `.` but without `[` and `<`, which follow some.
    pub fn word(&mut self) -> Result<Word, Fault> {
        let word = self.run(|octet| is_atom(octet) && octet != b'[' && octet != b'<');
        let capitals = word.iter().map(u8::to_ascii_uppercase).collect();
        if word.is_empty() { Err(Fault::Bad("a word is missing")) } else { Ok(capitals) }
    }

    /// Steps over `word` where it is next, in whatever case, and a space or parenthesis follows.
    pub fn take_word(&mut self, word: &str) -> bool {
        let rest = &self.octets[self.at..];
        let is_next = rest.len() >= word.len()
            && rest[..word.len()].eq_ignore_ascii_case(word.as_bytes())
            && rest.get(word.len()).is_none_or(|octet| !is_atom(*octet));
        self.at += if is_next { word.len() } else { 0 };
        is_next
    }

    /// RFC 9051 §9 `astring`.
    pub fn astring(&mut self) -> Result<Bytes, Fault> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => {
                let atom = self.run(is_astring);
                if atom.is_empty() { Err(Fault::Bad("a string is missing")) } else { Ok(atom) }
            }
        }
    }

    /// A quoted string or a literal.
    pub fn string(&mut self) -> Result<Bytes, Fault> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal(),
            _ => Err(Fault::Bad("a quoted string or a literal is missing")),
        }
    }

    pub fn quoted(&mut self) -> Result<Bytes, Fault> {
        const OPEN: Fault = Fault::Bad("a quoted string does not end on its line");
        self.require(b'"', "a quotation mark is missing")?;
        let start = self.at;
        let mut escaped = false;
        loop {
            let rest = &self.octets[self.at..];
            let found = memchr2(b'"', b'\\', rest).ok_or(OPEN)?;
            let is_escape = rest[found] == b'\\';
            // RFC 9051 §9 `QUOTED-CHAR`; others than these are escaped by some clients too.
            self.at += found + 1 + usize::from(is_escape);
            escaped |= is_escape;
            if self.at > self.octets.len() {
                return Err(OPEN);
            }
            if !is_escape {
                break;
            }
        }
        let text = self.octets.slice(start..self.at - 1);
        if text.iter().any(|octet| b"\r\n\0".contains(octet)) {
            return Err(OPEN);
        }
        Ok(if escaped { unescaped(&text) } else { text })
    }

    /// The frame has seen to it that the octets are there.
    fn literal(&mut self) -> Result<Bytes, Fault> {
        const BROKEN: Fault = Fault::Bad("a literal is written {size} at the end of its line");
        self.require(b'{', "a literal is missing")?;
        let size = self.number64().map_err(|_| BROKEN)?;
        self.take(b'+');
        let closed = self.take(b'}');
        self.take(b'\r');
        if !closed || !self.take(b'\n') {
            return Err(BROKEN);
        }
        let size = usize::try_from(size).map_err(|_| BROKEN)?;
        let end = self.at.checked_add(size).filter(|end| *end <= self.octets.len());
        let end = end.ok_or(BROKEN)?;
        let text = self.octets.slice(self.at..end);
        self.at = end;
        // RFC 9051 §9 `CHAR8`: only a literal8 may have a NUL, and only APPEND takes one.
        if text.contains(&0) { Err(Fault::Bad("a literal holds a NUL")) } else { Ok(text) }
    }

    pub fn number64(&mut self) -> Result<u64, Fault> {
        let digits = self.run(|octet| octet.is_ascii_digit());
        let mut value: u64 = 0;
        for digit in &digits {
            value = value
                .checked_mul(10)
                .and_then(|value| value.checked_add(u64::from(digit - b'0')))
                // RFC 9051 §9 `number64`, RFC 7162 §3.1: 63 bits.
                .filter(|value| *value <= i64::MAX as u64)
                .ok_or(Fault::Bad("a number is too large"))?;
        }
        if digits.is_empty() { Err(Fault::Bad("a number is missing")) } else { Ok(value) }
    }

    pub fn number(&mut self) -> Result<u32, Fault> {
        u32::try_from(self.number64()?).map_err(|_| Fault::Bad("a number is too large"))
    }

    /// RFC 9051 §9 `nz-number`.
    pub fn positive(&mut self) -> Result<u32, Fault> {
        match self.number()? {
            0 => Err(Fault::Bad("0 stands where numbers count from 1")),
            number => Ok(number),
        }
    }
}

fn unescaped(text: &[u8]) -> Bytes {
    let mut plain = Vec::with_capacity(text.len());
    let mut octets = text.iter();
    while let Some(octet) = octets.next() {
        let octet = if *octet == b'\\' { octets.next().unwrap_or(octet) } else { octet };
        plain.push(*octet);
    }
    plain.into()
}
