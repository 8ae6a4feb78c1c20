//! Content-Type, Content-Disposition, Content-Transfer-Encoding: what a part says it is.

use std::borrow::Cow;

use super::{
    header::{Field, Header},
    lexer::{Lexer, is_space},
};
use crate::{
    limits::BOUNDARY_MAX,
    mail::mailbox::{Encoding, PartKind},
};

/// A media type with its parameters, still in their field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Media<'a> {
    pub(super) main: &'a [u8],
    pub(super) sub: &'a [u8],
    parameters: Lexer<'a>,
}

/// `attribute=value` behind semicolons (RFC 2045 §5.1), as senders write them: a value may have
/// spaces that it should not have without quotes. What RFC 2231 made of them is left as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters<'a>(Lexer<'a>);

impl<'a> Media<'a> {
    /// What a part is whose header does not say it (RFC 2045 §5.2).
    pub(super) fn text() -> Self {
        Self { main: b"text", sub: b"plain", parameters: Lexer::new(b"") }
    }

    /// A message as it lies in a digest (RFC 2046 §5.1.5).
    fn message() -> Self {
        Self { main: b"message", sub: b"rfc822", parameters: Lexer::new(b"") }
    }

    /// The media type of the part with this header.
    pub(super) fn of(header: &'a Header, in_digest: bool) -> Self {
        let Some(value) = header.value(Field::ContentType) else {
            return if in_digest { Self::message() } else { Self::text() };
        };
        // RFC 2045 §5.2: what is no media type is text as well.
        Self::parse(value)
            .filter(|media| media.kind() != PartKind::Multipart || media.boundary().is_some())
            .unwrap_or_else(Self::text)
    }

    fn parse(value: &'a [u8]) -> Option<Self> {
        let mut lexer = Lexer::new(value);
        lexer.skip_blank();
        let main = lexer.take_while(is_token);
        lexer.skip_blank();
        let slash = lexer.take(b'/');
        lexer.skip_blank();
        let sub = lexer.take_while(is_token);
        let complete = slash && !main.is_empty() && !sub.is_empty();
        complete.then_some(Self { main, sub, parameters: lexer })
    }

    /// What a part is shown as in which no more parts may be looked for.
    pub(super) fn without_parts(self) -> Self {
        match self.kind() {
            PartKind::Multipart | PartKind::Message => {
                Self { main: b"application", sub: b"octet-stream", ..self }
            }
            PartKind::Text | PartKind::Other => self,
        }
    }

    pub(super) fn kind(&self) -> PartKind {
        let is = |text: &[u8], name: &[u8]| text.eq_ignore_ascii_case(name);
        if is(self.main, b"text") {
            PartKind::Text
        } else if is(self.main, b"multipart") {
            PartKind::Multipart
        } else if is(self.main, b"message") && (is(self.sub, b"rfc822") || is(self.sub, b"global"))
        {
            PartKind::Message
        } else {
            PartKind::Other
        }
    }

    pub(super) fn is_digest(&self) -> bool {
        self.kind() == PartKind::Multipart && self.sub.eq_ignore_ascii_case(b"digest")
    }

    pub(super) fn parameters(&self) -> Parameters<'a> {
        Parameters(self.parameters)
    }

    pub(super) fn parameter(&self, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        let found = self.parameters().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    /// Without the space at its end that a delimiter cannot have (RFC 2046 §5.1.1).
    pub(super) fn boundary(&self) -> Option<Cow<'a, [u8]>> {
        let mut boundary = self.parameter(b"boundary")?;
        let length = boundary.trim_ascii_end().len();
        match &mut boundary {
            Cow::Borrowed(text) => *text = &text[..length],
            Cow::Owned(text) => text.truncate(length),
        }
        (1..=BOUNDARY_MAX).contains(&length).then_some(boundary)
    }
}

impl<'a> Parameters<'a> {
    /// Of what begins a Content-Disposition, the word, and what is behind it.
    pub(super) fn behind_word(value: &'a [u8]) -> (&'a [u8], Self) {
        let mut lexer = Lexer::new(value);
        lexer.skip_blank();
        (lexer.take_while(is_token), Self(lexer))
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a [u8], Cow<'a, [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let lexer = &mut self.0;
        loop {
            // What is between a value and its semicolon means nothing.
            lexer.take_while(|octet| octet != b';' && octet != b'(');
            match lexer.peek()? {
                b'(' => lexer.skip_blank(),
                _ => {
                    lexer.skip(1);
                    lexer.skip_blank();
                    let name = lexer.take_while(|octet| octet != b'=' && octet != b';');
                    let name = name.trim_ascii_end();
                    if lexer.take(b'=') && !name.is_empty() {
                        lexer.skip_blank();
                        return Some((name, value(lexer)));
                    }
                }
            }
        }
    }
}

/// A value up to its quote, its semicolon, or a comment behind it.
fn value<'a>(lexer: &mut Lexer<'a>) -> Cow<'a, [u8]> {
    if lexer.peek() == Some(b'"') {
        return lexer.quoted();
    }
    let mut spaced = false;
    let text = lexer.take_while(|octet| {
        let more = octet != b';' && !(spaced && octet == b'(');
        spaced = is_space(octet);
        more
    });
    text.trim_ascii_end().into()
}

/// The encoding's name as it was written, and the encoding; `7bit` where there is none
/// (RFC 2045 §6.1).
pub(super) fn encoding(header: &Header) -> (&[u8], Encoding) {
    let mut lexer = Lexer::new(header.value(Field::ContentTransferEncoding).unwrap_or_default());
    lexer.skip_blank();
    let name = lexer.take_while(is_token);
    let encoding = match name {
        b"" => return (b"7bit", Encoding::SevenBit),
        name if name.eq_ignore_ascii_case(b"7bit") => Encoding::SevenBit,
        name if name.eq_ignore_ascii_case(b"8bit") => Encoding::EightBit,
        name if name.eq_ignore_ascii_case(b"binary") => Encoding::Binary,
        name if name.eq_ignore_ascii_case(b"quoted-printable") => Encoding::QuotedPrintable,
        name if name.eq_ignore_ascii_case(b"base64") => Encoding::Base64,
        _ => Encoding::Unknown,
    };
    (name, encoding)
}

/// RFC 2045 §5.1 `token`.
fn is_token(octet: u8) -> bool {
    octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&octet)
}
