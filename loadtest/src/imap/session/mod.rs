//! One connection's state machine: octets and instants in, octets and results out.
//!
//! After each answer a session looks what is still missing before it may work (the capabilities,
//! the mailbox, enough messages in it, their UIDs) and asks for that first; nothing of it is
//! measured. Then it is ready, and whoever drives it tells the next command to measure.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use self::ask::{Errand, What};
use super::{
    account::Account, command, mailbox::Mailbox, message::Messages, random::Random, reply::Replies,
    work::Kind,
};

mod answer;
mod ask;

/// A server may end an IDLE after half an hour (RFC 2177 §3), so it is begun anew before.
const IDLE_RENEWED: Duration = Duration::from_secs(25 * 60);

/// What all sessions of a run have alike.
#[derive(Debug)]
pub struct Options {
    /// Whether to ask for TLS by STARTTLS.
    pub starttls: bool,
    pub mailbox: String,
    /// Whether the work needs a selected mailbox.
    pub selects: bool,
    /// Whether the work needs UIDs.
    pub addresses: bool,
    pub messages: Messages,
    /// The day `search` looks back to, as in `1-Feb-2026`.
    pub since: String,
    /// Whether commands come at a fixed rate: then a login counts from when it was due, else from
    /// the moment its connection is begun.
    pub paced: bool,
    pub answer_timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Does the work.
    Worker,
    /// Sits in IDLE beside a worker and tells of new messages.
    Watcher,
}

/// What the session wants done, or tells.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    Send(Bytes),
    /// Begin TLS; then call `secured`.
    Secure,
    /// End the connection and make a new one: the session has forgotten this one.
    Reconnect(Again),
    /// Nothing is missing: a worker can be given a command, a watcher watches.
    Ready,
    Done {
        kind: Kind,
        took: Duration,
    },
    /// `kind` is none where it befell what is not measured.
    Failed {
        kind: Option<Kind>,
        text: String,
    },
    /// A watcher was told how many messages there are.
    Exists(u32),
}

/// When to connect again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    AtOnce,
    /// After a pause that grows.
    Later,
}

#[derive(Debug)]
enum State {
    Down,
    Greeting,
    Securing,
    Ready,
    Waiting(Errand),
    /// The APPEND of an `idle` was acknowledged; the watcher has not told of it yet.
    Unnoticed,
}

/// A command that is measured, and the moment its time counts from.
#[derive(Clone, Copy, Debug)]
struct Measured {
    kind: Kind,
    since: Instant,
}

/// How an `idle` stands.
#[derive(Clone, Copy, Debug)]
struct Notice {
    /// As many messages as there are with the new one.
    wanted: u32,
    noticed: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Offered {
    known: bool,
    literal_plus: bool,
    literal_minus: bool,
    idle: bool,
}

#[derive(Debug)]
pub struct Session {
    options: Arc<Options>,
    role: Role,
    account: Account,
    /// How many messages the mailbox must have before work.
    fill: u32,
    replies: Replies,
    random: Random,
    /// The high half names the session, the low one counts its messages.
    message_number: u64,
    searches: u32,
    tag: u32,
    state: State,
    offered: Offered,
    mailbox: Mailbox,
    selected: bool,
    measured: Option<Measured>,
    notice: Option<Notice>,
    deadline: Option<Instant>,
}

impl Session {
    /// `number` tells sessions of one run apart.
    pub fn new(options: Arc<Options>, role: Role, account: Account, number: u32) -> Self {
        Self {
            options,
            role,
            account,
            fill: 0,
            replies: Replies::default(),
            random: Random::new(u64::from(number)),
            message_number: u64::from(number) << 32,
            searches: 0,
            tag: 0,
            state: State::Down,
            offered: Offered::default(),
            mailbox: Mailbox::default(),
            selected: false,
            measured: None,
            notice: None,
            deadline: None,
        }
    }

    /// Before work, the mailbox shall have this many messages.
    pub fn fill(&mut self, messages: u32) {
        self.fill = messages;
    }

    /// The account of the connections to come.
    pub fn change_account(&mut self, account: Account) {
        self.account = account;
    }

    /// When `expired` is to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// A connection is being made.
    pub fn connecting(&mut self, now: Instant) {
        if let Some(Measured { kind: Kind::Login, since }) = &mut self.measured
            && !self.options.paced
        {
            *since = now;
        }
        self.state = State::Greeting;
        self.replies = Replies::default();
        self.offered = Offered::default();
        self.selected = false;
        self.deadline = Some(now + self.options.answer_timeout);
    }

    /// The TLS handshake is done: after STARTTLS no greeting follows.
    pub fn secured(&mut self, now: Instant, out: &mut Vec<Action>) {
        if matches!(self.state, State::Securing) {
            self.log_in(now, out);
        }
    }

    /// Begins a command, which counts from `since`. Only for a session that is ready.
    pub fn begin(&mut self, kind: Kind, since: Instant, now: Instant, out: &mut Vec<Action>) {
        self.measured = Some(Measured { kind, since });
        match kind {
            Kind::Login => self.send(What::Logout, command::LOGOUT, now, out),
            Kind::List => self.send(What::Ask(kind), command::LIST, now, out),
            Kind::Select => self.select(now, out),
            Kind::Append => self.append(now, out),
            Kind::Idle => {
                let wanted = self.mailbox.exists.saturating_add(1);
                self.notice = Some(Notice { wanted, noticed: None });
                self.append(now, out);
            }
            Kind::Search => {
                self.searches = self.searches.wrapping_add(1);
                let words = command::search(self.searches, &self.options.since, &mut self.random);
                self.send(What::Ask(kind), &words, now, out);
            }
            Kind::FetchHeaders | Kind::FetchBodies | Kind::Store => {
                match command::about_messages(kind, &self.mailbox, &mut self.random) {
                    Some(words) => self.send(What::Ask(kind), &words, now, out),
                    None => self.fail("the mailbox is empty: fill it by --prefill", out),
                }
            }
        }
    }

    /// Selects the mailbox anew, if the work needs it; then it is ready again.
    pub fn refresh(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.selected = false;
        self.settle(now, out);
    }

    /// Logs out, to come back by what `change_account` told.
    pub fn leave(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.send(What::Logout, command::LOGOUT, now, out);
    }

    /// The watcher of this session's mailbox was told how many messages there are.
    pub fn noticed(&mut self, messages: u32, now: Instant, out: &mut Vec<Action>) {
        if let Some(notice) = &mut self.notice
            && messages >= notice.wanted
            && notice.noticed.is_none()
        {
            notice.noticed = Some(now);
            if matches!(self.state, State::Unnoticed) {
                self.done(now, out);
                self.settle(now, out);
            }
        }
    }

    /// The connection ended, or could not be made.
    pub fn closed(&mut self, why: &str, out: &mut Vec<Action>) {
        let leaving = matches!(&self.state, State::Waiting(errand) if errand.what == What::Logout);
        if leaving { self.reconnect(Again::AtOnce, out) } else { self.fail(why, out) }
    }

    /// The deadline has come.
    pub fn expired(&mut self, now: Instant, out: &mut Vec<Action>) {
        match &self.state {
            State::Ready if self.role == Role::Watcher => {
                out.push(Action::Send(command::DONE));
                self.deadline = Some(now + self.options.answer_timeout);
                // The tag of the IDLE is still to be answered.
                self.state = State::Waiting(Errand::new(self.tag, What::Watch, 0));
            }
            State::Waiting(errand) => {
                self.fail(&format!("no answer to {} in time", errand.what.name()), out);
            }
            State::Unnoticed => self.fail("the watcher was told of no new message in time", out),
            _ => self.fail("no greeting in time", out),
        }
    }

    /// Octets came, in any cut.
    pub fn received(&mut self, now: Instant, mut octets: &[u8], out: &mut Vec<Action>) {
        let mut replies = std::mem::take(&mut self.replies);
        while !matches!(self.state, State::Down | State::Securing) {
            match replies.next(&mut octets) {
                Ok(Some(reply)) => self.take(reply, now, out),
                Ok(None) => {
                    self.replies = replies;
                    return;
                }
                Err(error) => self.fail(&error.to_string(), out),
            }
        }
        // Nothing that came before TLS counts behind it (RFC 9051 §6.2.1).
    }

    /// The measured command is done, if one was begun.
    fn done(&mut self, now: Instant, out: &mut Vec<Action>) {
        let noticed = self.notice.take().and_then(|notice| notice.noticed);
        if let Some(Measured { kind, since }) = self.measured.take() {
            let took = noticed.unwrap_or(now).saturating_duration_since(since);
            out.push(Action::Done { kind, took });
        }
    }

    /// The command failed; the connection may go on.
    fn miss(&mut self, text: &str, out: &mut Vec<Action>) {
        self.notice = None;
        let kind = self.measured.take().map(|measured| measured.kind);
        out.push(Action::Failed { kind, text: text.to_owned() });
    }

    /// The connection is of no more use.
    fn fail(&mut self, text: &str, out: &mut Vec<Action>) {
        self.miss(text, out);
        self.reconnect(Again::Later, out);
    }

    fn reconnect(&mut self, again: Again, out: &mut Vec<Action>) {
        self.state = State::Down;
        self.deadline = None;
        self.selected = false;
        out.push(Action::Reconnect(again));
    }
}
