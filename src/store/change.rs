//! The changes of the queue, and the rows each one puts and deletes.

use std::sync::Arc;

use bytes::Bytes;

use crate::mail::{Due, Message, Parcel, ParcelId, QueueId};

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
    /// Queue id, row → up to `BODY_ROW` octets.
    Body,
    /// Queue id → nothing: bodies being spooled, to be deleted at start.
    Spool,
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
