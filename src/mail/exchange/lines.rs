//! Ends of lines, from CRLF to LF and back, however the octets are cut.

use memchr::memchr;

/// Makes LF of CRLF; any other CR stays.
#[derive(Debug, Default)]
pub struct ToLf {
    /// A CR of which it is not known yet what follows.
    held: bool,
}

/// Makes CRLF of a lone LF.
#[derive(Debug, Default)]
pub struct ToCrlf {
    after_cr: bool,
}

impl ToLf {
    pub fn feed(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let Some(first) = octets.first() else {
            return;
        };
        if std::mem::take(&mut self.held) && *first != b'\n' {
            out.push(b'\r');
        }
        let mut rest = octets;
        while let Some(at) = memchr(b'\r', rest) {
            let (before, behind) = rest.split_at(at);
            out.extend_from_slice(before);
            match behind.get(1) {
                None => self.held = true,
                Some(b'\n') => {}
                Some(_) => out.push(b'\r'),
            }
            rest = &behind[1..];
        }
        out.extend_from_slice(rest);
    }

    pub fn finish(self, out: &mut Vec<u8>) {
        if self.held {
            out.push(b'\r');
        }
    }
}

impl ToCrlf {
    pub fn feed(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        let mut rest = octets;
        while let Some(at) = memchr(b'\n', rest) {
            let (line, behind) = rest.split_at(at);
            out.extend_from_slice(line);
            let has_cr = if line.is_empty() { self.after_cr } else { line.ends_with(b"\r") };
            out.extend_from_slice(if has_cr { b"\n" } else { b"\r\n" });
            self.after_cr = false;
            rest = &behind[1..];
        }
        out.extend_from_slice(rest);
        if let Some(last) = rest.last() {
            self.after_cr = *last == b'\r';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_at_every_cut() {
        for (text, lf, crlf) in [
            ("", "", ""),
            ("a\r\nb\n\r\n", "a\nb\n\n", "a\r\nb\r\n\r\n"),
            ("a\rb\r\r\n\n", "a\rb\r\n\n", "a\rb\r\r\n\r\n"),
            ("\r", "\r", "\r"),
            ("\n\n\r", "\n\n\r", "\r\n\r\n\r"),
        ] {
            for cut in 0..=text.len() {
                let (mut to_lf, mut to_crlf) = (ToLf::default(), ToCrlf::default());
                let (mut found_lf, mut found_crlf) = (Vec::new(), Vec::new());
                for piece in [&text.as_bytes()[..cut], &text.as_bytes()[cut..]] {
                    to_lf.feed(piece, &mut found_lf);
                    to_crlf.feed(piece, &mut found_crlf);
                }
                to_lf.finish(&mut found_lf);
                assert_eq!(String::from_utf8(found_lf).unwrap(), lf, "{text:?} cut at {cut}");
                assert_eq!(String::from_utf8(found_crlf).unwrap(), crlf, "{text:?} cut at {cut}");
            }
        }
    }
}
