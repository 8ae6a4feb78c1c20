//! Hands a body to the next hop in the form it takes, without copying an octet of it.

use bytes::Bytes;
use memchr::memmem;

use super::Steps;
use crate::mail::{Message, Wire};

/// How a body travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// By DATA, octet for octet: it was stuffed when it came.
    AsItLies,
    /// By DATA, dots doubled on the way.
    Stuffed,
    /// By one BDAT (RFC 3030).
    Chunk,
}

/// A body being handed over.
#[derive(Debug)]
pub(super) struct Handover {
    form: Form,
    /// Octets that the message's record promises and that have not come yet.
    left: u64,
    tail: Tail,
}

/// How the octets handed over so far end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tail {
    /// With a whole line, or nothing came yet.
    Line,
    /// With an LF that no CR precedes.
    BareLf,
    Cr,
    Other,
}

/// The body is longer or shorter than its record says: to end it with a dot would pass a torn
/// message off as a whole one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Torn;

impl Form {
    pub fn of(message: &Message, chunking: bool) -> Self {
        match message.wire {
            Wire::Stuffed => Form::AsItLies,
            Wire::Plain if chunking => Form::Chunk,
            Wire::Plain => Form::Stuffed,
        }
    }
}

impl Handover {
    pub fn new(form: Form, size: u64) -> Self {
        Self { form, left: size, tail: Tail::Line }
    }

    /// Sends `pieces`; behind the `last` ones, what ends the body.
    pub fn take(
        &mut self,
        pieces: impl IntoIterator<Item = Bytes>,
        last: bool,
        steps: &mut Steps,
    ) -> Result<(), Torn> {
        let dot_line = memmem::Finder::new(b"\n.");
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            self.left = self.left.checked_sub(piece.len() as u64).ok_or(Torn)?;
            if self.form == Form::Stuffed {
                self.stuff(piece, &dot_line, steps);
            } else {
                steps.send.push(piece);
            }
        }
        if last && self.left > 0 {
            return Err(Torn);
        }
        if last && self.form != Form::Chunk {
            steps.send.push(self.end());
        }
        Ok(())
    }

    /// RFC 5321 §4.5.2: a dot that begins a line is doubled. The two slices around it both hold
    /// it, so that nothing is copied.
    ///
    /// A dot behind a bare LF is doubled too: a lax next hop would take it to begin a line, and
    /// what follows for commands (CVE-2023-51764).
    fn stuff(&mut self, piece: Bytes, dot_line: &memmem::Finder<'_>, steps: &mut Steps) {
        if piece[0] == b'.' && matches!(self.tail, Tail::Line | Tail::BareLf) {
            steps.send.push(piece.slice(..1));
        }
        let mut from = 0;
        for lf in dot_line.find_iter(&piece) {
            steps.send.push(piece.slice(from..lf + 2));
            from = lf + 1;
        }
        self.tail = match (&piece[..], self.tail) {
            ([.., b'\r', b'\n'], _) | ([b'\n'], Tail::Cr) => Tail::Line,
            ([.., b'\n'], _) => Tail::BareLf,
            ([.., b'\r'], _) => Tail::Cr,
            _ => Tail::Other,
        };
        steps.send.push(piece.slice(from..));
    }

    /// RFC 5321 §4.1.1.4: the dot stands on a line of its own, and CRLF ends the line before.
    fn end(&self) -> Bytes {
        Bytes::from_static(match self.tail {
            Tail::Line => b".\r\n",
            Tail::Cr => b"\n.\r\n",
            Tail::BareLf | Tail::Other => b"\r\n.\r\n",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed(form: Form, pieces: &[&[u8]], size: usize) -> Result<Vec<u8>, Torn> {
        let mut steps = Steps::default();
        let mut handover = Handover::new(form, size as u64);
        let (last, others) = pieces.split_last().unwrap();
        for piece in others {
            handover.take([Bytes::copy_from_slice(piece)], false, &mut steps)?;
        }
        handover.take([Bytes::copy_from_slice(last)], true, &mut steps)?;
        Ok(steps.send.concat())
    }

    #[test]
    fn dots_are_doubled_wherever_the_body_is_cut() {
        for (body, want) in [
            ("", ".\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            ("a\r", "a\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            (".\r\n.\r\n..\r\na.b\r\n", "..\r\n..\r\n...\r\na.b\r\n.\r\n"),
            ("a\r\n.\r\nMAIL", "a\r\n..\r\nMAIL\r\n.\r\n"),
            ("a\n.\r\nb\n", "a\n..\r\nb\n\r\n.\r\n"),
            ("a\r.\r\n", "a\r.\r\n.\r\n"),
        ] {
            let body = body.as_bytes();
            for cut in 0..=body.len() {
                for cut2 in cut..=body.len() {
                    let pieces = [&body[..cut], &body[cut..cut2], &body[cut2..]];
                    let got = handed(Form::Stuffed, &pieces, body.len()).unwrap();
                    assert_eq!(String::from_utf8(got).unwrap(), want, "cut {cut}, {cut2}");
                }
            }
        }
    }

    #[test]
    fn other_forms_go_as_they_lie() {
        let body: &[u8] = b"..\r\na\r\n";
        assert_eq!(handed(Form::AsItLies, &[body], 7).unwrap(), b"..\r\na\r\n.\r\n");
        assert_eq!(handed(Form::Chunk, &[body], 7).unwrap(), body);
    }

    #[test]
    fn a_torn_body_is_never_ended() {
        for form in [Form::AsItLies, Form::Stuffed, Form::Chunk] {
            assert_eq!(handed(form, &[b"a\r\n"], 4), Err(Torn));
            assert_eq!(handed(form, &[b"a\r\n"], 2), Err(Torn));
        }
    }

    #[test]
    fn stuffing_copies_nothing() {
        let body = Bytes::from(b"a\r\n.b\r\n.c\r\n".to_vec());
        let mut steps = Steps::default();
        let mut handover = Handover::new(Form::Stuffed, body.len() as u64);
        handover.take([body.clone()], true, &mut steps).unwrap();
        let within = body.as_ptr_range();
        let (end, pieces) = steps.send.split_last().unwrap();
        assert!(pieces.iter().all(|piece| within.contains(&piece.as_ptr())));
        assert_eq!((pieces.len(), &end[..]), (3, &b".\r\n"[..]));
    }
}
