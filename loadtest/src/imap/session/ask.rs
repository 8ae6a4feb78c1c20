//! What a session asks the server: the commands, and which is next before it is ready.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::{Action, Offered, Role, Session, State};
use crate::imap::{command, mailbox::Mailbox, work::Kind};

/// Most heads fit.
const HEAD_ROOM: usize = 128;

/// A command on its way.
#[derive(Debug)]
pub(super) struct Errand {
    pub tag: u32,
    pub what: What,
    /// The number of the message that is sent when the server asks for it.
    pub literal: Option<u64>,
    /// FETCH replies so far.
    pub fetched: u32,
    /// How many messages there were when it was given.
    pub exists: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    StartTls,
    Login,
    Capability,
    Select,
    /// Asks for the UIDs.
    Learn,
    Append,
    /// One of those that change nothing of what the session knows.
    Ask(Kind),
    Watch,
    Logout,
}

impl Session {
    pub(super) fn log_in(&mut self, now: Instant, out: &mut Vec<Action>) {
        // RFC 9051 §6.2.3: what was offered before counts no more.
        self.offered = Offered::default();
        let words = command::login(&self.account.user, &self.account.password);
        self.send(What::Login, &words, now, out);
    }

    /// Asks for what is still missing, or is ready.
    pub(super) fn settle(&mut self, now: Instant, out: &mut Vec<Action>) {
        if !self.offered.known {
            self.send(What::Capability, command::CAPABILITY, now, out);
        } else if self.options.selects && !self.selected {
            self.select(now, out);
        } else if self.mailbox.exists < self.fill {
            self.append(now, out);
        } else if self.options.addresses && !self.mailbox.knows() {
            let words = command::learn(self.mailbox.first_known());
            self.send(What::Learn, &words, now, out);
        } else if self.role == Role::Worker {
            self.state = State::Ready;
            self.deadline = None;
            out.push(Action::Ready);
        } else if self.offered.idle {
            self.send(What::Watch, command::IDLE, now, out);
        } else {
            self.fail("the server does not offer IDLE: leave idle out of --work", out);
        }
    }

    pub(super) fn select(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.selected = false;
        self.mailbox = Mailbox::default();
        let words = command::select(&self.options.mailbox);
        self.send(What::Select, &words, now, out);
    }

    pub(super) fn append(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.message_number = self.message_number.wrapping_add(1);
        let size = self.options.composer.message(self.message_number).size();
        // RFC 7888 §4 and §5.
        let at_once = self.offered.literal_plus
            || self.offered.literal_minus && size <= command::LITERAL_MINUS_MAX;
        let words = command::append(&self.options.mailbox, size, at_once);
        self.send(What::Append, &words, now, out);
        if at_once {
            self.hand_over(self.message_number, now, out);
        } else if let State::Waiting(errand) = &mut self.state {
            errand.literal = Some(self.message_number);
        }
    }

    pub(super) fn hand_over(&mut self, number: u64, now: Instant, out: &mut Vec<Action>) {
        let mut head = BytesMut::with_capacity(HEAD_ROOM);
        let rest = self.options.composer.message(number).write_head(&mut head);
        out.push(Action::Send(head.freeze()));
        out.push(Action::Send(rest));
        out.push(Action::Send(Bytes::from_static(b"\r\n")));
        // An `idle` counts from the last octet of the message, whatever came before.
        if let (Some(_), Some(measured)) = (self.notice, &mut self.measured) {
            measured.since = now;
        }
    }

    pub(super) fn send(&mut self, what: What, words: &str, now: Instant, out: &mut Vec<Action>) {
        self.tag = self.tag.wrapping_add(1);
        out.push(Action::Send(command::line(self.tag, words)));
        self.deadline = Some(now + self.options.answer_timeout);
        self.state = State::Waiting(Errand::new(self.tag, what, self.mailbox.exists));
    }
}

impl Errand {
    pub fn new(tag: u32, what: What, exists: u32) -> Self {
        Self { tag, what, literal: None, fetched: 0, exists }
    }
}

impl What {
    pub fn name(self) -> &'static str {
        match self {
            What::StartTls => "STARTTLS",
            What::Login => "LOGIN",
            What::Capability => "CAPABILITY",
            What::Select => "SELECT",
            What::Learn => "the FETCH of UIDs",
            What::Append => "APPEND",
            What::Ask(kind) => kind.name(),
            What::Watch => "IDLE",
            What::Logout => "LOGOUT",
        }
    }
}
