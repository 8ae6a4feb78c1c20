//! The form messages have on the wire: line ends made CRLF, lines cut, dots stuffed.

use bytes::Bytes;
use memchr::memchr;

/// RFC 5322 §2.1.1: no line is longer, its CRLF not counted.
pub const LINE_MAX: usize = 998;

/// What carries a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// DATA: a line that starts with a dot gets one more (RFC 5321 §4.5.2).
    Data,
    /// BDAT (RFC 3030), or a literal of IMAP: as it is.
    Chunk,
}

/// A text as it travels.
pub fn carried(text: Vec<u8>, carriage: Carriage) -> Bytes {
    match carriage {
        Carriage::Data if has_dots(&text) => stuffed(&text).into(),
        Carriage::Data | Carriage::Chunk => text.into(),
    }
}

/// Every line ends with CRLF, the last one too, and none is longer than the law has it; a lone CR
/// counts as a line end as well.
pub fn normalised(text: &[u8]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(text.len() + text.len() / 32 + 2);
    let mut rest = text;
    while !rest.is_empty() {
        let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let (line, after) = rest.split_at(end);
        let cut = if line.is_empty() { 1 } else { line.len().div_ceil(LINE_MAX) };
        for piece in 0..cut {
            let from = piece * LINE_MAX;
            lines.extend_from_slice(&line[from..line.len().min(from + LINE_MAX)]);
            lines.extend_from_slice(b"\r\n");
        }
        rest = match after {
            [b'\r', b'\n', next @ ..] | [_, next @ ..] => next,
            [] => after,
        };
    }
    lines
}

fn has_dots(text: &[u8]) -> bool {
    text.first() == Some(&b'.') || memchr::memmem::find(text, b"\n.").is_some()
}

fn stuffed(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 32);
    let mut rest = text;
    while !rest.is_empty() {
        if rest[0] == b'.' {
            out.push(b'.');
        }
        let end = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at(end);
        out.extend_from_slice(line);
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_stuffed_for_data_and_left_for_bdat() {
        let cases: &[(&str, &str)] = &[
            ("", ""),
            ("a\r\n", "a\r\n"),
            (".\r\n", "..\r\n"),
            ("a\r\n.b\r\n..\r\n", "a\r\n..b\r\n...\r\n"),
            ("a.\r\nb.c\r\n", "a.\r\nb.c\r\n"),
        ];
        for (plain, wire) in cases {
            assert_eq!(carried(plain.as_bytes().to_vec(), Carriage::Data), wire.as_bytes());
            assert_eq!(carried(plain.as_bytes().to_vec(), Carriage::Chunk), plain.as_bytes());
        }
    }

    #[test]
    fn every_line_ends_with_crlf() {
        let cases: &[(&str, &str)] = &[
            ("", ""),
            ("a", "a\r\n"),
            ("a\n", "a\r\n"),
            ("a\r\n\r\nb", "a\r\n\r\nb\r\n"),
            ("a\n\nb\rc\n\r\n", "a\r\n\r\nb\r\nc\r\n\r\n"),
        ];
        for (text, expected) in cases {
            assert_eq!(normalised(text.as_bytes()), expected.as_bytes(), "{text:?}");
        }
    }

    #[test]
    fn a_long_line_is_cut() {
        let lines = normalised(&[b'x'; LINE_MAX * 2 + 1]);
        let lengths: Vec<usize> = lines.split(|&octet| octet == b'\n').map(<[u8]>::len).collect();
        assert_eq!(lengths, [LINE_MAX + 1, LINE_MAX + 1, 2, 0]);
    }
}
