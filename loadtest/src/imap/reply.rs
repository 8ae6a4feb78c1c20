//! Replies of an IMAP server, pulled one by one out of octets that arrive in any cut.
//!
//! A message body comes as a literal and is of no interest here but for its end: literals are
//! counted and stepped over as they arrive, so that a reply costs the memory of its words only.

use memchr::memchr;
use thiserror::Error;

/// Kept of a reply's words; what follows is stepped over (`* SEARCH` may name every message).
const WORDS_MAX: usize = 8 * 1024;
/// The longest `{number}` that announces a literal.
const ANNOUNCEMENT_MAX: usize = 24;

/// One reply, its literals left out.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// `a1 OK done`: the number after the letter of the tag, and how that command ended.
    Tagged { tag: u32, status: Status, text: &'a [u8] },
    /// `* 3 EXISTS`, without the star.
    Untagged(&'a [u8]),
    /// `+ go on`.
    Continue,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok,
    No,
    Bad,
}

/// What came is not IMAP.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ReplyError {
    #[error("the server's line {0:?} is no IMAP reply: look whether the target speaks IMAP")]
    Line(String),
}

/// The letter before the number in our tags.
pub const TAG_LETTER: u8 = b'a';

/// Takes octets, gives replies.
#[derive(Debug, Default)]
pub struct Replies {
    /// The words so far of a reply that has not ended.
    words: Vec<u8>,
    /// The end of the present line so far, where a literal is announced.
    end: Vec<u8>,
    /// Octets of a literal still to come.
    literal: u64,
    /// The words were given out: the next reply begins anew.
    given: bool,
}

/// Where the next reply's words lie, if they are all there.
enum Words<'a> {
    Awaited,
    Lent(&'a [u8]),
    Kept,
}

impl Replies {
    /// The next whole reply; takes from `octets` what it has seen of it.
    pub fn next<'a, 'o: 'a>(
        &'a mut self,
        octets: &mut &'o [u8],
    ) -> Result<Option<Reply<'a>>, ReplyError> {
        match self.words(octets) {
            Words::Awaited => Ok(None),
            Words::Lent(words) => parse(words).map(Some),
            Words::Kept => parse(&self.words).map(Some),
        }
    }

    fn words<'o>(&mut self, octets: &mut &'o [u8]) -> Words<'o> {
        if std::mem::take(&mut self.given) {
            self.words.clear();
        }
        loop {
            if self.literal > 0 {
                let stepped = self.literal.min(octets.len() as u64);
                *octets = octets.split_at(stepped as usize).1;
                self.literal -= stepped;
            }
            let Some(newline) = memchr(b'\n', octets) else {
                self.keep(octets);
                *octets = &[];
                return Words::Awaited;
            };
            let (line, rest) = octets.split_at(newline + 1);
            *octets = rest;
            let whole = self.words.is_empty() && self.end.is_empty();
            if whole && announced(line, line).is_none() {
                return Words::Lent(trimmed(line));
            }
            self.keep(line);
            let size = announced(&self.words, &self.end);
            self.end.clear();
            match size {
                Some(size) => self.literal = size,
                None => {
                    self.given = true;
                    self.words.truncate(trimmed(&self.words).len());
                    return Words::Kept;
                }
            }
        }
    }

    fn keep(&mut self, octets: &[u8]) {
        let room = WORDS_MAX.saturating_sub(self.words.len()).min(octets.len());
        self.words.extend_from_slice(octets.split_at(room).0);
        let last = octets.len().saturating_sub(ANNOUNCEMENT_MAX);
        self.end.extend_from_slice(octets.split_at(last).1);
        let surplus = self.end.len().saturating_sub(ANNOUNCEMENT_MAX);
        self.end.drain(..surplus);
    }
}

/// The size of the literal that a line ends in announcing.
fn announced(words: &[u8], end: &[u8]) -> Option<u64> {
    // RFC 3501 §7: free text ends a status response, and may end in anything.
    let free = matches!(words, [b'+', ..] | [TAG_LETTER, b'0'..=b'9', ..])
        || [&b"* OK"[..], b"* NO", b"* BAD", b"* BYE", b"* PREAUTH"]
            .iter()
            .any(|start| words.get(..start.len()).is_some_and(|w| w.eq_ignore_ascii_case(start)));
    if free {
        return None;
    }
    let inner = trimmed(end).strip_suffix(b"}")?;
    let digits = inner.split_at(inner.iter().rposition(|octet| *octet == b'{')? + 1).1;
    number(digits)
}

/// A number that is made of digits only.
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn parse(words: &[u8]) -> Result<Reply<'_>, ReplyError> {
    match words {
        [b'*', b' ', rest @ ..] => return Ok(Reply::Untagged(rest)),
        [b'+'] | [b'+', b' ', ..] => return Ok(Reply::Continue),
        [TAG_LETTER, rest @ ..] => {
            if let Some(reply) = tagged(rest) {
                return Ok(reply);
            }
        }
        _ => {}
    }
    Err(ReplyError::Line(shown(words)))
}

fn tagged(words: &[u8]) -> Option<Reply<'_>> {
    let (digits, rest) = word(words);
    let (status, text) = word(rest);
    let status = match () {
        () if status.eq_ignore_ascii_case(b"OK") => Status::Ok,
        () if status.eq_ignore_ascii_case(b"NO") => Status::No,
        () if status.eq_ignore_ascii_case(b"BAD") => Status::Bad,
        () => return None,
    };
    Some(Reply::Tagged { tag: u32::try_from(number(digits)?).ok()?, status, text })
}

/// The first word, and what follows the space after it.
pub fn word(words: &[u8]) -> (&[u8], &[u8]) {
    match memchr(b' ', words) {
        Some(space) => (words.split_at(space).0, words.split_at(space + 1).1),
        None => (words, &[]),
    }
}

/// Of a line, what a person wants to see of it.
pub fn shown(words: &[u8]) -> String {
    const SHOWN_MAX: usize = 80;
    let text = String::from_utf8_lossy(words);
    text.chars().filter(|letter| !letter.is_control()).take(SHOWN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Replies as text, one a line, of octets that come in pieces of `cut`.
    fn pulled(octets: &[u8], cut: usize) -> Vec<String> {
        let mut replies = Replies::default();
        let mut seen = Vec::new();
        for mut piece in octets.chunks(cut) {
            loop {
                match replies.next(&mut piece) {
                    Ok(None) => break,
                    Ok(Some(Reply::Tagged { tag, status, text })) => {
                        let text = String::from_utf8_lossy(text);
                        seen.push(format!("{tag} {status:?} {text}"));
                    }
                    Ok(Some(Reply::Untagged(words))) => {
                        seen.push(format!("* {}", String::from_utf8_lossy(words)));
                    }
                    Ok(Some(Reply::Continue)) => seen.push("+".into()),
                    Err(error) => seen.push(error.to_string()),
                }
            }
        }
        assert_eq!(replies.literal, 0, "a literal has not ended");
        seen
    }

    #[test]
    fn replies_are_the_same_in_every_cut() {
        let table: &[(&str, &[&str])] = &[
            ("* OK ready {3}\r\n", &["* OK ready {3}"]),
            ("a1 OK done\r\na2 no such box\r\n", &["1 Ok done", "2 No such box"]),
            ("a3 BAD\r\n", &["3 Bad "]),
            ("+ go\r\n+\r\n", &["+", "+"]),
            (
                "* 1 FETCH (UID 7 BODY[] {9}\r\na1 OK\r\n* FLAGS (\\Seen))\r\na4 OK\r\n",
                &["* 1 FETCH (UID 7 BODY[] {9}\r\nFLAGS (\\Seen))", "4 Ok "],
            ),
            (
                "* 2 FETCH (A {0}\r\n B {2}\r\n\r\n C ~{1}\r\n\n)\r\n* 3 EXISTS\r\n",
                &["* 2 FETCH (A {0}\r\n B {2}\r\n C ~{1}\r\n)", "* 3 EXISTS"],
            ),
            ("* SEARCH 1 2 {x}\r\n", &["* SEARCH 1 2 {x}"]),
            ("* CAPABILITY A\n", &["* CAPABILITY A"]),
        ];
        for (octets, wanted) in table {
            for cut in 1..=octets.len() {
                let wanted: Vec<String> = wanted.iter().map(|text| text.to_string()).collect();
                assert_eq!(pulled(octets.as_bytes(), cut), wanted, "{octets:?} cut by {cut}");
            }
        }
    }

    #[test]
    fn a_long_reply_is_kept_in_part_and_its_literal_still_found() {
        let long = "7 ".repeat(3 * WORDS_MAX);
        let octets = format!("* SEARCH {long}{{3}}\r\nabc)\r\na9 OK\r\n");
        for cut in [1, 7, 4096, octets.len()] {
            let seen = pulled(octets.as_bytes(), cut);
            assert_eq!(seen.len(), 2, "cut by {cut}");
            assert_eq!(seen[0].len(), WORDS_MAX, "cut by {cut}");
            assert_eq!(seen[1], "9 Ok ");
        }
    }

    #[test]
    fn what_is_no_reply_is_told() {
        for line in ["220 smtp\r\n", "b1 OK\r\n", "a1 MAYBE\r\n", "aOK OK\r\n", "\r\n"] {
            let seen = pulled(line.as_bytes(), 3);
            assert!(seen[0].contains("is no IMAP reply"), "{line:?}: {seen:?}");
        }
    }

    #[test]
    fn literals_are_counted_and_not_kept() {
        let mut replies = Replies::default();
        let mut octets: &[u8] = b"* 1 FETCH (BODY[] {1000000}\r\n";
        assert_eq!(replies.next(&mut octets), Ok(None));
        for _ in 0..1000 {
            assert!(replies.literal > 0);
            assert_eq!(replies.next(&mut [b'x'; 1000].as_slice()), Ok(None));
        }
        assert_eq!(replies.literal, 0);
        assert!(replies.words.capacity() <= WORDS_MAX);
    }
}
