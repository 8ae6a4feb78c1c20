//! Contents on disk: their chunks as rows, and how many messages show them.

use bytes::Bytes;

use super::{
    key,
    record::{ArrivingRecord, HeldRecord},
    row::{Fault, Step, damage, erase, read, write},
};
use crate::{
    limits::BODY_ROW,
    mail::mailbox::{ContentId, Done, NewContent, Refusal, Summary},
    store::{
        Reads, Rows, Table,
        checksum::{Of, checksum, verified},
        content::{Unpress, chunk_at},
        record::RecordError,
    },
};

/// Part of a content, ahead of what uses it. A content that is there already is not written again:
/// the parcels of one message share it.
pub fn spool<R: Rows>(
    rows: &mut R,
    content: ContentId,
    first_chunk: u32,
    chunks: &[Bytes],
) -> Step<Done, R::Error> {
    let key = key::content(content);
    if held(rows, content)?.is_some() {
        return Ok(Done::Done);
    }
    let arrived = read(rows, Table::Arriving, &key)?.map_or(0, |ArrivingRecord(chunks)| chunks);
    if first_chunk > arrived {
        // Part of it was abandoned by another; what uses it will find that it is not whole.
        return Ok(Done::Done);
    }
    let end = put_chunks(rows, content, first_chunk, chunks)?;
    write(rows, Table::Arriving, &key, &ArrivingRecord(end.max(arrived)))?;
    Ok(Done::Done)
}

/// Forgets what was spooled and not used.
pub fn abandon<R: Rows>(rows: &mut R, content: ContentId) -> Step<Done, R::Error> {
    let key = key::content(content);
    if rows.row(Table::Arriving, &key).map_err(Fault::Rows)?.is_some() {
        erase(rows, Table::Arriving, &key)?;
        if rows.row(Table::Held, &key).map_err(Fault::Rows)?.is_none() {
            rows.delete_prefix(Table::Content, &key).map_err(Fault::Rows)?;
        }
    }
    Ok(Done::Done)
}

/// Whether a content can be used: it is on disk already, or all its chunks are at hand.
pub fn is_whole<R: Rows>(rows: &R, content: &NewContent) -> Step<bool, R::Error> {
    // Its row is looked at in any case, as one that is damaged must be found before others change.
    if let Some(held) = held(rows, content.id)? {
        return Ok(can_be_shared(&held));
    }
    if content.spooled_chunks == 0 {
        return Ok(true);
    }
    let arrived = read(rows, Table::Arriving, &key::content(content.id))?;
    Ok(arrived == Some(ArrivingRecord(content.spooled_chunks)))
}

/// Writes a content that so many messages show; one that `is_whole`.
pub fn hold<R: Rows>(rows: &mut R, content: &NewContent, references: u32) -> Step<(), R::Error> {
    let key = key::content(content.id);
    if share(rows, content.id, references)? {
        return Ok(());
    }
    if content.spooled_chunks > 0 {
        erase(rows, Table::Arriving, &key)?;
    }
    let chunks = put_chunks(rows, content.id, content.spooled_chunks, &content.chunks)?;
    let NewContent { size, header, .. } = *content;
    write(rows, Table::Held, &key, &HeldRecord { references, chunks, size, header })?;
    write(rows, Table::Summary, &key, &content.summary)
}

/// Whether more messages can show it, as many as one act makes. One content in more than are
/// counted is as bad as none.
pub fn can_be_shared(held: &HeldRecord) -> bool {
    held.references < u32::MAX / 2
}

/// So many messages more show a content that is there; whether it is.
pub fn share<R: Rows>(rows: &mut R, content: ContentId, more: u32) -> Step<bool, R::Error> {
    let Some(mut held) = held(rows, content)? else { return Ok(false) };
    let references = held.references.checked_add(more);
    held.references = references.ok_or(Fault::Refused(Refusal::Damaged))?;
    write(rows, Table::Held, &key::content(content), &held)?;
    Ok(true)
}

/// One message fewer shows it; with the last one it goes. One whose count is damaged stays. Gives
/// how many rows that takes at most.
pub fn release<R: Rows>(rows: &mut R, content: ContentId) -> Result<usize, R::Error> {
    let released = match held(rows, content) {
        Ok(Some(mut held)) if held.references > 1 => {
            held.references -= 1;
            write(rows, Table::Held, &key::content(content), &held).map(|()| 1)
        }
        Ok(Some(held)) => {
            let key = key::content(content);
            rows.delete(Table::Held, &key)?;
            rows.delete(Table::Summary, &key)?;
            rows.delete_prefix(Table::Content, &key)?;
            Ok(2 + most_rows(&held))
        }
        other => other.map(|_| 0),
    };
    match released {
        Ok(rows) => Ok(rows),
        Err(Fault::Rows(error)) => Err(error),
        Err(_) => Ok(0),
    }
}

/// The rows of a content if none of its chunks is compressed: each has one octet more than it
/// carries.
fn most_rows(held: &HeldRecord) -> usize {
    let full = held.size / BODY_ROW as u64;
    usize::try_from(full).unwrap_or(usize::MAX).saturating_add(held.chunks as usize)
}

pub fn held<R: Reads>(reads: &R, content: ContentId) -> Step<Option<HeldRecord>, R::Error> {
    read(reads, Table::Held, &key::content(content))
}

pub fn summary<R: Reads>(reads: &R, content: ContentId) -> Step<Option<Summary>, R::Error> {
    read(reads, Table::Summary, &key::content(content))
}

/// Octets of a content, fewer at its end. Only the chunks that hold them are read.
pub fn part<R: Reads>(
    reads: &R,
    content: ContentId,
    held: &HeldRecord,
    (offset, octets): (u64, usize),
    unpress: &mut Unpress,
) -> Step<Bytes, R::Error> {
    let end = held.size.min(offset.saturating_add(octets as u64));
    let mut at = offset;
    // The size has passed the record's checksum, so it is one that we wrote.
    let mut part = Vec::with_capacity(end.saturating_sub(offset) as usize);
    let mut raw = Vec::new();
    while at < end {
        let (number, first, full) = chunk_at(at, held.header, held.size);
        chunk(reads, content, (number, full), unpress, &mut raw)?;
        let upto = end.min(first + full as u64);
        part.extend_from_slice(&raw[(at - first) as usize..(upto - first) as usize]);
        at = upto;
    }
    Ok(part.into())
}

/// One chunk as it was before it was encoded, `full` octets of it.
fn chunk<R: Reads>(
    reads: &R,
    content: ContentId,
    (chunk, full): (u32, usize),
    unpress: &mut Unpress,
    raw: &mut Vec<u8>,
) -> Step<(), R::Error> {
    let mut packed = Vec::with_capacity(full + 1);
    let first = key::chunk_row(content, chunk, 0);
    let mut next = 0;
    let mut fault = None;
    let walked = reads.walk(Table::Content, &first, &mut |key, value| {
        match key::read_chunk_row(key) {
            Some((id, number, row)) if (id, number) == (content, chunk) => {
                match verified(Of::Row(Table::Content, key), value) {
                    // A chunk is never longer than it is raw, with the octet that says so.
                    Some(octets) if row == next && packed.len() + octets.len() <= full + 1 => {
                        packed.extend_from_slice(octets);
                        next += 1;
                        true
                    }
                    _ => {
                        fault = Some(damage(Table::Content, key, RecordError::Checksum));
                        false
                    }
                }
            }
            _ => false,
        }
    });
    walked.map_err(Fault::Rows)?;
    if fault.is_none() && !unpress.unpack(&packed, full, raw) {
        fault = Some(damage(Table::Content, &first, RecordError::Short));
    }
    fault.map_or(Ok(()), |sentence| Err(Fault::Damaged(sentence)))
}

/// Puts chunks in rows; gives the number of the next one.
fn put_chunks<R: Rows>(
    rows: &mut R,
    content: ContentId,
    first_chunk: u32,
    chunks: &[Bytes],
) -> Step<u32, R::Error> {
    let mut number = first_chunk;
    for chunk in chunks {
        for (row, octets) in (0..).zip(chunk.chunks(BODY_ROW)) {
            let key = key::chunk_row(content, number, row);
            let sum = checksum(Of::Row(Table::Content, &key), &[octets]);
            rows.put(Table::Content, &key, &[octets, &sum]).map_err(Fault::Rows)?;
        }
        number = number.saturating_add(1);
    }
    Ok(number)
}
