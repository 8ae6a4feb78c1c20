//! The server's session: octets in, replies and effects out.
//!
//! A session is an enum of its states, and a step consumes the state. A command that needs the
//! store becomes a [`Job`]: it asks one question, waits for its answer in `Busy`, and either asks
//! the next one or ends the command. While a question is open nothing is read, and what the client
//! has pipelined waits, so a session's memory is bounded by one read, one answer and what its
//! client has not taken yet.

mod append;
mod command;
mod expunge;
mod folders;
mod idle;
mod job;
mod login;
pub(in crate::imap) mod peer;
mod quota;
mod select;
mod step;
mod store;
mod tell;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use bytes::Bytes;

pub(super) use self::job::Job;
pub use self::step::{Context, Effect, Options, Steps};
use self::{append::Append, job::Work, peer::Peer};
pub(super) use self::{
    select::write_vanished,
    step::{Answer, Next, Tell, Telling, Turn},
    store::number,
};
use super::{
    frame::Frame,
    reply::{Reply, Status},
};
use crate::{
    limits::{BODY_ROOM_MAX, COMMAND_ROOM, IMAP_ERRORS_MAX, IMAP_UNSENT_MAX, LOGIN_FAILURES_MAX},
    mail::{
        mailbox::{
            ContentId, Done, Found, MailboxId, ModSeq, NewContent, StoreTrouble, Uids, Verdict,
        },
        sasl::Exchange,
    },
    time::Duration,
};

/// One connection. The large parts are boxed: an idle session is a `Peer` and the runs of its view.
pub enum Session {
    /// Between commands.
    Ready(Box<Peer>),
    /// A command waits for an answer.
    Busy(Box<Peer>, Box<Work>),
    /// A command waits for its client to take what it asked for.
    Resting(Box<Peer>, Box<Work>),
    /// Behind IDLE, with its tag.
    Idling(Box<Peer>, Bytes),
    /// Behind AUTHENTICATE, with its tag.
    Answering(Box<Peer>, Bytes, Box<Exchange>),
    /// Inside APPEND, with its tag.
    Appending(Box<Peer>, Bytes, Box<Append>),
    Closed,
}

impl Session {
    /// Greets, or refuses when draining.
    pub fn new(client: SocketAddr, cx: &Context<'_>, steps: &mut Steps) -> Self {
        let peer = Box::new(Peer::new(client));
        if cx.draining {
            return Session::Ready(peer).bye("UNAVAILABLE", DRAINING, steps);
        }
        steps.out.text("* OK [");
        peer.capabilities(cx.options, &mut steps.out);
        steps.out.text("] ");
        steps.out.text(&cx.options.hostname);
        steps.out.text(" Ringmail is ready\r\n");
        Session::Ready(peer).counted(steps)
    }

    /// Turns a client away.
    pub fn refuse(text: &'static str, steps: &mut Steps) -> Self {
        steps.out.untagged("BYE", "UNAVAILABLE", text);
        steps.effects.push(Effect::Close);
        Session::Closed
    }

    /// Takes what was read and works through it, up to where only an answer can tell more.
    pub fn receive(mut self, bytes: Bytes, cx: &Context<'_>, steps: &mut Steps) -> Self {
        let Some(peer) = self.peer_mut() else { return self };
        // A read that was under way when the question was asked is put behind what waits.
        peer.rest = match peer.rest.is_empty() {
            true => bytes,
            false => [&peer.rest[..], &bytes[..]].concat().into(),
        };
        self.advance(cx, steps).counted(steps)
    }

    /// The answer to `Effect::Ask`.
    pub fn found(
        self,
        result: Result<Found, StoreTrouble>,
        cx: &Context<'_>,
        steps: &mut Steps,
    ) -> Self {
        self.answer(result.map_or_else(Answer::Trouble, Answer::Found), cx, steps)
    }

    /// The answer to `Effect::Act`: it is on stable storage, or it is not.
    pub fn done(
        self,
        result: Result<Done, StoreTrouble>,
        cx: &Context<'_>,
        steps: &mut Steps,
    ) -> Self {
        self.answer(result.map_or_else(Answer::Trouble, Answer::Done), cx, steps)
    }

    /// The answer to `Effect::Authenticate`.
    pub fn authenticated(self, verdict: Verdict, cx: &Context<'_>, steps: &mut Steps) -> Self {
        self.answer(Answer::Verdict(verdict), cx, steps)
    }

    /// The answer to `Effect::ContentEnd`.
    pub fn content(
        self,
        result: Result<NewContent, StoreTrouble>,
        cx: &Context<'_>,
        steps: &mut Steps,
    ) -> Self {
        self.answer(result.map_or_else(Answer::Trouble, Answer::Content), cx, steps)
    }

    /// The selected mailbox has changed. Told at once to a client in IDLE that takes what it is
    /// told, else when it has done so, or behind its next command that may.
    pub fn changed(mut self, cx: &Context<'_>, steps: &mut Steps) -> Self {
        if let Some(view) = self.peer_mut().and_then(|peer| peer.view_mut()) {
            view.stale = true;
        }
        match self {
            Session::Idling(peer, tag) if peer.unsent < IMAP_UNSENT_MAX => {
                idle::refresh(peer, tag, cx, steps).counted(steps)
            }
            other => other,
        }
    }

    /// All that was put out is with the client.
    pub fn sent(mut self, cx: &Context<'_>, steps: &mut Steps) -> Self {
        if let Some(peer) = self.peer_mut() {
            peer.unsent = 0;
        }
        match self {
            Session::Resting(peer, work) => {
                Session::Busy(peer, work).answer(Answer::Sent, cx, steps)
            }
            // What came while it took nothing.
            Session::Idling(peer, tag) => {
                idle::refresh(peer, tag, cx, steps).advance(cx, steps).counted(steps)
            }
            other => other.advance(cx, steps).counted(steps),
        }
    }

    /// The client has kept us waiting for `timeout`.
    pub fn timed_out(self, steps: &mut Steps) -> Self {
        match self {
            Session::Busy(..) | Session::Closed => self,
            other => other.bye("", "You were silent for too long; closing", steps),
        }
    }

    /// `Context::draining` has come to be: what has no command under way ends now.
    pub fn drain(self, cx: &Context<'_>, steps: &mut Steps) -> Self {
        self.advance(cx, steps).counted(steps)
    }

    /// The client is gone: contents that were built for an APPEND and are to be abandoned, which
    /// undoes nothing of a commit. One that is being built is for its builder to forget.
    pub fn closed(self) -> Vec<ContentId> {
        match self {
            Session::Appending(_, _, append) => append.spooled().collect(),
            Session::Busy(_, work) => match work.job {
                Job::Append(append) => append.spooled().collect(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// Octets the next read should have room for; `None`: not to be read now.
    pub fn room(&self) -> Option<usize> {
        let (peer, room) = match self {
            Session::Appending(peer, _, append) => {
                (peer, append.left().clamp(COMMAND_ROOM, BODY_ROOM_MAX))
            }
            Session::Ready(peer) | Session::Idling(peer, _) | Session::Answering(peer, ..) => {
                (peer, COMMAND_ROOM)
            }
            Session::Busy(..) | Session::Resting(..) | Session::Closed => return None,
        };
        (peer.unsent < IMAP_UNSENT_MAX).then_some(room)
    }

    /// How long the present wait for the client may last. The store may take its time.
    pub fn timeout(&self, options: &Options) -> Duration {
        match self {
            Session::Busy(..) | Session::Closed => Duration::MAX,
            Session::Ready(peer) | Session::Answering(peer, ..) if peer.login().is_none() => {
                options.login_timeout
            }
            _ => options.idle_timeout,
        }
    }

    /// The selected mailbox, and the change up to which its client knows what was expunged: what
    /// was expunged later must stay readable.
    pub fn watching(&self) -> Option<(MailboxId, ModSeq)> {
        self.peer()?.view().map(|view| (view.mailbox, view.readable))
    }

    /// Octets of memory that the session takes besides its buffers on the way out.
    pub fn memory(&self) -> usize {
        let Some(peer) = self.peer() else { return 0 };
        let view = peer.view().map_or(0, |view| {
            size_of_val(view) + view.uids.memory() + view.gone.memory() + view.saved.memory()
        });
        size_of::<Self>() + size_of_val(peer) + peer.frames.memory() + peer.rest.len() + view
    }

    fn advance(mut self, cx: &Context<'_>, steps: &mut Steps) -> Self {
        loop {
            let between = matches!(self, Session::Ready(_) | Session::Idling(..));
            if cx.draining && (between || matches!(self, Session::Answering(..))) {
                return self.bye("UNAVAILABLE", DRAINING, steps);
            }
            let line = matches!(self, Session::Idling(..) | Session::Answering(..));
            let peer = match &mut self {
                Session::Ready(peer)
                | Session::Idling(peer, _)
                | Session::Answering(peer, ..)
                | Session::Appending(peer, ..) => peer,
                Session::Busy(..) | Session::Resting(..) | Session::Closed => return self,
            };
            if peer.unsent + steps.out.len() >= IMAP_UNSENT_MAX {
                return self;
            }
            let Some(frame) = peer.next_frame(line) else { return self };
            self = self.take(frame, cx, steps);
        }
    }

    fn take(self, frame: Frame, cx: &Context<'_>, steps: &mut Steps) -> Self {
        match (frame, self) {
            (Frame::Fatal { text }, session) => session.bye("", text, steps),
            (Frame::Continue, session) => {
                steps.out.text("+ OK\r\n");
                session
            }
            (Frame::Command(command), Session::Ready(mut peer)) => {
                let tag = command.tag;
                let mut turn = Turn { peer: &mut peer, tag: &tag, cx, steps };
                let next = command::begin(command.request, &mut turn);
                Self::go_on(peer, tag, next, cx, steps)
            }
            (Frame::Line(line), Session::Idling(peer, tag)) => {
                idle::line(peer, tag, &line, cx, steps)
            }
            (Frame::Line(line), Session::Answering(mut peer, tag, exchange)) => {
                let mut turn = Turn { peer: &mut peer, tag: &tag, cx, steps };
                let next = login::line(*exchange, &line, &mut turn);
                Self::go_on(peer, tag, next, cx, steps)
            }
            (frame, Session::Appending(mut peer, tag, append)) => {
                let mut turn = Turn { peer: &mut peer, tag: &tag, cx, steps };
                let next = append.take(frame, &mut turn);
                Self::go_on(peer, tag, next, cx, steps)
            }
            (frame, Session::Ready(mut peer)) => {
                // RFC 5182 §2.1: a search that fails leaves nothing to refer to.
                let forgets = matches!(frame, Frame::BadCharset { saving: true, .. });
                if let Some(view) = peer.view_mut().filter(|_| forgets) {
                    view.saved = Uids::default();
                }
                match job::refusal(frame) {
                    Some((tag, reply)) => Self::go_on(peer, tag, Next::end(reply), cx, steps),
                    None => Session::Ready(peer),
                }
            }
            (_, session) => session,
        }
    }

    fn answer(self, answer: Answer, cx: &Context<'_>, steps: &mut Steps) -> Self {
        let Session::Busy(mut peer, work) = self else { return self };
        let Work { tag, job } = *work;
        let mut turn = Turn { peer: &mut peer, tag: &tag, cx, steps };
        let next = job.answered(answer, &mut turn);
        Self::go_on(peer, tag, next, cx, steps).advance(cx, steps).counted(steps)
    }

    fn go_on(
        mut peer: Box<Peer>,
        tag: Bytes,
        next: Next,
        cx: &Context<'_>,
        steps: &mut Steps,
    ) -> Self {
        match next {
            Next::Wait(job) => Session::Busy(peer, Box::new(Work { tag, job })),
            Next::Rest(job) => Session::Resting(peer, Box::new(Work { tag, job })),
            Next::Idle => Session::Idling(peer, tag),
            Next::Answer(exchange) => Session::Answering(peer, tag, Box::new(exchange)),
            Next::Append(append) => Session::Appending(peer, tag, append),
            Next::Close => {
                steps.effects.push(Effect::Close);
                Session::Closed
            }
            Next::End(reply, Tell::Changes(how)) if peer.view().is_some() => {
                let mut turn = Turn { peer: &mut peer, tag: &tag, cx, steps };
                let next = tell::begin(tell::After::Reply(reply), *how, &mut turn);
                Self::go_on(peer, tag, next, cx, steps)
            }
            Next::End(reply, _) => Self::conclude(peer, &tag, &reply, steps),
        }
    }

    /// The command's last line. Who makes too many mistakes is not listened to any longer.
    fn conclude(mut peer: Box<Peer>, tag: &[u8], reply: &Reply, steps: &mut Steps) -> Self {
        let highest = peer.view().map_or(0, |view| view.told.0);
        steps.out.tagged(tag, reply, highest);
        match reply.status {
            Status::Bad => peer.errors += 1,
            Status::Ok => peer.errors = 0,
            Status::No => {}
        }
        if peer.errors >= IMAP_ERRORS_MAX {
            return Session::Ready(peer).bye("", "Too many errors; closing", steps);
        }
        if peer.failures >= LOGIN_FAILURES_MAX {
            return Session::Ready(peer).bye("", "Too many failed logins; closing", steps);
        }
        Session::Ready(peer)
    }

    /// RFC 9051 §7.1.5: the last words, said once.
    fn bye(self, code: &str, text: &str, steps: &mut Steps) -> Self {
        if matches!(self, Session::Closed) {
            return self;
        }
        if let Session::Appending(_, _, append) = self {
            append.abandon(steps);
        }
        steps.out.untagged("BYE", code, text);
        steps.effects.push(Effect::Close);
        Session::Closed
    }

    fn counted(mut self, steps: &Steps) -> Self {
        if let Some(peer) = self.peer_mut() {
            peer.unsent = peer.unsent.saturating_add(steps.out.len());
        }
        self
    }

    fn peer(&self) -> Option<&Peer> {
        match self {
            Session::Ready(peer)
            | Session::Busy(peer, _)
            | Session::Resting(peer, _)
            | Session::Idling(peer, _)
            | Session::Answering(peer, ..)
            | Session::Appending(peer, ..) => Some(peer),
            Session::Closed => None,
        }
    }

    fn peer_mut(&mut self) -> Option<&mut Peer> {
        match self {
            Session::Ready(peer)
            | Session::Busy(peer, _)
            | Session::Resting(peer, _)
            | Session::Idling(peer, _)
            | Session::Answering(peer, ..)
            | Session::Appending(peer, ..) => Some(peer),
            Session::Closed => None,
        }
    }
}

const DRAINING: &str = "Shutting down; come back later";
