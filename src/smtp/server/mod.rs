//! The server's session: octets in, replies and effects out.
//!
//! A session is an enum of its states, and a step consumes the state. Only `Committing` can say
//! that a message is queued, and only when it is told that the message is on stable storage.

mod data;
mod hello;
mod incoming;
pub mod policy;
mod shown;
mod step;
mod transaction;

use std::net::SocketAddr;

use bytes::Bytes;

pub use self::{
    data::{Chunk, Committing, Skip},
    incoming::Incoming,
    step::{CommitError, Context, Effect, LookupError, Pressure, Steps, Submission},
    transaction::Resolving,
};
use self::{hello::Peer, policy::Role, transaction::Transaction};
use super::{
    command::{self, Command},
    data::Dots,
    line::LineError,
    reply::{self, Reply},
};
use crate::{
    limits::{CHUNK_SKIP_MAX, IDLE_COMMANDS_MAX},
    mail::{QueueId, mailbox::Resolved},
};

/// One connection. The large parts are boxed: an idle session is two words and a small `Peer`.
#[derive(Debug)]
pub enum Session {
    /// Between transactions.
    Idle(Box<Peer>),
    /// MAIL was accepted.
    Open(Box<Peer>, Box<Transaction>),
    /// The client waits for the store to tell who its recipient is.
    Resolving(Box<Peer>, Box<Resolving>),
    /// Behind 354.
    Data(Box<Peer>, Box<Incoming>, Dots),
    /// Inside a BDAT chunk.
    Chunk(Box<Peer>, Box<Incoming>, Chunk),
    /// Between two chunks.
    Chunks(Box<Peer>, Box<Incoming>),
    /// Inside a chunk that was refused.
    Skipping(Box<Peer>, Box<Skip>),
    /// The client waits for the store.
    Committing(Box<Peer>, Box<Committing>),
    Closed,
}

impl Session {
    /// Greets, or refuses when draining.
    pub fn new(client: SocketAddr, role: Role, cx: &mut Context<'_>, steps: &mut Steps) -> Self {
        if cx.pressure.draining {
            return Self::refuse(reply::DRAINING, steps);
        }
        Session::Idle(Box::new(Peer::greet(client, role, cx.options, steps)))
    }

    /// Turns a client away with a 421, as `reply::TOO_MANY_CONNECTIONS`.
    pub fn refuse(reply: Reply, steps: &mut Steps) -> Self {
        reply.write(&mut steps.replies);
        steps.effects.push(Effect::Close);
        Session::Closed
    }

    /// Takes what was read. Works through all of it, pipelined commands included, up to where
    /// only the store can answer.
    pub fn receive(self, bytes: Bytes, cx: &mut Context<'_>, steps: &mut Steps) -> Self {
        let (mut session, mut rest) = (self, bytes);
        while !rest.is_empty() {
            session = match session {
                Session::Idle(_) | Session::Open(..) | Session::Chunks(..) => {
                    session.command_line(&mut rest, cx, steps)
                }
                Session::Data(peer, incoming, dots) => {
                    data::receive_data(peer, incoming, dots, &mut rest, cx, steps)
                }
                Session::Chunk(peer, incoming, chunk) => {
                    data::receive_chunk(peer, incoming, chunk, &mut rest, cx, steps)
                }
                Session::Skipping(peer, skip) => data::skip_chunk(peer, skip, &mut rest, steps),
                Session::Resolving(peer, mut resolving) => {
                    resolving.wait(&mut rest);
                    Session::Resolving(peer, resolving)
                }
                Session::Committing(peer, mut committing) => {
                    committing.wait(&mut rest);
                    Session::Committing(peer, committing)
                }
                Session::Closed => return Session::Closed,
            }
            .check_limits(cx, steps);
        }
        session
    }

    /// The answer to `Effect::Commit`; pipelined commands that waited for it go on.
    pub fn stored(
        self,
        result: Result<(), CommitError>,
        cx: &mut Context<'_>,
        steps: &mut Steps,
    ) -> Self {
        match self {
            Session::Committing(peer, committing) => {
                let (session, rest) = data::answer(peer, *committing, result, steps);
                session.check_limits(cx, steps).receive(rest, cx, steps)
            }
            other => other,
        }
    }

    /// The answer to `Effect::LookUp`; pipelined commands that waited for it go on.
    pub fn looked_up(
        self,
        result: Result<Resolved, LookupError>,
        cx: &mut Context<'_>,
        steps: &mut Steps,
    ) -> Self {
        match self {
            Session::Resolving(peer, resolving) => {
                let (session, rest) = transaction::looked_up(peer, *resolving, result, cx, steps);
                session.check_limits(cx, steps).receive(rest, cx, steps)
            }
            other => other,
        }
    }

    /// A `Spool` failed: what was spooled is given up, the rest of the body discarded, and the
    /// client gets 452 at its end. With the `Commit` already asked for, the answer to that counts.
    pub fn spool_failed(mut self, _cx: &mut Context<'_>, steps: &mut Steps) -> Self {
        if let Some(incoming) = self.incoming_mut() {
            incoming.give_up(reply::STORE_FULL, steps);
        }
        self
    }

    /// The client has kept us waiting for `timeout`. The store may take its time.
    pub fn timed_out(self, _cx: &mut Context<'_>, steps: &mut Steps) -> Self {
        match self {
            Session::Resolving(..) | Session::Committing(..) => self,
            other => other.close(reply::TIMED_OUT, steps),
        }
    }

    /// `Pressure::draining` has come to be: an idle session ends now, an open transaction first
    /// comes to its end.
    pub fn drain(self, cx: &mut Context<'_>, steps: &mut Steps) -> Self {
        cx.pressure.draining = true;
        self.check_limits(cx, steps)
    }

    /// The client is gone: the message of which something was spooled, to be abandoned. One that
    /// is being committed is delivered all the same.
    pub fn closed(mut self) -> Option<QueueId> {
        self.incoming_mut().and_then(|incoming| incoming.spooled())
    }

    fn command_line(mut self, rest: &mut Bytes, cx: &mut Context<'_>, steps: &mut Steps) -> Self {
        let Some(peer) = self.peer_mut() else {
            return self;
        };
        let parse = |line: &[u8]| match command::is_http(line) {
            true => Err(("UNKNOWN", reply::NOT_HTTP)),
            false => command::parse(line).map_err(|refusal| (command::verb(line), refusal)),
        };
        let (verb, refusal) = match peer.lines.next(rest, parse) {
            None => return self,
            Some(Ok(Ok(command))) => return self.obey(command, rest, cx, steps),
            Some(Ok(Err(refused))) => refused,
            Some(Err(LineError::TooLong)) => ("UNKNOWN", reply::LINE_TOO_LONG),
            Some(Err(LineError::BareNewline)) => ("UNKNOWN", reply::BARE_NEWLINE),
        };
        self.reject(verb, refusal, None, steps);
        // Behind these nobody knows where the next command begins: going on would read a body, or
        // what another server took for one, as commands.
        if matches!(refusal, reply::BARE_NEWLINE | reply::SYNTAX_BDAT | reply::NOT_HTTP) {
            self.abandon(steps);
            steps.effects.push(Effect::Close);
            return Session::Closed;
        }
        self
    }

    /// The table of commands and states (RFC 5321 §4.1.4).
    fn obey(
        mut self,
        command: Command,
        rest: &mut Bytes,
        cx: &mut Context<'_>,
        steps: &mut Steps,
    ) -> Self {
        match (command, self) {
            (Command::Noop, session) => session.say(reply::OK, steps),
            (Command::Help, session) => session.say(reply::HELP, steps),
            (Command::Vrfy, session) => session.say(reply::CANNOT_VERIFY, steps),
            (Command::Rset, session) => session.reset(steps).say(reply::OK, steps),
            (Command::Quit, session) => session.close(reply::BYE, steps),
            (Command::Hello { name, extended }, session) => {
                self = session.reset(steps);
                if let Some(peer) = self.peer_mut() {
                    peer.hello(name, extended, cx.options, steps);
                }
                self
            }
            (Command::Mail(mail), Session::Idle(peer)) => transaction::mail(peer, mail, cx, steps),
            (Command::Mail(_), session) => session.rejected("MAIL", reply::MAIL_ALREADY, steps),
            (Command::Rcpt(rcpt), Session::Open(peer, transaction)) => {
                transaction::rcpt(peer, transaction, rcpt, cx, steps)
            }
            (Command::Rcpt(_), session @ Session::Idle(_)) => {
                session.rejected("RCPT", reply::MAIL_FIRST, steps)
            }
            (Command::Rcpt(_), session) => session.rejected("RCPT", reply::CHUNKS_OPEN, steps),
            (Command::Data, Session::Open(peer, transaction)) => {
                data::begin_data(peer, transaction, cx, steps)
            }
            (Command::Data, session @ Session::Idle(_)) => {
                session.rejected("DATA", reply::MAIL_FIRST, steps)
            }
            // RFC 3030 §2: DATA and BDAT do not mix in one transaction.
            (Command::Data, session) => session.rejected("DATA", reply::CHUNKS_OPEN, steps),
            // Octets that could only be thrown away, and too many of them to wait for.
            (Command::Bdat { size, .. }, session)
                if size > cx.options.message_size_max.saturating_add(CHUNK_SKIP_MAX) =>
            {
                self = session.rejected("BDAT", reply::TOO_BIG, steps);
                self.abandon(steps);
                steps.effects.push(Effect::Close);
                Session::Closed
            }
            (Command::Bdat { size, last }, session) => {
                let chunk = Chunk { left: size, last };
                match session.begin_chunk(chunk, cx, steps) {
                    // An empty chunk ends where it begins.
                    Session::Chunk(peer, incoming, chunk) if size == 0 => {
                        data::receive_chunk(peer, incoming, chunk, &mut rest.slice(..0), cx, steps)
                    }
                    Session::Skipping(peer, skip) if size == 0 => {
                        data::skip_chunk(peer, skip, &mut rest.slice(..0), steps)
                    }
                    session => session,
                }
            }
        }
    }

    fn begin_chunk(self, chunk: Chunk, cx: &mut Context<'_>, steps: &mut Steps) -> Self {
        match self {
            Session::Open(peer, transaction) => {
                data::begin_chunks(peer, transaction, chunk, cx, steps)
            }
            Session::Chunks(peer, incoming) => data::next_chunk(peer, incoming, chunk, cx, steps),
            Session::Idle(peer) => {
                Session::Skipping(peer, Skip::new(chunk, reply::MAIL_FIRST, None))
            }
            other => other,
        }
    }

    /// Answers a command without mail.
    fn say(mut self, reply: Reply, steps: &mut Steps) -> Self {
        reply.write(&mut steps.replies);
        if let Some(peer) = self.peer_mut() {
            peer.idle_commands += 1;
        }
        self
    }

    fn rejected(mut self, command: &'static str, reply: Reply, steps: &mut Steps) -> Self {
        self.reject(command, reply, None, steps);
        self
    }

    fn reject(
        &mut self,
        command: &'static str,
        reply: Reply,
        to: Option<Bytes>,
        steps: &mut Steps,
    ) {
        let from = match self {
            Session::Open(_, transaction) => transaction.sender(),
            Session::Chunks(_, incoming) => incoming.sender(),
            _ => None,
        };
        if let Some(peer) = self.peer_mut() {
            peer.reject(command, reply, from, to, steps);
        }
    }

    /// Ends the transaction.
    fn reset(mut self, steps: &mut Steps) -> Self {
        self.abandon(steps);
        match self {
            Session::Open(peer, _)
            | Session::Data(peer, ..)
            | Session::Chunk(peer, ..)
            | Session::Chunks(peer, _) => Session::Idle(peer),
            other => other,
        }
    }

    fn abandon(&mut self, steps: &mut Steps) {
        let spooled = self.incoming_mut().and_then(|incoming| incoming.spooled());
        steps.effects.extend(spooled.map(|message| Effect::Abandon { message }));
    }

    fn close(mut self, reply: Reply, steps: &mut Steps) -> Self {
        if matches!(self, Session::Closed) {
            return self;
        }
        self.abandon(steps);
        Self::refuse(reply, steps)
    }

    /// Ends a session that has used up its patience, or whose time to drain has come.
    fn check_limits(mut self, cx: &Context<'_>, steps: &mut Steps) -> Self {
        let idle = matches!(self, Session::Idle(_));
        let Some(peer) = self.peer_mut() else {
            return self;
        };
        if peer.errors >= cx.options.errors_max {
            self.close(reply::TOO_MANY_ERRORS, steps)
        } else if peer.idle_commands >= IDLE_COMMANDS_MAX {
            self.close(reply::TOO_MANY_COMMANDS, steps)
        } else if idle && cx.pressure.draining {
            self.close(reply::DRAINING, steps)
        } else {
            self
        }
    }

    /// `None` while the store is to speak, and at the end.
    fn peer_mut(&mut self) -> Option<&mut Peer> {
        match self {
            Session::Idle(peer)
            | Session::Open(peer, _)
            | Session::Data(peer, ..)
            | Session::Chunk(peer, ..)
            | Session::Chunks(peer, _)
            | Session::Skipping(peer, _) => Some(peer),
            Session::Resolving(..) | Session::Committing(..) | Session::Closed => None,
        }
    }

    fn incoming_mut(&mut self) -> Option<&mut Incoming> {
        match self {
            Session::Data(_, incoming, _)
            | Session::Chunk(_, incoming, _)
            | Session::Chunks(_, incoming) => Some(incoming),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
