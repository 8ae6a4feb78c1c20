//! What goes into a step of a session and what comes out of it.

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::policy::Options;
use crate::{
    mail::{Address, Envelope, QueueId, Recipient, Wire, message::QueueIds},
    time::{Now, Wall},
};

/// What a step may look at.
#[derive(Debug)]
pub struct Context<'a> {
    pub options: &'a Options,
    pub now: Now,
    pub ids: &'a mut QueueIds,
    pub pressure: Pressure,
}

/// What the relay is short of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pressure {
    /// Octets the store may still take.
    pub free: u64,
    pub memory_short: bool,
    /// Every session ends behind its open transaction.
    pub draining: bool,
}

/// What steps leave to be done: the replies are sent first, at once, then come the effects.
#[derive(Debug, Default)]
pub struct Steps {
    pub replies: BytesMut,
    pub effects: SmallVec<[Effect; 2]>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Who is behind this address of ours? Answered by `Session::looked_up`.
    /// `size`: octets of the message, where the client has said so, else 0.
    LookUp { address: Address, size: u64 },
    /// Put it on stable storage, and say so by `Session::stored`.
    Commit(Box<Submission>),
    /// Part of a long body, ahead of its `Commit`: `pieces` are whole rows.
    Spool { message: QueueId, first_row: u32, pieces: Vec<Bytes> },
    /// Forget what was spooled.
    Abandon { message: QueueId },
    /// For the log.
    Rejected {
        helo: Bytes,
        command: &'static str,
        /// Without CRLF.
        reply: Bytes,
        from: Option<Bytes>,
        to: Option<Bytes>,
    },
    /// Send the replies, then close.
    Close,
}

/// A message that the client has handed over and that nobody has promised anything about yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Submission {
    pub id: QueueId,
    pub arrived: Wall,
    pub envelope: Envelope,
    pub recipients: Vec<Recipient>,
    pub wire: Wire,
    /// Our `Received:` field and what the client sent, less the rows already spooled.
    pub body: Vec<Bytes>,
    pub spooled_rows: u32,
    /// Octets as stored, over all.
    pub size: u64,
    /// Empty when the message has none.
    pub message_id: Bytes,
}

/// Why a message is not on stable storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommitError {
    #[error("the store is full; the client may try again later")]
    Full,
    #[error("the store failed; the client may try again later")]
    Failed,
}

/// The store could not be asked about a recipient.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the store could not be read; the client may try again later")]
pub struct LookupError;
