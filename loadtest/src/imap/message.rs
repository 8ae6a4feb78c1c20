//! The messages that are appended: made once, each sent with a Message-ID of its own.

use std::fmt::Write;

use bytes::{Bytes, BytesMut};
use thiserror::Error;

use super::random::Random;

/// Words of subjects: what `search` looks for.
pub const SUBJECTS: [&str; 8] =
    ["invoice", "minutes", "holiday", "release", "contract", "reminder", "picnic", "summary"];
/// The header that comes before the parts that all messages of one subject share.
const PREFIX: usize = "Message-ID: <00000000.0000000000000000@ringload.invalid>\r\n".len();
/// No larger message is made: a template lies in memory whole.
const SIZE_MAX: u64 = 256 * 1024 * 1024;
/// Letters of a body's line.
const LINE: usize = 76;

/// A message in two pieces, of which the second ends in the CRLF that ends the APPEND.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub prefix: Bytes,
    pub rest: Bytes,
}

impl Message {
    /// Octets of the literal: the CRLF after it does not count.
    pub fn size(&self) -> usize {
        (self.prefix.len() + self.rest.len()).saturating_sub(2)
    }
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum MessageError {
    #[error("a message of {0} octets has no room for its header: give a --size of at least {1}")]
    Small(u64, usize),
    #[error("a message of {0} octets is too large: give a --size of at most {SIZE_MAX}")]
    Large(u64),
}

/// One template for each subject.
#[derive(Debug)]
pub struct Messages {
    run: u32,
    rests: Vec<Bytes>,
}

impl Messages {
    /// Messages of exactly `size` octets; `date` is that of their Date field, `run` tells the
    /// Message-IDs of one run from those of the next.
    pub fn fixed(size: u64, date: &str, run: u32) -> Result<Self, MessageError> {
        if size > SIZE_MAX {
            return Err(MessageError::Large(size));
        }
        let heads = SUBJECTS.map(|subject| head(subject, date));
        let least = PREFIX + heads.iter().map(String::len).max().unwrap_or(0) + 2;
        if (size as usize) < least {
            return Err(MessageError::Small(size, least));
        }
        let rests = heads.iter().map(|head| rest(head, size as usize - PREFIX)).collect();
        Ok(Self { run, rests })
    }

    /// The message with this number, which no other one of the run may have.
    pub fn message(&self, number: u64, random: &mut Random) -> Message {
        let mut prefix = BytesMut::with_capacity(PREFIX);
        let id = format_args!("Message-ID: <{:08x}.{number:016x}@ringload.invalid>\r\n", self.run)
            .to_string();
        prefix.extend_from_slice(id.as_bytes());
        let rest = self.rests.get(random.below(self.rests.len())).cloned().unwrap_or_default();
        Message { prefix: prefix.freeze(), rest }
    }
}

fn head(subject: &str, date: &str) -> String {
    format!(
        "Date: {date}\r\nFrom: Anna Example <anna@src.example>\r\nTo: Bob Example \
         <bob@dst.example>\r\nSubject: Your {subject} of the week\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\r\n"
    )
}

/// Header and lines of text, `size` octets and a CRLF.
fn rest(head: &str, size: usize) -> Bytes {
    let mut text = String::with_capacity(size + LINE + 4);
    text.push_str(head);
    let mut number = 0;
    while text.len() < size {
        // Numbered lines, so that no two of a body are the same.
        let _ = write!(text, "{number:08} ");
        text.extend((b'a'..=b'z').cycle().skip(number % 26).take(LINE - 9).map(char::from));
        text.push_str("\r\n");
        number += 1;
    }
    text.truncate(size.saturating_sub(2));
    if text.ends_with('\r') {
        text.pop();
        text.push('.');
    }
    text.push_str("\r\n\r\n");
    Bytes::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact_and_lines_end_in_crlf() {
        let date = "Mon, 23 Nov 2026 12:00:00 +0000";
        for size in (300..700).chain([4096, 65536]) {
            let messages = Messages::fixed(size, date, 7).unwrap();
            let message = messages.message(9, &mut Random::new(size));
            assert_eq!(message.size() as u64, size);
            let text = [&message.prefix[..], &message.rest[..]].concat();
            let text = String::from_utf8(text).unwrap();
            assert!(text.starts_with("Message-ID: <00000007.0000000000000009@"), "{text}");
            assert!(text.contains("\r\n\r\n") && text.ends_with("\r\n\r\n"), "{size}: {text:?}");
            assert_eq!(text.matches('\r').count(), text.matches("\r\n").count(), "{size}");
            assert_eq!(text.matches('\n').count(), text.matches("\r\n").count(), "{size}");
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_told() {
        assert!(matches!(Messages::fixed(100, "", 7), Err(MessageError::Small(100, _))));
        let Err(MessageError::Small(_, least)) = Messages::fixed(0, "now", 7) else { panic!() };
        assert!(Messages::fixed(least as u64, "now", 7).is_ok());
        assert_eq!(
            Messages::fixed(SIZE_MAX + 1, "", 7).unwrap_err(),
            MessageError::Large(SIZE_MAX + 1)
        );
    }
}
