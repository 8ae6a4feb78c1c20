//! The server's session: octets in, replies and effects out.
//!
//! A session is an enum of its states, and a step consumes the state. Only `Update` can say that
//! messages are removed, and only when it is told that they are, on stable storage.

mod login;
mod maildrop;
mod peer;
mod retrieval;
mod step;
mod update;

use std::net::SocketAddr;

use bytes::Bytes;

pub use self::step::{Context, Effect, Options, Steps};
use self::{
    login::{Entering, Stage},
    maildrop::{Listing, Maildrop},
    peer::Peer,
    retrieval::{Retrieval, Wanted},
    update::Update,
};
use super::reply::{self, Reply};
use crate::{
    limits::{COMMAND_ROOM, POP3_TIMEOUT},
    mail::mailbox::{Done, Found, MailboxId, ModSeq, StoreTrouble, Verdict},
    time::Duration,
};

/// One connection.
#[derive(Debug)]
pub enum Session {
    /// RFC 1939 §4: nobody has logged in.
    Authorization(Box<Peer>, Stage),
    /// A question of the login is open.
    Entering(Box<Peer>, Box<Entering>),
    /// RFC 1939 §5: the next command is waited for.
    Transaction(Box<Peer>, Box<Maildrop>),
    /// A list goes on when the client has taken what is before it.
    Listing(Box<Peer>, Box<Maildrop>, Listing),
    /// The store looks for a message.
    Finding(Box<Peer>, Box<Maildrop>, Wanted),
    /// The store reads a part of a long message.
    Reading(Box<Peer>, Box<Maildrop>, Box<Retrieval>),
    /// A long message goes on when the client has taken what is before it.
    Sending(Box<Peer>, Box<Maildrop>, Box<Retrieval>),
    /// RFC 1939 §6: behind QUIT.
    Update(Box<Peer>, Box<Maildrop>, Update),
    Closed,
}

impl Session {
    /// Greets, or refuses when draining.
    pub fn new(client: SocketAddr, cx: &Context<'_>, steps: &mut Steps) -> Self {
        if cx.draining {
            return Self::close(reply::DRAINING, steps);
        }
        let peer = Peer::greet(client, cx, steps);
        Session::Authorization(Box::new(peer), Stage::Anonymous).go_on(cx, steps)
    }

    /// Takes what was read. Works through all of it, pipelined commands included, up to where
    /// somebody else is to answer or the client to take what it is sent.
    pub fn receive(mut self, bytes: Bytes, cx: &Context<'_>, steps: &mut Steps) -> Self {
        if let Some(peer) = self.peer_mut() {
            peer.receive(bytes);
        }
        self.go_on(cx, steps)
    }

    /// The answer to `Effect::Ask`.
    pub fn found(
        self,
        found: Result<Found, StoreTrouble>,
        cx: &Context<'_>,
        steps: &mut Steps,
    ) -> Self {
        match self {
            Session::Entering(peer, entering) => entering.found(peer, found, steps),
            Session::Finding(peer, maildrop, wanted) => wanted.found(peer, maildrop, found, steps),
            Session::Reading(peer, maildrop, retrieval) => {
                retrieval.found(peer, maildrop, found, steps)
            }
            other => other,
        }
        .go_on(cx, steps)
    }

    /// The answer to `Effect::Act`.
    pub fn done(
        self,
        done: Result<Done, StoreTrouble>,
        cx: &Context<'_>,
        steps: &mut Steps,
    ) -> Self {
        match self {
            Session::Update(peer, maildrop, update) => update.done(peer, maildrop, done, steps),
            other => other,
        }
        .go_on(cx, steps)
    }

    /// The answer to `Effect::Authenticate`.
    pub fn authenticated(self, verdict: Verdict, cx: &Context<'_>, steps: &mut Steps) -> Self {
        match self {
            Session::Entering(peer, entering) => entering.authenticated(peer, verdict, steps),
            other => other,
        }
        .go_on(cx, steps)
    }

    /// All that was put out has left for the client.
    pub fn sent(mut self, cx: &Context<'_>, steps: &mut Steps) -> Self {
        if let Some(peer) = self.peer_mut() {
            peer.has_taken_all();
        }
        self.go_on(cx, steps)
    }

    /// The client has kept us waiting for `timeout`. RFC 1939 §3: nothing is removed and nothing
    /// is said.
    pub fn timed_out(self, steps: &mut Steps) -> Self {
        if self.awaits_answer() {
            return self;
        }
        Self::cut_off(steps)
    }

    /// `Context::draining` has come to be: a session that waits for a command ends now, another
    /// one behind its command. Nothing that is only marked is removed.
    pub fn drain(self, cx: &Context<'_>, steps: &mut Steps) -> Self {
        let cx = Context { draining: true, ..*cx };
        self.go_on(&cx, steps)
    }

    /// Octets the next read should have room for; `None`: not to be read now.
    pub fn room(&self) -> Option<usize> {
        match self {
            Session::Authorization(peer, _) | Session::Transaction(peer, _) => {
                peer.is_ready().then_some(COMMAND_ROOM)
            }
            _ => None,
        }
    }

    /// How long the present wait for the client may last: for its next command, or until it takes
    /// what it is sent. The store may take its time.
    pub fn timeout(&self) -> Duration {
        if self.awaits_answer() { Duration::MAX } else { POP3_TIMEOUT }
    }

    /// The mailbox of this session and the state of it that its client knows: what was expunged
    /// since stays readable.
    pub fn watching(&self) -> Option<(MailboxId, ModSeq)> {
        match self {
            Session::Entering(_, entering) => entering.watching(),
            Session::Transaction(_, maildrop)
            | Session::Listing(_, maildrop, _)
            | Session::Finding(_, maildrop, _)
            | Session::Reading(_, maildrop, _)
            | Session::Sending(_, maildrop, _)
            | Session::Update(_, maildrop, _) => Some(maildrop.watching()),
            Session::Authorization(..) | Session::Closed => None,
        }
    }

    /// Somebody else than the client is to speak next.
    fn awaits_answer(&self) -> bool {
        match self {
            Session::Entering(..)
            | Session::Finding(..)
            | Session::Reading(..)
            | Session::Update(..)
            | Session::Closed => true,
            Session::Authorization(..)
            | Session::Transaction(..)
            | Session::Listing(..)
            | Session::Sending(..) => false,
        }
    }

    /// Works on as far as nobody else is to speak first.
    fn go_on(mut self, cx: &Context<'_>, steps: &mut Steps) -> Self {
        loop {
            self = match self.check_limits(cx, steps) {
                Session::Authorization(peer, stage)
                    if peer.has_more() && !peer.is_behind(steps) =>
                {
                    stage.receive(peer, cx, steps)
                }
                Session::Transaction(peer, maildrop)
                    if peer.has_more() && !peer.is_behind(steps) =>
                {
                    maildrop.receive(peer, cx, steps)
                }
                Session::Listing(peer, maildrop, listing) if !peer.is_behind(steps) => {
                    listing.go_on(peer, maildrop, steps)
                }
                Session::Sending(peer, maildrop, retrieval) if !peer.is_behind(steps) => {
                    retrieval.go_on(peer, maildrop, steps)
                }
                mut other => {
                    if let Some(peer) = other.peer_mut() {
                        peer.owes(steps.out.len());
                    }
                    return other;
                }
            }
        }
    }

    /// Ends a session that has used up its patience, or whose time to drain has come.
    fn check_limits(self, cx: &Context<'_>, steps: &mut Steps) -> Self {
        match &self {
            Session::Authorization(peer, _) | Session::Transaction(peer, _) => {
                if peer.has_used_up_patience() {
                    Self::close(reply::TOO_MANY_ERRORS, steps)
                } else if cx.draining {
                    Self::close(reply::DRAINING, steps)
                } else {
                    self
                }
            }
            _ => self,
        }
    }

    fn close(reply: Reply, steps: &mut Steps) -> Self {
        reply.write(&mut steps.out);
        Self::cut_off(steps)
    }

    /// Ends it without a word.
    fn cut_off(steps: &mut Steps) -> Self {
        steps.effects.push(Effect::Close);
        Session::Closed
    }

    fn peer_mut(&mut self) -> Option<&mut Peer> {
        match self {
            Session::Authorization(peer, _)
            | Session::Entering(peer, _)
            | Session::Transaction(peer, _)
            | Session::Listing(peer, ..)
            | Session::Finding(peer, ..)
            | Session::Reading(peer, ..)
            | Session::Sending(peer, ..)
            | Session::Update(peer, ..) => Some(peer),
            Session::Closed => None,
        }
    }
}

#[cfg(test)]
mod tests;
