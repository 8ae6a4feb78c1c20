//! Cuts the client's octets into command lines: only CRLF ends a line.

use bytes::{Buf, Bytes};
use memchr::memchr2;

use crate::limits::COMMAND_LINE_MAX;

/// The start of a command line whose end has not come yet. Nearly always empty: the usual line
/// comes whole and is looked at where it lies.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
    /// The line is over its limit: of `partial` only the last octet is kept.
    overlong: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineError {
    /// Over `COMMAND_LINE_MAX`; it was skipped up to its CRLF.
    TooLong,
    /// CR without LF or LF without CR. What this client takes for a line is unknown, so
    /// nothing behind it can be trusted either.
    BareNewline,
}

enum End {
    /// The index of the CRLF.
    At(usize),
    Open,
    Bare,
}

impl Lines {
    /// Takes one line off the front of `input` and hands it, without its CRLF, to `parse`.
    /// `None`: the end of the line is not in `input`, which is then used up.
    pub fn next<T>(
        &mut self,
        input: &mut Bytes,
        parse: impl FnOnce(&[u8]) -> T,
    ) -> Option<Result<T, LineError>> {
        if !self.partial.is_empty() {
            return self.join(input, parse);
        }
        match end_of_line(input) {
            End::At(end) if end + 2 > COMMAND_LINE_MAX => {
                input.advance(end + 2);
                Some(Err(LineError::TooLong))
            }
            End::At(end) => {
                let parsed = parse(&input[..end]);
                input.advance(end + 2);
                Some(Ok(parsed))
            }
            End::Open => {
                self.keep(input);
                None
            }
            End::Bare => {
                input.clear();
                Some(Err(LineError::BareNewline))
            }
        }
    }

    /// The same for a line that began in an earlier read.
    fn join<T>(
        &mut self,
        input: &mut Bytes,
        parse: impl FnOnce(&[u8]) -> T,
    ) -> Option<Result<T, LineError>> {
        let end = match (self.partial.last(), input.first()) {
            (_, None) => End::Open,
            (Some(b'\r'), Some(b'\n')) => {
                self.partial.pop();
                input.advance(1);
                return Some(self.finish(parse));
            }
            (Some(b'\r'), Some(_)) => End::Bare,
            _ => end_of_line(input),
        };
        match end {
            End::At(end) => {
                let rest = input.split_off(end);
                self.keep(input);
                *input = rest;
                input.advance(2);
                Some(self.finish(parse))
            }
            End::Open => {
                self.keep(input);
                None
            }
            End::Bare => {
                *self = Self::default();
                input.clear();
                Some(Err(LineError::BareNewline))
            }
        }
    }

    /// Gives the memory back with the line: an idle session holds none.
    fn finish<T>(&mut self, parse: impl FnOnce(&[u8]) -> T) -> Result<T, LineError> {
        let Self { partial, overlong } = std::mem::take(self);
        if overlong || partial.len() + 2 > COMMAND_LINE_MAX {
            return Err(LineError::TooLong);
        }
        Ok(parse(&partial))
    }

    fn keep(&mut self, input: &mut Bytes) {
        if self.overlong || self.partial.len() + input.len() > COMMAND_LINE_MAX {
            self.overlong = true;
            let last = input.last().or(self.partial.last()).copied();
            self.partial = last.into_iter().collect();
        } else {
            self.partial.extend_from_slice(input);
        }
        input.clear();
    }
}

fn end_of_line(bytes: &[u8]) -> End {
    match memchr2(b'\r', b'\n', bytes) {
        None => End::Open,
        Some(at) if bytes[at] == b'\n' => End::Bare,
        Some(at) => match bytes.get(at + 1) {
            Some(b'\n') => End::At(at),
            Some(_) => End::Bare,
            None => End::Open,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Found = Vec<Result<Vec<u8>, LineError>>;

    fn lines_of(pieces: &[&[u8]]) -> Found {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for piece in pieces {
            let mut input = Bytes::copy_from_slice(piece);
            while !input.is_empty() {
                found.extend(lines.next(&mut input, <[u8]>::to_vec));
            }
        }
        found
    }

    #[test]
    fn lines_at_every_cut() {
        let long = [&b"a"[..], &[b'x'; COMMAND_LINE_MAX - 2], b"\r\nb\r\n"].concat();
        let fits = [&[b'x'; COMMAND_LINE_MAX - 2][..], b"\r\nb\r\n"].concat();
        let bare = Err(LineError::BareNewline);
        let ok = |text: &[u8]| Ok(text.to_vec());
        let table: [(&[u8], Found); 8] = [
            (b"NOOP\r\nQUIT\r\n", vec![ok(b"NOOP"), ok(b"QUIT")]),
            (b"\r\n\r\n", vec![ok(b""), ok(b"")]),
            (b"NO\nOP", vec![bare.clone()]),
            (b"NO\rOP", vec![bare.clone()]),
            (b"NOOP\r\r", vec![bare]),
            (b"half", vec![]),
            (&long, vec![Err(LineError::TooLong), ok(b"b")]),
            (&fits, vec![ok(&fits[..COMMAND_LINE_MAX - 2]), ok(b"b")]),
        ];
        for (text, want) in table {
            for cut in 0..=text.len() {
                let mut found = lines_of(&[&text[..cut], &text[cut..]]);
                // What follows a bare newline is the session's to ignore.
                if let Some(at) = found.iter().position(|f| *f == Err(LineError::BareNewline)) {
                    found.truncate(at + 1);
                }
                assert_eq!(found, want, "{:?} cut at {cut}", text.escape_ascii().to_string());
            }
        }
    }
}
