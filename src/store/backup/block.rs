//! Blocks: what the files of a backup consist of, from their first octet to their last.
//!
//! Length of the payload (4), kind (1), payload, checksum (4). File and place take part in the
//! checksum, so that a sound block in a wrong place is found too.

use crate::{
    limits::{BACKUP_BLOCK_MAX, CHECKSUM},
    store::checksum::{Of, checksum},
};

/// Octets before the payload.
pub const HEAD: usize = 5;

/// Octets of a block beside its payload.
pub const FRAME: usize = HEAD + CHECKSUM;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlockKind {
    /// Every file's first.
    Head,
    /// In a segment: rows of one content or body.
    Unit,
    /// In the manifest: rows of the other tables.
    Rows,
    /// In the manifest: where each content and body lies.
    Index,
    /// In the manifest: the segments it needs.
    Segments,
    /// The manifest's last.
    End,
}

const KINDS: [BlockKind; 6] = [
    BlockKind::Head,
    BlockKind::Unit,
    BlockKind::Rows,
    BlockKind::Index,
    BlockKind::Segments,
    BlockKind::End,
];

/// Where a block begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub file: u32,
    pub offset: u64,
}

/// Puts a block behind `out`; gives its octets.
pub fn put(place: Place, kind: BlockKind, payload: &[&[u8]], out: &mut Vec<u8>) -> u64 {
    let begin = out.len();
    let length = payload.iter().map(|piece| piece.len()).sum::<usize>();
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    out.push(kind as u8);
    payload.iter().for_each(|piece| out.extend_from_slice(piece));
    let sum = checksum(Of::Block { file: place.file, offset: place.offset }, &[&out[begin..]]);
    out.extend_from_slice(&sum);
    (out.len() - begin) as u64
}

/// Octets of the payload that a block begins with `head` has; `None` where it is none.
pub fn length(head: &[u8; HEAD]) -> Option<usize> {
    let [length @ .., _] = head;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    (length <= BACKUP_BLOCK_MAX).then_some(length)
}

/// The payload of a block, head and checksum included in `block`, if all of it is sound.
pub fn open(place: Place, block: &[u8]) -> Option<(BlockKind, &[u8])> {
    let (sealed, sum) = block.split_last_chunk::<CHECKSUM>()?;
    let (head, payload) = sealed.split_first_chunk::<HEAD>()?;
    if length(head)? != payload.len()
        || checksum(Of::Block { file: place.file, offset: place.offset }, &[sealed]) != *sum
    {
        return None;
    }
    Some((*KINDS.get(usize::from(head[HEAD - 1]))?, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_octet_and_every_wrong_place_is_found() {
        let place = Place { file: 3, offset: 1 << 33 };
        for payload in [&b""[..], b"a", &[7; 300]] {
            let mut block = Vec::new();
            let octets = put(place, BlockKind::Index, &[payload], &mut block);
            assert_eq!(octets as usize, payload.len() + FRAME);
            assert_eq!(open(place, &block), Some((BlockKind::Index, payload)));
            for at in 0..block.len() {
                for mask in [1, 0x80, 0xff] {
                    block[at] ^= mask;
                    assert_eq!(open(place, &block), None, "octet {at} of {}", payload.len());
                    block[at] ^= mask;
                }
            }
            assert_eq!(open(place, &block[..block.len() - 1]), None);
            assert_eq!(open(Place { file: 4, ..place }, &block), None);
            assert_eq!(open(Place { offset: 5, ..place }, &block), None);
        }
        assert_eq!(length(&[0xff; HEAD]), None);
    }
}
