//! Finds texts in the body of one part, whatever it was encoded in, piece by piece.

use super::{Decoder, Needle, charset::Charset, needle::fold};
use crate::{limits::SEARCH_PIECE, mail::mailbox::Encoding};

/// Octets are decoded, converted and folded into one text, which is looked through whenever enough
/// of it is here. Its last part stays, so that nothing is missed at a border: memory is bounded by
/// `SEARCH_PIECE` and the longest needle.
pub struct Finder {
    transfer: Decoder,
    charset: Charset,
    /// Room for one piece: its octets without their transfer encoding, and its text.
    octets: Vec<u8>,
    text: String,
    folded: Vec<u8>,
    /// Octets of `folded` that are worth a look: each is looked at twice at most.
    enough: usize,
}

impl Finder {
    /// The charset by its declared name; a missing or unknown one is guessed. What is in an
    /// unknown transfer encoding is taken as it is.
    pub fn new(encoding: Encoding, charset: &[u8]) -> Self {
        Self {
            transfer: Decoder::new(encoding),
            charset: Charset::new(charset),
            octets: Vec::new(),
            text: String::new(),
            folded: Vec::new(),
            enough: SEARCH_PIECE,
        }
    }

    /// Takes the next octets; `found` becomes true for needles that were seen, perhaps not before
    /// `finish`. The needles are the same each time.
    pub fn feed(&mut self, octets: &[u8], needles: &[Needle], found: &mut [bool]) {
        for piece in octets.chunks(SEARCH_PIECE) {
            if found.iter().all(|found| *found) {
                return;
            }
            let decoded = self.transfer.decoded(piece, &mut self.octets);
            self.text.clear();
            self.charset.decode(decoded, &mut self.text);
            fold(&self.text, &mut self.folded);
            if self.folded.len() >= self.enough {
                self.look(needles, found);
            }
        }
    }

    /// Looks at what is left when all octets were fed.
    pub fn finish(&mut self, needles: &[Needle], found: &mut [bool]) {
        self.octets.clear();
        // There is nothing to add to octets that could not be decoded.
        let _ = self.transfer.finish(&mut self.octets);
        self.text.clear();
        self.charset.decode(&self.octets, &mut self.text);
        self.charset.finish(&mut self.text);
        fold(&self.text, &mut self.folded);
        self.look(needles, found);
    }

    fn look(&mut self, needles: &[Needle], found: &mut [bool]) {
        let mut kept = 0;
        for (needle, found) in needles.iter().zip(found) {
            if !*found {
                *found = needle.is_in_folded(&self.folded);
            }
            if !*found {
                kept = kept.max(needle.len() - 1);
            }
        }
        self.folded.drain(..self.folded.len().saturating_sub(kept));
        self.enough = SEARCH_PIECE.max(2 * kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{mail::text::charset::by_name, random::Random};

    fn found(encoding: Encoding, charset: &str, pieces: &[&[u8]], needles: &[Needle]) -> Vec<bool> {
        let mut finder = Finder::new(encoding, charset.as_bytes());
        let mut found = vec![false; needles.len()];
        pieces.iter().for_each(|piece| finder.feed(piece, needles, &mut found));
        finder.finish(needles, &mut found);
        found
    }

    fn quoted(octets: &[u8]) -> Vec<u8> {
        let lines = octets
            .chunks(3)
            .map(|three| three.iter().map(|octet| format!("={octet:02X}")).collect::<String>());
        lines.collect::<Vec<_>>().join("=\r\n").into_bytes()
    }

    #[test]
    fn texts_in_their_charsets_at_every_cut() {
        for (charset, text, needle) in [
            ("us-ascii", "Hello, world", "HELLO, W"),
            ("", "Gr\u{fc}\u{df}e", "GR\u{dc}SSE"),
            ("x-unknown", "caf\u{e9} cr\u{e8}me", "CAF\u{c9}"),
            ("utf-8", "\u{1f600} na\u{ef}ve", "\u{1f600} NA\u{cf}"),
            ("iso-8859-1", "Gr\u{fc}\u{df}e", "gr\u{dc}"),
            ("windows-1252", "\u{20ac} \u{c4}pfel", "\u{20ac} \u{e4}"),
            ("koi8-r", "\u{43f}\u{440}\u{438}\u{432}\u{435}\u{442}", "\u{420}\u{418}\u{412}"),
            ("iso-2022-jp", "x \u{65e5}\u{672c}\u{8a9e} y", "\u{672c}\u{8a9e} Y"),
            ("shift_jis", "\u{65e5}\u{672c}\u{8a9e}", "\u{672c}"),
            ("gb2312", "\u{4f60}\u{597d}", "\u{597d}"),
            ("big5", "\u{4e2d}\u{6587}", "\u{6587}"),
            ("euc-kr", "\u{d55c}\u{ae00}", "\u{ae00}"),
        ] {
            let needles = [Needle::new(needle), Needle::new("absent"), Needle::new("")];
            let octets = match by_name(charset.as_bytes()) {
                Some(encoding) => encoding.encode(text).0.into_owned(),
                None => text.as_bytes().to_vec(),
            };
            for (encoding, body) in [
                (Encoding::EightBit, octets.clone()),
                (Encoding::Unknown, octets.clone()),
                (Encoding::Base64, data_encoding::BASE64_MIME.encode(&octets).into_bytes()),
                (Encoding::QuotedPrintable, quoted(&octets)),
            ] {
                for cut in 0..=body.len() {
                    let pieces = [&body[..cut], &body[cut..]];
                    assert_eq!(
                        found(encoding, charset, &pieces, &needles),
                        [true, false, true],
                        "{needle:?} in {charset} {encoding:?} cut at {cut}"
                    );
                }
                let octets: Vec<_> = body.chunks(1).collect();
                let all = found(encoding, charset, &octets, &needles);
                assert_eq!(all, [true, false, true], "{needle:?} in {charset} by octets");
            }
        }
    }

    #[test]
    fn nothing_is_missed_at_a_border() {
        for length in [1, 2, 7, 100, SEARCH_PIECE - 1, SEARCH_PIECE + 1, 3 * SEARCH_PIECE] {
            let text: String = (0..length).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
            // The border is before the text, behind it, and within it near both of its ends.
            let ends = (0..20).chain(length.saturating_sub(10)..length + 2);
            for inside in ends {
                let before = 4 * SEARCH_PIECE - inside;
                let body = [&vec![b'.'; before][..], text.as_bytes(), &[b'.'; 50]].concat();
                let all = found(Encoding::SevenBit, "", &[&body], &[Needle::new(&text)]);
                assert_eq!(all, [true], "{length} octets, {inside} of them before the border");
                let longer = Needle::new(&(text.clone() + "z"));
                assert_eq!(found(Encoding::SevenBit, "", &[&body], &[longer]), [false]);
            }
        }
    }

    #[test]
    fn memory_is_bounded() {
        let needles = [Needle::new(&"x".repeat(1000)), Needle::new("y")];
        let mut found = [false; 2];
        let mut finder = Finder::new(Encoding::QuotedPrintable, b"shift_jis");
        for _ in 0..100 {
            finder.feed(&[b'x', 0xb1].repeat(SEARCH_PIECE), &needles, &mut found);
        }
        assert_eq!(found, [false; 2]);
        let room = finder.octets.capacity() + finder.text.capacity() + finder.folded.capacity();
        assert!(room <= 16 * SEARCH_PIECE, "{room}");
    }

    #[test]
    fn random_octets_do_no_harm() {
        let mut random = Random::from_seed([16; 32]);
        let charsets = ["", "utf-8", "utf-16", "iso-2022-jp", "gb18030", "big5", "euc-jp", "hz"];
        let encodings = [Encoding::QuotedPrintable, Encoding::Base64, Encoding::Binary];
        for round in 0..3000 {
            let charset = charsets[random.below(8) as usize];
            let encoding = encodings[random.below(3) as usize];
            let octets: Vec<u8> = (0..random.below(200))
                .map(|_| match random.below(3) {
                    0 => random.next_u64() as u8,
                    _ => b"=\r\n \x1b$(BA4"[random.below(10) as usize],
                })
                .collect();
            let needles = [Needle::new("a"), Needle::new("\u{fffd}"), Needle::new("b4")];
            let whole = found(encoding, charset, &[&octets], &needles);
            let cut = random.below(octets.len() as u32 + 1) as usize;
            let (one, two) = octets.split_at(cut);
            assert_eq!(
                found(encoding, charset, &[one, two], &needles),
                whole,
                "round {round}: {encoding:?} {charset} {} cut at {cut}",
                octets.escape_ascii()
            );
        }
    }
}
