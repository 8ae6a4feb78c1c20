//! Base64 (RFC 4648 §4): attachments and AUTH.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub fn encoded(octets: &[u8]) -> String {
    let mut out = String::with_capacity(octets.len().div_ceil(3) * 4);
    for group in octets.chunks(3) {
        let bits = group
            .iter()
            .chain(&[0, 0])
            .take(3)
            .fold(0u32, |bits, &octet| bits << 8 | u32::from(octet));
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place)) & 63;
            out.push(if place <= group.len() { ALPHABET[index as usize].into() } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::encoded;

    /// RFC 4648 §10.
    #[test]
    fn the_vectors_of_the_law() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (octets, expected) in cases {
            assert_eq!(encoded(octets.as_bytes()), expected);
        }
    }
}
