//! What a listing shows of any message: cuts do not matter, parts lie within each other, and what
//! goes over the wire can be read.

use imap_codec::{ResponseCodec, decode::Decoder};
use ringmail::{
    limits::{PARTS_MAX, SUMMARY_MAX},
    mail::{
        mailbox::{Part, Parts, Summary},
        mime::{Scan, locate, plain_structure},
    },
};

use super::octets::{cut, seed_of};

/// imap-codec follows structures to a depth of its own.
const DEPTH_MAX: u8 = 5;

pub fn run(input: &[u8]) {
    let whole = scan(&[input]);
    assert_eq!(whole, scan(&cut(input, seed_of(input))), "cuts matter");
    assert_eq!(whole, scan(&input.chunks(1).collect::<Vec<_>>()), "cuts matter");
    let (summary, header) = whole;
    let parts: Vec<Part> = summary.parts.iter().collect();
    assert_eq!(Parts::from_bytes(summary.parts.as_bytes().clone()).as_ref(), Some(&summary.parts));
    nested(&parts, header, input.len() as u64);
    for numbers in [&[1][..], &[2], &[1, 1], &[2, 1], &[1, 2, 1], &[3, 1, 1, 1]] {
        let found = locate(&summary.parts, numbers);
        assert!(numbers != [1] || found.is_some(), "every message has a part 1");
    }
    readable(&summary, &parts);
}

fn scan(pieces: &[&[u8]]) -> (Summary, u32) {
    let mut scan = Scan::new();
    pieces.iter().for_each(|piece| scan.feed(piece));
    scan.finish()
}

/// Each part lies in the body of the one around it.
fn nested(parts: &[Part], header: u32, octets: u64) {
    assert!(!parts.is_empty() && parts.len() <= PARTS_MAX, "{} parts", parts.len());
    assert_eq!(parts[0].header, header);
    assert_eq!(u64::from(header) + parts[0].body, octets, "the message is all of it");
    let mut around: Vec<&Part> = Vec::new();
    for part in parts {
        around.truncate(part.depth.into());
        assert_eq!(around.len(), usize::from(part.depth), "{part:?} has nothing around it");
        let (start, end) = around
            .last()
            .map_or((0, octets), |outer| (outer.body_start(), outer.body_start() + outer.body));
        assert!(start <= part.start && part.body_start() + part.body <= end, "{part:?}");
        around.push(part);
    }
}

/// Another parser's opinion.
fn readable(summary: &Summary, parts: &[Part]) {
    let (envelope, structure) = (&*summary.envelope, &*summary.structure);
    let plain = plain_structure(structure);
    let octets = envelope.len() + structure.len();
    assert!(octets < 2 * SUMMARY_MAX && plain.len() <= structure.len(), "{octets} octets");
    if parts.iter().any(|part| part.depth > DEPTH_MAX) {
        return;
    }
    let pieces: [&[u8]; 7] = [
        b"* 1 FETCH (ENVELOPE ",
        envelope,
        b" BODYSTRUCTURE ",
        structure,
        b" BODY ",
        &plain,
        b")\r\n",
    ];
    let response = pieces.concat();
    let read = ResponseCodec::default().decode(&response);
    assert!(matches!(read, Ok(([], _))), "{read:?} of {}", response.escape_ascii());
}
