//! Rows of the store as they lie in a backup: table (1), length of the key (2), length of the
//! value (4), key, value.

use zstd::bulk::{compress_to_buffer, decompress_to_buffer};

use crate::{
    limits::BACKUP_BLOCK_MAX,
    mail::QueueId,
    store::{
        Table,
        checksum::{Of, verified},
    },
};

/// The fastest one: a manifest is written while a snapshot is open.
const LEVEL: i32 = 1;

/// What a sound block holds that cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// The rows of a block.
pub struct RowIter<'a>(pub &'a [u8]);

pub fn put_row(table: Table, key: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.push(table as u8);
    // LMDB's keys are shorter than 512 octets, and its values than 4 GiB.
    out.extend_from_slice(&u16::try_from(key.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(value);
}

impl<'a> Iterator for RowIter<'a> {
    type Item = Result<(Table, &'a [u8], &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let row = self.row().ok_or(Malformed);
        if row.is_err() {
            self.0 = &[];
        }
        Some(row)
    }
}

impl<'a> RowIter<'a> {
    fn row(&mut self) -> Option<(Table, &'a [u8], &'a [u8])> {
        let (table, rest) = self.0.split_first()?;
        let (key, rest) = rest.split_first_chunk()?;
        let (value, rest) = rest.split_first_chunk()?;
        let (key, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*key)))?;
        let length = usize::try_from(u32::from_le_bytes(*value)).ok()?;
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*Table::ALL.get(usize::from(*table))?, key, value))
    }
}

/// Compresses what a block is to hold: its length (4), a frame of zstd.
pub fn pack(raw: &[u8], packed: &mut Vec<u8>) -> bool {
    let Ok(length) = u32::try_from(raw.len()) else { return false };
    packed.clear();
    packed.extend_from_slice(&length.to_le_bytes());
    packed.resize(4 + zstd::zstd_safe::compress_bound(raw.len()), 0);
    let Ok(octets) = compress_to_buffer(raw, &mut packed[4..], LEVEL) else { return false };
    packed.truncate(4 + octets);
    true
}

/// Undoes `pack`.
pub fn unpack(packed: &[u8], raw: &mut Vec<u8>) -> bool {
    let Some((length, frame)) = packed.split_first_chunk() else { return false };
    let Ok(length) = usize::try_from(u32::from_le_bytes(*length)) else { return false };
    if length > BACKUP_BLOCK_MAX {
        return false;
    }
    raw.clear();
    raw.resize(length, 0);
    decompress_to_buffer(frame, raw.as_mut_slice()).is_ok_and(|octets| octets == length)
}

/// Whether the store's own checksum of a row of a unit agrees.
pub fn is_sound(table: Table, key: &[u8], value: &[u8]) -> bool {
    let of = match (table, key.split_first_chunk()) {
        (Table::Body, Some((id, row))) => {
            let Ok(row) = row.try_into() else { return false };
            Of::Body(QueueId::from_u64(u64::from_be_bytes(*id)), u32::from_be_bytes(row))
        }
        _ => Of::Row(table, key),
    };
    verified(of, value).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{checksum::checksum, key};

    #[test]
    fn rows_come_back_packed_or_not() {
        let rows = [
            (Table::Meta, &b"format"[..], &b"\x02\0\0\0"[..]),
            (Table::Due, b"key", b""),
            (Table::Doomed, &[0xff; 400], &[1; 5000]),
        ];
        let mut octets = Vec::new();
        rows.iter().for_each(|(table, key, value)| put_row(*table, key, value, &mut octets));
        let (mut packed, mut raw) = (Vec::new(), Vec::new());
        assert!(pack(&octets, &mut packed) && unpack(&packed, &mut raw));
        assert_eq!(RowIter(&raw).collect::<Result<Vec<_>, _>>(), Ok(rows.to_vec()));
        for cut in 1..octets.len() {
            let read = RowIter(&octets[..cut]).collect::<Result<Vec<_>, _>>();
            assert!(read.is_err() || read.is_ok_and(|read| read.len() < rows.len()), "{cut}");
        }
        octets[0] = Table::ALL.len() as u8;
        assert_eq!(RowIter(&octets).collect::<Vec<_>>(), [Err(Malformed)]);
        assert!(!unpack(&[0xff; 8], &mut raw) && !unpack(b"", &mut raw));
    }

    #[test]
    fn damage_of_the_store_is_seen() {
        let id = QueueId::from_u64(9);
        let body = key::body(id, 3);
        let value = [&b"text"[..], &checksum(Of::Body(id, 3), &[b"text"])].concat();
        assert!(is_sound(Table::Body, &body, &value));
        assert!(!is_sound(Table::Body, &key::body(id, 4), &value));
        assert!(!is_sound(Table::Content, &body, &value) && !is_sound(Table::Body, b"", &value));
    }
}
