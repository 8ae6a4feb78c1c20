//! Mail for our own accounts: a parcel becomes messages in mailboxes, in the very commit that
//! settles it, so that it is never lost and never delivered twice.

use bytes::Bytes;
use slab::Slab;

use super::{
    Relay, Turn,
    event::Via,
    ledger::{LoadErrand, StoreErrand},
    outbound::Attempted,
    settle::Here,
};
use crate::{
    dns::NextHop,
    limits::{LOAD_BODY_MAX, LOCAL_IN_FLIGHT_MAX, SPOOL_THRESHOLD},
    mail::{
        Message, Outcome, QueueId, Status, Verdict, Wire,
        mailbox::{Act, Delivery, Destined, Done},
    },
    queue::{Place, Queued},
    smtp::data::Unstuffing,
    store::{
        Change, Load, StoreError,
        content::{Builder, Press},
    },
    time::{Duration, Instant},
};

/// What local delivery needs, and what is under way.
#[derive(Default)]
pub(super) struct Locals {
    pub press: Press,
    underway: Slab<Underway>,
    /// Settlements handed to the store.
    settling: usize,
    /// Mail waits for one of those under way to end.
    waiting: bool,
}

/// A message on its way from the queue's body to a content.
struct Underway {
    queued: Queued,
    began: Instant,
    builder: Builder,
    unstuffing: Unstuffing,
    /// Octets of the body taken so far.
    offset: u64,
    /// Parts of the content went to the disk ahead of it.
    spooled: bool,
}

impl Relay {
    /// Delivers what waits for our mailboxes, as much as may be under way.
    pub(super) fn deliver_here(&mut self, turn: &mut Turn<'_>, place: Place) {
        while self.locals.underway.len() + self.locals.settling < LOCAL_IN_FLIGHT_MAX {
            let Some(queued) = self.schedule.next_parcel(place) else { return };
            let message = queued.parcel.message.id;
            if self.locals.underway.iter().any(|(_, other)| other.builder.id() == message) {
                // The parcels of one message share its content: the first one writes it.
                self.schedule.give_back(place, queued);
                break;
            }
            self.begin_local(turn, queued);
        }
        self.locals.waiting = true;
    }

    fn begin_local(&mut self, turn: &mut Turn<'_>, queued: Queued) {
        let message = &queued.parcel.message;
        let body = queued.parcel.body.clone();
        let mut builder = Builder::new(message.id);
        builder.feed(&return_path(message), &mut self.locals.press);
        let mut underway = Underway {
            queued,
            began: turn.now.instant,
            builder,
            unstuffing: Unstuffing::default(),
            offset: 0,
            spooled: false,
        };
        match body {
            Some(body) => {
                body.pieces.iter().for_each(|piece| underway.feed(piece, &mut self.locals.press));
                self.finish_local(turn, underway);
            }
            None => {
                let key = self.locals.underway.insert(underway);
                self.load_local(turn, key);
            }
        }
    }

    fn load_local(&mut self, turn: &mut Turn<'_>, key: usize) {
        let Some(underway) = self.locals.underway.get(key) else { return };
        let message = underway.queued.parcel.message.id;
        let load = Load::Body { message, offset: underway.offset, octets: LOAD_BODY_MAX };
        self.ledger.load(load, LoadErrand::Local(key), turn.out);
    }

    /// The next part of a body is here; `None`: it cannot be read.
    pub(super) fn local_loaded(
        &mut self,
        turn: &mut Turn<'_>,
        key: usize,
        pieces: Option<Vec<Bytes>>,
    ) {
        let Some(underway) = self.locals.underway.get_mut(key) else { return };
        let before = underway.offset;
        let press = &mut self.locals.press;
        pieces.iter().flatten().for_each(|piece| underway.feed(piece, press));
        if underway.offset == before && before < underway.queued.parcel.message.size {
            let underway = self.locals.underway.remove(key);
            let verdict = deferred((4, 3, 0), "the message cannot be read from the store");
            return self.fail_local(turn, underway, verdict);
        }
        if underway.offset >= underway.queued.parcel.message.size {
            let underway = self.locals.underway.remove(key);
            return self.finish_local(turn, underway);
        }
        if underway.builder.ready_octets() < SPOOL_THRESHOLD {
            return self.load_local(turn, key);
        }
        underway.spooled = true;
        let (first_chunk, chunks) = underway.builder.take_ready();
        let content = underway.builder.id();
        let act = Act::Spool { content, first_chunk, chunks };
        let change = Change::Mailbox(Box::new(act));
        self.ledger.store(change, StoreErrand::LocalSpool(key), turn.out);
    }

    /// A part of a long content is on the disk, or there is no room for it.
    pub(super) fn local_spooled(
        &mut self,
        turn: &mut Turn<'_>,
        key: usize,
        result: Result<Done, StoreError>,
    ) {
        match result {
            Ok(_) => self.load_local(turn, key),
            Err(StoreError::Full) => {
                let underway = self.locals.underway.remove(key);
                self.fail_local(turn, underway, no_room());
            }
            // The store has failed for good and the process ends; disk is truth.
            Err(StoreError::Failed) => {}
        }
    }

    /// The content is whole: it goes to its mailboxes with the settlement of its parcel.
    fn finish_local(&mut self, turn: &mut Turn<'_>, underway: Underway) {
        let Underway { queued, began, builder, .. } = underway;
        let content = builder.finish(&mut self.locals.press);
        let to = queued.parcel.recipients[..queued.here].iter();
        let to = to.map(|recipient| Destined { address: recipient.address.clone() }).collect();
        let delivery = Box::new(Delivery { content, received: turn.now.wall, to });
        let reason = Bytes::from_static(b"delivered to mailbox");
        let delivered = Verdict::own(Outcome::Delivered, Status::new(2, 0, 0), reason);
        let attempted = attempted(queued, began, turn, &delivered);
        self.locals.settling += 1;
        self.settle_here(turn, attempted, delivery);
    }

    /// The answer to a delivery's settlement.
    pub(super) fn local_stored(
        &mut self,
        turn: &mut Turn<'_>,
        here: Here,
        result: &Result<Done, StoreError>,
    ) -> bool {
        self.locals.settling -= 1;
        if std::mem::take(&mut self.locals.waiting) {
            self.go_on_here();
        }
        let Here { mut attempted, spooled } = here;
        let verdict = match result {
            Ok(Done::Gone { places }) => {
                // Nothing was delivered: those without an account fail now, and the others' turn
                // comes at once.
                bring_forward(&mut attempted.queued, places);
                let reason = Bytes::from_static(b"the account is gone");
                Verdict::own(Outcome::Failed, Status::new(5, 1, 1), reason)
            }
            Ok(Done::Refused(_)) => deferred(
                (4, 3, 0),
                "a part of it is missing or damaged in the store; it is tried again",
            ),
            Ok(_) => {
                self.note_delivered(turn, &attempted);
                return true;
            }
            Err(StoreError::Full) => no_room(),
            Err(StoreError::Failed) => return true,
        };
        if let Some(content) = spooled {
            self.abandon_content(turn, content);
        }
        attempted.verdicts = vec![verdict; attempted.queued.here];
        self.settle(turn, attempted);
        false
    }

    /// It could not be delivered now: the parcel is settled like any other.
    fn fail_local(&mut self, turn: &mut Turn<'_>, underway: Underway, verdict: Verdict) {
        let Underway { queued, began, builder, spooled, .. } = underway;
        if spooled {
            self.abandon_content(turn, builder.id());
        }
        self.go_on_here();
        let attempted = attempted(queued, began, turn, &verdict);
        self.settle(turn, attempted);
    }

    /// One that was under way has ended: the next one's turn has come. The destination may have
    /// been forgotten meanwhile, and then nothing waits.
    fn go_on_here(&mut self) {
        self.pending.extend(self.schedule.known(&NextHop::Local));
    }

    pub(super) fn abandon_content(&mut self, turn: &mut Turn<'_>, content: QueueId) {
        let change = Change::Mailbox(Box::new(Act::Abandon { content }));
        self.ledger.store(change, StoreErrand::Abandon, turn.out);
    }
}

impl Underway {
    fn feed(&mut self, piece: &Bytes, press: &mut Press) {
        self.offset += piece.len() as u64;
        match self.queued.parcel.message.wire {
            Wire::Plain => self.builder.feed(piece, press),
            Wire::Stuffed => {
                self.unstuffing.take(piece, |part| self.builder.feed(part, press));
            }
        }
    }
}

/// RFC 5321 §4.4: final delivery puts the reverse-path into the message.
fn return_path(message: &Message) -> Vec<u8> {
    let path = message.envelope.reverse_path.as_ref();
    let path = path.map_or(&[][..], |path| path.as_bytes());
    [b"Return-Path: <", path, b">\r\n"].concat()
}

fn attempted(queued: Queued, began: Instant, turn: &Turn<'_>, verdict: &Verdict) -> Attempted {
    Attempted {
        verdicts: vec![verdict.clone(); queued.here],
        queued,
        dsn_passed: false,
        via: Via::Mailbox,
        setup: Duration::ZERO,
        transmission: turn.now.instant.since(began),
    }
}

/// Puts the recipients in these places in front, and leaves the others for another turn.
fn bring_forward(queued: &mut Queued, places: &[usize]) {
    let mut place = 0;
    let mut gone: Vec<_> = queued
        .parcel
        .recipients
        .extract_if(.., |_| {
            place += 1;
            places.contains(&(place - 1))
        })
        .collect();
    queued.here = gone.len();
    gone.append(&mut queued.parcel.recipients);
    queued.parcel.recipients = gone;
}

fn no_room() -> Verdict {
    deferred((4, 3, 1), "the store is full; free disk space or raise store.size_max")
}

fn deferred((class, subject, detail): (u8, u16, u16), reason: &'static str) -> Verdict {
    let reason = Bytes::from_static(reason.as_bytes());
    Verdict::own(Outcome::Deferred, Status::new(class, subject, detail), reason)
}
