//! The changes of the queue, and the rows each one puts and deletes.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{
    checksum::{Of, checksum},
    key, record,
};
use crate::{
    limits::BODY_ROW,
    mail::{Due, Message, Parcel, ParcelId, QueueId},
};

/// One atomic step of the queue. Every change of a batch is committed, or none is.
#[derive(Clone, Debug)]
pub enum Change {
    /// A message with all its parcels. Its 250 is sent when this is on stable storage.
    Accept(Box<Accept>),
    /// Part of a long body, ahead of its `Accept`. All but the message's last rows are full.
    Spool { message: QueueId, first_row: u32, pieces: Vec<Bytes> },
    /// Forget what was spooled for a message that will not be accepted.
    Abandon { message: QueueId },
    /// An attempt was made: the parcel leaves, or waits for its next attempt.
    Settle(Box<Settle>),
}

#[derive(Clone, Debug)]
pub struct Accept {
    pub message: Arc<Message>,
    /// Their `due` and recipients are written; `body` of each is of no interest here.
    pub parcels: Vec<Parcel>,
    /// The body, less the rows already spooled.
    pub body: Vec<Bytes>,
    /// Rows already spooled; 0 for most messages.
    pub spooled_rows: u32,
}

#[derive(Clone, Debug)]
pub struct Settle {
    pub message: Arc<Message>,
    pub parcel: ParcelId,
    /// Where the parcel's row lies until now.
    pub was: Due,
    /// What is left of the parcel, re-dated; `None`: nothing, and the message itself is deleted
    /// when this was its last parcel.
    pub left: Option<Parcel>,
    /// A report to the sender, accepted in the same commit.
    pub report: Option<Box<Accept>>,
}

/// The tables of the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Table {
    /// Facts about the store itself: the format's version, the highest queue id.
    Meta,
    /// Queue id → message record.
    Message,
    /// Queue id, part → parcel record.
    Parcel,
    /// Destination, class, time, parcel id → nothing.
    Due,
    /// Queue id, row → up to `BODY_ROW` octets and their checksum.
    Body,
    /// Queue id → nothing: bodies being spooled, to be deleted at start.
    Spool,
}

impl Table {
    /// In the order of their values as numbers.
    pub const ALL: [Table; 6] =
        [Table::Meta, Table::Message, Table::Parcel, Table::Due, Table::Body, Table::Spool];

    /// The name it has on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Message => "message",
            Table::Parcel => "parcel",
            Table::Due => "due",
            Table::Body => "body",
            Table::Spool => "spool",
        }
    }
}

/// What carries rows: LMDB in the shell, a map in a test or simulation.
pub trait Rows {
    type Error;

    /// Puts one row whose value is the concatenation of `value`.
    fn put(&mut self, table: Table, key: &[u8], value: &[&[u8]]) -> Result<(), Self::Error>;

    /// Deletes one row; it may be absent.
    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), Self::Error>;

    /// Deletes every row whose key starts with `prefix`.
    fn delete_prefix(&mut self, table: Table, prefix: &[u8]) -> Result<(), Self::Error>;

    /// Whether any row's key starts with `prefix`, this transaction's own changes included.
    fn any_prefix(&mut self, table: Table, prefix: &[u8]) -> Result<bool, Self::Error>;
}

/// Why a change is not on stable storage. Nothing of it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// The map or the disk is full: the client may try again later.
    #[error("the store is full; free disk space or raise store.size_max")]
    Full,
    /// The disk failed; the process will restart from what is on it.
    #[error("the store failed; see the log for the disk's error")]
    Failed,
}

/// Writes the rows of all changes of one transaction, and once for all of them the highest queue
/// id where it rose above `highest`. Gives the highest; it holds when the transaction does.
pub fn write_batch<'a, R: Rows>(
    changes: impl IntoIterator<Item = &'a Change>,
    highest: QueueId,
    rows: &mut R,
) -> Result<QueueId, R::Error> {
    let mut risen = highest;
    for change in changes {
        change.rows(rows)?;
        risen = risen.max(change.accepted().map_or(QueueId::MIN, |accept| accept.message.id));
    }
    if risen > highest {
        rows.put(Table::Meta, key::META_HIGHEST, &[&risen.as_u64().to_le_bytes()])?;
    }
    Ok(risen)
}

impl Change {
    /// Puts and deletes the rows that this change stands for.
    pub fn rows<R: Rows>(&self, rows: &mut R) -> Result<(), R::Error> {
        match self {
            Change::Accept(accept) => accept.rows(rows),
            Change::Spool { message, first_row, pieces } => {
                rows.put(Table::Spool, &key::message(*message), &[])?;
                put_body(rows, *message, *first_row, pieces)
            }
            Change::Abandon { message } => {
                rows.delete_prefix(Table::Body, &key::message(*message))?;
                rows.delete(Table::Spool, &key::message(*message))
            }
            Change::Settle(settle) => settle.rows(rows),
        }
    }

    /// Someone waits for this change: it is a message, or part of one, on its way in.
    pub fn is_awaited(&self) -> bool {
        matches!(self, Change::Accept(_) | Change::Spool { .. })
    }

    /// Octets of bodies that it carries.
    pub fn octets(&self) -> usize {
        let pieces: &[Bytes] = match self {
            Change::Spool { pieces, .. } => pieces,
            _ => self.accepted().map_or(&[], |accept| &accept.body),
        };
        pieces.iter().map(Bytes::len).sum()
    }

    /// The message that comes into the queue with it: mail, or a settled parcel's report.
    fn accepted(&self) -> Option<&Accept> {
        match self {
            Change::Accept(accept) => Some(accept),
            Change::Settle(settle) => settle.report.as_deref(),
            Change::Spool { .. } | Change::Abandon { .. } => None,
        }
    }
}

impl Accept {
    fn rows<R: Rows>(&self, rows: &mut R) -> Result<(), R::Error> {
        let id = self.message.id;
        rows.put(Table::Message, &key::message(id), &[&record::encode_message(&self.message)])?;
        for parcel in &self.parcels {
            put_parcel(rows, parcel)?;
        }
        if self.spooled_rows > 0 {
            rows.delete(Table::Spool, &key::message(id))?;
        }
        put_body(rows, id, self.spooled_rows, &self.body)
    }
}

impl Settle {
    fn rows<R: Rows>(&self, rows: &mut R) -> Result<(), R::Error> {
        rows.delete(Table::Due, &key::due(&self.was, self.parcel))?;
        match &self.left {
            // One that has left already must not come back without its message.
            Some(_) if !rows.any_prefix(Table::Parcel, &key::parcel(self.parcel))? => {}
            Some(parcel) => put_parcel(rows, parcel)?,
            None => self.leave(rows)?,
        }
        self.report.as_ref().map_or(Ok(()), |report| report.rows(rows))
    }

    /// The parcel leaves, and the message with its last parcel.
    fn leave<R: Rows>(&self, rows: &mut R) -> Result<(), R::Error> {
        let id = self.message.id;
        rows.delete(Table::Parcel, &key::parcel(self.parcel))?;
        if self.message.parcels > 1 && rows.any_prefix(Table::Parcel, &key::message(id))? {
            return Ok(());
        }
        rows.delete(Table::Message, &key::message(id))?;
        // The size tells the rows exactly: no look-up, and no page but theirs is touched.
        for row in 0..body_rows(self.message.size) {
            rows.delete(Table::Body, &key::body(id, row))?;
        }
        Ok(())
    }
}

/// Rows of a body of `size` octets.
pub fn body_rows(size: u64) -> u32 {
    u32::try_from(size.div_ceil(BODY_ROW as u64)).unwrap_or(u32::MAX)
}

fn put_parcel<R: Rows>(rows: &mut R, parcel: &Parcel) -> Result<(), R::Error> {
    let id = parcel.id();
    rows.put(Table::Parcel, &key::parcel(id), &[&record::encode_parcel(parcel)])?;
    rows.put(Table::Due, &key::due(&parcel.due, id), &[])
}

/// Cuts a body into rows that are gathered from its pieces where they lie.
fn put_body<R: Rows>(
    rows: &mut R,
    id: QueueId,
    first_row: u32,
    pieces: &[Bytes],
) -> Result<(), R::Error> {
    let mut row = first_row;
    let mut slices: SmallVec<[&[u8]; 8]> = SmallVec::new();
    let mut gathered = 0;
    for piece in pieces {
        let mut rest: &[u8] = piece;
        while !rest.is_empty() {
            let (taken, left) = rest.split_at(rest.len().min(BODY_ROW - gathered));
            slices.push(taken);
            gathered += taken.len();
            rest = left;
            if gathered == BODY_ROW {
                put_row(rows, id, row, &mut slices)?;
                (row, gathered) = (row + 1, 0);
            }
        }
    }
    if gathered > 0 { put_row(rows, id, row, &mut slices) } else { Ok(()) }
}

/// Puts one row of a body with its checksum, and empties `slices` for the next.
fn put_row<R: Rows>(
    rows: &mut R,
    id: QueueId,
    row: u32,
    slices: &mut SmallVec<[&[u8]; 8]>,
) -> Result<(), R::Error> {
    let sum = checksum(Of::Body(id, row), slices);
    let mut value: SmallVec<[&[u8]; 9]> = SmallVec::from_slice(slices);
    value.push(&sum);
    slices.clear();
    rows.put(Table::Body, &key::body(id, row), &value)
}
