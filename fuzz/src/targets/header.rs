//! The header section's two fields: cuts do not matter, and a slow second reader agrees.

use ringmail::{limits::MESSAGE_ID_KEPT, mail::header::HeaderScan};

use super::octets::{cut, seed_of};

pub fn run(input: &[u8]) {
    let whole = scan(&[input]);
    assert_eq!(whole, scan(&cut(input, seed_of(input))), "cuts matter");
    assert_eq!(whole, scan(&input.chunks(1).collect::<Vec<_>>()), "cuts matter");
    assert_eq!(whole, slowly(input));
}

fn scan(pieces: &[&[u8]]) -> (u32, Vec<u8>) {
    let mut headers = HeaderScan::default();
    for piece in pieces {
        headers.feed(piece);
    }
    (headers.received(), headers.into_message_id().to_vec())
}

/// Line by line; the Message-ID is the first that is not empty, with the lines folded behind it.
fn slowly(input: &[u8]) -> (u32, Vec<u8>) {
    let (mut received, mut id, mut folds) = (0, Vec::new(), false);
    for line in input.split_inclusive(|b| *b == b'\n') {
        let starts = |name: &[u8]| {
            line.get(..name.len()).is_some_and(|front| front.eq_ignore_ascii_case(name))
        };
        let value = if folds && matches!(line[0], b' ' | b'\t') {
            line
        } else if matches!(line[0], b'\r' | b'\n') {
            break;
        } else if starts(b"message-id:") && id.is_empty() {
            &line[b"message-id:".len()..]
        } else {
            received += u32::from(starts(b"received:"));
            folds = false;
            continue;
        };
        folds = true;
        for octet in value.iter().filter(|b| !matches!(b, b'\r' | b'\n')) {
            let leads = id.is_empty() && matches!(octet, b' ' | b'\t');
            if !leads && id.len() < MESSAGE_ID_KEPT {
                id.push(*octet);
            }
        }
    }
    (received, id.trim_ascii_end().to_vec())
}
