//! The changes of the queue, and the rows each one puts and deletes.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{
    Rows, Table,
    checksum::{Of, checksum},
    key, mailbox, record,
};
use crate::{
    limits::BODY_ROW,
    mail::{
        Due, Message, Parcel, ParcelId, QueueId,
        mailbox::{Act, Delivery, Done, MailboxId, StoreTrouble},
    },
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
    /// Accounts and mailboxes.
    Mailbox(Box<Act>),
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
    /// The message for those of its recipients who are local. It is delivered with the
    /// settlement, once, or nothing of either is done.
    pub delivery: Option<Box<Delivery>>,
}

/// What a transaction wrote. It holds when the transaction does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// The highest id of a message or content.
    pub highest: QueueId,
    /// What came of each change; `Done::Done` for those of the queue.
    pub done: Vec<Done>,
    /// Mailboxes in which something changed, once each.
    pub touched: Vec<MailboxId>,
}

/// Why a change is not known to be on stable storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// The map or the disk is full, and nothing of it is there: the client may try again later.
    #[error("the store is full; free disk space or raise store.size_max")]
    Full,
    /// The disk failed, and the whole of it is there or nothing; the process will restart from what
    /// is on it.
    #[error("the store failed; see the log for the disk's error")]
    Failed,
}

impl From<StoreError> for StoreTrouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::Full,
            StoreError::Failed => Self::Failed,
        }
    }
}

/// Writes the rows of all changes of one transaction, and once for all of them the highest id
/// where it rose above `highest`.
pub fn write_batch<'a, R: Rows>(
    changes: impl IntoIterator<Item = &'a Change>,
    highest: QueueId,
    rows: &mut R,
) -> Result<Written, R::Error> {
    let mut written = Written { highest, done: Vec::new(), touched: Vec::new() };
    for change in changes {
        let done = change.rows(rows, &mut written.touched)?;
        written.done.push(done);
        written.highest = written.highest.max(change.highest());
    }
    if written.highest > highest {
        let octets = written.highest.as_u64().to_le_bytes();
        rows.put(Table::Meta, key::META_HIGHEST, &[&octets])?;
    }
    written.touched.sort_unstable();
    written.touched.dedup();
    Ok(written)
}

impl Change {
    /// Puts and deletes the rows that this change stands for.
    fn rows<R: Rows>(&self, rows: &mut R, touched: &mut Vec<MailboxId>) -> Result<Done, R::Error> {
        match self {
            Change::Accept(accept) => accept.rows(rows)?,
            Change::Spool { message, first_row, pieces } => {
                rows.put(Table::Spool, &key::message(*message), &[])?;
                put_body(rows, *message, *first_row, pieces)?;
            }
            Change::Abandon { message } => {
                rows.delete_prefix(Table::Body, &key::message(*message))?;
                rows.delete(Table::Spool, &key::message(*message))?;
            }
            Change::Settle(settle) => return settle.rows(rows, touched),
            Change::Mailbox(act) => return mailbox::act(act, rows, touched),
        }
        Ok(Done::Done)
    }

    /// Someone waits for this change: it is a message, or part of one, on its way in.
    pub fn is_awaited(&self) -> bool {
        match self {
            Change::Accept(_) | Change::Spool { .. } => true,
            Change::Abandon { .. } => false,
            // Nobody waits for a settlement, but a reader may for the mail that it delivers.
            Change::Settle(settle) => settle.delivery.is_some(),
            Change::Mailbox(act) => !matches!(**act, Act::Announce { .. } | Act::Abandon { .. }),
        }
    }

    /// Messages that it writes to, for the size of a transaction.
    pub fn messages(&self) -> usize {
        let Change::Mailbox(act) = self else { return 1 };
        match &**act {
            Act::Flag { uids, .. }
            | Act::Expunge { uids, .. }
            | Act::Remove { uids, .. }
            | Act::Copy { uids, .. } => (uids.count() as usize).max(1),
            _ => 1,
        }
    }

    /// It is done when the store takes no mail any more: it makes room, or needs none to speak of.
    pub fn may_use_reserve(&self) -> bool {
        match self {
            Change::Accept(_) | Change::Spool { .. } => false,
            Change::Abandon { .. } => true,
            Change::Settle(settle) => settle.delivery.is_none(),
            Change::Mailbox(act) => match **act {
                Act::Spool { .. } | Act::Append { .. } | Act::Create { .. } => false,
                Act::Rename { .. } | Act::Subscribe { .. } => false,
                // Clients delete by moving to where what is deleted lies.
                Act::Copy { taking, .. } => taking,
                _ => true,
            },
        }
    }

    /// Octets of bodies and contents that it carries.
    pub fn octets(&self) -> usize {
        let octets = |pieces: &[Bytes]| pieces.iter().map(Bytes::len).sum::<usize>();
        match self {
            Change::Accept(accept) => octets(&accept.body),
            Change::Spool { pieces, .. } => octets(pieces),
            Change::Abandon { .. } => 0,
            Change::Settle(settle) => {
                let report = settle.report.as_ref().map_or(0, |report| octets(&report.body));
                let delivery = settle.delivery.as_ref();
                report + delivery.map_or(0, |delivery| octets(&delivery.content.chunks))
            }
            Change::Mailbox(act) => match &**act {
                Act::Spool { chunks, .. } => octets(chunks),
                Act::Append { messages, .. } => {
                    messages.iter().map(|message| octets(&message.content.chunks)).sum()
                }
                _ => 0,
            },
        }
    }

    /// The highest id that comes into the store with it: of mail, a settled parcel's report, or
    /// contents.
    fn highest(&self) -> QueueId {
        match self {
            Change::Accept(accept) => accept.message.id,
            Change::Settle(settle) => {
                settle.report.as_ref().map_or(QueueId::MIN, |report| report.message.id)
            }
            Change::Mailbox(act) => match &**act {
                Act::Append { messages, .. } => {
                    let ids = messages.iter().map(|message| message.content.id);
                    ids.max().unwrap_or(QueueId::MIN)
                }
                _ => QueueId::MIN,
            },
            Change::Spool { .. } | Change::Abandon { .. } => QueueId::MIN,
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
    fn rows<R: Rows>(&self, rows: &mut R, touched: &mut Vec<MailboxId>) -> Result<Done, R::Error> {
        // One that has left already must neither come back without its message nor be delivered.
        let is_there = (self.left.is_some() || self.delivery.is_some())
            && rows.any_prefix(Table::Parcel, &key::parcel(self.parcel))?;
        if let Some(delivery) = self.delivery.as_ref().filter(|_| is_there) {
            let done = mailbox::deliver(rows, delivery, touched)?;
            if done != Done::Done {
                return Ok(done);
            }
        }
        rows.delete(Table::Due, &key::due(&self.was, self.parcel))?;
        match &self.left {
            Some(parcel) if is_there => put_parcel(rows, parcel)?,
            Some(_) => {}
            None => self.leave(rows)?,
        }
        if let Some(report) = &self.report {
            report.rows(rows)?;
        }
        Ok(Done::Done)
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
