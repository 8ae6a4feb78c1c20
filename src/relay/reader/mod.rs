//! Clients that read their mail: sessions of IMAP and POP3, their questions to the store, and
//! what they are told when a mailbox changes.

mod shown;
mod step;
mod wants;

use std::net::SocketAddr;

use bytes::Bytes;

use self::step::{Left, Step};
use super::{
    Relay, Turn, connections::Peer, deflate::Deflate, input::ConnectionId, output::Output,
    writing::Writing,
};
use crate::{
    imap::session as imap,
    limits::INFLATED_AT_ONCE,
    mail::mailbox::{Done, MailboxId, ModSeq, Verdict},
    pop3,
    store::{Loaded, StoreError},
    time::{Duration, Instant},
};

/// A client's connection.
pub(in crate::relay) struct Reader {
    service: Service,
    pub client: SocketAddr,
    /// Octets of replies not yet known to be with the kernel.
    unsent: usize,
    /// A read is asked for.
    reading: bool,
    /// Since when it is waited for, to speak or to take what it is sent.
    since: Instant,
    /// How long that may last, as it was when the deadline was set.
    patience: Duration,
    /// Its login finds too many others under way.
    busy: bool,
    /// A message that it appends.
    pub(in crate::relay) writing: Option<Writing>,
    deflate: Option<Box<Deflate>>,
    /// More was read than is inflated at once: it is in `Relay::inflating` for its next turn.
    inflating: bool,
    /// The mailbox it has selected, and up to where its client has been told.
    watched: Option<(MailboxId, ModSeq)>,
}

enum Service {
    Imap(imap::Session),
    Pop3(pop3::Session),
    /// It takes a step at this moment.
    Gone,
}

impl Relay {
    pub(in crate::relay) fn imap_accepted(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        client: SocketAddr,
    ) {
        let greeted = self.greet_imap(turn, client);
        self.reader_begins(turn, id, client, greeted);
    }

    pub(in crate::relay) fn pop3_accepted(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        client: SocketAddr,
    ) {
        let greeted = self.greet_pop3(client);
        self.reader_begins(turn, id, client, greeted);
    }

    fn reader_begins(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        client: SocketAddr,
        (service, left): (Service, Left),
    ) {
        let reader = Reader {
            service,
            client,
            unsent: 0,
            reading: false,
            since: turn.now.instant,
            patience: Duration::ZERO,
            busy: false,
            writing: None,
            deflate: None,
            inflating: false,
            watched: None,
        };
        self.connections.insert(id, Peer::Reader(Box::new(reader)));
        if let Peer::Reader(reader) = self.connections.take(id) {
            self.finish_reader(turn, id, reader, left);
        }
    }

    pub(in crate::relay) fn reader_received(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        mut reader: Box<Reader>,
        bytes: Bytes,
    ) {
        reader.reading = false;
        let left = match &mut reader.deflate {
            None => self.step_reader(turn, &mut reader, Step::Received(bytes)),
            Some(deflate) => {
                deflate.receive(bytes);
                Left::default()
            }
        };
        self.finish_reader(turn, id, reader, left);
    }

    /// Others have had their turn.
    pub(in crate::relay) fn reader_inflates(&mut self, turn: &mut Turn<'_>, id: ConnectionId) {
        let Peer::Reader(mut reader) = self.connections.take(id) else { return };
        reader.inflating = false;
        self.go_on_reader(turn, id, reader);
    }

    /// All replies are with the kernel.
    pub(in crate::relay) fn reader_sent(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        mut reader: Box<Reader>,
    ) {
        reader.unsent = 0;
        self.wait_anew(turn, id, &mut reader);
        let left = self.step_reader(turn, &mut reader, Step::Sent);
        self.finish_reader(turn, id, reader, left);
    }

    pub(in crate::relay) fn reader_overdue(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        mut reader: Box<Reader>,
    ) {
        let left = self.step_reader(turn, &mut reader, Step::TimedOut);
        self.finish_reader(turn, id, reader, left);
    }

    pub(in crate::relay) fn reader_drain(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        mut reader: Box<Reader>,
    ) {
        let left = self.step_reader(turn, &mut reader, Step::Drain);
        self.finish_reader(turn, id, reader, left);
    }

    /// The answer to a question of a reader's session.
    pub(in crate::relay) fn reader_found(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        loaded: Loaded,
    ) {
        let Peer::Reader(mut reader) = self.connections.take(id) else { return };
        let result = match loaded {
            Loaded::Mailbox(found) => Ok(*found),
            Loaded::Failed(error) => Err(error),
            _ => Err(StoreError::Failed),
        };
        let found = Step::Found(result.map_err(Into::into));
        let left = self.step_reader(turn, &mut reader, found);
        self.finish_reader(turn, id, reader, left);
    }

    /// The answer to what a reader's session wanted changed.
    pub(in crate::relay) fn reader_done(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        result: Result<Done, StoreError>,
    ) {
        let Peer::Reader(mut reader) = self.connections.take(id) else { return };
        let done = Step::Done(result.map_err(Into::into));
        let left = self.step_reader(turn, &mut reader, done);
        self.finish_reader(turn, id, reader, left);
    }

    pub(in crate::relay) fn reader_authenticated(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        verdict: Verdict,
    ) {
        let Peer::Reader(mut reader) = self.connections.take(id) else { return };
        if verdict == Verdict::Busy {
            reader.note_put_off(turn);
        }
        let left = self.step_reader(turn, &mut reader, Step::Authenticated(verdict));
        self.finish_reader(turn, id, reader, left);
    }

    /// Nothing has happened to its session, but to what the session waits for.
    pub(in crate::relay) fn go_on_reader(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        reader: Box<Reader>,
    ) {
        self.finish_reader(turn, id, reader, Left::default());
    }

    /// A mailbox that sessions of this core have selected has changed.
    pub(in crate::relay) fn mailbox_changed(&mut self, turn: &mut Turn<'_>, mailbox: MailboxId) {
        for id in self.watches.sessions(mailbox) {
            let Peer::Reader(mut reader) = self.connections.take(id) else { continue };
            let left = self.step_reader(turn, &mut reader, Step::Changed);
            self.finish_reader(turn, id, reader, left);
        }
    }

    /// The client is gone, or is let go.
    pub(in crate::relay) fn reader_closed(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        reader: Reader,
    ) {
        self.connections.forget_inbound(id);
        self.watch(turn, id, reader.watched, None);
        if let Some(writing) = reader.writing {
            self.abandon_writing(turn, writing);
        }
        if let Service::Imap(session) = reader.service {
            for content in session.closed() {
                self.abandon_content(turn, content);
            }
        }
    }

    fn reader_corrupt(&mut self, turn: &mut Turn<'_>, id: ConnectionId, reader: Reader) {
        turn.out.push(Output::Abort { connection: id });
        self.reader_closed(turn, id, reader);
    }

    /// Sends what the session said, does what it asked for, and reads on or closes.
    fn finish_reader(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        mut reader: Box<Reader>,
        mut left: Left,
    ) {
        let mut inflated = 0;
        loop {
            // What is added to what it does not take gives it no time.
            let takes = !reader.is_behind();
            let replied = !left.pieces.is_empty();
            reader.send(turn, id, left.pieces);
            let mut close = false;
            for effect in left.effects {
                close |= matches!(effect, imap::Effect::Close);
                self.reader_wants(turn, id, &mut reader, effect);
            }
            if close {
                turn.out.push(Output::Close { connection: id });
                return self.reader_closed(turn, id, *reader);
            }
            let watching = reader.watching();
            let news = self.watch(turn, id, reader.watched, watching);
            reader.watched = watching;
            if news {
                // What happened between the look at the mailbox and this moment was told nobody.
                left = self.step_reader(turn, &mut reader, Step::Changed);
                continue;
            }
            let timeout = reader.timeout(self);
            // What the store was waited for may leave the client nothing to be told: its time
            // begins all the same.
            let other = timeout != reader.patience;
            reader.patience = timeout;
            if takes && (replied || other) {
                self.wait_anew(turn, id, &mut reader);
            } else if other {
                self.connections.set_deadline(id, Some(reader.since + timeout));
            }
            if std::mem::take(&mut reader.busy) {
                let busy = Step::Authenticated(Verdict::Busy);
                left = self.step_reader(turn, &mut reader, busy);
                continue;
            }
            if let Some(writing) = Writing::take_whole(&mut reader.writing) {
                let content = self.written(turn, writing);
                let content = Step::Content(content.map_err(Into::into));
                left = self.step_reader(turn, &mut reader, content);
                continue;
            }
            if inflated >= INFLATED_AT_ONCE {
                self.inflate_later(id, &mut reader);
                break;
            }
            match reader.next_plain() {
                Some(Ok(plain)) => {
                    inflated += plain.len();
                    left = self.step_reader(turn, &mut reader, Step::Received(plain));
                }
                Some(Err(_)) => return self.reader_corrupt(turn, id, *reader),
                None => break,
            }
        }
        self.read_on_from(turn, id, &mut reader);
        self.connections.put_back(id, Peer::Reader(reader));
    }

    /// The client has done its part: the wait for it begins anew.
    fn wait_anew(&mut self, turn: &Turn<'_>, id: ConnectionId, reader: &mut Reader) {
        reader.since = turn.now.instant;
        self.connections.set_deadline(id, Some(reader.since + reader.patience));
    }

    fn inflate_later(&mut self, id: ConnectionId, reader: &mut Reader) {
        if !std::mem::replace(&mut reader.inflating, true) {
            self.inflating.push_back(id);
        }
    }

    fn read_on_from(&self, turn: &mut Turn<'_>, id: ConnectionId, reader: &mut Reader) {
        let waits = reader.reading || reader.inflating;
        if let (false, Some(room)) = (waits, reader.room()) {
            reader.reading = true;
            turn.out.push(Output::Receive { connection: id, room });
        }
    }
}
