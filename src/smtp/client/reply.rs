//! Reads a next hop's replies: lines of a code and a text, cut anywhere, from a host that may
//! mean harm.

use bytes::{Buf, Bytes};
use memchr::memchr;

use crate::limits::{REPLY_GATHERED_MAX, REPLY_LINE_MAX, REPLY_LINES_MAX};

/// One whole reply (RFC 5321 §4.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reply {
    /// 200 to 599.
    pub code: u16,
    /// Without codes and line ends; the lines of a longer reply parted by LF.
    pub text: Bytes,
}

/// What a host says that no client can follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum ReplyError {
    #[error("it sent a line that is not an SMTP reply")]
    Malformed,
    #[error("it sent a reply line of over {REPLY_LINE_MAX} octets")]
    LongLine,
    #[error("it sent a reply of over {REPLY_LINES_MAX} lines")]
    ManyLines,
    #[error("its reply {0} fits nothing that was asked")]
    OutOfPlace(u16),
}

/// What has been read of the next reply.
#[derive(Default, Debug)]
pub(super) struct Replies {
    /// A line whose end has not come.
    partial: Vec<u8>,
    /// The lines of a reply whose last line has not come, each with an LF.
    gathered: Vec<u8>,
    lines: usize,
}

impl Reply {
    /// 2 to 5: the first digit tells all that a client must know (RFC 5321 §4.2.1).
    pub fn class(&self) -> u16 {
        self.code / 100
    }
}

impl Replies {
    /// Takes the next whole reply off the front of `input`; `None`: all of it was taken in, and
    /// more is to come.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Reply>, ReplyError> {
        while input.has_remaining() {
            // A bare LF ends a line too: nothing can be smuggled into replies, and some hosts
            // write them so.
            let end = memchr(b'\n', input);
            let taken = end.map_or(input.len(), |lf| lf + 1);
            if self.partial.len() + taken > REPLY_LINE_MAX {
                return Err(ReplyError::LongLine);
            }
            let line = input.split_to(taken);
            if end.is_none() {
                self.partial.extend_from_slice(&line);
                return Ok(None);
            }
            let line = self.whole(line);
            if let Some(reply) = self.take_line(&line)? {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    fn whole(&mut self, line: Bytes) -> Bytes {
        if self.partial.is_empty() {
            return line;
        }
        self.partial.extend_from_slice(&line);
        Bytes::from(std::mem::take(&mut self.partial))
    }

    fn take_line(&mut self, line: &Bytes) -> Result<Option<Reply>, ReplyError> {
        let (code, last, text) = parse(line)?;
        if last && self.lines == 0 {
            return Ok(Some(Reply { code, text }));
        }
        self.lines += 1;
        if self.lines > REPLY_LINES_MAX {
            return Err(ReplyError::ManyLines);
        }
        if self.gathered.len() + text.len() < REPLY_GATHERED_MAX {
            self.gathered.extend_from_slice(&text);
            self.gathered.push(b'\n');
        }
        if !last {
            return Ok(None);
        }
        self.lines = 0;
        self.gathered.pop();
        // All lines should bear one code; where they do not, the last one counts, as in Postfix.
        Ok(Some(Reply { code, text: Bytes::from(std::mem::take(&mut self.gathered)) }))
    }
}

/// RFC 5321 §4.2 `Reply-line`: the code, whether it is the reply's last line, and the text.
fn parse(line: &Bytes) -> Result<(u16, bool, Bytes), ReplyError> {
    let end = line.strip_suffix(b"\n").unwrap_or(line);
    let end = end.strip_suffix(b"\r").unwrap_or(end).len();
    let (digits, rest) = line[..end].split_at_checked(3).ok_or(ReplyError::Malformed)?;
    if !digits.iter().all(u8::is_ascii_digit) || !matches!(digits[0], b'2'..=b'5') {
        return Err(ReplyError::Malformed);
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    match rest.first() {
        None => Ok((code, true, Bytes::new())),
        Some(b' ') => Ok((code, true, line.slice(4..end))),
        Some(b'-') => Ok((code, false, line.slice(4..end))),
        Some(_) => Err(ReplyError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], cut: usize) -> Result<Vec<(u16, String)>, ReplyError> {
        let mut replies = Replies::default();
        let mut read = Vec::new();
        for part in [&bytes[..cut], &bytes[cut..]] {
            let mut input = Bytes::copy_from_slice(part);
            while let Some(reply) = replies.next(&mut input)? {
                read.push((reply.code, String::from_utf8_lossy(&reply.text).into_owned()));
            }
        }
        Ok(read)
    }

    #[test]
    fn replies_cut_anywhere() {
        for (bytes, want) in [
            ("250 ok\r\n", vec![(250, "ok")]),
            ("250\r\n", vec![(250, "")]),
            ("250 \n354 go\n", vec![(250, ""), (354, "go")]),
            ("250-a\r\n250-b c\r\n250 d\r\n550 x\r\n", vec![(250, "a\nb c\nd"), (550, "x")]),
            ("250-\r\n250\r\n", vec![(250, "\n")]),
            ("250-a\r\n550 b\r\n", vec![(550, "a\nb")]),
            ("421 bye\r\nrest", vec![(421, "bye")]),
        ] {
            let want: Vec<_> = want.into_iter().map(|(c, t)| (c, t.to_string())).collect();
            for cut in 0..=bytes.len() {
                assert_eq!(read(bytes.as_bytes(), cut), Ok(want.clone()), "{bytes:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn garbage_is_named() {
        let long = [b"250 ".as_slice(), &[b'x'; REPLY_LINE_MAX]].concat();
        let many = b"250-x\r\n".repeat(REPLY_LINES_MAX + 1);
        for (bytes, want) in [
            (b"\r\n".as_slice(), ReplyError::Malformed),
            (b"25\r\n", ReplyError::Malformed),
            (b"2x0 ok\r\n", ReplyError::Malformed),
            (b"150 ok\r\n", ReplyError::Malformed),
            (b"650 ok\r\n", ReplyError::Malformed),
            (b"2500 ok\r\n", ReplyError::Malformed),
            (b"\0\0\0\0\n", ReplyError::Malformed),
            (b"HTTP/1.1 200 OK\r\n", ReplyError::Malformed),
            (&long, ReplyError::LongLine),
            (&many, ReplyError::ManyLines),
        ] {
            for cut in [0, 1, bytes.len() / 2, bytes.len()] {
                assert_eq!(read(bytes, cut), Err(want), "{:?}", &bytes[..bytes.len().min(20)]);
            }
        }
    }

    #[test]
    fn a_long_reply_is_gathered_up_to_its_bound() {
        let line = [b"250-".as_slice(), &[b'x'; 1000], b"\r\n"].concat();
        let mut replies = Replies::default();
        let mut input = Bytes::from([line.repeat(100), b"250 end\r\n".to_vec()].concat());
        let reply = replies.next(&mut input).unwrap().unwrap();
        assert!(reply.text.len() <= REPLY_GATHERED_MAX);
        assert!(replies.gathered.is_empty() && replies.lines == 0);
    }
}
