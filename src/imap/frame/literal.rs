//! The header of a literal at the end of a line.

use crate::limits::IMAP_LITERAL_HEADER_MAX;

/// `{5}`, `{5+}` (RFC 7888), and either with `~` before it (RFC 3516).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Octets of the line before it.
    pub at: usize,
    /// What 64 bits cannot hold is their largest.
    pub size: u64,
    pub synchronizing: bool,
    pub binary: bool,
}

impl Header {
    /// Of a line with its LF. No other line can end so: `{` stands in neither an atom nor behind
    /// the last quotation mark of a string.
    pub fn of(line: &[u8]) -> Option<Self> {
        let text = line.strip_suffix(b"\n")?;
        let text = text.strip_suffix(b"\r").unwrap_or(text).strip_suffix(b"}")?;
        let (text, synchronizing) = match text.strip_suffix(b"+") {
            Some(text) => (text, false),
            None => (text, true),
        };
        let digits = text.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
        let (before, digits) = text.split_at(text.len() - digits);
        let before = before.strip_suffix(b"{")?;
        // So much is kept of the end of a line that is read over.
        if digits.is_empty() || digits.len() > IMAP_LITERAL_HEADER_MAX - b"~{+}\r\n".len() {
            return None;
        }
        let size = digits.iter().fold(0u64, |size, digit| {
            size.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
        });
        let plain = before.strip_suffix(b"~");
        let at = plain.unwrap_or(before).len();
        Some(Self { at, size, synchronizing, binary: plain.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let header =
            |at, size, synchronizing, binary| Some(Header { at, size, synchronizing, binary });
        for (line, want) in [
            ("a {5}\r\n", header(2, 5, true, false)),
            ("a {5+}\n", header(2, 5, false, false)),
            ("~{0}\r\n", header(0, 0, true, true)),
            ("a ~{12+}\r\n", header(2, 12, false, true)),
            ("{99999999999999999999}\r\n", header(0, u64::MAX, true, false)),
            ("{000000000000000000005}\r\n", None),
            ("{}\r\n", None),
            ("{+}\r\n", None),
            ("5}\r\n", None),
            ("{5}", None),
            ("{5} \r\n", None),
            ("\n", None),
        ] {
            assert_eq!(Header::of(line.as_bytes()), want, "{line:?}");
        }
    }
}
