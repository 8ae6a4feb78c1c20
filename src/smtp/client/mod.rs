//! The client's session: a next hop's octets in, commands and effects out, no I/O.
//!
//! The session goes through a handshake, then takes transactions one by one, or with pipelining
//! one ahead of the other, and tells of each what became of its recipients. Bodies are handed
//! over by the caller when the session asks for them. Whatever the next hop does, each
//! transaction that began comes back exactly once: in `Effect::Done`, or in the `End`.

mod body;
mod command;
mod exchange;
mod hello;
mod reply;
mod transaction;
mod trouble;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

pub use self::trouble::Lost;
use self::{
    hello::{Hello, Shaken},
    reply::{Replies, Reply},
    transaction::Open,
    trouble::Trouble,
};
use crate::{
    limits::LINGER,
    mail::{Message, Recipient, Verdict},
    time::Duration,
};

/// The configuration of the client's sessions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// What EHLO says.
    pub hostname: String,
    pub greeting_timeout: Duration,
    pub command_timeout: Duration,
    pub data_timeout: Duration,
}

/// One message for some of its recipients; never none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    pub message: Arc<Message>,
    pub recipients: Vec<Recipient>,
}

/// What the steps of a session want done.
#[derive(Default, Debug)]
pub struct Steps {
    /// To be sent, in order.
    pub send: SmallVec<[Bytes; 4]>,
    pub effects: SmallVec<[Effect; 2]>,
    /// The wait that `Session::timeout` bounds begins anew. Part of a reply does not count: a
    /// host that drips its octets gains no time by it.
    pub waits_anew: bool,
}

/// What has come of a step, besides octets to send.
#[derive(PartialEq, Eq, Debug)]
pub enum Effect {
    /// The handshake is done.
    Ready,
    /// The next hop wants the body of the oldest transaction now: call `body`.
    Body,
    /// The oldest transaction is over, with one verdict a recipient, in their order.
    Done {
        transaction: Transaction,
        verdicts: Vec<Verdict>,
        /// The next hop was given the parameters of RFC 3461 and owes the reports.
        dsn_passed: bool,
    },
    /// The session is over: `lost` tells its end; drop the connection, with what is unsent.
    Close,
}

/// The end of a session: who is to be tried again, and where.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct End {
    /// This host was of no use from the start: the next one is to be tried with what is
    /// unstarted; after the last one, this is its verdict.
    pub host: Option<Verdict>,
    /// Oldest first.
    pub unfinished: Vec<Unfinished>,
}

/// What became of a transaction that the session's end cut short.
#[derive(PartialEq, Eq, Debug)]
pub enum Unfinished {
    /// Nothing of it was accepted or refused: it may go at once, by another connection.
    Unstarted(Transaction),
    /// One verdict a recipient, in their order.
    Settled { transaction: Transaction, verdicts: Vec<Verdict>, dsn_passed: bool },
}

/// A session with one next hop, over one connection.
#[derive(Debug)]
pub struct Session {
    replies: Replies,
    state: State,
}

#[derive(Debug)]
enum State {
    Hello(Hello),
    Open(Box<Open>),
    /// QUIT is said.
    Quitting,
    Ended(End),
}

impl Transaction {
    /// RFC 6531 §3.4: declared by the client, or told by an address.
    fn needs_smtputf8(&self) -> bool {
        let envelope = &self.message.envelope;
        envelope.smtputf8
            || envelope.reverse_path.as_ref().is_some_and(|path| path.needs_smtputf8())
            || self.recipients.iter().any(|recipient| recipient.address.needs_smtputf8())
    }
}

impl Default for Session {
    fn default() -> Self {
        Self::new()
    }
}

impl Session {
    /// Waits for the greeting.
    pub fn new() -> Self {
        Self { replies: Replies::default(), state: State::Hello(Hello::Greeting) }
    }

    /// Takes what the next hop has sent.
    pub fn receive(mut self, mut bytes: Bytes, options: &Options, steps: &mut Steps) -> Self {
        while !matches!(self.state, State::Ended(_)) {
            match self.replies.next(&mut bytes) {
                Ok(Some(reply)) => {
                    steps.waits_anew = true;
                    self.state = self.state.reply(&reply, options, steps);
                }
                Ok(None) => break,
                Err(error) => self.state = self.state.broken(&Trouble::Garbled(error), steps),
            }
        }
        self
    }

    /// Whether `begin` may be called: the session is idle, or the next hop takes pipelined
    /// commands and the body of the only transaction under way is handed over entirely.
    pub fn may_begin(&self) -> bool {
        matches!(&self.state, State::Open(open) if open.may_begin())
    }

    /// Begins a transaction, where `may_begin` says so; else the session ends with it unstarted.
    pub fn begin(mut self, transaction: Transaction, steps: &mut Steps) -> Self {
        steps.waits_anew |= self.is_idle();
        self.state = match self.state {
            State::Open(mut open) if open.may_begin() => {
                open.begin(transaction, steps);
                State::Open(open)
            }
            other => {
                let mut end = other.end(&Trouble::Lost(Lost::Stopping));
                end.unfinished.push(Unfinished::Unstarted(transaction));
                steps.effects.push(Effect::Close);
                State::Ended(end)
            }
        };
        self
    }

    /// Hands over a part of the body that `Effect::Body` asked for; `last`: the end of it. All
    /// parts must sum up to the message's size, else the session ends and the message waits.
    pub fn body(
        mut self,
        pieces: impl IntoIterator<Item = Bytes>,
        last: bool,
        steps: &mut Steps,
    ) -> Self {
        if let State::Open(open) = &mut self.state {
            steps.waits_anew = true;
            if let Err(lost) = open.body(pieces, last, steps) {
                self.state = self.state.broken(&Trouble::Lost(lost), steps);
            }
        }
        self
    }

    /// Says QUIT when all transactions under way are over.
    pub fn quit(mut self, steps: &mut Steps) -> Self {
        self.state = match self.state {
            State::Open(mut open) => {
                open.leaving = true;
                State::leave(open, steps)
            }
            State::Hello(_) => State::say_quit(steps),
            other => other,
        };
        self
    }

    /// The handshake is done and no transaction is under way.
    pub fn is_idle(&self) -> bool {
        matches!(&self.state, State::Open(open) if open.is_idle())
    }

    /// How long the present wait may take (RFC 5321 §4.5.3.2); `None`: it is for the caller.
    pub fn timeout(&self, options: &Options) -> Option<Duration> {
        match &self.state {
            State::Hello(hello) => Some(hello.timeout(options)),
            State::Open(open) => open.timeout(options),
            State::Quitting => Some(LINGER),
            State::Ended(_) => None,
        }
    }

    /// Tells the end: at `Effect::Close`, whatever `reason` is, or because the connection is
    /// gone, timed out or no longer wanted.
    pub fn lost(self, reason: Lost) -> End {
        self.state.end(&Trouble::Lost(reason))
    }
}

impl State {
    fn reply(self, reply: &Reply, options: &Options, steps: &mut Steps) -> Self {
        match self {
            State::Hello(hello) => match hello.reply(reply, options, steps) {
                Shaken::Waiting(hello) => State::Hello(hello),
                Shaken::Ready(offered) => {
                    steps.effects.push(Effect::Ready);
                    State::Open(Box::new(Open::new(offered)))
                }
                Shaken::Refused(verdict) => {
                    steps.effects.push(Effect::Close);
                    State::Ended(End { host: Some(verdict), unfinished: Vec::new() })
                }
            },
            State::Open(open) => State::transact(open, reply, steps),
            // Any answer to QUIT will do.
            other @ State::Quitting => other.broken(&Trouble::Said(reply), steps),
            other @ State::Ended(_) => other,
        }
    }

    fn transact(mut open: Box<Open>, reply: &Reply, steps: &mut Steps) -> Self {
        // RFC 5321 §3.8: 421 may answer any command, and closes the channel.
        if reply.code == 421 {
            return State::Open(open).broken(&Trouble::Said(reply), steps);
        }
        match open.reply(reply, steps) {
            Ok(()) if open.leaving => State::leave(open, steps),
            Ok(()) => State::Open(open),
            // A refusal in the midst of the body: the rest of it would be read as commands.
            Err(_) if open.is_sending() && reply.class() >= 4 => {
                State::Open(open).broken(&Trouble::Said(reply), steps)
            }
            Err(error) => State::Open(open).broken(&Trouble::Garbled(error), steps),
        }
    }

    fn leave(open: Box<Open>, steps: &mut Steps) -> Self {
        if open.is_idle() { State::say_quit(steps) } else { State::Open(open) }
    }

    fn say_quit(steps: &mut Steps) -> Self {
        steps.waits_anew = true;
        steps.send.push(Bytes::from_static(b"QUIT\r\n"));
        State::Quitting
    }

    fn broken(self, trouble: &Trouble<'_>, steps: &mut Steps) -> Self {
        steps.effects.push(Effect::Close);
        State::Ended(self.end(trouble))
    }

    fn end(self, trouble: &Trouble<'_>) -> End {
        match self {
            State::Hello(hello) => {
                End { host: Some(trouble.verdict(hello.during())), unfinished: Vec::new() }
            }
            State::Open(open) => open.end(trouble),
            State::Quitting => End::default(),
            State::Ended(end) => end,
        }
    }
}
