//! LOGIN and AUTHENTICATE: who the client is.

use bytes::Bytes;

use super::{
    Job,
    peer::{Login, Place},
    step::{Answer, Effect, Next, Turn},
};
use crate::{
    imap::reply::{Out, Reply, sentence},
    mail::{
        mailbox::{Account, Ask, Found, Verdict},
        sasl::{Answered, Exchange, Mechanism, SaslError},
    },
};

/// A name and a password on their way to be checked.
#[derive(Debug)]
pub(in crate::imap) struct Attempt {
    user: Bytes,
    password: Bytes,
    account: Option<Box<Account>>,
}

pub(super) fn authenticate(mechanism: &[u8], initial: Option<Bytes>, turn: &mut Turn) -> Next {
    if let Err(next) = may_log_in(turn) {
        return *next;
    }
    let Some(mechanism) = Mechanism::parse(mechanism) else {
        let reply = Reply::no("This mechanism is not offered; use PLAIN or LOGIN");
        return Next::end(reply.code("CANNOT"));
    };
    match initial {
        // RFC 4959: the first answer came with the command.
        Some(answer) => answered(mechanism.begin().take(answer), turn),
        None => ask(mechanism.begin(), turn),
    }
}

/// The client's next line within AUTHENTICATE.
pub(super) fn line(exchange: Exchange, line: &[u8], turn: &mut Turn) -> Next {
    answered(exchange.answer(line), turn)
}

fn ask(exchange: Exchange, turn: &mut Turn) -> Next {
    turn.out().text(exchange.challenge());
    Next::Answer(exchange)
}

fn answered(answered: Result<Answered, SaslError>, turn: &mut Turn) -> Next {
    match answered {
        Ok(Answered::Ask(exchange)) => ask(exchange, turn),
        Ok(Answered::Credentials { user, password }) => login(user, password, turn),
        // RFC 9051 §6.2.2: BAD, whether it was cancelled or is not base64.
        Err(error) => Next::end(Reply::bad(sentence(&error.to_string()))),
    }
}

pub(super) fn login(user: Bytes, password: Bytes, turn: &mut Turn) -> Next {
    if let Err(next) = may_log_in(turn) {
        return *next;
    }
    Attempt { user, password, account: None }.begin(turn)
}

fn may_log_in(turn: &Turn) -> Result<(), Box<Next>> {
    if turn.peer.login().is_some() {
        return Err(Box::new(Next::end(Reply::bad("You are logged in already"))));
    }
    if !turn.peer.may_log_in(turn.cx.options) {
        // RFC 9051 §6.2.3, RFC 5530 §3.
        let reply = Reply::no("Passwords are not taken over this connection, it is in clear text");
        return Err(Box::new(Next::end(reply.code("PRIVACYREQUIRED"))));
    }
    Ok(())
}

impl Attempt {
    fn begin(self, turn: &mut Turn) -> Next {
        match Account::login_key(&self.user, turn.cx.options.domain.as_ref()) {
            Some(key) => turn.ask(Ask::Account { key }),
            // Whether a name is known is not to be learnt from the time that a refusal takes.
            None => self.check(turn),
        }
        Next::Wait(Job::Login(self))
    }

    fn check(&self, turn: &mut Turn) {
        turn.steps.effects.push(Effect::Authenticate {
            user: self.user.clone(),
            password: self.password.clone(),
            account: self.account.clone(),
        });
    }

    pub(super) fn answered(mut self, answer: Answer, turn: &mut Turn) -> Next {
        match answer {
            Answer::Found(Found::Account(account)) => {
                self.account = account;
                self.check(turn);
                Next::Wait(Job::Login(self))
            }
            Answer::Verdict(verdict) => self.judged(verdict, turn),
            other => Next::unexpected(other),
        }
    }

    fn judged(self, verdict: Verdict, turn: &mut Turn) -> Next {
        match (verdict, self.account) {
            (Verdict::Granted, Some(account)) => {
                turn.steps.effects.push(Effect::LoggedIn { user: self.user });
                let quota = account.quota.unwrap_or(turn.cx.options.quota);
                turn.peer.place = Place::Home(Login { account: account.id, quota });
                turn.peer.failures = 0;
                let mut capabilities = Out::default();
                turn.peer.capabilities(turn.cx.options, &mut capabilities);
                let code = capabilities.pieces().concat();
                let code = String::from_utf8_lossy(&code).into_owned();
                Next::end(Reply::ok("You are logged in").code(code))
            }
            (Verdict::Busy, _) => Next::end(
                Reply::no(
                    "Too many logins wait, or were wrong from your address; wait and try again",
                )
                .code("UNAVAILABLE"),
            ),
            _ => {
                turn.steps.effects.push(Effect::LoginFailed { user: self.user });
                turn.peer.failures += 1;
                let reply = Reply::no("The name or the password is wrong");
                Next::end(reply.code("AUTHENTICATIONFAILED"))
            }
        }
    }
}
