//! RETR and TOP: a message on its way to the client, in parts where it is long.

use std::fmt::Write;

use bytes::Bytes;

use super::{Effect, Session, Steps, maildrop::Maildrop, peer::Peer};
use crate::{
    limits::CONTENT_CHUNK,
    mail::mailbox::{Ask, Content, ContentId, Flags, Found, Listed, StoreTrouble, Uid, Uids, Want},
    pop3::{
        reply,
        stuffing::{Extent, Stuffing},
    },
};

/// The message that the store looks for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub(super) uid: Uid,
    /// Of TOP: lines of the body.
    pub(super) lines: Option<u32>,
}

/// A long message of which a part is sent.
#[derive(Debug)]
pub struct Retrieval {
    content: ContentId,
    /// Octets of the content that were read, and octets to come.
    offset: u64,
    left: u64,
    stuffing: Stuffing,
}

impl Wanted {
    /// Asks for it, with its octets where they are few.
    pub(super) fn find(
        self,
        peer: Box<Peer>,
        maildrop: Box<Maildrop>,
        steps: &mut Steps,
    ) -> Session {
        let content = match self.lines {
            Some(0) => Content::Header,
            _ => Content::Whole { at_most: CONTENT_CHUNK },
        };
        let (mailbox, _) = maildrop.watching();
        let uids = Uids::from_iter([self.uid]);
        let want = Want { summary: false, content };
        steps.effects.push(Effect::Ask(Ask::Messages { mailbox, uids, want }));
        Session::Finding(peer, maildrop, self)
    }

    pub(super) fn found(
        self,
        peer: Box<Peer>,
        mut maildrop: Box<Maildrop>,
        found: Result<Found, StoreTrouble>,
        steps: &mut Steps,
    ) -> Session {
        let found = match found {
            Ok(Found::Messages { messages, .. }) => {
                let wanted = |message: &Listed| message.entry.uid == self.uid;
                messages.into_iter().find(wanted).ok_or(reply::GONE)
            }
            Err(StoreTrouble::Damaged) => Err(reply::DAMAGED),
            _ => Err(reply::STORE_FAILED),
        };
        let message = match found {
            Ok(message) => message,
            Err(refusal) => {
                refusal.write(&mut steps.out);
                return Session::Transaction(peer, maildrop);
            }
        };
        if self.lines.is_none() && !message.entry.flags.contains(Flags::SEEN) {
            maildrop.retrieved.insert(self.uid);
        }
        self.send(message, peer, maildrop, steps)
    }

    /// Puts out the reply, or what is known of it.
    fn send(
        self,
        message: Listed,
        peer: Box<Peer>,
        maildrop: Box<Maildrop>,
        steps: &mut Steps,
    ) -> Session {
        let Listed { entry, content, .. } = message;
        let extent = match self.lines {
            None => {
                let _ = write!(steps.out, "+OK {} octets\r\n", entry.size);
                Extent::Whole
            }
            Some(lines) => {
                reply::TOP.write(&mut steps.out);
                Extent::Header { lines }
            }
        };
        let mut stuffing = Stuffing::new(extent);
        let field = entry.delivered_field();
        stuffing.feed(&field, &mut steps.out);
        if let Some(octets) = content {
            stuffing.feed(&octets, &mut steps.out);
            stuffing.finish(&mut steps.out);
            return Session::Transaction(peer, maildrop);
        }
        let left = entry.size.saturating_sub(field.len() as u64);
        let retrieval = Retrieval { content: entry.content, offset: 0, left, stuffing };
        Box::new(retrieval).go_on(peer, maildrop, steps)
    }
}

impl Retrieval {
    /// Asks for the next part, or ends the reply where there is none.
    pub(super) fn go_on(
        self: Box<Self>,
        peer: Box<Peer>,
        maildrop: Box<Maildrop>,
        steps: &mut Steps,
    ) -> Session {
        if self.left == 0 || self.stuffing.has_enough() {
            self.stuffing.finish(&mut steps.out);
            return Session::Transaction(peer, maildrop);
        }
        let (content, offset, octets) = (self.content, self.offset, CONTENT_CHUNK);
        steps.effects.push(Effect::Ask(Ask::Content { content, offset, octets }));
        Session::Reading(peer, maildrop, self)
    }

    pub(super) fn found(
        mut self: Box<Self>,
        peer: Box<Peer>,
        maildrop: Box<Maildrop>,
        found: Result<Found, StoreTrouble>,
        steps: &mut Steps,
    ) -> Session {
        let part = match found {
            Ok(Found::Content(octets)) => octets,
            _ => Bytes::new(),
        };
        // The reply has begun with +OK, and the only way left to say that the message is not
        // whole is not to end it.
        if part.is_empty() || part.len() as u64 > self.left {
            return Session::cut_off(steps);
        }
        self.offset += part.len() as u64;
        self.left -= part.len() as u64;
        self.stuffing.feed(&part, &mut steps.out);
        Session::Sending(peer, maildrop, self)
    }
}
