//! One step of a reader's session, whichever protocol it speaks.

use std::net::SocketAddr;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{
    super::{Relay, Turn, output::Pieces},
    Reader, Service, imap, pop3,
};
use crate::mail::mailbox::{Done, Found, NewContent, StoreTrouble, Verdict};

/// What happens to a session: a closed list.
pub(super) enum Step {
    Received(Bytes),
    /// All replies are with the kernel.
    Sent,
    TimedOut,
    Drain,
    Found(Result<Found, StoreTrouble>),
    Done(Result<Done, StoreTrouble>),
    Authenticated(Verdict),
    /// A message of APPEND is a content, or cannot be one. POP3 knows none.
    Content(Result<NewContent, StoreTrouble>),
    /// The selected mailbox has changed. POP3 shows it as it was.
    Changed,
}

/// What a step has left to be done.
#[derive(Default)]
pub(super) struct Left {
    pub pieces: Pieces,
    pub effects: SmallVec<[imap::Effect; 2]>,
}

impl Relay {
    fn imap_context(&self, turn: &Turn<'_>) -> imap::Context<'_> {
        imap::Context { options: &self.options.imap, now: turn.now, draining: self.draining }
    }

    fn pop3_context(&self) -> pop3::Context<'_> {
        pop3::Context { options: &self.options.pop3, draining: self.draining }
    }

    pub(super) fn greet_imap(&self, turn: &Turn<'_>, client: SocketAddr) -> (Service, Left) {
        let mut steps = imap::Steps::default();
        let session = imap::Session::new(client, &self.imap_context(turn), &mut steps);
        (Service::Imap(session), steps.into())
    }

    pub(super) fn greet_pop3(&self, client: SocketAddr) -> (Service, Left) {
        let mut steps = pop3::Steps::default();
        let session = pop3::Session::new(client, &self.pop3_context(), &mut steps);
        (Service::Pop3(session), steps.into())
    }

    /// The step consumes the state and leaves the next.
    pub(super) fn step_reader(&self, turn: &Turn<'_>, reader: &mut Reader, step: Step) -> Left {
        match std::mem::replace(&mut reader.service, Service::Gone) {
            Service::Gone => Left::default(),
            Service::Imap(session) => {
                let mut steps = imap::Steps::default();
                let session = step.of_imap(session, &self.imap_context(turn), &mut steps);
                reader.service = Service::Imap(session);
                steps.into()
            }
            Service::Pop3(session) => {
                let mut steps = pop3::Steps::default();
                let session = step.of_pop3(session, &self.pop3_context(), &mut steps);
                reader.service = Service::Pop3(session);
                steps.into()
            }
        }
    }
}

impl Step {
    fn of_imap(
        self,
        session: imap::Session,
        cx: &imap::Context<'_>,
        steps: &mut imap::Steps,
    ) -> imap::Session {
        match self {
            Step::Received(bytes) => session.receive(bytes, cx, steps),
            Step::Sent => session.sent(cx, steps),
            Step::TimedOut => session.timed_out(steps),
            Step::Drain => session.drain(cx, steps),
            Step::Found(found) => session.found(found, cx, steps),
            Step::Done(done) => session.done(done, cx, steps),
            Step::Authenticated(verdict) => session.authenticated(verdict, cx, steps),
            Step::Content(content) => session.content(content, cx, steps),
            Step::Changed => session.changed(cx, steps),
        }
    }

    fn of_pop3(
        self,
        session: pop3::Session,
        cx: &pop3::Context<'_>,
        steps: &mut pop3::Steps,
    ) -> pop3::Session {
        match self {
            Step::Received(bytes) => session.receive(bytes, cx, steps),
            Step::Sent => session.sent(cx, steps),
            Step::TimedOut => session.timed_out(steps),
            Step::Drain => session.drain(cx, steps),
            Step::Found(found) => session.found(found, cx, steps),
            Step::Done(done) => session.done(done, cx, steps),
            Step::Authenticated(verdict) => session.authenticated(verdict, cx, steps),
            Step::Content(_) | Step::Changed => session,
        }
    }
}

impl From<imap::Steps> for Left {
    fn from(steps: imap::Steps) -> Self {
        Left { pieces: steps.out.pieces(), effects: steps.effects }
    }
}

impl From<pop3::Steps> for Left {
    fn from(steps: pop3::Steps) -> Self {
        let effects = steps.effects.into_iter().map(imap::Effect::from).collect();
        Left { pieces: steps.out.pieces(), effects }
    }
}
