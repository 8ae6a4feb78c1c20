//! Keeps the fields of one header that a listing shows, unfolded, while its lines come by.

use memchr::{memchr, memchr2};

use crate::limits::{HEADER_FIELDS_MAX, HEADER_LOOKED_AT_MAX};

/// The kept fields of the header that is being read; used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// Values one behind the other, without line ends.
    text: Vec<u8>,
    /// Each field, with the end of its value in `text`; it begins where the one before ends.
    kept: Vec<(Field, usize)>,
    looked_at: usize,
    /// The last line belongs to a kept field, and a folded line goes on with it.
    open: bool,
}

/// Fields of the envelope, which only a message's own header has, and those of MIME.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Field {
    Date,
    Subject,
    From,
    Sender,
    ReplyTo,
    To,
    Cc,
    Bcc,
    InReplyTo,
    MessageId,
    ContentType,
    ContentId,
    ContentDescription,
    ContentTransferEncoding,
    ContentMd5,
    ContentDisposition,
    ContentLanguage,
    ContentLocation,
}

const NAMES: [(Field, &[u8]); 18] = [
    (Field::Date, b"Date"),
    (Field::Subject, b"Subject"),
    (Field::From, b"From"),
    (Field::Sender, b"Sender"),
    (Field::ReplyTo, b"Reply-To"),
    (Field::To, b"To"),
    (Field::Cc, b"Cc"),
    (Field::Bcc, b"Bcc"),
    (Field::InReplyTo, b"In-Reply-To"),
    (Field::MessageId, b"Message-ID"),
    (Field::ContentType, b"Content-Type"),
    (Field::ContentId, b"Content-ID"),
    (Field::ContentDescription, b"Content-Description"),
    (Field::ContentTransferEncoding, b"Content-Transfer-Encoding"),
    (Field::ContentMd5, b"Content-MD5"),
    (Field::ContentDisposition, b"Content-Disposition"),
    (Field::ContentLanguage, b"Content-Language"),
    (Field::ContentLocation, b"Content-Location"),
];

impl Header {
    /// Octets of lines that may still be looked at.
    pub(super) fn room(&self) -> usize {
        HEADER_LOOKED_AT_MAX.saturating_sub(self.looked_at)
    }

    /// Takes one line without its end.
    pub(super) fn line(&mut self, line: &[u8]) {
        let line = &line[..line.len().min(self.room())];
        self.looked_at += line.len() + 1;
        // RFC 5322 §2.2.3: unfolding takes the line's end away and leaves the white space.
        if let Some(b' ' | b'\t') = line.first() {
            if self.open {
                self.append(line);
            }
            return;
        }
        self.open = false;
        let Some(colon) = memchr(b':', line) else { return };
        // RFC 5322 §4.5: of old there could be white space before the colon.
        let Some(field) = Field::named(line[..colon].trim_ascii_end()) else { return };
        if self.kept.len() < HEADER_FIELDS_MAX {
            self.open = true;
            self.kept.push((field, self.text.len()));
            self.append(&line[colon + 1..]);
        }
    }

    /// The first field of this name, where it is not empty.
    pub(super) fn value(&self, field: Field) -> Option<&[u8]> {
        self.values(field).next().filter(|value| !value.is_empty())
    }

    /// All fields of this name, the white space around each taken off.
    pub(super) fn values(&self, field: Field) -> impl Iterator<Item = &[u8]> {
        self.kept.iter().enumerate().filter(move |(_, kept)| kept.0 == field).map(|(at, kept)| {
            let start = at.checked_sub(1).map_or(0, |before| self.kept[before].1);
            self.text[start..kept.1].trim_ascii()
        })
    }

    /// Makes room for the next header.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.kept.clear();
        self.looked_at = 0;
        self.open = false;
    }

    /// NUL has no place in IMAP's strings, nor has a CR.
    fn append(&mut self, piece: &[u8]) {
        match memchr2(0, b'\r', piece) {
            None => self.text.extend_from_slice(piece),
            Some(_) => self.text.extend(piece.iter().filter(|octet| !matches!(octet, 0 | b'\r'))),
        }
        if let Some(last) = self.kept.last_mut() {
            last.1 = self.text.len();
        }
    }
}

impl Field {
    fn named(name: &[u8]) -> Option<Self> {
        let named = |other: &[u8]| other.len() == name.len() && other.eq_ignore_ascii_case(name);
        NAMES.iter().find(|(_, other)| named(other)).map(|(field, _)| *field)
    }
}
