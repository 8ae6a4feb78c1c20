//! A message on its way to nowhere: where it ends, how long it was, and its Message-ID.

use memchr::memchr;

/// RFC 5322 §2.1.1, without the line's end.
const MESSAGE_ID_OCTETS_MAX: usize = 998;
/// What is kept of a header line that came in pieces; the rest of a longer one is not looked at.
const HEADER_LINE_MAX: usize = 2048;
/// RFC 5321 §4.5.3.1.6, the line's end included.
const TEXT_LINE_MAX: u64 = 1000;

/// One message, fed in any pieces. Kept from message to message for its buffers.
#[derive(Debug, Default)]
pub struct Body {
    header: Header,
    /// Octets of the line so far that came in earlier pieces.
    length: u64,
    first: u8,
    last: u8,
    /// The line before ended in a bare LF, so that no dot can end the message here.
    after_bare_lf: bool,
    octets: u64,
    bare_lf: bool,
    long_line: bool,
}

impl Body {
    pub fn begin(&mut self) {
        let mut header = std::mem::take(&mut self.header);
        header.begin();
        *self = Body { header, ..Body::default() };
    }

    /// Takes text that follows DATA; how many octets belong to the message and its end, once the
    /// end is there.
    pub fn text(&mut self, octets: &[u8]) -> Option<usize> {
        let mut rest = octets;
        while let Some(found) = memchr(b'\n', rest) {
            let (line, behind) = rest.split_at(found + 1);
            rest = behind;
            if self.end_line(line) {
                return Some(octets.len() - rest.len());
            }
        }
        self.begin_line(rest);
        None
    }

    /// Takes octets of a BDAT chunk, in which no dot means anything.
    pub fn chunk(&mut self, octets: &[u8]) {
        self.octets += octets.len() as u64;
        let mut rest = octets;
        while self.header.looking {
            let Some(found) = memchr(b'\n', rest) else {
                self.header.piece(rest);
                return;
            };
            let (line, behind) = rest.split_at(found + 1);
            rest = behind;
            self.header.line(line);
        }
    }

    /// The octets of the message, without the dots that transparency added.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// What stands between the angle brackets, brackets included; empty where there is none.
    pub fn message_id(&self) -> &[u8] {
        let value = &self.header.value;
        let begin = memchr(b'<', value);
        let end = memchr(b'>', value);
        begin.zip(end).and_then(|(begin, end)| value.get(begin..=end)).unwrap_or(value)
    }

    pub fn has_bare_lf(&self) -> bool {
        self.bare_lf
    }

    pub fn has_long_line(&self) -> bool {
        self.long_line
    }

    /// Takes a line from where the last piece left it, up to its LF; whether it ends the message.
    fn end_line(&mut self, piece: &[u8]) -> bool {
        let length = self.length + piece.len() as u64;
        let (first, before_lf) = match piece {
            [.., before, _] if self.length == 0 => (piece[0], *before),
            [.., before, _] => (self.first, *before),
            _ => (self.first, self.last),
        };
        let has_crlf = length >= 2 && before_lf == b'\r';
        // RFC 5321 §4.1.1.4: only CRLF "." CRLF, lest two servers see two ends.
        let is_dot = first == b'.' && length > 1;
        if is_dot && length == 3 && has_crlf && !self.after_bare_lf {
            return true;
        }
        self.octets += length - u64::from(is_dot);
        self.bare_lf |= !has_crlf;
        self.long_line |= length > TEXT_LINE_MAX;
        self.after_bare_lf = !has_crlf;
        (self.length, self.first, self.last) = (0, 0, 0);
        if self.header.looking {
            self.header.line(piece);
        }
        false
    }

    fn begin_line(&mut self, piece: &[u8]) {
        let (Some(&first), Some(&last)) = (piece.first(), piece.last()) else { return };
        if self.length == 0 {
            self.first = first;
        }
        self.last = last;
        self.length += piece.len() as u64;
        if self.header.looking {
            self.header.piece(piece);
        }
    }
}

/// The search for the Message-ID.
#[derive(Debug, Default)]
struct Header {
    /// Neither found nor is the header section over.
    looking: bool,
    /// Within the field: a folded line goes on with its value.
    within: bool,
    /// The line so far, where it comes in pieces.
    pieces: Vec<u8>,
    value: Vec<u8>,
}

impl Header {
    fn begin(&mut self) {
        (self.looking, self.within) = (true, false);
        self.pieces.clear();
        self.value.clear();
    }

    fn piece(&mut self, piece: &[u8]) {
        let room = HEADER_LINE_MAX.saturating_sub(self.pieces.len()).min(piece.len());
        self.pieces.extend_from_slice(piece.get(..room).unwrap_or_default());
    }

    fn line(&mut self, end: &[u8]) {
        if self.pieces.is_empty() {
            return self.whole_line(end);
        }
        self.piece(end);
        let line = std::mem::take(&mut self.pieces);
        self.whole_line(&line);
        self.pieces = line;
        self.pieces.clear();
    }

    fn whole_line(&mut self, line: &[u8]) {
        let folded = matches!(line, [b' ' | b'\t', ..]);
        let value = match line {
            _ if self.within && folded => Some(line),
            _ if self.within || matches!(line, b"\n" | b"\r\n") => {
                self.looking = false;
                None
            }
            _ => field_value(line, b"message-id"),
        };
        let Some(value) = value else { return };
        self.within = true;
        let value = value.trim_ascii();
        let room = MESSAGE_ID_OCTETS_MAX.saturating_sub(self.value.len()).min(value.len());
        self.value.extend_from_slice(value.get(..room).unwrap_or_default());
        // Most fields are one line: no need to wait for the next to know that it is whole.
        self.looking = !value.ends_with(b">");
    }
}

/// The value of the field, if the line begins the field of that name (in lower case).
fn field_value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (begin, rest) = line.split_at_checked(name.len())?;
    if !begin.eq_ignore_ascii_case(name) {
        return None;
    }
    // RFC 5322 §4.5 allows white space before the colon in old mail.
    rest.trim_ascii_start().strip_prefix(b":")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the text in two pieces cut at `cut`, and in single octets where `cut` is beyond it.
    fn feed(body: &mut Body, text: &[u8], cut: usize) -> Option<usize> {
        let pieces: Vec<&[u8]> = match text.split_at_checked(cut) {
            Some((left, right)) => vec![left, right],
            None => text.chunks(1).collect(),
        };
        body.begin();
        let mut taken = 0;
        for piece in pieces {
            match body.text(piece) {
                Some(end) => return Some(taken + end),
                None => taken += piece.len(),
            }
        }
        None
    }

    #[test]
    fn a_message_ends_at_its_dot_however_it_is_cut() {
        let mut body = Body::default();
        for (text, end, octets, id, bare_lf) in [
            (".\r\n", Some(3), 0, "", false),
            ("a\r\n.\r\nQUIT\r\n", Some(6), 3, "", false),
            ("Message-ID: <a@b>\r\n\r\nx\r\n..\r\n.\r\n", Some(31), 27, "<a@b>", false),
            ("A: b\r\nmessage-id:\r\n <a@b>\r\n\r\n.\r\n", Some(32), 29, "<a@b>", false),
            ("Message-Id : <a@b> (x)\r\nB: c\r\n\r\n.\r\n", Some(35), 32, "<a@b>", false),
            ("MESSAGE-ID: a@b\r\n\r\n.\r\n", Some(22), 19, "a@b", false),
            ("A: b\r\n\r\nMessage-ID: <a@b>\r\n.\r\n", Some(30), 27, "", false),
            ("Message-IDs: <a@b>\r\n.\r\n", Some(23), 20, "", false),
            ("a\n.\n.\r\n", None, 5, "", true),
            ("a\r\n.\n.\r\n", None, 6, "", true),
            ("a\n.\r\n.\r\n", Some(8), 4, "", true),
            ("a\r.\r\n\r.\r\n.\r\n", Some(12), 9, "", false),
            ("\n\r\n.\r\n", Some(6), 3, "", true),
            ("a\r\n.\r\r\n.\r\n", Some(10), 6, "", false),
        ] {
            for cut in 0..=text.len() + 1 {
                let got = feed(&mut body, text.as_bytes(), cut);
                assert_eq!(got, end, "{text:?} cut at {cut}");
                let id = id.as_bytes();
                assert_eq!(body.message_id(), id, "{text:?} cut at {cut}");
                assert_eq!(body.has_bare_lf(), bare_lf, "{text:?} cut at {cut}");
                if end.is_some() {
                    assert_eq!(body.octets(), octets, "{text:?} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn what_a_stranger_sends_is_kept_in_bounds() {
        let mut body = Body::default();
        let long = format!("Message-ID: <{}>\r\nX: y\r\n.\r\n", "a".repeat(100_000));
        for cut in [0, 5000, long.len() + 1] {
            assert!(feed(&mut body, long.as_bytes(), cut).is_some());
            assert!(body.message_id().len() <= MESSAGE_ID_OCTETS_MAX);
            assert!(body.header.pieces.capacity() <= 2 * HEADER_LINE_MAX);
            assert!(body.has_long_line());
        }
    }

    #[test]
    fn chunks_carry_dots_as_they_are() {
        let text = b"Message-ID: <1.r@x>\r\n\r\n.\r\n..\r\n";
        let mut body = Body::default();
        for cut in 0..=text.len() {
            body.begin();
            let (left, right) = text.split_at(cut);
            body.chunk(left);
            body.chunk(right);
            assert_eq!(body.octets(), text.len() as u64);
            assert_eq!(body.message_id(), b"<1.r@x>", "cut at {cut}");
        }
    }
}
