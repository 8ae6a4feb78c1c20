//! Cuts the client's octets into lines, each within its bound.

use bytes::Bytes;
use memchr::memchr;

use crate::limits::POP3_LINE_MAX;

/// The start of a line whose end has not come yet. Nearly always empty: the usual line comes
/// whole and is looked at where it lies.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
    /// The line is over its limit: nothing of it is kept.
    overlong: bool,
}

/// Over `POP3_LINE_MAX`; it was skipped up to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooLong;

impl Lines {
    /// Takes one line off the front of `input` and hands it, without its end, to `parse`. A lone
    /// LF ends a line too, for whoever tries a server by hand: no line of a client is anything
    /// but a command, so nothing can be smuggled behind one.
    ///
    /// `None`: the end of the line is not in `input`, which is then used up.
    pub(super) fn next<T>(
        &mut self,
        input: &mut Bytes,
        parse: impl FnOnce(&[u8]) -> T,
    ) -> Option<Result<T, TooLong>> {
        let Some(end) = memchr(b'\n', input) else {
            self.keep(&std::mem::take(input));
            return None;
        };
        let line = input.split_to(end + 1);
        if self.partial.is_empty() && !self.overlong && line.len() <= POP3_LINE_MAX {
            return Some(Ok(parse(without_end(&line))));
        }
        self.keep(&line);
        // The memory goes with the line: an idle session holds none.
        let Self { partial, overlong } = std::mem::take(self);
        Some(if overlong { Err(TooLong) } else { Ok(parse(without_end(&partial))) })
    }

    fn keep(&mut self, octets: &[u8]) {
        if self.overlong || self.partial.len() + octets.len() > POP3_LINE_MAX {
            *self = Self { partial: Vec::new(), overlong: true };
        } else {
            self.partial.extend_from_slice(octets);
        }
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Result<Vec<u8>, TooLong>;

    #[test]
    fn lines_at_every_cut() {
        let long = [&b"a\n"[..], &[b'x'; POP3_LINE_MAX - 1], b"\r\nb\r\n"].concat();
        let fits = [&[b'x'; POP3_LINE_MAX - 2][..], b"\r\nb\r\n"].concat();
        let ok = |text: &[u8]| Ok(text.to_vec());
        let table: [(&[u8], Vec<Found>); 6] = [
            (b"NOOP\r\nQUIT\n", vec![ok(b"NOOP"), ok(b"QUIT")]),
            (b"\r\n\n", vec![ok(b""), ok(b"")]),
            (b"a\rb\r\r\n", vec![ok(b"a\rb\r")]),
            (b"half", vec![]),
            (&long, vec![ok(b"a"), Err(TooLong), ok(b"b")]),
            (&fits, vec![ok(&fits[..POP3_LINE_MAX - 2]), ok(b"b")]),
        ];
        for (text, want) in table {
            for cut in 0..=text.len() {
                let (mut lines, mut found) = (Lines::default(), Vec::new());
                for piece in [&text[..cut], &text[cut..]] {
                    let mut input = Bytes::copy_from_slice(piece);
                    while !input.is_empty() {
                        found.extend(lines.next(&mut input, <[u8]>::to_vec));
                    }
                }
                assert_eq!(found, want, "{:?} cut at {cut}", text.escape_ascii().to_string());
                assert_eq!(lines.partial.is_empty(), text != b"half");
            }
        }
    }
}
