//! Reads back what a stored ENVELOPE says, so that most searches need no message's header.

use std::borrow::Cow;

use crate::mail::text::decode_words;

/// Its values in their order (RFC 9051 §7.5.2). SENDER and REPLY-TO stand in for missing fields
/// with FROM's, so that they tell nothing of the header.
const FIELDS: [&[u8]; 10] =
    [b"date", b"subject", b"from", b"", b"", b"to", b"cc", b"bcc", b"in-reply-to", b"message-id"];
const ADDRESSES: std::ops::Range<usize> = 2..8;

/// A field of this name is answered here.
pub(super) fn has(name: &[u8]) -> bool {
    place(name).is_some()
}

/// A field as text, encoded words decoded; `None`: the message has none.
pub(super) fn text(envelope: &[u8], name: &[u8]) -> Option<String> {
    let place = place(name)?;
    let mut reader = at(envelope, place)?;
    if ADDRESSES.contains(&place) {
        return reader.addresses();
    }
    reader.string().map(|value| decode_words(&value))
}

/// A field as it was written.
pub(super) fn raw<'a>(envelope: &'a [u8], name: &[u8]) -> Option<Cow<'a, [u8]>> {
    at(envelope, place(name)?)?.string()
}

fn place(name: &[u8]) -> Option<usize> {
    let named = |field: &&[u8]| !field.is_empty() && field.eq_ignore_ascii_case(name);
    FIELDS.iter().position(named)
}

fn at(envelope: &[u8], place: usize) -> Option<Reader<'_>> {
    let mut reader = Reader { rest: envelope.strip_prefix(b"(")? };
    for _ in 0..place {
        reader.skip()?;
    }
    Some(reader)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn blanks(&mut self) {
        while let [b' ', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn takes(&mut self, text: &[u8]) -> bool {
        self.blanks();
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// A quoted string or a literal; `None` for NIL and for what is neither.
    fn string(&mut self) -> Option<Cow<'a, [u8]>> {
        if self.takes(b"NIL") {
            return None;
        }
        if self.takes(b"{") {
            let end = memchr::memchr(b'\n', self.rest)?;
            let digits = self.rest[..end].strip_suffix(b"}\r")?;
            let octets: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
            let (text, rest) = self.rest[end + 1..].split_at_checked(octets)?;
            self.rest = rest;
            return Some(Cow::Borrowed(text));
        }
        if !self.takes(b"\"") {
            return None;
        }
        let text = self.rest;
        let mut plain = Vec::new();
        let mut from = 0;
        loop {
            let stop = from + memchr::memchr2(b'"', b'\\', text.get(from..)?)?;
            match text[stop] {
                b'"' if plain.is_empty() => {
                    self.rest = &text[stop + 1..];
                    return Some(Cow::Borrowed(&text[..stop]));
                }
                b'"' => {
                    plain.extend_from_slice(&text[from..stop]);
                    self.rest = &text[stop + 1..];
                    return Some(Cow::Owned(plain));
                }
                _ => {
                    plain.extend_from_slice(&text[from..stop]);
                    plain.push(*text.get(stop + 1)?);
                    from = stop + 2;
                }
            }
        }
    }

    /// One value of any kind.
    fn skip(&mut self) -> Option<()> {
        let mut depth = 0u32;
        loop {
            self.blanks();
            match self.rest.first()? {
                b'(' => {
                    depth += 1;
                    self.rest = &self.rest[1..];
                }
                b')' => {
                    depth = depth.checked_sub(1)?;
                    self.rest = &self.rest[1..];
                }
                b'N' => self.rest = self.rest.strip_prefix(b"NIL")?,
                _ => drop(self.string()?),
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    /// Addresses as they are written in a header, near enough: `name <mailbox@host>, …`.
    fn addresses(&mut self) -> Option<String> {
        if !self.takes(b"(") {
            return None;
        }
        let mut text = String::new();
        while self.takes(b"(") {
            let [name, _route, mailbox, host] = std::array::from_fn(|_| self.string());
            if !self.takes(b")") {
                break;
            }
            if !text.is_empty() {
                text.push_str(", ");
            }
            let shown = |part: Option<Cow<[u8]>>| part.map(|part| decode_words(&part));
            match (shown(name), shown(mailbox), shown(host)) {
                (Some(name), Some(mailbox), Some(host)) => {
                    text.push_str(&format!("{name} <{mailbox}@{host}>"));
                }
                (None, Some(mailbox), Some(host)) => text.push_str(&format!("{mailbox}@{host}")),
                // RFC 9051 §7.5.2: the name of a group.
                (_, Some(group), None) => text.push_str(&group),
                _ => {}
            }
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_an_envelope() {
        let envelope = b"(\"Mon, 23 Nov 2026 09:05:00 +0000\" \"=?utf-8?q?Gr=C3=BC=C3=9Fe?=\" \
            ((\"A \\\"b\\\" C\" NIL \"a\" \"x.org\")) ((NIL NIL \"a\" \"x.org\")) \
            ((NIL NIL \"a\" \"x.org\")) ((NIL NIL \"team\" NIL)(NIL NIL \"b\" \"y.org\")\
            (NIL NIL NIL NIL)) NIL NIL {3}\r\n<1> \"<2@x>\")";
        for (name, want) in [
            ("subject", Some("Grüße")),
            ("From", Some("A \"b\" C <a@x.org>")),
            ("to", Some("team, b@y.org, ")),
            ("cc", None),
            ("bcc", None),
            ("in-reply-to", Some("<1>")),
            ("message-id", Some("<2@x>")),
            ("sender", None),
            ("", None),
        ] {
            assert_eq!(text(envelope, name.as_bytes()).as_deref(), want, "{name}");
        }
        assert!(raw(envelope, b"date").is_some_and(|date| date.starts_with(b"Mon")));
        for cut in 0..envelope.len() {
            for field in FIELDS {
                let _ = text(&envelope[..cut], field);
            }
        }
    }
}
