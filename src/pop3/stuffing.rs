//! A message as a reply of many lines (RFC 1939 §3): each line ends in CRLF, a dot before each
//! that begins with one.

use bytes::Bytes;
use memchr::memchr;

use crate::mail::Out;

/// Where a message stands between two of its pieces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Stuffing {
    extent: Extent,
    /// Octets of the line that is open.
    line: usize,
    /// The last octet of that line is a CR.
    after_cr: bool,
}

/// How much of the message is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Extent {
    Whole,
    /// What is left of TOP (RFC 1939 §7): the header and its empty line, then so many lines.
    Header {
        lines: u32,
    },
    Lines(u32),
    /// Nothing any more.
    Enough,
}

impl Stuffing {
    pub(super) fn new(extent: Extent) -> Self {
        Self { extent, line: 0, after_cr: false }
    }

    /// No more octets of the message are needed.
    pub(super) fn has_enough(&self) -> bool {
        self.extent == Extent::Enough
    }

    /// Puts out the next octets of the message. A lone LF becomes CRLF: what some client takes
    /// for the end of a line must be one for the dots as well.
    pub(super) fn feed(&mut self, octets: &Bytes, out: &mut Out) {
        // Octets before `done` are put out; a line begins, or goes on, at `start`.
        let (mut done, mut start) = (0, 0);
        while start < octets.len() && !self.has_enough() {
            if self.line == 0 && octets[start] == b'.' {
                out.slice(octets.slice(done..start));
                out.text(b".");
                done = start;
            }
            let Some(length) = memchr(b'\n', &octets[start..]) else {
                self.line += octets.len() - start;
                self.after_cr = octets.ends_with(b"\r");
                start = octets.len();
                break;
            };
            let end = start + length;
            let has_cr = if length > 0 { octets[end - 1] == b'\r' } else { self.after_cr };
            if !has_cr {
                out.slice(octets.slice(done..end));
                out.text(b"\r\n");
                done = end + 1;
            }
            self.line_ended(self.line + length == usize::from(has_cr));
            start = end + 1;
        }
        out.slice(octets.slice(done..start));
    }

    /// Ends the last line, where it is open, and the reply.
    pub(super) fn finish(self, out: &mut Out) {
        match (self.line, self.after_cr) {
            (0, _) => {}
            (_, true) => out.text(b"\n"),
            (_, false) => out.text(b"\r\n"),
        }
        out.text(b".\r\n");
    }

    fn line_ended(&mut self, is_empty: bool) {
        (self.line, self.after_cr) = (0, false);
        self.extent = match self.extent {
            Extent::Header { lines: 0 } if is_empty => Extent::Enough,
            Extent::Header { lines } if is_empty => Extent::Lines(lines),
            Extent::Lines(0 | 1) => Extent::Enough,
            Extent::Lines(lines) => Extent::Lines(lines - 1),
            other => other,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn stuffed(pieces: &[&[u8]], extent: Extent) -> Vec<u8> {
        let (mut stuffing, mut out) = (Stuffing::new(extent), Out::default());
        for piece in pieces {
            stuffing.feed(&Bytes::copy_from_slice(piece), &mut out);
        }
        stuffing.finish(&mut out);
        let length = out.len();
        let text = out.pieces().concat();
        assert_eq!(text.len(), length);
        text
    }

    #[test]
    fn messages_at_every_cut() {
        let long = "x".repeat(3000);
        let long_stuffed = format!(".{long}\r\n..{long}\r\n.\r\n");
        let long = format!(".{long}\n.{long}");
        let top = |lines| Extent::Header { lines };
        for (text, extent, want) in [
            ("", Extent::Whole, ".\r\n"),
            ("a\r\n\r\nb\r\n", Extent::Whole, "a\r\n\r\nb\r\n.\r\n"),
            ("a", Extent::Whole, "a\r\n.\r\n"),
            ("a\r", Extent::Whole, "a\r\n.\r\n"),
            (".", Extent::Whole, "..\r\n.\r\n"),
            ("a\n.\r\n..\n\nb\r.c", Extent::Whole, "a\r\n..\r\n...\r\n\r\nb\r.c\r\n.\r\n"),
            ("\n\r\n", Extent::Whole, "\r\n\r\n.\r\n"),
            (&long, Extent::Whole, &format!(".{long_stuffed}")),
            ("a: b\r\n\r\n1\r\n2\r\n", top(0), "a: b\r\n\r\n.\r\n"),
            ("a: b\r\n\r\n.1\r\n2\r\n", top(1), "a: b\r\n\r\n..1\r\n.\r\n"),
            ("a: b\n\n1\n\n2", top(3), "a: b\r\n\r\n1\r\n\r\n2\r\n.\r\n"),
            ("a: b\n\n1\n\n2\n3", top(9), "a: b\r\n\r\n1\r\n\r\n2\r\n3\r\n.\r\n"),
            ("a: b\n", top(0), "a: b\r\n.\r\n"),
            ("\r\n\r\n1\r\n", top(1), "\r\n\r\n.\r\n"),
        ] {
            for cut in 0..=text.len() {
                let (head, tail) = text.as_bytes().split_at(cut);
                let found = stuffed(&[head, tail], extent);
                assert_eq!(found.escape_ascii().to_string(), want.escape_default().to_string());
            }
        }
    }

    #[test]
    fn what_is_stuffed_reads_back() {
        for seed in 0..200 {
            let mut random = Random::from_seed([seed; 32]);
            let mut octet = || b"..\r\n\nab"[random.below(7) as usize];
            let message: Vec<u8> = (0..100).map(|_| octet()).collect();
            let pieces: Vec<_> = message.chunks(1 + usize::from(seed) % 9).collect();
            let reply = String::from_utf8(stuffed(&pieces, Extent::Whole)).unwrap();
            let message = String::from_utf8(message).unwrap();
            let lines: Vec<_> = reply.split("\r\n").collect();
            assert!(lines.iter().all(|line| !line.contains('\n')), "seed {seed}");
            let end = lines.iter().position(|line| *line == ".").unwrap();
            assert_eq!(end + 2, lines.len(), "seed {seed}");
            let read = lines[..end].iter().map(|line| line.strip_prefix('.').unwrap_or(line));
            let message = message.replace("\r\n", "\n");
            let message = message.strip_suffix(['\n', '\r']).unwrap_or(&message);
            assert_eq!(read.collect::<Vec<_>>().join("\n"), message, "seed {seed}");
        }
    }
}
