//! The body of a transaction, by DATA or BDAT, up to the answer of the store.

use std::io::Write;

use bytes::{Buf, BufMut, Bytes};

use super::{
    CommitError, Context, Session, Steps, hello::Peer, incoming::Incoming, transaction::Transaction,
};
use crate::{
    limits::{BODY_ROOM_MAX, COMMAND_ROOM},
    mail::{QueueId, Wire},
    smtp::{
        data::Dots,
        reply::{self, Reply},
    },
};

/// A BDAT chunk (RFC 3030 §2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Octets still to come.
    pub(super) left: u64,
    pub(super) last: bool,
}

/// A refused chunk: RFC 3030 §2 wants its octets read before the refusal is sent.
#[derive(Debug)]
pub struct Skip {
    left: u64,
    refusal: Reply,
    from: Option<Bytes>,
}

/// A message that waits for the store, and what its client has pipelined behind it.
#[derive(Debug)]
pub struct Committing {
    id: QueueId,
    command: &'static str,
    from: Bytes,
    rest: Bytes,
}

pub(super) fn begin_data(
    mut peer: Box<Peer>,
    transaction: Box<Transaction>,
    cx: &mut Context<'_>,
    steps: &mut Steps,
) -> Session {
    if let Some(refusal) = refusal_of_body(&transaction, cx) {
        peer.reject("DATA", refusal, transaction.sender(), None, steps);
        return Session::Open(peer, transaction);
    }
    reply::START_MAIL.write(&mut steps.replies);
    let incoming = Incoming::begin(&peer, *transaction, Wire::Stuffed, cx);
    Session::Data(peer, incoming, Dots::default())
}

/// RFC 5321 §3.3: 554 when no recipient was good.
fn refusal_of_body(transaction: &Transaction, cx: &Context<'_>) -> Option<Reply> {
    if transaction.recipients.is_empty() {
        Some(reply::NO_RECIPIENTS)
    } else if cx.pressure.free == 0 {
        Some(reply::STORE_FULL)
    } else {
        None
    }
}

pub(super) fn receive_data(
    peer: Box<Peer>,
    mut incoming: Box<Incoming>,
    mut dots: Dots,
    rest: &mut Bytes,
    cx: &mut Context<'_>,
    steps: &mut Steps,
) -> Session {
    incoming.adapt_room(rest.len());
    let scanned = dots.scan(rest);
    if scanned.bare {
        incoming.give_up(reply::BARE_NEWLINE_IN_BODY, steps);
    }
    incoming.take(Bytes::from_static(scanned.before), cx, steps);
    let Some(end) = scanned.end else {
        incoming.take(rest.slice(..scanned.body), cx, steps);
        rest.clear();
        return Session::Data(peer, incoming, dots);
    };
    incoming.take(rest.slice(..scanned.body), cx, steps);
    rest.advance(end);
    incoming.finish(peer, "DATA", steps)
}

pub(super) fn begin_chunks(
    peer: Box<Peer>,
    transaction: Box<Transaction>,
    chunk: Chunk,
    cx: &mut Context<'_>,
    steps: &mut Steps,
) -> Session {
    if let Some(refusal) = refusal_of_body(&transaction, cx) {
        return Session::Skipping(peer, Skip::new(chunk, refusal, transaction.sender()));
    }
    let incoming = Incoming::begin(&peer, *transaction, Wire::Plain, cx);
    next_chunk(peer, incoming, chunk, cx, steps)
}

pub(super) fn next_chunk(
    peer: Box<Peer>,
    mut incoming: Box<Incoming>,
    chunk: Chunk,
    cx: &mut Context<'_>,
    steps: &mut Steps,
) -> Session {
    // What is known to be too big need not be kept until it is.
    if !incoming.has_room_for(chunk.left, cx) {
        incoming.give_up(reply::TOO_BIG, steps);
    }
    Session::Chunk(peer, incoming, chunk)
}

pub(super) fn receive_chunk(
    mut peer: Box<Peer>,
    mut incoming: Box<Incoming>,
    mut chunk: Chunk,
    rest: &mut Bytes,
    cx: &mut Context<'_>,
    steps: &mut Steps,
) -> Session {
    incoming.adapt_room(rest.len());
    let octets = usize::try_from(chunk.left).unwrap_or(usize::MAX).min(rest.len());
    let piece = rest.split_to(octets);
    chunk.left -= octets as u64;
    let ends = chunk.left == 0;
    incoming.take_plain(piece, ends && chunk.last, cx, steps);
    if !ends {
        return Session::Chunk(peer, incoming, chunk);
    }
    if chunk.last {
        return incoming.finish(peer, "BDAT", steps);
    }
    // A message that has no room is refused at once, and the transaction with it; what is wrong
    // with its text is said at its end.
    match incoming.fault() {
        Some(refusal @ (reply::TOO_BIG | reply::STORE_FULL)) => {
            peer.reject("BDAT", refusal, incoming.sender(), None, steps);
            Session::Idle(peer)
        }
        _ => {
            reply::CHUNK_OK.write(&mut steps.replies);
            Session::Chunks(peer, incoming)
        }
    }
}

pub(super) fn skip_chunk(
    mut peer: Box<Peer>,
    mut skip: Box<Skip>,
    rest: &mut Bytes,
    steps: &mut Steps,
) -> Session {
    let octets = usize::try_from(skip.left).unwrap_or(usize::MAX).min(rest.len());
    rest.advance(octets);
    skip.left -= octets as u64;
    if skip.left > 0 {
        return Session::Skipping(peer, skip);
    }
    peer.reject("BDAT", skip.refusal, skip.from, None, steps);
    Session::Idle(peer)
}

/// The one place that says 250 for a message, and only to a store that has it.
pub(super) fn answer(
    mut peer: Box<Peer>,
    committing: Committing,
    result: Result<(), CommitError>,
    steps: &mut Steps,
) -> (Session, Bytes) {
    let Committing { id, command, from, rest } = committing;
    let refusal = match result {
        Ok(()) => {
            // A BytesMut grows: writing to it cannot fail.
            let _ = write!((&mut steps.replies).writer(), "250 2.0.0 {id} queued\r\n");
            peer.forgive();
            return (Session::Idle(peer), rest);
        }
        Err(CommitError::Full) => reply::STORE_FULL,
        Err(CommitError::Failed) => reply::STORE_FAILED,
    };
    peer.reject(command, refusal, Some(from), None, steps);
    (Session::Idle(peer), rest)
}

impl Skip {
    pub(super) fn new(chunk: Chunk, refusal: Reply, from: Option<Bytes>) -> Box<Self> {
        Box::new(Self { left: chunk.left, refusal, from })
    }

    pub(super) fn room(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX).clamp(COMMAND_ROOM, BODY_ROOM_MAX)
    }
}

impl Committing {
    pub(super) fn new(id: QueueId, command: &'static str, from: Bytes) -> Box<Self> {
        Box::new(Self { id, command, from, rest: Bytes::new() })
    }

    /// Keeps what is pipelined behind the message. Nothing is read while the store works, so
    /// this is the rest of one read, and the copy is for a read that was already under way.
    pub(super) fn wait(&mut self, rest: &mut Bytes) {
        let more = std::mem::take(rest);
        self.rest =
            if self.rest.is_empty() { more } else { [&self.rest[..], &more[..]].concat().into() };
    }
}
