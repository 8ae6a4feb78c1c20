//! RFC 1939 §5, the TRANSACTION state: a maildrop as it stood at login, and what is asked of it.

use std::fmt::Write;

use super::{
    Context, Session, Steps, login::capabilities, peer::Peer, retrieval::Wanted, update::Update,
};
use crate::{
    limits::POP3_MESSAGES_MAX,
    mail::mailbox::{Entry, MailboxId, ModSeq, Opened, Uid, Uids},
    pop3::{
        command::{self, Command},
        reply::{self, Reply},
    },
};

/// The list of one session. A message's number is its place in it, from 1.
#[derive(Debug)]
pub struct Maildrop {
    mailbox: MailboxId,
    uid_validity: u32,
    /// The state of the mailbox that is listed.
    told: ModSeq,
    uids: Uids,
    /// By number; one over 4 GiB is said to have just that.
    sizes: Vec<u32>,
    /// Octets of all messages, and of those marked.
    octets: u64,
    marked_octets: u64,
    /// To be removed at QUIT.
    pub(super) marked: Uids,
    /// Retrieved and not `\Seen` yet.
    pub(super) retrieved: Uids,
}

/// A list of many lines on its way.
#[derive(Clone, Copy, Debug)]
pub struct Listing {
    of: Described,
    /// The number of the message that is next.
    next: u32,
}

#[derive(Clone, Copy, Debug)]
enum Described {
    Size,
    UniqueId,
}

/// Lines put out between two looks at what the client has not taken.
const LINES_AT_ONCE: u32 = 256;

impl Maildrop {
    pub(super) fn new(opened: &Opened) -> Self {
        let count = opened.uids.count().min(POP3_MESSAGES_MAX);
        Self {
            mailbox: opened.standing.mailbox,
            uid_validity: opened.standing.uid_validity,
            told: opened.standing.highest_modseq,
            uids: Uids::default(),
            sizes: Vec::with_capacity(count as usize),
            octets: 0,
            marked_octets: 0,
            marked: Uids::default(),
            retrieved: Uids::default(),
        }
    }

    /// Takes the next messages, in the order of their UIDs.
    pub(super) fn extend<'a>(&mut self, entries: impl Iterator<Item = &'a Entry>) {
        for entry in entries {
            let size = u32::try_from(entry.size).unwrap_or(u32::MAX);
            self.uids.insert(entry.uid);
            self.sizes.push(size);
            self.octets += u64::from(size);
        }
    }

    /// The login has succeeded.
    pub(super) fn open(self: Box<Self>, peer: Box<Peer>, steps: &mut Steps) -> Session {
        self.summarize(steps);
        Session::Transaction(peer, self)
    }

    pub(super) fn watching(&self) -> (MailboxId, ModSeq) {
        (self.mailbox, self.told)
    }

    /// Takes a line of what was read.
    pub(super) fn receive(
        self: Box<Self>,
        mut peer: Box<Peer>,
        cx: &Context<'_>,
        steps: &mut Steps,
    ) -> Session {
        let refusal = match peer.line(command::parse) {
            None => return Session::Transaction(peer, self),
            Some(Ok(Ok(command))) => return self.obey(command, peer, cx, steps),
            Some(Ok(Err(refusal))) => refusal,
            Some(Err(_)) => reply::LINE_TOO_LONG,
        };
        peer.count();
        refusal.write(&mut steps.out);
        Session::Transaction(peer, self)
    }

    fn obey(
        mut self: Box<Self>,
        command: Command,
        mut peer: Box<Peer>,
        cx: &Context<'_>,
        steps: &mut Steps,
    ) -> Session {
        match command {
            Command::Quit => return Update::begin(peer, self, steps),
            Command::Capa => capabilities(peer.may_log_in(cx.options), steps),
            Command::Noop => reply::OK.write(&mut steps.out),
            Command::Stat => {
                let (count, octets) = self.standing();
                let _ = write!(steps.out, "+OK {count} {octets}\r\n");
            }
            Command::Rset => {
                (self.marked, self.marked_octets) = (Uids::default(), 0);
                reply::UNMARKED.write(&mut steps.out);
            }
            Command::Dele(number) => self.mark(number).write(&mut steps.out),
            Command::List(None) => {
                self.summarize(steps);
                return Session::Listing(peer, self, Listing { of: Described::Size, next: 1 });
            }
            Command::Uidl(None) => {
                reply::UNIQUE_IDS.write(&mut steps.out);
                return Session::Listing(peer, self, Listing { of: Described::UniqueId, next: 1 });
            }
            Command::List(Some(number)) => self.describe(Described::Size, number, steps),
            Command::Uidl(Some(number)) => self.describe(Described::UniqueId, number, steps),
            Command::Retr(number) => return self.retrieve(number, None, peer, steps),
            Command::Top { message, lines } => {
                return self.retrieve(message, Some(lines), peer, steps);
            }
            Command::User { .. }
            | Command::Pass { .. }
            | Command::Auth { .. }
            | Command::Mechanisms
            | Command::Utf8 => {
                peer.count();
                reply::LOGGED_IN_ALREADY.write(&mut steps.out);
            }
        }
        Session::Transaction(peer, self)
    }

    /// Messages and their octets, without those that are marked.
    fn standing(&self) -> (u32, u64) {
        (self.uids.count() - self.marked.count(), self.octets - self.marked_octets)
    }

    fn summarize(&self, steps: &mut Steps) {
        let (count, octets) = self.standing();
        let _ = write!(steps.out, "+OK {count} messages ({octets} octets)\r\n");
    }

    /// The message with this number and its size, unless it is marked: to the client that one is
    /// gone.
    fn message(&self, number: u32) -> Option<(Uid, u32)> {
        let uid = self.uids.at(number).filter(|uid| !self.marked.contains(*uid))?;
        let place = number.checked_sub(1)?;
        Some((uid, *self.sizes.get(place as usize)?))
    }

    fn mark(&mut self, number: u32) -> Reply {
        let Some((uid, size)) = self.message(number) else {
            return reply::NO_SUCH_MESSAGE;
        };
        self.marked.insert(uid);
        self.marked_octets += u64::from(size);
        reply::MARKED
    }

    /// Answers LIST or UIDL of one message.
    fn describe(&self, of: Described, number: u32, steps: &mut Steps) {
        if self.message(number).is_none() {
            return reply::NO_SUCH_MESSAGE.write(&mut steps.out);
        }
        steps.out.text(b"+OK ");
        self.line(of, number, steps);
    }

    /// One line of a list; none for a message that is marked.
    fn line(&self, of: Described, number: u32, steps: &mut Steps) {
        let Some((Uid(uid), size)) = self.message(number) else {
            return;
        };
        match of {
            Described::Size => {
                let _ = write!(steps.out, "{number} {size}\r\n");
            }
            // RFC 1939 §7: an id lasts over sessions and is never that of another message.
            Described::UniqueId => {
                let validity = self.uid_validity;
                let _ = write!(steps.out, "{number} {validity}.{uid}\r\n");
            }
        }
    }

    fn retrieve(
        self: Box<Self>,
        number: u32,
        lines: Option<u32>,
        peer: Box<Peer>,
        steps: &mut Steps,
    ) -> Session {
        match self.message(number) {
            Some((uid, _)) => Wanted { uid, lines }.find(peer, self, steps),
            None => {
                reply::NO_SUCH_MESSAGE.write(&mut steps.out);
                Session::Transaction(peer, self)
            }
        }
    }
}

impl Listing {
    /// Puts out the next lines, and the end behind the last.
    pub(super) fn go_on(
        self,
        peer: Box<Peer>,
        maildrop: Box<Maildrop>,
        steps: &mut Steps,
    ) -> Session {
        let count = maildrop.uids.count();
        let behind = self.next.saturating_add(LINES_AT_ONCE);
        for number in self.next..behind.min(count + 1) {
            maildrop.line(self.of, number, steps);
        }
        if behind <= count {
            return Session::Listing(peer, maildrop, Listing { next: behind, ..self });
        }
        steps.out.text(b".\r\n");
        Session::Transaction(peer, maildrop)
    }
}
