//! Undoes Content-Transfer-Encoding piece by piece (RFC 2045 §6), for BINARY and for searches.

use memchr::memchr2;

use crate::{limits::TEXT_LINE_MAX, mail::mailbox::Encoding};

/// Decodes the octets of one part's body. What an encoding does not allow is passed over or kept
/// as it is, whichever loses less.
#[derive(Debug)]
pub struct Decoder(Kind);

/// The answer to BINARY is then UNKNOWN-CTE (RFC 3516 §4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("The part has a transfer encoding that is unknown here: fetch it as it is, with BODY.")]
pub struct Undecodable;

#[derive(Debug)]
enum Kind {
    Identity,
    QuotedPrintable(QuotedPrintable),
    Base64(Base64),
    Unknown,
}

impl Decoder {
    pub fn new(encoding: Encoding) -> Self {
        Self(match encoding {
            Encoding::SevenBit | Encoding::EightBit | Encoding::Binary => Kind::Identity,
            Encoding::QuotedPrintable => Kind::QuotedPrintable(QuotedPrintable::default()),
            Encoding::Base64 => Kind::Base64(Base64::default()),
            Encoding::Unknown => Kind::Unknown,
        })
    }

    /// Appends what the next octets stand for: never more octets than came in, save those that an
    /// earlier piece ended with.
    pub fn feed(&mut self, octets: &[u8], out: &mut Vec<u8>) -> Result<(), Undecodable> {
        match &mut self.0 {
            Kind::Identity => out.extend_from_slice(octets),
            Kind::QuotedPrintable(decoder) => decoder.feed(octets, out),
            Kind::Base64(decoder) => decoder.feed(octets, out),
            Kind::Unknown => return Err(Undecodable),
        }
        Ok(())
    }

    /// The same for a search: without a copy where nothing is to be decoded, and where it is not
    /// known how.
    pub(super) fn decoded<'a>(&mut self, octets: &'a [u8], room: &'a mut Vec<u8>) -> &'a [u8] {
        room.clear();
        match &mut self.0 {
            Kind::Identity | Kind::Unknown => return octets,
            Kind::QuotedPrintable(decoder) => decoder.feed(octets, room),
            Kind::Base64(decoder) => decoder.feed(octets, room),
        }
        room
    }

    /// Appends what the last octets stood for.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Undecodable> {
        match &mut self.0 {
            Kind::Identity => {}
            Kind::QuotedPrintable(decoder) => decoder.finish(out),
            Kind::Base64(decoder) => decoder.end_quantum(out),
            Kind::Unknown => return Err(Undecodable),
        }
        Ok(())
    }
}

/// A whole text in base64.
pub(super) fn decode_base64(text: &[u8], out: &mut Vec<u8>) {
    let mut decoder = Base64::default();
    decoder.feed(text, out);
    decoder.end_quantum(out);
}

pub(super) fn hexadecimal(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// RFC 2045 §6.7.
#[derive(Debug, Default)]
struct QuotedPrintable {
    state: Quoted,
    /// Blanks that a line end takes with it, perhaps with the CR of that line end; where an `=` is
    /// before them, they belong to a soft line break.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Quoted {
    #[default]
    Text,
    /// Behind `=`.
    Escape,
    /// Behind `=` and a hexadecimal digit.
    Digit(u8),
    /// Behind `=` and blanks or a CR, which are held with it.
    SoftBreak,
}

impl QuotedPrintable {
    fn feed(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let mut rest = octets;
        while let [first, behind @ ..] = rest {
            rest = match self.state {
                Quoted::Text => self.text(rest, out),
                Quoted::Escape => match first {
                    b'\n' => {
                        self.state = Quoted::Text;
                        behind
                    }
                    b' ' | b'\t' | b'\r' => {
                        self.held.extend([b'=', *first]);
                        self.state = Quoted::SoftBreak;
                        behind
                    }
                    digit if digit.is_ascii_hexdigit() => {
                        self.state = Quoted::Digit(*digit);
                        behind
                    }
                    // RFC 2045 §6.7: a robust decoder keeps what is no escape.
                    _ => self.keep(b"=", rest, out),
                },
                Quoted::Digit(digit) => match (hexadecimal(digit), hexadecimal(*first)) {
                    (Some(high), Some(low)) => {
                        out.push(high << 4 | low);
                        self.state = Quoted::Text;
                        behind
                    }
                    _ => self.keep(&[b'=', digit], rest, out),
                },
                Quoted::SoftBreak => match first {
                    b'\n' => {
                        self.held.clear();
                        self.state = Quoted::Text;
                        behind
                    }
                    b' ' | b'\t' | b'\r' if self.held.len() < TEXT_LINE_MAX => {
                        self.held.push(*first);
                        behind
                    }
                    _ => {
                        out.append(&mut self.held);
                        self.state = Quoted::Text;
                        rest
                    }
                },
            };
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        if let Quoted::Digit(digit) = self.state {
            out.extend([b'=', digit]);
        }
        *self = Self::default();
    }

    /// Up to the next escape or line end.
    fn text<'a>(&mut self, rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let stop = memchr2(b'=', b'\n', rest);
        let run = &rest[..stop.unwrap_or(rest.len())];
        match stop {
            Some(at) if rest[at] == b'=' => {
                out.append(&mut self.held);
                out.extend_from_slice(run);
                self.state = Quoted::Escape;
                &rest[at + 1..]
            }
            Some(at) => {
                self.line_end(run, out);
                &rest[at + 1..]
            }
            None => {
                let kept = trimmed(run).len();
                if kept > 0 || self.held.len() + run.len() > TEXT_LINE_MAX {
                    out.append(&mut self.held);
                }
                out.extend_from_slice(&run[..kept]);
                // Blanks beyond any line of text are no padding, and not kept for long.
                let room = TEXT_LINE_MAX - self.held.len();
                let spare = (run.len() - kept).saturating_sub(room);
                out.extend_from_slice(&run[kept..kept + spare]);
                self.held.extend_from_slice(&run[kept + spare..]);
                &[]
            }
        }
    }

    /// RFC 2045 §6.7 (3): blanks at the end of a line were added on the way.
    fn line_end(&mut self, run: &[u8], out: &mut Vec<u8>) {
        let last = run.last().or(self.held.last());
        let line_end: &[u8] = if last == Some(&b'\r') { b"\r\n" } else { b"\n" };
        let kept = trimmed(run);
        if !kept.is_empty() {
            out.append(&mut self.held);
            out.extend_from_slice(kept);
        }
        self.held.clear();
        out.extend_from_slice(line_end);
    }

    fn keep<'a>(&mut self, octets: &[u8], rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        out.extend_from_slice(octets);
        self.state = Quoted::Text;
        rest
    }
}

fn trimmed(run: &[u8]) -> &[u8] {
    let blanks = run.iter().rev().take_while(|octet| matches!(octet, b' ' | b'\t' | b'\r'));
    &run[..run.len() - blanks.count()]
}

/// RFC 2045 §6.8.
#[derive(Debug, Default)]
struct Base64 {
    /// The digits of a quantum that is not whole, in the low bits, and how many there are.
    bits: u32,
    digits: u8,
}

impl Base64 {
    fn feed(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        out.reserve(octets.len() / 4 * 3 + 3);
        let mut rest = octets;
        while !rest.is_empty() {
            if self.digits == 0 {
                rest = whole_quanta(rest, out);
            }
            let Some((first, behind)) = rest.split_first() else { return };
            self.digit(*first, out);
            rest = behind;
        }
    }

    /// What is no digit is passed over (RFC 2045 §6.8). Text may go on behind padding where
    /// several encoded texts were put together.
    fn digit(&mut self, octet: u8, out: &mut Vec<u8>) {
        match DIGITS[usize::from(octet)] {
            value if value < 64 => {
                self.bits = self.bits << 6 | u32::from(value);
                self.digits += 1;
                if self.digits == 4 {
                    out.extend_from_slice(&self.bits.to_be_bytes()[1..]);
                    *self = Self::default();
                }
            }
            _ if octet == b'=' => self.end_quantum(out),
            _ => {}
        }
    }

    /// The octets that are whole; a single digit is none.
    fn end_quantum(&mut self, out: &mut Vec<u8>) {
        match self.digits {
            2 => out.push((self.bits >> 4) as u8),
            3 => out.extend_from_slice(&((self.bits >> 2) as u16).to_be_bytes()),
            _ => {}
        }
        *self = Self::default();
    }
}

/// Decodes four digits at a time up to what is none.
fn whole_quanta<'a>(mut rest: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    while let Some((quantum, behind)) = rest.split_first_chunk::<4>() {
        let [a, b, c, d] = quantum.map(|octet| u32::from(DIGITS[usize::from(octet)]));
        if (a | b | c | d) >= 64 {
            break;
        }
        let bits = a << 18 | b << 12 | c << 6 | d;
        out.extend_from_slice(&bits.to_be_bytes()[1..]);
        rest = behind;
    }
    rest
}

/// The value of each octet as a digit, 255 for what is none.
const DIGITS: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut digits = [u8::MAX; 256];
    let mut value = 0;
    while value < alphabet.len() {
        digits[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    digits
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn decoded(encoding: Encoding, pieces: &[&[u8]]) -> Vec<u8> {
        let (mut decoder, mut out) = (Decoder::new(encoding), Vec::new());
        for piece in pieces {
            assert_eq!(decoder.feed(piece, &mut out), Ok(()));
        }
        assert_eq!(decoder.finish(&mut out), Ok(()));
        out
    }

    #[test]
    fn encodings_at_every_cut() {
        let quoted = Encoding::QuotedPrintable;
        for (encoding, text, want) in [
            (Encoding::SevenBit, &b"a=20\r\n"[..], &b"a=20\r\n"[..]),
            (quoted, b"", b""),
            (quoted, b"caf=C3=a9 =3D=\r\n x", b"caf\xc3\xa9 = x"),
            (quoted, b"a \t \r\nb\t\nc  ", b"a\r\nb\nc"),
            (quoted, b"a= \t\r\nb=\nc=", b"abc"),
            (quoted, b"a=20\r\n \r\n", b"a \r\n\r\n"),
            (quoted, b"=XY =4 =4G == =  z\xff", b"=XY =4 =4G == =  z\xff"),
            (quoted, b"a\rb \r c=4", b"a\rb \r c=4"),
            (quoted, b" =41  =\r\n =42", b" A   B"),
            (quoted, b"= =41", b"= A"),
            (Encoding::Base64, b"", b""),
            (Encoding::Base64, b"SGVsbG8=", b"Hello"),
            (Encoding::Base64, b"SGVs\r\nbG8g\r\nd29ybGQ=\r\n", b"Hello world"),
            (Encoding::Base64, b"S G*V\r\nsbG8", b"Hello"),
            (Encoding::Base64, b"SGk=SGk=\r\nSA==", b"HiHiH"),
            (Encoding::Base64, b"SGVsb", b"Hel"),
            (Encoding::Base64, b"==", b""),
        ] {
            for cut in 0..=text.len() {
                let name = text.escape_ascii();
                let found = decoded(encoding, &[&text[..cut], &text[cut..]]);
                assert_eq!(found, want, "{encoding:?} {name} cut at {cut}");
            }
            let octets: Vec<_> = text.chunks(1).collect();
            assert_eq!(decoded(encoding, &octets), want, "{encoding:?} {text:?} by octets");
        }
        let mut unknown = Decoder::new(Encoding::Unknown);
        assert_eq!(unknown.feed(b"x", &mut Vec::new()), Err(Undecodable));
        assert_eq!(unknown.finish(&mut Vec::new()), Err(Undecodable));
    }

    #[test]
    fn what_was_encoded_comes_back() {
        let mut random = Random::from_seed([12; 32]);
        for round in 0..300 {
            let octets: Vec<u8> = (0..random.below(300)).map(|_| random.next_u64() as u8).collect();
            let text = data_encoding::BASE64_MIME.encode(&octets);
            let cut = random.below(text.len() as u32 + 1) as usize;
            let (one, two) = text.as_bytes().split_at(cut);
            assert_eq!(decoded(Encoding::Base64, &[one, two]), octets, "round {round}");

            let quoted: String = octets
                .iter()
                .map(|octet| format!("={octet:02X}{}", ["", "=\r\n"][usize::from(octet % 9 == 0)]))
                .collect();
            let cut = random.below(quoted.len() as u32 + 1) as usize;
            let (one, two) = quoted.as_bytes().split_at(cut);
            assert_eq!(decoded(Encoding::QuotedPrintable, &[one, two]), octets, "round {round}");
        }
    }

    #[test]
    fn blanks_without_an_end_are_not_kept() {
        for start in [&b"a"[..], b"=", b""] {
            let mut decoder = QuotedPrintable::default();
            let mut out = Vec::new();
            decoder.feed(start, &mut out);
            for _ in 0..100 {
                decoder.feed(&[b' '; 1000], &mut out);
                assert!(decoder.held.len() <= TEXT_LINE_MAX, "{}", decoder.held.len());
            }
            assert!(out.len() + TEXT_LINE_MAX >= 100_000);
        }
    }
}
