//! Filler of an exact size: prose, HTML, base64.

use super::base64;
use crate::random::Random;

/// RFC 5322 §2.1.1: what a line should not exceed, its CRLF not counted; RFC 2045 §6.8 says 76
/// for base64.
pub(super) const LINE_MAX: usize = 76;

/// One line of prose in so many begins with a dot, so that transparency is exercised.
const DOTS_ONE_IN: usize = 100;

/// What prose and subjects are made of.
pub const WORDS: &[&str] = &[
    "about", "account", "again", "agenda", "already", "answer", "attached", "because", "before",
    "budget", "call", "change", "confirm", "contract", "could", "customer", "date", "delivery",
    "draft", "early", "figures", "first", "from", "have", "invoice", "kindly", "last", "later",
    "list", "meeting", "Monday", "month", "need", "next", "note", "number", "office", "order",
    "our", "page", "payment", "please", "price", "project", "question", "quickly", "regards",
    "remind", "report", "review", "schedule", "send", "should", "soon", "team", "thanks", "that",
    "the", "their", "this", "time", "today", "travel", "update", "version", "week", "which",
    "will", "with", "would", "year", "your",
];

/// Appends words of exactly `size` octets, without a line end.
pub(super) fn words(out: &mut Vec<u8>, size: usize, random: &mut Random) {
    let end = out.len() + size;
    while out.len() < end {
        out.extend_from_slice(WORDS[random.below(WORDS.len())].as_bytes());
        out.push(b' ');
    }
    out.truncate(end);
    // White space at the end of a line is what some servers strip.
    if size > 0 && out.ends_with(b" ") {
        out.pop();
        out.push(b'.');
    }
}

/// Appends lines of prose of exactly `size` octets: nothing, or at least a line end.
pub(super) fn prose(out: &mut Vec<u8>, size: usize, random: &mut Random) {
    lines(out, size, random, |line, length, random| {
        let dots = if random.below(DOTS_ONE_IN) == 0 { length.min(3) } else { 0 };
        line.extend_from_slice(&b"..."[..dots]);
        words(line, length - dots, random);
    });
}

/// Appends paragraphs of HTML of exactly `size` octets: nothing, or at least a line end.
pub(super) fn html(out: &mut Vec<u8>, size: usize, random: &mut Random) {
    const OPEN: &[u8] = b"<p class=\"text\">";
    const CLOSE: &[u8] = b"</p>";
    lines(out, size, random, |line, length, random| {
        match length.checked_sub(OPEN.len() + CLOSE.len()) {
            Some(inner) => {
                line.extend_from_slice(OPEN);
                words(line, inner, random);
                line.extend_from_slice(CLOSE);
            }
            None => words(line, length, random),
        }
    });
}

/// What `attachment` appends at most, of `room` octets: whole groups of base64 in whole lines.
pub(super) fn attachment_length(room: usize) -> usize {
    let (full, rest) = (room / (LINE_MAX + 2), room % (LINE_MAX + 2));
    let groups = rest.saturating_sub(2) / 4;
    full * (LINE_MAX + 2) + if groups > 0 { groups * 4 + 2 } else { 0 }
}

/// Appends base64 of random octets, `attachment_length(room)` in all.
pub(super) fn attachment(out: &mut Vec<u8>, room: usize, random: &mut Random) {
    let end = out.len() + attachment_length(room);
    while out.len() < end {
        let groups = (end - out.len() - 2).min(LINE_MAX) / 4;
        let octets: Vec<u8> = (0..groups * 3).map(|_| random.draw() as u8).collect();
        out.extend_from_slice(base64::encoded(&octets).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends lines, each filled by `fill` to the length it is given, `size` octets in all.
fn lines(
    out: &mut Vec<u8>,
    size: usize,
    random: &mut Random,
    fill: impl Fn(&mut Vec<u8>, usize, &mut Random),
) {
    let mut left = size;
    while left >= 2 {
        let wanted = LINE_MAX / 2 + random.below(LINE_MAX / 2);
        let mut length = wanted.min(left - 2);
        // One octet left over would be no line.
        if left - length - 2 == 1 {
            length += 1;
        }
        fill(out, length, random);
        out.extend_from_slice(b"\r\n");
        left -= length + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filler_has_the_exact_size_in_whole_short_lines() {
        for size in (0..400).filter(|&size| size != 1).chain([10_000, 65_537]) {
            for (name, fill) in
                [("prose", prose as fn(&mut Vec<u8>, usize, &mut Random)), ("html", html)]
            {
                let mut out = Vec::new();
                fill(&mut out, size, &mut Random::new(size as u64));
                assert_eq!(out.len(), size, "{name}");
                assert!(size == 0 || out.ends_with(b"\r\n"), "{name} {size}");
                let text = String::from_utf8(out).unwrap();
                assert!(text.split("\r\n").all(|line| line.len() <= LINE_MAX), "{name} {size}");
                assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{name} {size}");
            }
        }
    }

    #[test]
    fn an_attachment_is_whole_base64_and_wastes_less_than_a_line() {
        for room in 0..1000 {
            let mut out = Vec::new();
            attachment(&mut out, room, &mut Random::new(1));
            assert_eq!(out.len(), attachment_length(room));
            assert!(out.len() <= room && room - out.len() < 6, "{room}: {}", out.len());
            for line in String::from_utf8(out).unwrap().lines() {
                assert!(line.len() <= LINE_MAX && line.len() % 4 == 0 && !line.is_empty());
            }
        }
    }
}
