//! A message on its way in: its pieces, its rows, and what is found wrong with it.

use bytes::{Bytes, BytesMut};

use super::{
    Context, Effect, Session, Steps, Submission,
    data::Committing,
    hello::Peer,
    policy::Options,
    transaction::{Transaction, sender_of},
};
use crate::{
    limits::{BODY_PIECE_MIN, BODY_ROOM_FIRST, BODY_ROOM_MAX, BODY_ROW, SPOOL_THRESHOLD},
    mail::{
        QueueId, Wire,
        header::HeaderScan,
        trace::{Protocol, Received},
    },
    smtp::{
        data::Newlines,
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

impl Incoming {
    pub(super) fn begin(
        peer: &Peer,
        transaction: Transaction,
        wire: Wire,
        cx: &mut Context<'_>,
    ) -> Box<Self> {
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

    pub(super) fn fault(&self) -> Option<Reply> {
        self.fault
    }

    pub(super) fn has_room_for(&self, octets: u64, cx: &Context<'_>) -> bool {
        self.received.saturating_add(octets) <= cx.options.message_size_max
    }

    /// The id under which part of the body is on disk.
    pub(super) fn spooled(&self) -> Option<QueueId> {
        (self.spooled_rows > 0).then_some(self.id)
    }

    /// The message will be refused: its memory and its rows are free from now on.
    pub(super) fn give_up(&mut self, refusal: Reply, steps: &mut Steps) {
        steps.effects.extend(self.spooled().map(|message| Effect::Abandon { message }));
        if self.fault.is_none_or(|fault| weight(fault) < weight(refusal)) {
            self.fault = Some(refusal);
        }
        self.spooled_rows = 0;
        self.unspooled = 0;
        self.pieces = Vec::new();
        self.loose = BytesMut::new();
    }

    /// Reads that fill their room get more of it, those that leave most of it empty get less.
    pub(super) fn adapt_room(&mut self, octets: usize) {
        if octets >= self.room {
            self.room = (self.room * 2).min(BODY_ROOM_MAX);
        } else if octets < self.room / 4 {
            self.room = (self.room / 2).max(BODY_ROOM_FIRST);
        }
    }

    pub(super) fn take(&mut self, piece: Bytes, cx: &Context<'_>, steps: &mut Steps) {
        self.received = self.received.saturating_add(piece.len() as u64);
        if !self.has_room_for(0, cx) {
            return self.give_up(reply::TOO_BIG, steps);
        }
        if piece.is_empty() || self.fault.is_some() {
            return;
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

    /// Takes part of a chunk; nobody but us looked for bare newlines in it.
    pub(super) fn take_plain(
        &mut self,
        piece: Bytes,
        ends: bool,
        cx: &Context<'_>,
        steps: &mut Steps,
    ) {
        if self.newlines.scan(&piece) || (ends && self.newlines.ends_bare()) {
            self.give_up(reply::BARE_NEWLINE_IN_BODY, steps);
        }
        self.take(piece, cx, steps);
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

    pub(super) fn finish(
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
        let committing = Committing::new(self.id, command, from);
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
        Session::Committing(peer, committing)
    }
}

/// A message with two faults is refused for the weightier one: which of them is found first
/// depends on how its octets were cut.
fn weight(fault: Reply) -> u8 {
    match fault {
        reply::TOO_BIG => 3,
        reply::BARE_NEWLINE_IN_BODY => 2,
        reply::LOOP => 1,
        // The store's trouble passes, a fault of the message does not.
        _ => 0,
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
