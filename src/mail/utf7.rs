//! Modified UTF-7 (RFC 3501 §5.1.3): mailbox names in US-ASCII, as IMAP and Maildir++ have them.

use std::char::{REPLACEMENT_CHARACTER, decode_utf16};

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// A name in UTF-8. An `&` that begins no sequence, and UTF-8 as it is, stand for themselves:
/// both come back as the same name when the client sends what it was told. `None`: a sequence is
/// broken or hides what must not be hidden.
pub fn decode(octets: &[u8]) -> Option<String> {
    let mut text = std::str::from_utf8(octets).ok()?;
    let mut name = String::with_capacity(text.len());
    while let Some((before, behind)) = text.split_once('&') {
        name.push_str(before);
        let length = behind.bytes().take_while(|octet| DIGITS.contains(octet)).count();
        text = match behind.as_bytes().get(length) {
            Some(b'-') if length == 0 => {
                name.push('&');
                &behind[1..]
            }
            Some(b'-') => {
                decode_sequence(&behind.as_bytes()[..length], &mut name)?;
                &behind[length + 1..]
            }
            _ => {
                name.push('&');
                behind
            }
        };
    }
    name.push_str(text);
    Some(name)
}

/// A name as modified UTF-7.
pub fn encode(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut rest = name;
    while !rest.is_empty() {
        let plain = rest.find(|c: char| !is_plain(c)).unwrap_or(rest.len());
        for (index, piece) in rest[..plain].split('&').enumerate() {
            text.push_str(if index > 0 { "&-" } else { "" });
            text.push_str(piece);
        }
        rest = &rest[plain..];
        let odd = rest.find(is_plain).unwrap_or(rest.len());
        if odd > 0 {
            encode_sequence(&rest[..odd], &mut text);
        }
        rest = &rest[odd..];
    }
    text
}

/// RFC 3501 §5.1.3: printable US-ASCII stands for itself, `&` as `&-`.
fn is_plain(c: char) -> bool {
    matches!(c, ' '..='~')
}

fn decode_sequence(digits: &[u8], name: &mut String) -> Option<()> {
    let (mut bits, mut held) = (0u32, 0);
    let mut units = Vec::with_capacity(digits.len() * 6 / 16);
    for digit in digits {
        let value = DIGITS.iter().position(|known| known == digit)? as u32;
        bits = bits << 6 | value;
        held += 6;
        if held >= 16 {
            held -= 16;
            units.push((bits >> held) as u16);
            bits &= (1 << held) - 1;
        }
    }
    // What is left is padding: less than a digit, and zero.
    if held >= 6 || bits != 0 {
        return None;
    }
    let start = name.len();
    name.extend(decode_utf16(units).map(|c| c.unwrap_or(REPLACEMENT_CHARACTER)));
    // Printable US-ASCII must not come encoded: `/` would be a slash that nobody sees.
    let hidden = |c: char| is_plain(c) || c == REPLACEMENT_CHARACTER;
    (!name[start..].contains(hidden)).then_some(())
}

fn encode_sequence(odd: &str, text: &mut String) {
    text.push('&');
    let (mut bits, mut held) = (0u32, 0);
    for unit in odd.encode_utf16() {
        bits = bits << 16 | u32::from(unit);
        held += 16;
        while held >= 6 {
            held -= 6;
            text.push(char::from(DIGITS[(bits >> held) as usize & 63]));
            bits &= (1 << held) - 1;
        }
    }
    if held > 0 {
        text.push(char::from(DIGITS[(bits << (6 - held)) as usize & 63]));
    }
    text.push('-');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn modified_utf7() {
        for (wire, name) in [
            ("INBOX", "INBOX"),
            ("~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"),
            ("Entw&APw-rfe", "Entwürfe"),
            ("R&-D", "R&D"),
            ("&-&-", "&&"),
            ("&2D3eAA-", "😀"),
        ] {
            assert_eq!(decode(wire.as_bytes()).as_deref(), Some(name), "{wire}");
            assert_eq!(encode(name), wire);
        }
        for (wire, name) in [
            ("R&D", Some("R&D")),
            ("&", Some("&")),
            ("Entwürfe", Some("Entwürfe")),
            ("&U,BTFw-&ZeVnLIqe-", Some("台北日本語")),
            ("&AGE-", None),
            ("&AC8-", None),
            ("&A-", None),
            ("&APx-", None),
            ("&2D0-", None),
            ("&3gA-", None),
        ] {
            assert_eq!(decode(wire.as_bytes()).as_deref(), name, "{wire}");
        }
        assert_eq!(decode(b"\xff"), None);
    }

    #[test]
    fn names_come_back() {
        let mut random = Random::from_seed([3; 32]);
        for _ in 0..5000 {
            let letters = ['a', '&', '-', '/', 'ü', '日', '😀', '+', ',', ' '];
            let count = random.below(12);
            let name: String = (0..count).map(|_| letters[random.below(10) as usize]).collect();
            assert_eq!(decode(encode(&name).as_bytes()), Some(name.clone()), "{name:?}");
            let cut: Vec<u8> = encode(&name).bytes().skip(1).collect();
            if let Some(odd) = decode(&cut) {
                assert_eq!(decode(encode(&odd).as_bytes()), Some(odd.clone()), "{odd:?}");
            }
        }
    }
}
