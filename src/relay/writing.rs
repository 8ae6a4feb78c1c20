//! A message that a client appends: its octets become a content as they come, and a long one goes
//! to the disk in parts, ahead of its commit.

use bytes::Bytes;

use super::{Relay, Turn, connections::Peer, input::ConnectionId, ledger::StoreErrand};
use crate::{
    limits::SPOOL_THRESHOLD,
    mail::{
        QueueId,
        mailbox::{Act, Done, NewContent},
    },
    store::{Change, StoreError, content::Builder},
};

pub(super) struct Writing {
    builder: Builder,
    /// A part is on its way to the disk: nothing is read meanwhile.
    spooling: bool,
    /// Parts went ahead.
    spooled: bool,
    /// The client has sent all of it.
    ended: bool,
    failed: Option<StoreError>,
}

impl Writing {
    pub fn new(content: QueueId) -> Self {
        Self {
            builder: Builder::new(content),
            spooling: false,
            spooled: false,
            ended: false,
            failed: None,
        }
    }

    /// The client has sent all of it.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Takes it out once all of it is here and its parts are on the disk, or cannot be.
    pub fn take_whole(writing: &mut Option<Writing>) -> Option<Writing> {
        writing.take_if(|writing| writing.ended && !writing.spooling)
    }

    /// Its client is not to be read from.
    pub fn is_busy(&self) -> bool {
        self.spooling
    }
}

impl Relay {
    pub(super) fn write_octets(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        writing: &mut Option<Writing>,
        octets: &Bytes,
    ) {
        let Some(writing) = writing.as_mut().filter(|writing| writing.failed.is_none()) else {
            return;
        };
        writing.builder.feed(octets, &mut self.locals.press);
        if writing.spooling || writing.builder.ready_octets() < SPOOL_THRESHOLD {
            return;
        }
        (writing.spooling, writing.spooled) = (true, true);
        let (first_chunk, chunks) = writing.builder.take_ready();
        let act = Act::Spool { content: writing.builder.id(), first_chunk, chunks };
        let change = Change::Mailbox(Box::new(act));
        self.ledger.store(change, StoreErrand::Writing { connection: id }, turn.out);
    }

    /// The content; where there was no room for all of it nothing is left of it.
    pub(super) fn written(
        &mut self,
        turn: &mut Turn<'_>,
        writing: Writing,
    ) -> Result<NewContent, StoreError> {
        match writing.failed {
            None => Ok(writing.builder.finish(&mut self.locals.press)),
            Some(error) => {
                self.abandon_writing(turn, writing);
                Err(error)
            }
        }
    }

    /// A part is on the disk, or there is no room for it.
    pub(super) fn writing_stored(
        &mut self,
        turn: &mut Turn<'_>,
        id: ConnectionId,
        result: Result<Done, StoreError>,
    ) {
        let Peer::Reader(mut reader) = self.connections.take(id) else { return };
        if let Some(writing) = &mut reader.writing {
            writing.spooling = false;
            writing.failed = result.err();
        }
        self.go_on_reader(turn, id, reader);
    }

    pub(super) fn abandon_writing(&mut self, turn: &mut Turn<'_>, writing: Writing) {
        if writing.spooled {
            self.abandon_content(turn, writing.builder.id());
        }
    }
}
