//! What a reader shows of its session, and how its replies leave.

use bytes::Bytes;

use super::{
    super::{
        Relay, Turn,
        deflate::Corrupt,
        event::Event,
        input::ConnectionId,
        output::{Output, Pieces},
        writing::Writing,
    },
    Reader, Service,
};
use crate::{
    limits::SENT_REPORT_EVERY,
    mail::mailbox::{MailboxId, ModSeq},
    time::Duration,
};

impl Reader {
    /// The operator hears why a user cannot log in.
    pub(super) fn note_put_off(&self, turn: &mut Turn<'_>) {
        let event = Event::LoginPutOff { client: self.client, protocol: self.service.name() };
        turn.out.push(Output::Note(Box::new(event)));
    }

    pub(super) fn send(&mut self, turn: &mut Turn<'_>, connection: ConnectionId, pieces: Pieces) {
        if pieces.is_empty() {
            return;
        }
        // As the session counts them: it waits for a report that compressed octets might be too
        // few to ask for.
        self.unsent += pieces.iter().map(Bytes::len).sum::<usize>();
        let pieces = match &mut self.deflate {
            None => pieces,
            Some(deflate) => smallvec::smallvec![deflate.pack(&pieces)],
        };
        let report = self.is_behind();
        turn.out.push(Output::Send { connection, pieces, report });
    }

    /// It has so much to take that a report of it is awaited.
    pub(super) fn is_behind(&self) -> bool {
        self.unsent > SENT_REPORT_EVERY
    }

    /// Octets that were read and are not inflated yet, once the session can take them.
    pub(super) fn next_plain(&mut self) -> Option<Result<Bytes, Corrupt>> {
        self.room()?;
        let plain = self.deflate.as_mut()?.unpack();
        plain.map(|plain| (!plain.is_empty()).then_some(plain)).transpose()
    }

    /// Octets the next read should have room for; `None`: it is made to wait.
    pub(super) fn room(&self) -> Option<usize> {
        if self.writing.as_ref().is_some_and(Writing::is_busy) {
            return None;
        }
        match &self.service {
            Service::Imap(session) => session.room(),
            Service::Pop3(session) => session.room(),
            Service::Gone => None,
        }
    }

    pub(super) fn timeout(&self, relay: &Relay) -> Duration {
        match &self.service {
            Service::Imap(session) => session.timeout(&relay.options.imap),
            Service::Pop3(session) => session.timeout(),
            Service::Gone => Duration::MAX,
        }
    }

    pub(super) fn watching(&self) -> Option<(MailboxId, ModSeq)> {
        match &self.service {
            Service::Imap(session) => session.watching(),
            Service::Pop3(session) => session.watching(),
            Service::Gone => None,
        }
    }
}

impl Service {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Service::Imap(_) => "imap",
            Service::Pop3(_) | Service::Gone => "pop3",
        }
    }
}
