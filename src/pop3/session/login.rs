//! RFC 1939 §4, the AUTHORIZATION state: who the client is, and the list of its messages.

use bytes::Bytes;

use super::{Context, Effect, Session, Steps, maildrop::Maildrop, peer::Peer};
use crate::{
    limits::{LISTED_MAX, POP3_MESSAGES_MAX},
    mail::{
        mailbox::{
            Account, AccountId, Ask, Found, MailboxId, MailboxName, ModSeq, StoreTrouble, Uids,
            Verdict, Want,
        },
        sasl::{Answered, Exchange, Mechanism},
    },
    pop3::{
        command::{self, Command},
        reply::{self, Reply},
    },
};

/// How far the client has come without a question to anybody else.
#[derive(Debug)]
pub enum Stage {
    Anonymous,
    /// Behind USER.
    Named(Bytes),
    /// Within AUTH: the next line is no command.
    Exchange(Exchange),
}

/// The question of a login that is open.
#[derive(Debug)]
pub enum Entering {
    /// Whose name it is.
    Account { user: Bytes, password: Bytes },
    /// Whether the password is right.
    Password { user: Bytes, account: Option<AccountId> },
    /// How the INBOX stands.
    Inbox,
    /// Sizes of the messages from this sequence number on.
    Sizes { maildrop: Box<Maildrop>, uids: Uids, first: u32 },
}

impl Stage {
    /// Takes a line of what was read.
    pub(super) fn receive(
        self,
        mut peer: Box<Peer>,
        cx: &Context<'_>,
        steps: &mut Steps,
    ) -> Session {
        if let Stage::Exchange(exchange) = &self {
            return match peer.line(|line| exchange.clone().answer(line).map_err(Reply::from)) {
                None => Session::Authorization(peer, self),
                Some(answer) => {
                    peer.count();
                    answered(peer, answer.unwrap_or(Err(reply::LINE_TOO_LONG)), cx, steps)
                }
            };
        }
        let Some(command) = peer.line(command::parse) else {
            return Session::Authorization(peer, self);
        };
        peer.count();
        match command.unwrap_or(Err(reply::LINE_TOO_LONG)) {
            Ok(command) => self.obey(command, peer, cx, steps),
            Err(refusal) => self.say(peer, refusal, steps),
        }
    }

    fn obey(
        self,
        command: Command,
        peer: Box<Peer>,
        cx: &Context<'_>,
        steps: &mut Steps,
    ) -> Session {
        let may_log_in = peer.may_log_in(cx.options);
        match (command, self) {
            (Command::Quit, _) => Session::close(reply::BYE, steps),
            (Command::Capa, stage) => {
                capabilities(may_log_in, steps);
                Session::Authorization(peer, stage)
            }
            (Command::Utf8, stage) => stage.say(peer, reply::UTF8, steps),
            (Command::User { .. } | Command::Pass { .. } | Command::Auth { .. }, stage)
                if !may_log_in =>
            {
                stage.say(peer, reply::NOT_IN_CLEAR, steps)
            }
            (Command::User { name }, _) => Stage::Named(name).say(peer, reply::NAMED, steps),
            (Command::Pass { password }, Stage::Named(user)) => {
                identify(peer, user, password, cx, steps)
            }
            (Command::Pass { .. }, stage) => stage.say(peer, reply::USER_FIRST, steps),
            (Command::Mechanisms, stage) => {
                reply::MECHANISMS.write(&mut steps.out);
                if may_log_in {
                    for (_, name) in Mechanism::ALL {
                        steps.out.text(name.as_bytes());
                        steps.out.text(b"\r\n");
                    }
                }
                steps.out.text(b".\r\n");
                Session::Authorization(peer, stage)
            }
            (Command::Auth { mechanism, initial: None }, _) => ask(peer, mechanism.begin(), steps),
            (Command::Auth { mechanism, initial: Some(initial) }, _) => {
                let answer = mechanism.begin().answer_initial(&initial);
                answered(peer, answer.map_err(Reply::from), cx, steps)
            }
            (_, stage) => stage.say(peer, reply::LOGIN_FIRST, steps),
        }
    }

    fn say(self, peer: Box<Peer>, reply: Reply, steps: &mut Steps) -> Session {
        reply.write(&mut steps.out);
        Session::Authorization(peer, self)
    }
}

impl Entering {
    pub(super) fn found(
        self,
        peer: Box<Peer>,
        found: Result<Found, StoreTrouble>,
        steps: &mut Steps,
    ) -> Session {
        match (self, found) {
            (Entering::Account { user, password }, Ok(Found::Account(account))) => {
                authenticate(peer, user, password, account, steps)
            }
            (Entering::Inbox, Ok(Found::Open(Some(opened)))) => {
                let maildrop = Box::new(Maildrop::new(&opened));
                list(peer, maildrop, opened.uids, 1, steps)
            }
            (Entering::Inbox, Ok(Found::Open(None))) => turn_away(peer, reply::NO_MAILDROP, steps),
            (
                Entering::Sizes { mut maildrop, uids, first },
                Ok(Found::Messages { messages, rest }),
            ) => {
                maildrop.extend(messages.iter().map(|message| &message.entry));
                let next = match rest {
                    None => Some(first.saturating_add(LISTED_MAX as u32)),
                    Some(uid) => uids.sequence_of(uid).filter(|next| *next > first),
                };
                match next {
                    Some(next) => list(peer, maildrop, uids, next, steps),
                    None => turn_away(peer, reply::STORE_FAILED, steps),
                }
            }
            _ => turn_away(peer, reply::STORE_FAILED, steps),
        }
    }

    pub(super) fn authenticated(
        self,
        mut peer: Box<Peer>,
        verdict: Verdict,
        steps: &mut Steps,
    ) -> Session {
        let Entering::Password { user, account } = self else {
            return Session::Entering(peer, Box::new(self));
        };
        match (verdict, account) {
            (Verdict::Granted, Some(account)) => {
                peer.forgive();
                steps.effects.push(Effect::LoggedIn { user });
                let name = MailboxName::inbox();
                steps.effects.push(Effect::Ask(Ask::Open { account, name }));
                Session::Entering(peer, Box::new(Entering::Inbox))
            }
            (Verdict::Granted | Verdict::Refused, _) => {
                steps.effects.push(Effect::LoginFailed { user });
                if peer.count_failed_login() {
                    turn_away(peer, reply::WRONG_LOGIN, steps)
                } else {
                    Session::close(reply::TOO_MANY_LOGINS, steps)
                }
            }
            (Verdict::Busy, _) => turn_away(peer, reply::BUSY, steps),
        }
    }

    pub(super) fn watching(&self) -> Option<(MailboxId, ModSeq)> {
        match self {
            Entering::Sizes { maildrop, .. } => Some(maildrop.watching()),
            _ => None,
        }
    }
}

/// What can be done here (RFC 2449 §5), before a login and behind it.
pub(super) fn capabilities(may_log_in: bool, steps: &mut Steps) {
    reply::CAPABILITIES.write(&mut steps.out);
    if may_log_in {
        steps.out.text(b"USER\r\nSASL");
        for (_, name) in Mechanism::ALL {
            steps.out.text(b" ");
            steps.out.text(name.as_bytes());
        }
        steps.out.text(b"\r\n");
    }
    steps.out.text(
        b"TOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nEXPIRE NEVER\r\n\
          UTF8 USER\r\nIMPLEMENTATION Ringmail\r\n.\r\n",
    );
}

fn ask(peer: Box<Peer>, exchange: Exchange, steps: &mut Steps) -> Session {
    steps.out.text(exchange.challenge());
    Session::Authorization(peer, Stage::Exchange(exchange))
}

fn answered(
    peer: Box<Peer>,
    answered: Result<Answered, Reply>,
    cx: &Context<'_>,
    steps: &mut Steps,
) -> Session {
    match answered {
        Ok(Answered::Ask(exchange)) => ask(peer, exchange, steps),
        Ok(Answered::Credentials { user, password }) => identify(peer, user, password, cx, steps),
        Err(refusal) => Stage::Anonymous.say(peer, refusal, steps),
    }
}

fn identify(
    peer: Box<Peer>,
    user: Bytes,
    password: Bytes,
    cx: &Context<'_>,
    steps: &mut Steps,
) -> Session {
    match Account::login_key(&user, cx.options.domain.as_ref()) {
        Some(key) => {
            steps.effects.push(Effect::Ask(Ask::Account { key }));
            Session::Entering(peer, Box::new(Entering::Account { user, password }))
        }
        None => authenticate(peer, user, password, None, steps),
    }
}

fn authenticate(
    peer: Box<Peer>,
    user: Bytes,
    password: Bytes,
    account: Option<Box<Account>>,
    steps: &mut Steps,
) -> Session {
    let id = account.as_ref().map(|account| account.id);
    steps.effects.push(Effect::Authenticate { user: user.clone(), password, account });
    Session::Entering(peer, Box::new(Entering::Password { user, account: id }))
}

/// Asks for the sizes of the next messages, or opens the maildrop where there are no more.
fn list(
    peer: Box<Peer>,
    maildrop: Box<Maildrop>,
    uids: Uids,
    first: u32,
    steps: &mut Steps,
) -> Session {
    let window = first..=first.saturating_add(LISTED_MAX as u32 - 1).min(POP3_MESSAGES_MAX);
    let asked: Uids = window.map_while(|sequence| uids.at(sequence)).collect();
    if asked.is_empty() {
        return maildrop.open(peer, steps);
    }
    let (mailbox, _) = maildrop.watching();
    let want = Want::default();
    steps.effects.push(Effect::Ask(Ask::Messages { mailbox, uids: asked, want }));
    Session::Entering(peer, Box::new(Entering::Sizes { maildrop, uids, first }))
}

/// The login came to nothing, and another may be tried.
fn turn_away(peer: Box<Peer>, reply: Reply, steps: &mut Steps) -> Session {
    Stage::Anonymous.say(peer, reply, steps)
}
