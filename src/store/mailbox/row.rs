//! Reads and writes records, and says what keeps an act or an ask from going on.

use std::ops::RangeInclusive;

use super::{
    key,
    record::{GhostRecord, Stored, decode, encode},
};
use crate::{
    limits::EDITED_TOGETHER,
    mail::mailbox::{Entry, MailboxId, Refusal, Uid, Uids},
    store::{Reads, Rows, Table, record::RecordError},
};

/// Why a step ends early.
#[derive(Debug)]
pub enum Fault<E> {
    /// What carries the rows has failed; its transaction is undone.
    Rows(E),
    /// The sentence that names the damaged row, or the alias that cannot be followed.
    Damaged(String),
    Refused(Refusal),
}

pub type Step<T, E> = Result<T, Fault<E>>;

/// The record in one row.
pub fn read<T: Stored, R: Reads>(reads: &R, table: Table, key: &[u8]) -> Step<Option<T>, R::Error> {
    match reads.row(table, key).map_err(Fault::Rows)? {
        Some(value) => match decode(table, key, value) {
            Ok(record) => Ok(Some(record)),
            Err(error) => Err(Fault::Damaged(damage(table, key, error))),
        },
        None => Ok(None),
    }
}

pub fn write<T: Stored, R: Rows>(
    rows: &mut R,
    table: Table,
    key: &[u8],
    record: &T,
) -> Step<(), R::Error> {
    rows.put(table, key, &[&encode(table, key, record)]).map_err(Fault::Rows)
}

pub fn erase<R: Rows>(rows: &mut R, table: Table, key: &[u8]) -> Step<(), R::Error> {
    rows.delete(table, key).map_err(Fault::Rows)
}

/// The sentence about a damaged row.
pub fn damage(table: Table, key: &[u8], error: RecordError) -> String {
    use std::fmt::Write;
    let mut hex = String::with_capacity(2 * key.len());
    for octet in key {
        let _ = write!(hex, "{octet:02x}");
    }
    format!("row {hex} of the store's table {} cannot be read: {error}", table.name())
}

/// Puts the entries of a range of UIDs behind `found`, at most `limit` of them. Where there may be
/// more: the UID to go on from. What is damaged is told and left out.
pub fn entries<R: Reads>(
    reads: &R,
    mailbox: MailboxId,
    range: RangeInclusive<Uid>,
    limit: usize,
    found: &mut Vec<Entry>,
    warn: &mut dyn FnMut(String),
) -> Result<Option<Uid>, R::Error> {
    messages::<Entry, R>(reads, Table::Entry, mailbox, range, limit, found, warn)
}

/// The same of ghosts.
pub fn ghosts<R: Reads>(
    reads: &R,
    mailbox: MailboxId,
    range: RangeInclusive<Uid>,
    limit: usize,
    found: &mut Vec<Entry>,
    warn: &mut dyn FnMut(String),
) -> Result<Option<Uid>, R::Error> {
    messages::<GhostRecord, R>(reads, Table::Ghost, mailbox, range, limit, found, warn)
}

/// The same of any table of messages.
fn messages<T: Stored + Into<Entry>, R: Reads>(
    reads: &R,
    table: Table,
    mailbox: MailboxId,
    range: RangeInclusive<Uid>,
    limit: usize,
    found: &mut Vec<Entry>,
    warn: &mut dyn FnMut(String),
) -> Result<Option<Uid>, R::Error> {
    let full = found.len() + limit;
    let mut next = None;
    reads.walk(table, &key::message(mailbox, *range.start()), &mut |key, value| {
        let Some((of, uid)) = key::read_message(key) else { return false };
        if of != mailbox || uid > *range.end() {
            return false;
        }
        if found.len() >= full {
            next = Some(uid);
            return false;
        }
        match decode::<T>(table, key, value) {
            Ok(message) => found.push(message.into()),
            Err(error) => warn(damage(table, key, error)),
        }
        true
    })?;
    Ok(next)
}

/// Does something with every message of a set that is there, in the order of their UIDs, with few
/// of them in memory at a time. Damaged ones stay as they are.
pub fn each<R: Rows>(
    rows: &mut R,
    mailbox: MailboxId,
    uids: &Uids,
    mut edit: impl FnMut(&mut R, Entry) -> Step<(), R::Error>,
) -> Step<(), R::Error> {
    let mut page = Vec::new();
    for run in uids.runs() {
        let mut next = Some(*run.start());
        while let Some(from) = next {
            let range = from..=*run.end();
            next = entries(rows, mailbox, range, EDITED_TOGETHER, &mut page, &mut drop)
                .map_err(Fault::Rows)?;
            page.drain(..).try_for_each(|entry| edit(rows, entry))?;
        }
    }
    Ok(())
}
