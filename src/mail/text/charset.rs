//! Charsets by their names, and octets in them as UTF-8.

use encoding_rs::{CoderResult, Encoding, UTF_8, WINDOWS_1252};
use smallvec::SmallVec;

/// Names for the BADCHARSET reply (RFC 9051 §7.1): those that search texts come in.
pub const CHARSETS: &[&str] = &[
    "US-ASCII",
    "UTF-8",
    "ISO-8859-1",
    "ISO-8859-2",
    "ISO-8859-15",
    "WINDOWS-1251",
    "WINDOWS-1252",
    "KOI8-R",
    "ISO-2022-JP",
    "SHIFT_JIS",
    "EUC-JP",
    "EUC-KR",
    "GB2312",
    "GB18030",
    "BIG5",
];

/// A search text in a charset by its name; `None`: the charset is unknown.
pub fn to_utf8(charset: &[u8], text: &[u8]) -> Option<String> {
    let encoding = by_name(charset)?;
    if is_ascii(charset) {
        return Some(guessed(text));
    }
    Some(encoding.decode_without_bom_handling(text).0.into_owned())
}

/// The octets of a body in its charset, piece by piece.
pub struct Charset(State);

enum State {
    /// Only ASCII so far. `begun` is the start of the first character beyond it, which decides.
    Guess {
        begun: SmallVec<[u8; 4]>,
    },
    Known(encoding_rs::Decoder),
}

impl Charset {
    /// What is empty, unknown or ASCII is guessed by its first character that is not ASCII.
    pub fn new(name: &[u8]) -> Self {
        match by_name(name) {
            Some(encoding) if !is_ascii(name) => Self::known(encoding),
            _ => Self::guess(),
        }
    }

    /// Appends the text of the next octets.
    pub fn decode(&mut self, octets: &[u8], text: &mut String) {
        let rest = self.guess_on(octets, text);
        self.convert(rest, false, text);
    }

    /// Appends what is left of a character that was begun. Behind it anything may follow as from
    /// the start.
    pub fn finish(&mut self, text: &mut String) {
        if let State::Guess { begun } = &mut self.0 {
            // It ended within a character, so it was not UTF-8.
            let begun = std::mem::take(begun);
            *self = Self::known(WINDOWS_1252);
            self.convert(&begun, false, text);
        }
        self.convert(&[], true, text);
        *self = Self::guess();
    }

    fn guess() -> Self {
        Self(State::Guess { begun: SmallVec::new() })
    }

    fn known(encoding: &'static Encoding) -> Self {
        Self(State::Known(encoding.new_decoder_with_bom_removal()))
    }

    /// Takes ASCII off the front until the encoding is known; what is left is to be converted.
    fn guess_on<'a>(&mut self, mut octets: &'a [u8], text: &mut String) -> &'a [u8] {
        let State::Guess { begun } = &mut self.0 else { return octets };
        if begun.is_empty() {
            let ascii = Encoding::ascii_valid_up_to(octets);
            text.push_str(std::str::from_utf8(&octets[..ascii]).unwrap_or_default());
            octets = &octets[ascii..];
        }
        while let [first, rest @ ..] = octets {
            begun.push(*first);
            octets = rest;
            let encoding = match std::str::from_utf8(begun) {
                Ok(_) => UTF_8,
                // More of the character is to come: at most four octets are kept.
                Err(error) if error.error_len().is_none() => continue,
                Err(_) => WINDOWS_1252,
            };
            let begun = std::mem::take(begun);
            *self = Self::known(encoding);
            self.convert(&begun, false, text);
            return octets;
        }
        octets
    }

    fn convert(&mut self, octets: &[u8], last: bool, text: &mut String) {
        let State::Known(decoder) = &mut self.0 else { return };
        convert(decoder, octets, last, text);
    }
}

/// The encoding that mail means by this name.
pub fn by_name(name: &[u8]) -> Option<&'static Encoding> {
    Encoding::for_label_no_replacement(name).or_else(|| {
        // Code pages by their numbers are not in the list of the Web, but are in mail.
        let (_, known) = CODE_PAGES.iter().find(|(page, _)| page.eq_ignore_ascii_case(name))?;
        Encoding::for_label_no_replacement(known)
    })
}

/// Text of no declared charset: UTF-8 if it is valid, else what Western mailers of old wrote.
pub fn guessed(text: &[u8]) -> String {
    match std::str::from_utf8(text) {
        Ok(text) => text.to_owned(),
        Err(_) => WINDOWS_1252.decode_without_bom_handling(text).0.into_owned(),
    }
}

/// Appends what the decoder makes of the octets; what makes no sense becomes U+FFFD.
pub fn convert(
    decoder: &mut encoding_rs::Decoder,
    mut octets: &[u8],
    last: bool,
    text: &mut String,
) {
    // Twice the octets is room enough nearly always; where it is not, there is another turn.
    loop {
        text.reserve(2 * octets.len() + ROOM_MIN);
        let (result, read, _) = decoder.decode_to_string(octets, text, last);
        octets = &octets[read..];
        if result == CoderResult::InputEmpty {
            return;
        }
    }
}

/// A decoder wants room for the longest it writes at once.
const ROOM_MIN: usize = 32;

const CODE_PAGES: [(&[u8], &[u8]); 5] = [
    (b"cp932", b"shift_jis"),
    (b"cp936", b"gbk"),
    (b"cp949", b"euc-kr"),
    (b"cp950", b"big5"),
    (b"latin-1", b"windows-1252"),
];

/// Mail that says it has seven bits and has eight lies about it: they are guessed.
fn is_ascii(name: &[u8]) -> bool {
    [&b"us-ascii"[..], b"ascii"].iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_charset_is_known() {
        for name in CHARSETS {
            assert_eq!(to_utf8(name.as_bytes(), b"abc").as_deref(), Some("abc"), "{name}");
        }
        for name in ["", "utf-7", "x-unknown", "iso-2022-kr", "hz-gb-2312"] {
            assert_eq!(to_utf8(name.as_bytes(), b"abc"), None, "{name}");
        }
    }

    #[test]
    fn no_declaration_is_guessed_at_every_cut() {
        let table: [(&[u8], &str); 8] = [
            (b"plain", "plain"),
            (b"caf\xc3\xa9 \xe2\x82\xac", "caf\u{e9} \u{20ac}"),
            (b"caf\xe9 \x80", "caf\u{e9} \u{20ac}"),
            (b"caf\xe9", "caf\u{e9}"),
            (b"\xf0\x9f\x98\x80", "\u{1f600}"),
            (b"\xf0\x9f\x98", "\u{f0}\u{178}\u{2dc}"),
            (b"\xe9t\xe9", "\u{e9}t\u{e9}"),
            (b"\xc3\xa9\xff", "\u{e9}\u{fffd}"),
        ];
        for (octets, want) in table {
            for cut in 0..=octets.len() {
                let (mut charset, mut text) = (Charset::new(b"us-ascii"), String::new());
                charset.decode(&octets[..cut], &mut text);
                charset.decode(&octets[cut..], &mut text);
                charset.finish(&mut text);
                assert_eq!(text, want, "{:?} cut at {cut}", octets.escape_ascii().to_string());
            }
        }
    }
}
