//! Replies of a server, line by line, however the network cut them.

use memchr::memchr;

/// RFC 5321 §4.5.3.1.5 asks for 512 octets; servers send longer ones, and a stranger may send
/// anything.
const LINE_MAX: usize = 4096;

/// One line of a reply (RFC 5321 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    pub code: u16,
    /// The last line of its reply: no hyphen follows the code.
    pub last: bool,
    /// What follows the code, without the line's end.
    pub text: &'a [u8],
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    #[error("a reply line is longer than {LINE_MAX} octets; see whether the target speaks SMTP")]
    TooLong,
    #[error("not an SMTP reply: \"{0}\"; see whether the target speaks SMTP, or wants TLS")]
    Malformed(String),
}

/// Cuts what comes into lines. Only a line that has not come whole is copied.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
    /// `partial` holds the line given out last.
    given: bool,
}

impl Lines {
    /// The next whole line of `octets`, which is moved on; `None` when all of it is consumed.
    pub fn next<'a, 'b: 'a>(
        &'a mut self,
        octets: &mut &'b [u8],
    ) -> Option<Result<Line<'a>, ReplyError>> {
        if self.given {
            self.partial.clear();
            self.given = false;
        }
        let Some(end) = memchr(b'\n', octets) else {
            self.partial.extend_from_slice(octets);
            *octets = &[];
            return (self.partial.len() > LINE_MAX).then_some(Err(ReplyError::TooLong));
        };
        let (line, rest) = octets.split_at(end + 1);
        *octets = rest;
        if self.partial.is_empty() {
            return Some(parsed(line));
        }
        self.partial.extend_from_slice(line);
        self.given = true;
        Some(parsed(&self.partial))
    }
}

fn parsed(line: &[u8]) -> Result<Line<'_>, ReplyError> {
    if line.len() > LINE_MAX {
        return Err(ReplyError::TooLong);
    }
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (digits, last, text) = match line {
        [a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] => match rest {
            [b'-', text @ ..] => ([a, b, c], false, text),
            [b' ', text @ ..] => ([a, b, c], true, text),
            [] => ([a, b, c], true, rest),
            _ => return Err(malformed(line)),
        },
        _ => return Err(malformed(line)),
    };
    let code = digits.iter().fold(0, |code, &&digit| code * 10 + u16::from(digit - b'0'));
    Ok(Line { code, last, text })
}

/// How much of a line an error quotes.
const QUOTED: usize = 60;

fn malformed(line: &[u8]) -> ReplyError {
    let shown = line.get(..QUOTED).unwrap_or(line);
    ReplyError::Malformed(shown.escape_ascii().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(reader: &mut Lines, mut octets: &[u8], out: &mut Vec<(u16, bool, String)>) {
        while let Some(line) = reader.next(&mut octets) {
            let line = line.unwrap();
            out.push((line.code, line.last, String::from_utf8(line.text.to_vec()).unwrap()));
        }
    }

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let wire = b"220 hello\r\n250-a\r\n250-SIZE 10\r\n250 b\r\n354\n550 5.1.1 no\r\n";
        let mut whole = Vec::new();
        lines(&mut Lines::default(), wire, &mut whole);
        let shown: Vec<_> = whole.iter().map(|(c, l, t)| (*c, *l, t.as_str())).collect();
        assert_eq!(
            shown,
            [
                (220, true, "hello"),
                (250, false, "a"),
                (250, false, "SIZE 10"),
                (250, true, "b"),
                (354, true, ""),
                (550, true, "5.1.1 no")
            ]
        );
        for first in 0..=wire.len() {
            for second in first..=wire.len() {
                let (mut reader, mut out) = (Lines::default(), Vec::new());
                for part in [&wire[..first], &wire[first..second], &wire[second..]] {
                    lines(&mut reader, part, &mut out);
                }
                assert_eq!(out, whole, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn what_is_no_reply_is_named() {
        for wire in
            ["\r\n", "+OK\r\n", "2x0 a\r\n", "25\r\n", "250x\r\n", "150 a\r\n", "\x16\x03\n"]
        {
            let mut octets = wire.as_bytes();
            let mut reader = Lines::default();
            let answer = reader.next(&mut octets).unwrap();
            assert!(matches!(answer, Err(ReplyError::Malformed(_))), "{wire:?}: {answer:?}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_bounded() {
        let mut reader = Lines::default();
        let mut fed = 0;
        loop {
            let mut octets = &[b'2'; 1000][..];
            fed += octets.len();
            if let Some(answer) = reader.next(&mut octets) {
                assert_eq!(answer, Err(ReplyError::TooLong));
                break;
            }
        }
        assert!(fed <= LINE_MAX + 1000);
        let long = [&[b'2'; LINE_MAX][..], b"\n"].concat();
        assert_eq!(Lines::default().next(&mut &long[..]), Some(Err(ReplyError::TooLong)));
    }
}
