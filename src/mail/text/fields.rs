//! The fields of a header, one after the other, however badly they are written.

use memchr::{memchr, memchr_iter};

/// One field of a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    /// As written, without blanks around it; empty where the line has no colon.
    pub name: &'a [u8],
    /// What is behind the colon, still folded, without blanks and line ends around it.
    pub value: &'a [u8],
    /// All of it, with its line ends.
    pub whole: &'a [u8],
}

/// The fields up to the empty line. Only LF ends a line, with or without a CR before it. A line
/// without a colon is a field without a name, so that nothing of the header is lost.
pub fn fields(header: &[u8]) -> impl Iterator<Item = Field<'_>> {
    Fields { rest: header }
}

impl Field<'_> {
    /// Names of fields have no case (RFC 5322 §1.2.2).
    pub fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if matches!(self.rest, [] | [b'\n', ..] | [b'\r', b'\n', ..]) {
            self.rest = &[];
            return None;
        }
        let (whole, rest) = self.rest.split_at(length(self.rest));
        self.rest = rest;
        let (name, value) = match memchr(b':', whole) {
            // RFC 5322 §4.5: blanks may stand before the colon.
            Some(colon) => (whole[..colon].trim_ascii(), &whole[colon + 1..]),
            None => (&whole[..0], whole),
        };
        Some(Field { name, value: value.trim_ascii(), whole })
    }
}

/// Up to the first line end that no folding follows (RFC 5322 §2.2.3).
fn length(header: &[u8]) -> usize {
    memchr_iter(b'\n', header)
        .map(|end| end + 1)
        .find(|next| !matches!(header.get(*next), Some(b' ' | b'\t')))
        .unwrap_or(header.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn fields_of_good_and_bad_headers() {
        type Wanted = &'static [(&'static str, &'static str, &'static str)];
        let table: [(&str, Wanted); 8] = [
            ("", &[]),
            ("\r\nSubject: body\r\n", &[]),
            (
                "A: 1\r\nB:2\nC :\r\n three\r\n\tfour \r\n\r\nD: body",
                &[
                    ("A", "1", "A: 1\r\n"),
                    ("B", "2", "B:2\n"),
                    ("C", "three\r\n\tfour", "C :\r\n three\r\n\tfour \r\n"),
                ],
            ),
            ("A: no end", &[("A", "no end", "A: no end")]),
            ("broken\r\nA:\r\n", &[("", "broken", "broken\r\n"), ("A", "", "A:\r\n")]),
            (
                " folded: first\nA: 1\n",
                &[("folded", "first", " folded: first\n"), ("A", "1", "A: 1\n")],
            ),
            // A line of blanks alone folds; it does not end the header.
            ("A: 1\r\n \r\nB: 2\r\n", &[("A", "1", "A: 1\r\n \r\n"), ("B", "2", "B: 2\r\n")]),
            ("A: x\ry\r\n", &[("A", "x\ry", "A: x\ry\r\n")]),
        ];
        for (header, wanted) in table {
            let wanted = wanted.iter().map(|(name, value, whole)| Field {
                name: name.as_bytes(),
                value: value.as_bytes(),
                whole: whole.as_bytes(),
            });
            let found: Vec<_> = fields(header.as_bytes()).collect();
            assert_eq!(found, Vec::from_iter(wanted), "{header:?}");
        }
    }

    #[test]
    fn nothing_of_a_header_is_lost() {
        let mut random = Random::from_seed([11; 32]);
        for round in 0..2000 {
            let length = random.below(40);
            let header: Vec<u8> =
                (0..length).map(|_| b"\r\n\r\n :\tax"[random.below(9) as usize]).collect();
            let whole: Vec<u8> = fields(&header).flat_map(|field| field.whole.to_vec()).collect();
            let rest = header.strip_prefix(&*whole);
            assert!(
                rest.is_some_and(|rest| rest.is_empty()
                    || rest.starts_with(b"\n")
                    || rest.starts_with(b"\r\n")),
                "round {round}: {:?}",
                header.escape_ascii().to_string()
            );
        }
    }
}
