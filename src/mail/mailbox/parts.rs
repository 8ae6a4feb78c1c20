//! The parts of a message: where each one's header and body lie, as found at its delivery.

use bytes::Bytes;

/// The parts in their order, the message itself first; each knows its depth. On disk this is one
/// text of octets, read in place.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Parts {
    octets: Bytes,
}

/// One part. Offsets count from the start of the content, without any `Delivered-To` field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// 0 for the message itself; a multipart's parts and an embedded message are one deeper.
    pub depth: u8,
    pub kind: PartKind,
    pub encoding: Encoding,
    /// Where the header begins, its octets with the empty line, and the body's octets behind it.
    pub start: u64,
    pub header: u32,
    pub body: u64,
    /// Of text: the charset as it was declared, at most 255 octets; empty where there is none.
    pub charset: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PartKind {
    Multipart,
    /// `message/rfc822` or `message/global`: the embedded message follows, one deeper.
    Message,
    Text,
    Other,
}

/// Content-Transfer-Encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    SevenBit,
    EightBit,
    Binary,
    QuotedPrintable,
    Base64,
    /// One that we do not know: its octets are left as they are.
    Unknown,
}

/// Depth, kind, encoding, start (8), header (4), body (8), length of the charset; little-endian.
const FIXED: usize = 1 + 1 + 1 + 8 + 4 + 8 + 1;

impl Part {
    /// Where the body begins.
    pub fn body_start(&self) -> u64 {
        self.start + u64::from(self.header)
    }
}

impl Parts {
    pub fn new(parts: &[Part]) -> Self {
        let mut octets = Vec::with_capacity(parts.len() * FIXED);
        for part in parts {
            octets.extend([part.depth, part.kind as u8, part.encoding as u8]);
            octets.extend(part.start.to_le_bytes());
            octets.extend(part.header.to_le_bytes());
            octets.extend(part.body.to_le_bytes());
            let charset = &part.charset[..part.charset.len().min(usize::from(u8::MAX))];
            octets.push(charset.len() as u8);
            octets.extend_from_slice(charset);
        }
        Self { octets: octets.into() }
    }

    /// As they lie on disk.
    pub fn as_bytes(&self) -> &Bytes {
        &self.octets
    }

    /// Reads them back; `None` where they are none of ours.
    pub fn from_bytes(octets: Bytes) -> Option<Self> {
        let parts = Self { octets };
        let mut reader = parts.iter();
        while reader.next().is_some() {}
        reader.rest.is_empty().then_some(parts)
    }

    pub fn iter(&self) -> PartsIter {
        PartsIter { rest: self.octets.clone() }
    }
}

/// Reads one part after the other.
pub struct PartsIter {
    rest: Bytes,
}

impl Iterator for PartsIter {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        let fixed = self.rest.get(..FIXED)?;
        let kind = match fixed[1] {
            0 => PartKind::Multipart,
            1 => PartKind::Message,
            2 => PartKind::Text,
            3 => PartKind::Other,
            _ => return None,
        };
        let encoding = match fixed[2] {
            0 => Encoding::SevenBit,
            1 => Encoding::EightBit,
            2 => Encoding::Binary,
            3 => Encoding::QuotedPrintable,
            4 => Encoding::Base64,
            5 => Encoding::Unknown,
            _ => return None,
        };
        let long = |at: usize| Some(u64::from_le_bytes(*fixed[at..].first_chunk()?));
        let end = FIXED + usize::from(fixed[FIXED - 1]);
        let part = Part {
            depth: fixed[0],
            kind,
            encoding,
            start: long(3)?,
            header: u32::from_le_bytes(*fixed[11..].first_chunk()?),
            body: long(15)?,
            charset: (self.rest.len() >= end).then(|| self.rest.slice(FIXED..end))?,
        };
        let _ = self.rest.split_to(end);
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_read_back_and_garbage_does_not() {
        let part = |depth, kind, charset: &'static str| Part {
            depth,
            kind,
            encoding: Encoding::Base64,
            start: 1 << 33,
            header: 77,
            body: 12345,
            charset: Bytes::from_static(charset.as_bytes()),
        };
        let all = [part(0, PartKind::Multipart, ""), part(1, PartKind::Text, "utf-8")];
        let parts = Parts::new(&all);
        assert_eq!(Vec::from_iter(parts.iter()), all);
        assert_eq!(Parts::from_bytes(parts.as_bytes().clone()), Some(parts.clone()));
        for cut in 1..parts.as_bytes().len() {
            let short = Parts::from_bytes(parts.as_bytes().slice(..cut));
            assert_eq!(short.is_some(), cut == FIXED, "{cut}");
        }
        let mut odd = parts.as_bytes().to_vec();
        odd[1] = 9;
        assert_eq!(Parts::from_bytes(odd.into()), None);
    }
}
