//! Writes IMAP's strings: quoted where the protocol allows it, else as literals.

use std::io::Write;

use crate::limits::{QUOTED_MAX, SUMMARY_STRING_MAX};

/// An `nstring` (RFC 9051 §9): `NIL` where there is nothing.
pub(super) fn nstring(out: &mut Vec<u8>, text: Option<&[u8]>) {
    match text {
        Some(text) => string(out, text),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// A `string` (RFC 9051 §9). `text` has no NUL, CR or LF: unfolding took them out.
pub(super) fn string(out: &mut Vec<u8>, text: &[u8]) {
    let text = bounded(text);
    if text.len() > QUOTED_MAX || !text.is_ascii() {
        number(out, b'{', text.len() as u64);
        out.extend_from_slice(b"}\r\n");
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend([b'\\', rest[at]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// A number behind `before`.
pub(super) fn number(out: &mut Vec<u8>, before: u8, number: u64) {
    out.push(before);
    // A vector takes whatever is written to it.
    let _ = write!(out, "{number}");
}

/// The start of a text that is too long, up to the end of a character where it is UTF-8.
fn bounded(text: &[u8]) -> &[u8] {
    if text.len() <= SUMMARY_STRING_MAX {
        return text;
    }
    let continues = |at: usize| text[at] & 0xC0 == 0x80;
    let end = (SUMMARY_STRING_MAX - 3..=SUMMARY_STRING_MAX).rev().find(|at| !continues(*at));
    &text[..end.unwrap_or(SUMMARY_STRING_MAX)]
}
