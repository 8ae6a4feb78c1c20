//! Mail as people read it: transfer encodings, charsets, words, fields and texts found in bodies.

use ringmail::mail::{
    mailbox::Encoding,
    text::{Decoder, Finder, Needle, decode_words, fields, parse_date, to_utf8},
};

use super::octets::{Octets, cut, seed_of};

const ENCODINGS: [Encoding; 4] =
    [Encoding::SevenBit, Encoding::QuotedPrintable, Encoding::Base64, Encoding::Unknown];

const CHARSETS: [&[u8]; 6] =
    [b"", b"utf-8", b"iso-8859-1", b"iso-2022-jp", b"gb18030", b"shift_jis"];

pub fn run(input: &[u8]) {
    let mut octets = Octets(input);
    let encoding = ENCODINGS[usize::from(octets.u8()) % ENCODINGS.len()];
    let charset = CHARSETS[usize::from(octets.u8()) % CHARSETS.len()];
    let needle = octets.piece();
    let body = octets.0;
    let pieces = cut(body, seed_of(input));

    let whole = decoded(encoding, &[body]);
    assert_eq!(whole, decoded(encoding, &pieces), "cuts matter");
    assert_eq!(whole, decoded(encoding, &body.chunks(1).collect::<Vec<_>>()), "cuts matter");
    assert_eq!(whole.is_none(), encoding == Encoding::Unknown);
    if let Some(whole) = &whole {
        assert!(whole.len() <= body.len(), "more came out than went in");
    }

    let needles = [Needle::new(&String::from_utf8_lossy(needle)), Needle::new("the")];
    let found = find(encoding, charset, &[body], &needles);
    assert_eq!(found, find(encoding, charset, &pieces, &needles), "cuts matter");
    let plain = to_utf8(charset, whole.as_deref().unwrap_or(body));
    if let Some(text) = plain.filter(|_| !charset.is_empty()) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let slowly = needles.each_ref().map(|needle| needle.is_in(text));
        assert_eq!(found, slowly, "a slow second reader finds otherwise in {text:?}");
    }
    words(body);
}

fn decoded(encoding: Encoding, pieces: &[&[u8]]) -> Option<Vec<u8>> {
    let (mut decoder, mut out) = (Decoder::new(encoding), Vec::new());
    for piece in pieces {
        decoder.feed(piece, &mut out).ok()?;
    }
    decoder.finish(&mut out).ok()?;
    Some(out)
}

fn find(encoding: Encoding, charset: &[u8], pieces: &[&[u8]], needles: &[Needle; 2]) -> [bool; 2] {
    let (mut finder, mut found) = (Finder::new(encoding, charset), [false; 2]);
    pieces.iter().for_each(|piece| finder.feed(piece, needles, &mut found));
    finder.finish(needles, &mut found);
    found
}

/// A header loses nothing, and what is shown of a field is one line.
fn words(header: &[u8]) {
    let mut at = 0;
    for field in fields(header) {
        assert_eq!(&header[at..at + field.whole.len()], field.whole, "fields follow each other");
        at += field.whole.len();
        let text = decode_words(field.value);
        // An encoded word may stand for anything.
        let is_line = !text.contains(['\r', '\n']);
        assert!(is_line || field.value.windows(2).any(|two| two == b"=?"), "{text:?}");
        let _ = parse_date(field.value);
    }
    let rest = &header[at..];
    assert!(rest.is_empty() || rest.starts_with(b"\n") || rest.starts_with(b"\r\n"));
}
