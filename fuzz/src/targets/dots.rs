//! The end of a DATA body and bare newlines: cuts do not matter, and a slow second reader agrees.

use ringmail::smtp::data::{Dots, Newlines};

use super::octets::{cut, seed_of};

/// Body, what follows it, and whether a bare newline was seen.
#[derive(PartialEq, Eq, Debug)]
struct Found {
    body: Vec<u8>,
    rest: Option<Vec<u8>>,
    bare: bool,
}

pub fn run(input: &[u8]) {
    let pieces = cut(input, seed_of(input));
    let whole = scan(&[input]);
    assert_eq!(whole, scan(&pieces), "cuts matter");
    assert_eq!(whole, scan(&input.chunks(1).collect::<Vec<_>>()), "cuts matter");
    let text = match &whole.rest {
        // CVE-2023-51764: nothing but CRLF.CRLF ends a body.
        Some(rest) => {
            assert_eq!([&whole.body[..], b".\r\n", &rest[..]].concat(), input);
            assert!(whole.body.is_empty() || whole.body.ends_with(b"\r\n"), "the dot's own line");
            &whole.body[..]
        }
        None => {
            assert!(input.starts_with(&whole.body) && whole.body.len() + 2 >= input.len());
            input
        }
    };
    let end = [b"\r\n", text].concat().windows(5).position(|five| five == b"\r\n.\r\n");
    assert_eq!(end, None, "the end lies within");
    assert_eq!(whole.bare, is_bare(text), "bare newlines");

    let mut newlines = Newlines::default();
    let bare = pieces.iter().fold(false, |bare, piece| newlines.scan(piece) | bare);
    assert_eq!(bare || newlines.ends_bare(), is_bare(input) || input.ends_with(b"\r"));
}

fn scan(pieces: &[&[u8]]) -> Found {
    let mut dots = Dots::default();
    let mut found = Found { body: Vec::new(), rest: None, bare: false };
    for piece in pieces {
        if let Some(rest) = &mut found.rest {
            rest.extend_from_slice(piece);
            continue;
        }
        let scanned = dots.scan(piece);
        found.body.extend_from_slice(scanned.before);
        found.body.extend_from_slice(&piece[..scanned.body]);
        found.rest = scanned.end.map(|end| piece[end..].to_vec());
        found.bare |= scanned.bare;
    }
    found
}

/// A CR at the end may still get its LF.
fn is_bare(text: &[u8]) -> bool {
    (0..text.len()).any(|at| match text[at] {
        b'\r' => text.get(at + 1).is_some_and(|next| *next != b'\n'),
        b'\n' => at == 0 || text[at - 1] != b'\r',
        _ => false,
    })
}
