//! Lines of a report under construction: CRLF ends, no control characters, none too long.

use bytes::{Bytes, BytesMut};

use crate::limits::TEXT_LINE_MAX;

/// Text of whole lines, not yet dot-stuffed.
#[derive(Debug, Default)]
pub struct Lines {
    text: BytesMut,
}

/// Where a folded line of ours breaks (RFC 5322 §2.1.1).
const FOLD_AT: usize = 76;

impl Lines {
    pub fn with_capacity(octets: usize) -> Self {
        Self { text: BytesMut::with_capacity(octets) }
    }

    pub fn len(&self) -> usize {
        self.text.len()
    }

    pub fn is_eight_bit(&self) -> bool {
        !self.text.is_ascii()
    }

    /// The numbers that stand right behind `stem`.
    pub fn numbers_behind(&self, stem: &str) -> impl Iterator<Item = u32> {
        let starts = memchr::memmem::find_iter(&self.text, stem.as_bytes());
        let ends: Vec<usize> = starts.map(|at| at + stem.len()).collect();
        ends.into_iter().filter_map(|at| {
            let rest = &self.text[at..];
            let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
            std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
        })
    }

    /// A line of our own words.
    pub fn line(&mut self, line: &str) {
        self.octets(line.as_bytes());
    }

    /// A line of anybody's octets, without its CRLF. RFC 5322 §2.1.1: at most 998 octets; what
    /// is longer goes on behind a CRLF and a space, as in a folded field. A CR or LF within it
    /// would end the line for some readers (CVE-2023-51764): it becomes a space.
    pub fn octets(&mut self, line: &[u8]) {
        if memchr::memchr2(b'\r', b'\n', line).is_some() {
            let is_newline = |octet: &u8| matches!(octet, b'\r' | b'\n');
            let spaced = line.iter().map(|octet| if is_newline(octet) { b' ' } else { *octet });
            return self.octets(&spaced.collect::<Vec<u8>>());
        }
        let (first, rest) = line.split_at(line.len().min(TEXT_LINE_MAX));
        self.text.extend_from_slice(first);
        for more in rest.chunks(TEXT_LINE_MAX - 1) {
            self.text.extend_from_slice(b"\r\n ");
            self.text.extend_from_slice(more);
        }
        self.text.extend_from_slice(b"\r\n");
    }

    /// Words broken into lines that start with `first`, then with `indent`.
    pub fn folded(&mut self, first: &str, indent: &str, words: &str) {
        let mut line = String::from(first);
        let mut is_bare = true;
        for word in words.split(' ').filter(|word| !word.is_empty()) {
            if !is_bare && line.len() + 1 + word.len() > FOLD_AT {
                self.line(&line);
                line.clear();
                line.push_str(indent);
                is_bare = true;
            }
            if !is_bare {
                line.push(' ');
            }
            line.push_str(word);
            is_bare = false;
        }
        self.line(&line);
    }

    pub fn append(&mut self, other: &Lines) {
        self.text.extend_from_slice(&other.text);
    }

    /// RFC 5321 §4.5.2.
    pub fn into_stuffed(self) -> Bytes {
        let text = self.text.freeze();
        if !text.starts_with(b".") && memchr::memmem::find(&text, b"\n.").is_none() {
            return text;
        }
        let mut stuffed = BytesMut::with_capacity(text.len() + 64);
        for line in text.split_inclusive(|&octet| octet == b'\n') {
            if line.starts_with(b".") {
                stuffed.extend_from_slice(b".");
            }
            stuffed.extend_from_slice(line);
        }
        stuffed.freeze()
    }
}

/// A stranger's text, fit for a line: no control characters, and ASCII only where asked.
pub fn cleaned(text: &[u8], ascii_only: bool) -> String {
    String::from_utf8_lossy(text)
        .chars()
        .map(|c| match c {
            '\t' | '\r' | '\n' => ' ',
            c if c.is_control() || ascii_only && !c.is_ascii() => '?',
            c => c,
        })
        .collect()
}
