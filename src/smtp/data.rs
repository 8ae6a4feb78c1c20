//! The body on the wire: where DATA ends, and that only CRLF ends a line in it.
//!
//! One pass without a copy. Real text holds a CR beside an LF some 60 octets apart and hardly
//! ever a dot at the start of a line, so octets are looked at in blocks, by comparisons that the
//! compiler turns into vector instructions, and one by one only where a block holds such a dot.

/// Follows a dot-stuffed body (RFC 5321 §4.5.2) through the cuts between reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Dots {
    /// Behind a CRLF, or at the start.
    #[default]
    LineStart,
    Line,
    /// Behind a CR that is not the terminator's.
    Cr,
    /// Behind `CRLF.`: this dot is withheld, as it may be the terminator's.
    Dot,
    /// Behind `CRLF.CR`: both octets are withheld.
    DotCr,
}

/// What a read holds of a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scanned {
    /// Octets withheld from earlier reads that turned out to be body.
    pub before: &'static [u8],
    /// Octets at the start of this read that are body.
    pub body: usize,
    /// Where the octets behind `CRLF.CRLF` begin.
    pub end: Option<usize>,
    /// A CR without LF or an LF without CR was seen.
    pub bare: bool,
}

const BLOCK: usize = 256;

impl Dots {
    /// Only a true `CRLF.CRLF` ends a body: `LF.LF`, `LF.CRLF` and `CR.CRLF` are what another
    /// server may take for an end, which is how a message is smuggled (CVE-2023-51764).
    pub fn scan(&mut self, bytes: &[u8]) -> Scanned {
        let before = self.withheld();
        let (mut at, mut bare, mut end) = (0, false, None);
        while end.is_none() && *self != Dots::Line && at < bytes.len() {
            if self.step(bytes[at], &mut bare) {
                end = Some(at + 1);
            }
            at += 1;
        }
        if end.is_none() && at < bytes.len() {
            let inside = scan_line(&bytes[at..]);
            bare |= inside.bare;
            end = inside.end.map(|end| at + end);
            *self = inside.then;
        }
        let terminator_or_withheld = if end.is_some() { 3 } else { self.withheld().len() };
        let known = end.unwrap_or(bytes.len());
        match known.checked_sub(terminator_or_withheld) {
            Some(body) => Scanned { before, body, end, bare },
            None => Scanned { before: b"", body: 0, end, bare },
        }
    }

    fn withheld(self) -> &'static [u8] {
        match self {
            Dots::Dot => b".",
            Dots::DotCr => b".\r",
            Dots::LineStart | Dots::Line | Dots::Cr => b"",
        }
    }

    /// One octet; true: it ends the body.
    fn step(&mut self, byte: u8, bare: &mut bool) -> bool {
        let (then, fault) = match (*self, byte) {
            (Dots::DotCr, b'\n') => return true,
            (Dots::Cr, b'\n') => (Dots::LineStart, false),
            (Dots::Dot, b'\r') => (Dots::DotCr, false),
            (Dots::Cr | Dots::DotCr, b'\r') => (Dots::Cr, true),
            (Dots::Cr | Dots::DotCr, _) => (Dots::Line, true),
            (_, b'\n') => (Dots::Line, true),
            (_, b'\r') => (Dots::Cr, false),
            (Dots::LineStart, b'.') => (Dots::Dot, false),
            _ => (Dots::Line, false),
        };
        *self = then;
        *bare |= fault;
        false
    }
}

/// Takes the doubled dots out of a stuffed body (RFC 5321 §4.5.2), over the cuts between its
/// pieces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unstuffing {
    line_start: bool,
}

impl Default for Unstuffing {
    fn default() -> Self {
        Self { line_start: true }
    }
}

impl Unstuffing {
    /// Gives the octets of `piece` that belong to the message, in slices of it.
    pub fn take<'a>(&mut self, piece: &'a [u8], mut give: impl FnMut(&'a [u8])) {
        let mut rest = piece;
        if self.line_start && rest.first() == Some(&b'.') {
            rest = &rest[1..];
        }
        if let Some(last) = piece.last() {
            // Only CRLF ends a line of a body that we took.
            self.line_start = *last == b'\n';
        }
        let mut from = 0;
        for lf in memchr::memmem::find_iter(rest, b"\n.") {
            give(&rest[from..=lf]);
            from = lf + 2;
        }
        give(&rest[from..]);
    }
}

/// Follows a body that comes by BDAT (RFC 3030): its end is counted, not marked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Newlines {
    cr: bool,
}

impl Newlines {
    /// True: a CR without LF or an LF without CR was seen.
    pub fn scan(&mut self, bytes: &[u8]) -> bool {
        let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
            return false;
        };
        let bare = self.cr != (*first == b'\n') || holds_bare(bytes);
        self.cr = *last == b'\r';
        bare
    }

    /// True: the body ends behind a CR without its LF.
    pub fn ends_bare(self) -> bool {
        self.cr
    }
}

struct Inside {
    end: Option<usize>,
    bare: bool,
    then: Dots,
}

/// Scans from inside a line: the octet before `bytes` is no CR, and no terminator has begun.
fn scan_line(bytes: &[u8]) -> Inside {
    let mut bare = bytes.first() == Some(&b'\n');
    let mut from = 0;
    while from + 2 < bytes.len() {
        let to = bytes.len().min(from + BLOCK + 2);
        let (block_is_bare, dot) = look(&bytes[from..to]);
        if dot && let Some(cr) = terminator(bytes, from, to) {
            bare |= holds_bare(&bytes[from..cr + 2]);
            return Inside { end: Some(cr + 5), bare, then: Dots::LineStart };
        }
        bare |= block_is_bare;
        from = to - 2;
    }
    bare |= holds_bare(&bytes[from..]);
    let then = match bytes {
        [.., b'\r', b'\n', b'.', b'\r'] => Dots::DotCr,
        [.., b'\r', b'\n', b'.'] => Dots::Dot,
        [.., b'\r', b'\n'] => Dots::LineStart,
        [.., b'\r'] => Dots::Cr,
        _ => Dots::Line,
    };
    Inside { end: None, bare, then }
}

/// Whether a CR has no LF or an LF no CR, and whether a dot follows an LF.
fn look(bytes: &[u8]) -> (bool, bool) {
    let (mut bare, mut dot) = (0u8, 0u8);
    for ((a, b), c) in bytes.iter().zip(&bytes[1..]).zip(&bytes[2..]) {
        bare |= u8::from(*a == b'\r') ^ u8::from(*b == b'\n');
        dot |= u8::from(*b == b'\n') & u8::from(*c == b'.');
    }
    (bare != 0, dot != 0)
}

/// The index of the CRLF before a final dot line whose own first two octets lie in `from..to`.
fn terminator(bytes: &[u8], from: usize, to: usize) -> Option<usize> {
    let starts = &bytes[from..to - 2];
    memchr::memchr_iter(b'\r', starts)
        .map(|at| from + at)
        .find(|cr| bytes[*cr..].starts_with(b"\r\n.\r\n"))
}

/// Between the octets of `bytes`; what stands before and behind them is the caller's to check.
fn holds_bare(bytes: &[u8]) -> bool {
    let mut bare = 0u8;
    for (a, b) in bytes.iter().zip(bytes.get(1..).unwrap_or_default()) {
        bare |= u8::from(*a == b'\r') ^ u8::from(*b == b'\n');
    }
    bare != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Body, what follows it, and whether a bare newline was seen.
    fn scan(pieces: &[&[u8]]) -> (Vec<u8>, Option<Vec<u8>>, bool) {
        let (mut dots, mut body, mut rest, mut bare) = (Dots::default(), vec![], None, false);
        for piece in pieces {
            if let Some(rest) = &mut rest {
                Vec::extend_from_slice(rest, piece);
                continue;
            }
            let scanned = dots.scan(piece);
            body.extend_from_slice(scanned.before);
            body.extend_from_slice(&piece[..scanned.body]);
            rest = scanned.end.map(|end| piece[end..].to_vec());
            bare |= scanned.bare;
        }
        (body, rest, bare)
    }

    #[test]
    fn every_body_at_every_two_cuts() {
        type Case = (&'static [u8], &'static [u8], Option<&'static [u8]>, bool);
        let table: [Case; 18] = [
            (b".\r\nNOOP", b"", Some(b"NOOP"), false),
            (b"a\r\n.\r\n", b"a\r\n", Some(b""), false),
            (b"\r\n.\r\nQ", b"\r\n", Some(b"Q"), false),
            (b"..\r\n.\r\n", b"..\r\n", Some(b""), false),
            (b"a\r\n..\r\n.b\r\n.\r\nQ\r\n", b"a\r\n..\r\n.b\r\n", Some(b"Q\r\n"), false),
            (b"a\r\n.", b"a\r\n", None, false),
            (b"a\n.\nb", b"a\n.\nb", None, true),
            (b"a\n.\r\nb", b"a\n.\r\nb", None, true),
            (b"a\r.\r\nb", b"a\r.\r\nb", None, true),
            (b"a\r\n.\nb", b"a\r\n.\nb", None, true),
            (b"a\r\n.\rb", b"a\r\n.\rb", None, true),
            (b"a\r\n.\r\r\n.\r\nx", b"a\r\n.\r\r\n", Some(b"x"), true),
            (b"a\r\r\n.\r\n", b"a\r\r\n", Some(b""), true),
            (b"a\nb\r\n.\r\nQ", b"a\nb\r\n", Some(b"Q"), true),
            (b"\n.\r\n.\r\nQ", b"\n.\r\n", Some(b"Q"), true),
            (b"a\r\n.\r\nb\nc", b"a\r\n", Some(b"b\nc"), false),
            (b"a.\r\n.\r\n", b"a.\r\n", Some(b""), false),
            (b"\r\n\r\n\r\n.\r\n\r\n.\r\n", b"\r\n\r\n\r\n", Some(b"\r\n.\r\n"), false),
        ];
        for (text, body, rest, bare) in table {
            let want = (body.to_vec(), rest.map(<[u8]>::to_vec), bare);
            for a in 0..=text.len() {
                for b in a..=text.len() {
                    let pieces = [&text[..a], &text[a..b], &text[b..]];
                    let text = text.escape_ascii();
                    let (got_body, got_rest, got_bare) = scan(&pieces);
                    // A dot that may be the terminator's is not body until it is known.
                    assert!(want.0.starts_with(&got_body), "{text} cut at {a}, {b}");
                    assert!(want.1.is_none() || got_body == want.0, "{text} cut at {a}, {b}");
                    assert_eq!((got_rest, got_bare), (want.1.clone(), want.2), "{text} {a} {b}");
                }
            }
        }
    }

    /// The slow and obvious way, octet by octet.
    fn scan_slowly(text: &[u8]) -> (Vec<u8>, Option<Vec<u8>>, bool) {
        let (mut dots, mut bare) = (Dots::default(), false);
        for at in 0..text.len() {
            if dots.step(text[at], &mut bare) {
                return (text[..at - 2].to_vec(), Some(text[at + 1..].to_vec()), bare);
            }
        }
        (text[..text.len() - dots.withheld().len()].to_vec(), None, bare)
    }

    #[test]
    fn blocks_see_what_octets_see() {
        let mut random = crate::random::Random::from_seed([3; 32]);
        for round in 0..3000 {
            let length = random.below(3 * BLOCK as u32) as usize;
            let dense = round % 3 == 0;
            let mut text = Vec::new();
            while text.len() < length {
                match random.below(if dense { 5 } else { 200 }) {
                    0 => text.extend_from_slice(b"\r\n"),
                    1 => text.extend_from_slice(b"\r\n."),
                    2 if round % 2 == 0 => text.push(b"\r\n"[random.below(2) as usize]),
                    _ => text.push(b'x'),
                }
            }
            if round % 5 != 0 {
                text.extend_from_slice(b"\r\n.\r\nrest\n");
            }
            let cut = random.below(text.len() as u32 + 1) as usize;
            assert_eq!(
                scan(&[&text[..cut], &text[cut..]]),
                scan_slowly(&text),
                "{} cut at {cut}",
                text.escape_ascii()
            );
        }
    }

    #[test]
    fn newlines_of_chunks() {
        for (pieces, bare) in [
            (&["a\r\n", "b"][..], false),
            (&["a\r", "\nb"], false),
            (&["a\r", "b"], true),
            (&["a", "\nb"], true),
            (&["\n"], true),
            (&["a\r\rb"], true),
            (&["a\r", "", "\n"], false),
            (&["a\r"], true),
        ] {
            let mut newlines = Newlines::default();
            let seen = pieces.iter().fold(false, |bare, p| newlines.scan(p.as_bytes()) | bare);
            assert_eq!(seen | newlines.ends_bare(), bare, "{pieces:?}");
        }
    }

    #[test]
    fn doubled_dots_leave_wherever_the_body_is_cut() {
        for (body, want) in [
            ("", ""),
            ("..\r\n", ".\r\n"),
            (".\r\n", "\r\n"),
            ("a.b\r\n..c\r\n...\r\n", "a.b\r\n.c\r\n..\r\n"),
            ("a\r\n..\r\n..\r\n", "a\r\n.\r\n.\r\n"),
        ] {
            for first in 0..=body.len() {
                for second in first..=body.len() {
                    let mut unstuffing = Unstuffing::default();
                    let mut got = Vec::new();
                    for piece in [&body[..first], &body[first..second], &body[second..]] {
                        unstuffing.take(piece.as_bytes(), |part| got.extend_from_slice(part));
                    }
                    assert_eq!(got, want.as_bytes(), "{body:?} cut at {first}, {second}");
                }
            }
        }
    }
}
