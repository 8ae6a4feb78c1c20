//! One SMTP session of a sink: octets in any cut come in, replies and acts go out.

use std::{mem, net::IpAddr, time::Instant};

use memchr::memchr;

use super::{
    answer::{Act, Course, Turn, Usual, Voice},
    body::Body,
    command::{self, Command, CommandFault, Parameters},
    count::{Limit, Trouble},
    reply,
    rule::Step,
    transaction::{RECIPIENTS_MAX, Transaction},
};

/// RFC 4954 §4 has the longest lines: 12,288 octets for an answer to AUTH.
const LINE_MAX: usize = 12_288;

#[derive(Debug)]
pub struct Session {
    client: IpAddr,
    pub(super) phase: Phase,
    /// The client greeted with EHLO, so it may use what was offered.
    pub(super) extended: bool,
    secure: bool,
    authenticated: bool,
    pub(super) messages: u32,
    pub(super) ahead: Ahead,
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    pub(super) transaction: Transaction,
    pub(super) body: Body,
    pub(super) voice: Voice,
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The client has not greeted.
    Fresh,
    Ready,
    /// MAIL was accepted.
    Open,
    Text,
    Chunk(Chunk),
    Auth(Exchange),
    Handshake,
    /// The greeting was a refusal.
    Refused,
}

/// A BDAT chunk that is coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    pub left: u64,
    pub last: bool,
    pub fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Kept,
    /// Swallowed and refused, since it comes all the same (RFC 3030 §2).
    Refused {
        was_fresh: bool,
        reply: &'static [u8],
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exchange {
    Name,
    /// What comes next is the last of it.
    Secret,
}

/// What the client cannot have read yet when it sent the next octets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ahead {
    #[default]
    Nothing,
    Greeting,
    Reply,
    /// The reply to a command that has to end its group.
    GroupEnd,
}

impl Session {
    pub fn new(client: IpAddr, secure: bool) -> Session {
        Session {
            client,
            phase: Phase::Fresh,
            extended: false,
            secure,
            authenticated: false,
            messages: 0,
            ahead: Ahead::Nothing,
            partial: Vec::new(),
            transaction: Transaction::default(),
            body: Body::default(),
            voice: Voice::default(),
        }
    }

    /// Speaks first: to be called once, with TLS from the start as soon as that is there.
    pub fn greet(&mut self, turn: &mut Turn, is_admitted: bool) {
        self.ahead = Ahead::Greeting;
        if !is_admitted {
            turn.policy.tally.limit(Limit::Connections);
            self.voice.close_with(turn, reply::TOO_MANY_CONNECTIONS);
        } else if self.answer(turn, Step::Connect, Usual::accept(reply::GREETING))
            == Course::Refused
        {
            self.phase = Phase::Refused;
        }
    }

    pub fn received(&mut self, turn: &mut Turn, octets: &[u8]) {
        if !self.voice.is_busy(turn.now) {
            self.ahead = Ahead::Nothing;
        }
        let mut rest = octets;
        while !rest.is_empty() && !self.voice.is_over() {
            self.check_group(turn);
            rest = match self.phase {
                Phase::Text => self.text(turn, rest),
                Phase::Chunk(chunk) => self.chunk(turn, rest, chunk),
                Phase::Handshake => {
                    turn.policy.tally.trouble(Trouble::ClearBehindStartTls);
                    return;
                }
                _ => self.line(turn, rest),
            };
        }
    }

    /// The TLS handshake is done: all that was said in clear is forgotten (RFC 3207 §4.2).
    pub fn secured(&mut self) {
        self.secure = true;
        self.extended = false;
        self.phase = Phase::Fresh;
        self.partial.clear();
        self.transaction.clear();
    }

    /// The client was silent for too long.
    pub fn idle(&mut self, turn: &mut Turn) {
        if !self.voice.is_over() {
            turn.policy.tally.trouble(Trouble::Idle);
            self.voice.close_with(turn, reply::IDLE);
        }
    }

    /// Whether a transaction was under way, of which the client ought to have known the end.
    pub fn is_in_transaction(&self) -> bool {
        let is_open = matches!(self.phase, Phase::Open | Phase::Text | Phase::Chunk(_));
        is_open && !self.voice.is_over()
    }

    /// Nothing more will be said, whatever comes.
    pub fn is_over(&self) -> bool {
        self.voice.is_over()
    }

    pub fn is_busy(&self, now: Instant) -> bool {
        self.voice.is_busy(now)
    }

    fn check_group(&mut self, turn: &mut Turn) {
        let tally = &mut turn.policy.tally;
        match mem::take(&mut self.ahead) {
            Ahead::Nothing => {}
            Ahead::Greeting => tally.trouble(Trouble::BeforeGreeting),
            Ahead::GroupEnd => tally.trouble(Trouble::BehindGroupEnd),
            Ahead::Reply if turn.policy.offer.pipelining && self.extended => {}
            Ahead::Reply => tally.trouble(Trouble::PipelinedUnoffered),
        }
    }

    fn line<'a>(&mut self, turn: &mut Turn, octets: &'a [u8]) -> &'a [u8] {
        let Some(found) = memchr(b'\n', octets) else {
            self.keep(octets);
            return &[];
        };
        let (end, rest) = octets.split_at(found + 1);
        if self.partial.is_empty() {
            self.whole_line(turn, end);
        } else {
            self.keep(end);
            let mut line = mem::take(&mut self.partial);
            self.whole_line(turn, &line);
            line.clear();
            self.partial = line;
        }
        rest
    }

    /// One octet over the bound is kept to know a line that is too long.
    fn keep(&mut self, octets: &[u8]) {
        let room = (LINE_MAX + 1).saturating_sub(self.partial.len()).min(octets.len());
        self.partial.extend_from_slice(octets.get(..room).unwrap_or_default());
    }

    fn whole_line(&mut self, turn: &mut Turn, line: &[u8]) {
        if line.len() > LINE_MAX {
            return self.refuse(turn, Trouble::LineTooLong, reply::LINE_TOO_LONG);
        }
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or_else(|| {
            turn.policy.tally.trouble(Trouble::BareLfInCommand);
            line
        });
        if let Phase::Auth(exchange) = self.phase {
            return self.auth_answer(turn, exchange, line);
        }
        match command::parse(line) {
            Ok(command) => {
                let ends_group = command.ends_group();
                self.command(turn, command);
                self.ahead = if ends_group { Ahead::GroupEnd } else { Ahead::Reply };
            }
            Err(CommandFault::Unknown) => {
                self.refuse(turn, Trouble::UnknownCommand, reply::UNKNOWN)
            }
            Err(CommandFault::Form) => self.refuse(turn, Trouble::Form, reply::WRONG_FORM),
        }
    }

    fn command(&mut self, turn: &mut Turn, command: Command) {
        match command {
            Command::Quit => {
                self.answer(turn, Step::Quit, Usual::accept(reply::BYE));
                if !self.voice.is_over() {
                    self.voice.act(turn, Act::Close);
                }
            }
            _ if self.phase == Phase::Refused => self.out_of_sequence(turn),
            Command::Ehlo => {
                let ehlo =
                    if self.secure { &turn.policy.ehlo_secure } else { &turn.policy.ehlo_clear };
                let usual = Usual::accept(ehlo.clone());
                self.hello(turn, usual, true);
            }
            Command::Helo => self.hello(turn, Usual::accept(reply::HELO), false),
            Command::StartTls => self.start_tls(turn),
            Command::Auth { mechanism, initial } => self.auth(turn, mechanism, initial),
            Command::Mail { sender, parameters } => self.mail(turn, sender, parameters),
            Command::Rcpt { recipient, parameters } => self.rcpt(turn, recipient, parameters),
            Command::Data => self.data(turn),
            Command::Bdat { octets, last } => self.bdat(turn, octets, last),
            Command::Rset => {
                if self.phase == Phase::Open {
                    self.phase = Phase::Ready;
                }
                self.transaction.clear();
                self.voice.say(turn, reply::OK);
            }
            Command::Noop => self.voice.say(turn, reply::OK),
            Command::Vrfy => self.voice.say(turn, reply::VRFY),
            Command::Help => self.voice.say(turn, reply::HELP),
        }
    }

    fn hello(&mut self, turn: &mut Turn, usual: Usual, extended: bool) {
        if self.answer(turn, Step::Ehlo, usual) == Course::Accepted {
            self.extended = extended;
            self.transaction.clear();
            self.phase = Phase::Ready;
        }
    }

    fn start_tls(&mut self, turn: &mut Turn) {
        if !turn.policy.offer.starttls {
            return self.refuse(turn, Trouble::Sequence, reply::NOT_OFFERED);
        }
        if self.secure || self.phase != Phase::Ready {
            return self.out_of_sequence(turn);
        }
        if self.answer(turn, Step::StartTls, Usual::accept(reply::START_TLS)) == Course::Accepted
            && !self.voice.is_over()
        {
            self.voice.act(turn, Act::Secure);
            self.phase = Phase::Handshake;
        }
    }

    fn auth(&mut self, turn: &mut Turn, mechanism: &[u8], initial: Option<&[u8]>) {
        if !turn.policy.offer.auth {
            return self.refuse(turn, Trouble::Sequence, reply::NOT_OFFERED);
        }
        if self.authenticated || self.phase != Phase::Ready {
            return self.out_of_sequence(turn);
        }
        let is_plain = mechanism.eq_ignore_ascii_case(b"PLAIN");
        if !is_plain && !mechanism.eq_ignore_ascii_case(b"LOGIN") {
            return self.refuse(turn, Trouble::Parameter, reply::AUTH_UNKNOWN);
        }
        let (exchange, challenge) = match (is_plain, initial) {
            (true, Some(_)) => return self.auth_end(turn),
            (true, None) => (Exchange::Secret, reply::AUTH_PLAIN),
            (false, Some(_)) => (Exchange::Secret, reply::AUTH_PASSWORD),
            (false, None) => (Exchange::Name, reply::AUTH_NAME),
        };
        self.phase = Phase::Auth(exchange);
        self.voice.say(turn, challenge);
    }

    fn auth_answer(&mut self, turn: &mut Turn, exchange: Exchange, line: &[u8]) {
        self.ahead = Ahead::GroupEnd;
        match exchange {
            _ if line == b"*" => {
                self.phase = Phase::Ready;
                self.voice.say(turn, reply::AUTH_CANCELLED);
            }
            Exchange::Name => {
                self.phase = Phase::Auth(Exchange::Secret);
                self.voice.say(turn, reply::AUTH_PASSWORD);
            }
            Exchange::Secret => self.auth_end(turn),
        }
    }

    fn auth_end(&mut self, turn: &mut Turn) {
        self.phase = Phase::Ready;
        self.authenticated =
            self.answer(turn, Step::Auth, Usual::accept(reply::AUTH_OK)) == Course::Accepted;
    }

    fn mail(&mut self, turn: &mut Turn, sender: &[u8], parameters: Parameters) {
        if self.phase != Phase::Ready {
            return self.out_of_sequence(turn);
        }
        if turn.policy.offer.messages_per_connection_max.is_some_and(|max| self.messages >= max) {
            turn.policy.tally.limit(Limit::Messages);
            return self.voice.close_with(turn, reply::TOO_MANY_MESSAGES);
        }
        match turn.policy.offer.check_mail(self.extended, parameters) {
            Ok(()) => {}
            Err(Trouble::TooLarge) => {
                return self.refuse(turn, Trouble::TooLarge, reply::TOO_LARGE);
            }
            Err(trouble) => return self.refuse(turn, trouble, reply::WRONG_PARAMETER),
        }
        let is_slow_enough = turn.policy.bucket.as_mut().is_none_or(|bucket| bucket.take(turn.now));
        let usual = if is_slow_enough {
            Usual::accept(reply::SENDER_OK)
        } else {
            turn.policy.tally.limit(Limit::Rate);
            Usual::refuse(reply::TOO_FAST)
        };
        if self.answer(turn, Step::Mail, usual) == Course::Accepted {
            self.transaction.begin(sender);
            self.body.begin();
            self.phase = Phase::Open;
        }
    }

    fn rcpt(&mut self, turn: &mut Turn, recipient: &[u8], parameters: Parameters) {
        if self.phase != Phase::Open || self.transaction.chunked {
            return self.out_of_sequence(turn);
        }
        if self.transaction.recipients().len() >= RECIPIENTS_MAX {
            return self.refuse(turn, Trouble::TooManyRecipients, reply::TOO_MANY_RECIPIENTS);
        }
        if !turn.policy.offer.allows_rcpt(self.extended, parameters) {
            return self.refuse(turn, Trouble::Parameter, reply::WRONG_PARAMETER);
        }
        let has_waited = turn.policy.greylist.as_ref().is_none_or(|greylist| {
            greylist.passes(turn.now, self.client, self.transaction.sender(), recipient)
        });
        let usual = if has_waited {
            Usual::accept(reply::RECIPIENT_OK)
        } else {
            turn.policy.tally.limit(Limit::Greylist);
            Usual::refuse(reply::GREYLISTED)
        };
        let named = turn.policy.rules.naming(recipient);
        if self.voice.answer(turn, Step::Rcpt, named, usual) == Course::Accepted {
            self.transaction.add(recipient, named);
        }
    }

    fn answer(&mut self, turn: &mut Turn, step: Step, usual: Usual) -> Course {
        self.voice.answer(turn, step, 0, usual)
    }

    pub(super) fn out_of_sequence(&mut self, turn: &mut Turn) {
        self.refuse(turn, Trouble::Sequence, reply::OUT_OF_SEQUENCE);
    }

    fn refuse(&mut self, turn: &mut Turn, trouble: Trouble, reply: &'static [u8]) {
        turn.policy.tally.trouble(trouble);
        self.voice.say(turn, reply);
        self.ahead = Ahead::Reply;
    }
}

#[cfg(test)]
mod tests;
