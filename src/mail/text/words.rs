//! Encoded words of header fields (RFC 2047).

use encoding_rs::{Encoding, ISO_2022_JP};
use memchr::memchr;

use super::{
    charset::{by_name, convert, guessed},
    transfer::{decode_base64, hexadecimal},
};

/// The value of a header field as people read it, without its line ends. Words are decoded
/// wherever they stand, for mailers put them where RFC 2047 §5 has none; what is no right word
/// stays as it was written. Octets beyond ASCII are UTF-8, or windows-1252 where they are not.
pub fn decode_words(value: &[u8]) -> String {
    let mut reader = Reader { text: String::with_capacity(value.len()), open: None };
    let mut octets = Vec::new();
    let (mut rest, mut plain) = (value, 0);
    while let Some(at) = memchr(b'=', &rest[plain..]) {
        plain += at;
        match Word::at_start_of(&rest[plain..]) {
            Some(word) => {
                reader.plain(&rest[..plain], true);
                octets.clear();
                word.decode(&mut octets);
                reader.word(word.charset, &octets);
                rest = &rest[plain + word.length..];
                plain = 0;
            }
            None => plain += 1,
        }
    }
    reader.plain(rest, false);
    reader.text
}

struct Reader {
    text: String,
    /// Of the word just read: a character may go on in the next one.
    open: Option<encoding_rs::Decoder>,
}

impl Reader {
    fn plain(&mut self, octets: &[u8], before_word: bool) {
        if self.open.is_some() && before_word && octets.trim_ascii().is_empty() {
            // RFC 2047 §6.2: white space between two words is not shown.
            return;
        }
        self.close();
        if octets.is_ascii() {
            // RFC 5322 §2.2.3: a field is unfolded by taking its line ends out.
            self.text.extend(octets.iter().map(|octet| char::from(*octet)).filter(in_line));
        } else {
            self.text.extend(guessed(octets).chars().filter(in_line));
        }
    }

    fn word(&mut self, charset: &'static Encoding, octets: &[u8]) {
        // RFC 2047 §3: a word in ISO-2022-JP begins and ends in ASCII, so each is one for itself.
        let goes_on =
            |open: &encoding_rs::Decoder| open.encoding() == charset && charset != ISO_2022_JP;
        if !self.open.as_ref().is_some_and(goes_on) {
            self.close();
        }
        let open = self.open.get_or_insert_with(|| charset.new_decoder_without_bom_handling());
        convert(open, octets, false, &mut self.text);
    }

    fn close(&mut self) {
        if let Some(mut open) = self.open.take() {
            convert(&mut open, &[], true, &mut self.text);
        }
    }
}

fn in_line(character: &char) -> bool {
    !matches!(character, '\r' | '\n')
}

/// `=?charset?encoding?text?=`.
struct Word<'a> {
    charset: &'static Encoding,
    encoding: WordEncoding,
    text: &'a [u8],
    /// Octets of the whole word.
    length: usize,
}

enum WordEncoding {
    Q,
    B,
}

impl<'a> Word<'a> {
    /// A word ends at its fourth `?`, so each octet is looked at for a few words at most.
    fn at_start_of(octets: &'a [u8]) -> Option<Self> {
        let rest = octets.strip_prefix(b"=?")?;
        let (charset, rest) = rest.split_at_checked(memchr(b'?', rest)?)?;
        let (encoding, rest) = match rest {
            [_, b'Q' | b'q', b'?', rest @ ..] => (WordEncoding::Q, rest),
            [_, b'B' | b'b', b'?', rest @ ..] => (WordEncoding::B, rest),
            _ => return None,
        };
        let (text, rest) = rest.split_at_checked(memchr(b'?', rest)?)?;
        let rest = rest.strip_prefix(b"?=")?;
        // RFC 2231 §5: a language may follow the charset.
        let charset = by_name(charset.split(|octet| *octet == b'*').next()?)?;
        Some(Self { charset, encoding, text, length: octets.len() - rest.len() })
    }

    fn decode(&self, octets: &mut Vec<u8>) {
        match self.encoding {
            WordEncoding::Q => decode_q(self.text, octets),
            WordEncoding::B => decode_base64(self.text, octets),
        }
    }
}

/// RFC 2047 §4.2.
fn decode_q(text: &[u8], octets: &mut Vec<u8>) {
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        rest = behind;
        match (first, behind) {
            (b'_', _) => octets.push(b' '),
            (b'=', [high, low, behind @ ..]) => match (hexadecimal(*high), hexadecimal(*low)) {
                (Some(high), Some(low)) => {
                    octets.push(high << 4 | low);
                    rest = behind;
                }
                _ => octets.push(b'='),
            },
            (b'\r' | b'\n', _) => {}
            _ => octets.push(*first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn words_good_and_bad() {
        for (value, want) in [
            (&b""[..], ""),
            (b"plain", "plain"),
            (b"folded\r\n\tplain\n too", "folded\tplain too"),
            // The examples of RFC 2047 §8.
            (b"=?US-ASCII?Q?Keith_Moore?= <moore@cs.utk.edu>", "Keith Moore <moore@cs.utk.edu>"),
            (
                b"=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?= <keld@dkuug.dk>",
                "Keld J\u{f8}rn Simonsen <keld@dkuug.dk>",
            ),
            (
                b"=?ISO-8859-1?Q?Andr=E9?= Pirard <PIRARD@vm1.ulg.ac.be>",
                "Andr\u{e9} Pirard <PIRARD@vm1.ulg.ac.be>",
            ),
            (
                b"=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=\r\n \
               =?ISO-8859-2?B?dSB1bmRlcnN0YW5kIHRoZSBleGFtcGxlLg==?=",
                "If you can read this you understand the example.",
            ),
            (
                b"Nathaniel Borenstein <nsb@thumper.bellcore.com>\r\n \
               (=?iso-8859-8?b?7eXs+SDv4SDs6Oj08A==?=)",
                "Nathaniel Borenstein <nsb@thumper.bellcore.com> \
                 (\u{5dd}\u{5d5}\u{5dc}\u{5e9} \u{5df}\u{5d1} \u{5dc}\u{5d8}\u{5d8}\u{5e4}\u{5e0})",
            ),
            (b"(=?ISO-8859-1?Q?a?=)", "(a)"),
            (b"(=?ISO-8859-1?Q?a?= b)", "(a b)"),
            (b"(=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=)", "(ab)"),
            (b"(=?ISO-8859-1?Q?a?=  =?ISO-8859-1?Q?b?=)", "(ab)"),
            (b"(=?ISO-8859-1?Q?a?=\r\n    =?ISO-8859-1?Q?b?=)", "(ab)"),
            (b"(=?ISO-8859-1?Q?a_b?=)", "(a b)"),
            (b"(=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=)", "(a b)"),
            // A character over two words, and one that does not go on.
            (b"=?utf-8?Q?caf=C3?= =?UTF-8?B?qQ==?=", "caf\u{e9}"),
            (b"=?utf-8?Q?caf=C3?= x =?UTF-8?Q?=A9?=", "caf\u{fffd} x \u{fffd}"),
            (b"=?utf-8?Q?=C3?= =?iso-8859-1?Q?=A9?=", "\u{fffd}\u{a9}"),
            (b"=?big5?B?pKSk?= =?big5?B?5Q==?=", "\u{4e2d}\u{6587}"),
            (
                b"=?ISO-2022-JP?B?GyRCRnxLXBsoQg==?= =?ISO-2022-JP?B?GyRCOGwbKEI=?=",
                "\u{65e5}\u{672c}\u{8a9e}",
            ),
            (b"=?gb2312?B?xOO6ww==?=", "\u{4f60}\u{597d}"),
            (b"=?koi8-r?Q?=F0=D2=C9=D7=C5=D4?=", "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}"),
            (b"=?windows-1252?q?=80_=93x=94?=", "\u{20ac} \u{201c}x\u{201d}"),
            (b"=?Shift_JIS?B?k/qWew==?=", "\u{65e5}\u{672c}"),
            (b"=?utf-8*en?Q?a?=", "a"),
            (b"=?utf-8?Q?a b=3D=_=4?=", "a b== =4"),
            (b"=?utf-8?Q??=", ""),
            // No words.
            (b"=?utf-8?Q?a", "=?utf-8?Q?a"),
            (b"=?utf-8?Q?a?b?=", "=?utf-8?Q?a?b?="),
            (b"=?utf-8?X?a?=", "=?utf-8?X?a?="),
            (b"=?x-unknown?Q?a?=", "=?x-unknown?Q?a?="),
            (b"=?=?utf-8?Q?a?=", "=?a"),
            (b"a =? b ?= c", "a =? b ?= c"),
            // Octets beyond ASCII.
            (b"caf\xc3\xa9", "caf\u{e9}"),
            (b"caf\xe9 =?utf-8?Q?a?= \xff\xfe", "caf\u{e9} a \u{ff}\u{fe}"),
        ] {
            assert_eq!(decode_words(value), want, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn another_reader_agrees() {
        let mut random = Random::from_seed([14; 32]);
        for charset in ["utf-8", "iso-8859-1", "koi8-r", "iso-2022-jp", "big5", "shift_jis"] {
            let encoding = by_name(charset.as_bytes()).unwrap();
            for _ in 0..100 {
                let words: Vec<&str> = (0..1 + random.below(4))
                    .map(|_| SOME[random.below(SOME.len() as u32) as usize])
                    .filter(|word| !encoding.encode(word).2)
                    .collect();
                let encoded: Vec<String> = words
                    .iter()
                    .map(|word| {
                        let octets = encoding.encode(word).0;
                        let text = data_encoding::BASE64.encode(&octets);
                        format!("=?{charset}?B?{text}?=")
                    })
                    .collect();
                let header = format!("Subject: {}\r\n\r\n", encoded.join("\r\n "));
                let other = mail_parser::MessageParser::default().parse(&header).unwrap();
                let other = other.subject().unwrap_or_default();
                let ours = decode_words(&header.as_bytes()[9..header.len() - 4]);
                assert_eq!(ours, other, "{header}");
                assert_eq!(ours, words.concat(), "{header}");
            }
        }
    }

    const SOME: [&str; 6] = [
        "plain",
        "two words",
        "caf\u{e9}",
        "\u{43c}\u{438}\u{440}",
        "\u{65e5}\u{672c}\u{8a9e}",
        "\u{4e2d}\u{6587}",
    ];

    #[test]
    fn random_values_end_in_some_text() {
        let mut random = Random::from_seed([15; 32]);
        let parts: [&[u8]; 12] = [
            b"=?",
            b"?=",
            b"utf-8",
            b"iso-2022-jp",
            b"?Q?",
            b"?b?",
            b"=",
            b"?",
            b"\xe3\x81",
            b"\x1b$B",
            b"_ \r\n",
            b"AA",
        ];
        for _ in 0..20_000 {
            let pieces = (0..random.below(16)).map(|_| parts[random.below(12) as usize]);
            let value = pieces.collect::<Vec<_>>().concat();
            assert!(decode_words(&value).len() <= 3 * value.len(), "{}", value.escape_ascii());
        }
        // Time does not grow with the square of what might be words.
        decode_words(&b"=?utf-8?Q?".repeat(100_000));
        decode_words(&b"=?".repeat(500_000));
    }
}
