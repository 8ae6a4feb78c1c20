//! XXH32 over the pieces of a value: LMDB keeps no checksums, so every row brings its own.

use super::Table;
use crate::{limits::CHECKSUM, mail::QueueId};

const PRIME_1: u32 = 0x9e37_79b1;
const PRIME_2: u32 = 0x85eb_ca77;
const PRIME_3: u32 = 0xc2b2_ae3d;
const PRIME_4: u32 = 0x27d4_eb2f;
const PRIME_5: u32 = 0x1656_67b1;
const STRIPE: usize = 16;

/// What a checksum stands for: it takes part in it, so that a value that turns up under another
/// key does not pass for that key's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of<'a> {
    Message(QueueId),
    Parcel(QueueId, u16),
    Body(QueueId, u32),
    /// Of every other table, by its key.
    Row(Table, &'a [u8]),
    /// Of a backup's file, by its place in it.
    Block {
        file: u32,
        offset: u64,
    },
}

/// The checksum of the concatenation of `pieces`, as it lies behind them.
pub fn checksum(of: Of<'_>, pieces: &[&[u8]]) -> [u8; CHECKSUM] {
    xxh32(of.seed(), pieces).to_le_bytes()
}

/// The value before its checksum, if that agrees.
pub fn verified<'v>(of: Of<'_>, value: &'v [u8]) -> Option<&'v [u8]> {
    let (content, sum) = value.split_last_chunk::<CHECKSUM>()?;
    (checksum(of, &[content]) == *sum).then_some(content)
}

impl Of<'_> {
    fn seed(self) -> u32 {
        let (kind, id, number) = match self {
            Of::Message(id) => (1u32, id, 0),
            Of::Parcel(id, part) => (2, id, u32::from(part)),
            Of::Body(id, row) => (3, id, row),
            Of::Row(table, key) => return xxh32(table as u32, &[key]),
            Of::Block { file, offset } => return xxh32(file, &[&offset.to_be_bytes()]),
        };
        let id = id.as_u64();
        (id as u32) ^ ((id >> 32) as u32) ^ number.wrapping_mul(PRIME_5) ^ (kind << 30)
    }
}

/// XXH32 as its specification has it, the input in any number of pieces.
fn xxh32(seed: u32, pieces: &[&[u8]]) -> u32 {
    let mut lanes = [
        seed.wrapping_add(PRIME_1).wrapping_add(PRIME_2),
        seed.wrapping_add(PRIME_2),
        seed,
        seed.wrapping_sub(PRIME_1),
    ];
    let mut carry = [0u8; STRIPE];
    let (mut carried, mut length) = (0, 0usize);
    for piece in pieces {
        length += piece.len();
        let mut rest = *piece;
        if carried > 0 {
            let taken = rest.len().min(STRIPE - carried);
            carry[carried..carried + taken].copy_from_slice(&rest[..taken]);
            carried += taken;
            rest = &rest[taken..];
            if carried < STRIPE {
                continue;
            }
            absorb(&mut lanes, &carry);
        }
        let (stripes, tail) = rest.as_chunks::<STRIPE>();
        for stripe in stripes {
            absorb(&mut lanes, stripe);
        }
        carry[..tail.len()].copy_from_slice(tail);
        carried = tail.len();
    }
    let start = if length >= STRIPE {
        lanes
            .iter()
            .zip([1, 7, 12, 18])
            .fold(0u32, |sum, (lane, turn)| sum.wrapping_add(lane.rotate_left(turn)))
    } else {
        seed.wrapping_add(PRIME_5)
    };
    finish(start.wrapping_add(length as u32), &carry[..carried])
}

#[inline(always)]
fn absorb(lanes: &mut [u32; 4], stripe: &[u8; STRIPE]) {
    let (words, _) = stripe.as_chunks::<4>();
    for (lane, word) in lanes.iter_mut().zip(words) {
        *lane = lane
            .wrapping_add(u32::from_le_bytes(*word).wrapping_mul(PRIME_2))
            .rotate_left(13)
            .wrapping_mul(PRIME_1);
    }
}

fn finish(mut hash: u32, tail: &[u8]) -> u32 {
    let (words, octets) = tail.as_chunks::<4>();
    for word in words {
        hash = hash
            .wrapping_add(u32::from_le_bytes(*word).wrapping_mul(PRIME_3))
            .rotate_left(17)
            .wrapping_mul(PRIME_4);
    }
    for octet in octets {
        hash = hash
            .wrapping_add(u32::from(*octet).wrapping_mul(PRIME_5))
            .rotate_left(11)
            .wrapping_mul(PRIME_1);
    }
    hash = (hash ^ hash >> 15).wrapping_mul(PRIME_2);
    hash = (hash ^ hash >> 13).wrapping_mul(PRIME_3);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_published_vectors() {
        for (seed, text, want) in [
            (0, "", 0x02cc_5d05),
            (0, "abc", 0x32d1_53ff),
            (0, "Nobody inspects the spammish repetition", 0xe229_3b2f),
        ] {
            assert_eq!(xxh32(seed, &[text.as_bytes()]), want, "{text}");
        }
    }

    #[test]
    fn pieces_do_not_matter() {
        let text: Vec<u8> = (0..100u8).collect();
        let whole = xxh32(7, &[&text]);
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let cut = [&text[..first], &text[first..second], &text[second..]];
                assert_eq!(xxh32(7, &cut), whole, "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_flipped_bit_or_a_wrong_place_is_found() {
        let of = Of::Body(QueueId::from_u64(9 << 32 | 5), 3);
        let mut value = b"a row of a body, longer than a stripe".to_vec();
        value.extend(checksum(of, &[&value]));
        assert!(verified(of, &value).is_some());
        for bit in 0..value.len() * 8 {
            value[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(verified(of, &value), None, "bit {bit}");
            value[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(verified(Of::Body(QueueId::from_u64(9 << 32 | 5), 4), &value), None);
        assert_eq!(verified(Of::Body(QueueId::from_u64(9 << 32 | 6), 3), &value), None);
        assert_eq!(verified(of, b"abc"), None);
    }
}
