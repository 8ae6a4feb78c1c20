//! Reads the two header fields a relay needs while the body streams by: how many `Received:`
//! there are and what the `Message-ID:` is.

use bytes::Bytes;
use memchr::memchr;

use crate::limits::MESSAGE_ID_KEPT;

/// Looks at the start of each line of the header section and over the rest; a name may lie
/// across a cut between reads.
#[derive(Debug)]
pub struct HeaderScan {
    state: State,
    received: u32,
    message_id: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    LineStart,
    /// The first octets of a line are those of the field's name.
    Name(Field, u8),
    /// On the way to the end of a line of no interest.
    Line,
    MessageId,
    /// Behind the end of a line of the Message-ID: it may go on, folded (RFC 5322 §2.2.3).
    MessageIdFold,
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    Received,
    MessageId,
}

impl Default for HeaderScan {
    fn default() -> Self {
        Self { state: State::LineStart, received: 0, message_id: Vec::new() }
    }
}

impl HeaderScan {
    /// Takes the next octets of the message.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let [first, behind @ ..] = rest {
            rest = match self.state {
                State::Done => return,
                State::LineStart => {
                    self.state = match first {
                        b'R' | b'r' => State::Name(Field::Received, 1),
                        b'M' | b'm' => State::Name(Field::MessageId, 1),
                        // The empty line ends the header section.
                        b'\r' | b'\n' => State::Done,
                        _ => State::Line,
                    };
                    behind
                }
                State::Name(field, matched) => self.name(field, matched, rest),
                State::Line => self.line(rest),
                State::MessageId => self.value(rest),
                State::MessageIdFold => {
                    let folded = matches!(first, b' ' | b'\t');
                    self.state = if folded { State::MessageId } else { State::LineStart };
                    rest
                }
            };
        }
    }

    pub fn received(&self) -> u32 {
        self.received
    }

    /// Empty when there is none.
    pub fn into_message_id(self) -> Bytes {
        self.message_id.trim_ascii_end().to_vec().into()
    }

    fn name<'a>(&mut self, field: Field, matched: u8, rest: &'a [u8]) -> &'a [u8] {
        let name = field.name();
        let wanted = &name[usize::from(matched)..];
        let seen = wanted
            .iter()
            .zip(rest)
            .take_while(|(wanted, byte)| byte.eq_ignore_ascii_case(wanted))
            .count();
        self.state = if seen == wanted.len() {
            match field {
                Field::Received => {
                    self.received += 1;
                    State::Line
                }
                Field::MessageId if self.message_id.is_empty() => State::MessageId,
                Field::MessageId => State::Line,
            }
        } else if seen == rest.len() {
            State::Name(field, matched + seen as u8)
        } else {
            State::Line
        };
        &rest[seen..]
    }

    fn line<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        match memchr(b'\n', rest) {
            Some(at) => {
                self.state = State::LineStart;
                &rest[at + 1..]
            }
            None => &[],
        }
    }

    fn value<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        let end = memchr(b'\n', rest);
        let line = &rest[..end.unwrap_or(rest.len())];
        for byte in line {
            let leading = self.message_id.is_empty() && matches!(byte, b' ' | b'\t');
            if !leading && *byte != b'\r' && self.message_id.len() < MESSAGE_ID_KEPT {
                self.message_id.push(*byte);
            }
        }
        match end {
            Some(at) => {
                self.state = State::MessageIdFold;
                &rest[at + 1..]
            }
            None => &[],
        }
    }
}

impl Field {
    fn name(self) -> &'static [u8] {
        match self {
            Field::Received => b"received:",
            Field::MessageId => b"message-id:",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_at_every_cut() {
        let long = format!("Message-ID: <{}>\r\n\r\n", "x".repeat(600));
        for (text, received, id) in [
            ("Received: a\r\nRECEIVED:b\r\n\tfolded\r\nreceived : c\r\n\r\nReceived: d", 2, ""),
            ("Message-Id:  <a@b> \r\nSubject: x\r\n\r\n", 0, "<a@b>"),
            ("Message-ID:\r\n <a@b>\r\nReceived: x\r\n\r\n", 1, "<a@b>"),
            ("Message-ID: <a>\r\nMessage-ID: <b>\r\n\r\n", 0, "<a>"),
            ("Message-ID:\r\nReceived: x\r\n\r\n", 1, ""),
            ("Message-ID: <a>\r\n\r\nReceived: x\r\n", 0, "<a>"),
            ("\r\nReceived: x\r\n", 0, ""),
            ("Rec\r\nMessage-IDs: x\r\nReceived", 0, ""),
            ("MReceived: x\r\n Received: y\r\n\r\n", 0, ""),
            ("", 0, ""),
            (&long, 0, &format!("<{}", "x".repeat(MESSAGE_ID_KEPT - 1))),
        ] {
            for cut in 0..=text.len() {
                let mut scan = HeaderScan::default();
                scan.feed(&text.as_bytes()[..cut]);
                scan.feed(&text.as_bytes()[cut..]);
                assert_eq!(scan.received(), received, "{text:?} cut at {cut}");
                assert_eq!(scan.into_message_id(), id, "{text:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn padding_hides_nothing() {
        let mut scan = HeaderScan::default();
        scan.feed("X: y\r\n".repeat(100_000).as_bytes());
        scan.feed(b"Received: x\r\n\r\nReceived: y\r\n");
        assert_eq!(scan.received(), 1);
    }
}
