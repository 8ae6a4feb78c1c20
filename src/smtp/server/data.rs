//! The body of a transaction, by DATA or BDAT, up to the answer of the store.

use std::io::Write;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{
    CommitError, Context, Effect, Session, Steps, Submission,
    hello::Peer,
    policy::Options,
    transaction::{Transaction, sender_of},
};
use crate::{
    limits::{
        BODY_PIECE_MIN, BODY_ROOM_FIRST, BODY_ROOM_MAX, BODY_ROW, COMMAND_ROOM, SPOOL_THRESHOLD,
    },
    mail::{
        QueueId, Wire,
        header::HeaderScan,
        trace::{Protocol, Received},
    },
    smtp::{
        data::{Dots, Newlines},
        reply::{self, Reply},
    },
    time::Wall,
};

/// A message on its way in.
#[derive(Debug)]
pub struct Incoming {
    transaction: Transaction,
    id: QueueId,
    arrived: Wall,
    wire: Wire,
    pieces: Vec<Bytes>,
    /// Small reads, joined: they come behind `pieces`.
    loose: BytesMut,
    /// Octets of `pieces` and `loose`.
    unspooled: usize,
    spooled_rows: u32,
    /// Octets from the client, for the limit.
    received: u64,
    size: u64,
    headers: HeaderScan,
    newlines: Newlines,
    /// Why the message will be refused; its octets are read and forgotten.
    fault: Option<Reply>,
    room: usize,
}

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
    if incoming.received.saturating_add(chunk.left) > cx.options.message_size_max {
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
    if incoming.newlines.scan(&piece) || (ends && chunk.last && incoming.newlines.ends_bare()) {
        incoming.give_up(reply::BARE_NEWLINE_IN_BODY, steps);
    }
    incoming.take(piece, cx, steps);
    if !ends {
        return Session::Chunk(peer, incoming, chunk);
    }
    if chunk.last {
        return incoming.finish(peer, "BDAT", steps);
    }
    // A message that has no room is refused at once, and the transaction with it; what is wrong
    // with its text is said at its end.
    match incoming.fault {
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

impl Incoming {
    fn begin(peer: &Peer, transaction: Transaction, wire: Wire, cx: &mut Context<'_>) -> Box<Self> {
        let id = cx.ids.next_id(cx.now.wall);
        let field = received_field(peer, &transaction, id, cx.now.wall, cx.options);
        let declared = usize::try_from(transaction.declared).unwrap_or(usize::MAX);
        Box::new(Self {
            id,
            arrived: cx.now.wall,
            wire,
            unspooled: field.len(),
            size: field.len() as u64,
            pieces: vec![field],
            loose: BytesMut::new(),
            spooled_rows: 0,
            received: 0,
            headers: HeaderScan::default(),
            newlines: Newlines::default(),
            fault: None,
            room: declared.clamp(BODY_ROOM_FIRST, BODY_ROOM_MAX),
            transaction,
        })
    }

    pub(super) fn room(&self) -> usize {
        self.room
    }

    pub(super) fn unspooled(&self) -> usize {
        self.unspooled
    }

    pub(super) fn sender(&self) -> Option<Bytes> {
        self.transaction.sender()
    }

    #[cfg(test)]
    pub(super) fn pieces_held(&self) -> usize {
        self.pieces.len()
    }

    /// The id under which part of the body is on disk.
    pub(super) fn spooled(&self) -> Option<QueueId> {
        (self.spooled_rows > 0).then_some(self.id)
    }

    /// The message will be refused: its memory and its rows are free from now on.
    pub(super) fn give_up(&mut self, refusal: Reply, steps: &mut Steps) {
        steps.effects.extend(self.spooled().map(|message| Effect::Abandon { message }));
        self.fault.get_or_insert(refusal);
        self.spooled_rows = 0;
        self.unspooled = 0;
        self.pieces = Vec::new();
        self.loose = BytesMut::new();
    }

    /// Reads that fill their room get more of it, those that leave most of it empty get less.
    fn adapt_room(&mut self, octets: usize) {
        if octets >= self.room {
            self.room = (self.room * 2).min(BODY_ROOM_MAX);
        } else if octets < self.room / 4 {
            self.room = (self.room / 2).max(BODY_ROOM_FIRST);
        }
    }

    fn take(&mut self, piece: Bytes, cx: &Context<'_>, steps: &mut Steps) {
        self.received = self.received.saturating_add(piece.len() as u64);
        if piece.is_empty() || self.fault.is_some() {
            return;
        }
        if self.received > cx.options.message_size_max {
            return self.give_up(reply::TOO_BIG, steps);
        }
        self.headers.feed(&piece);
        // RFC 5321 §6.3.
        if self.headers.received() > cx.options.received_headers_max {
            return self.give_up(reply::LOOP, steps);
        }
        self.size += piece.len() as u64;
        self.unspooled += piece.len();
        if piece.len() < BODY_PIECE_MIN {
            self.loose.extend_from_slice(&piece);
        } else {
            self.gather();
            self.pieces.push(piece);
        }
        // Short of memory, everything that fills a row goes to the disk at once.
        let short = cx.pressure.memory_short;
        if self.unspooled >= if short { BODY_ROW } else { SPOOL_THRESHOLD } {
            self.spool(steps);
        }
    }

    fn gather(&mut self) {
        if !self.loose.is_empty() {
            self.pieces.push(self.loose.split().freeze());
        }
    }

    /// Hands all whole rows to the store.
    fn spool(&mut self, steps: &mut Steps) {
        self.gather();
        let rows = self.unspooled / BODY_ROW;
        let (mut octets, mut pieces) = (rows * BODY_ROW, Vec::new());
        let mut held = std::mem::take(&mut self.pieces).into_iter();
        for mut piece in held.by_ref() {
            if piece.len() > octets {
                let rest = piece.split_off(octets);
                self.pieces.push(rest);
            }
            octets -= piece.len();
            if !piece.is_empty() {
                pieces.push(piece);
            }
            if octets == 0 {
                break;
            }
        }
        self.pieces.extend(held);
        self.unspooled -= rows * BODY_ROW;
        let first_row = self.spooled_rows;
        self.spooled_rows += rows as u32;
        steps.effects.push(Effect::Spool { message: self.id, first_row, pieces });
    }

    fn finish(
        mut self: Box<Self>,
        mut peer: Box<Peer>,
        command: &'static str,
        steps: &mut Steps,
    ) -> Session {
        if let Some(refusal) = self.fault {
            peer.reject(command, refusal, self.sender(), None, steps);
            return Session::Idle(peer);
        }
        self.gather();
        let from = sender_of(&self.transaction.envelope);
        let committing = Committing { id: self.id, command, from, rest: Bytes::new() };
        steps.effects.push(Effect::Commit(Box::new(Submission {
            id: self.id,
            arrived: self.arrived,
            envelope: self.transaction.envelope,
            recipients: self.transaction.recipients,
            wire: self.wire,
            body: self.pieces,
            spooled_rows: self.spooled_rows,
            size: self.size,
            message_id: self.headers.into_message_id(),
        })));
        Session::Committing(peer, Box::new(committing))
    }
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
    /// Keeps what is pipelined behind the message. Nothing is read while the store works, so
    /// this is the rest of one read, and the copy is for a read that was already under way.
    pub(super) fn wait(&mut self, rest: &mut Bytes) {
        let more = std::mem::take(rest);
        self.rest =
            if self.rest.is_empty() { more } else { [&self.rest[..], &more[..]].concat().into() };
    }
}

fn received_field(
    peer: &Peer,
    transaction: &Transaction,
    id: QueueId,
    at: Wall,
    options: &Options,
) -> Bytes {
    let with = match peer.is_extended() {
        _ if transaction.envelope.smtputf8 => Protocol::Utf8Smtp,
        true => Protocol::Esmtp,
        false => Protocol::Smtp,
    };
    let recipient = match &transaction.recipients[..] {
        [only] => Some(&only.address),
        _ => None,
    };
    Received {
        hello: &peer.hello_name(),
        client: peer.client.ip(),
        by: &options.hostname,
        with,
        id,
        recipient,
        at,
    }
    .to_bytes()
}
