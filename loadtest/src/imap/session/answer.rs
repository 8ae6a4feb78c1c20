//! What a session makes of the server's replies.

use std::time::Instant;

use super::{Action, Again, Errand, IDLE_RENEWED, Offered, Role, Session, State, What};
use crate::imap::{
    command,
    mailbox::code,
    reply::{Reply, Status, number, shown, word},
    work::Kind,
};

impl Session {
    pub(super) fn take(&mut self, reply: Reply<'_>, now: Instant, out: &mut Vec<Action>) {
        match reply {
            Reply::Untagged(words) => self.untagged(words, now, out),
            Reply::Continue => self.go_on(now, out),
            Reply::Tagged { tag, status, text } => {
                match std::mem::replace(&mut self.state, State::Ready) {
                    State::Waiting(errand) if errand.tag == tag => match status {
                        Status::Ok => self.answered(&errand, text, now, out),
                        Status::No | Status::Bad => self.refused(&errand, status, text, now, out),
                    },
                    // An IDLE that the server ended by itself.
                    State::Ready if self.role == Role::Watcher && tag == self.tag => {
                        self.settle(now, out);
                    }
                    _ => self.fail("an answer to a command that was not given", out),
                }
            }
        }
    }

    fn answered(&mut self, errand: &Errand, text: &[u8], now: Instant, out: &mut Vec<Action>) {
        self.notice_capabilities(code(text, b"CAPABILITY"));
        match errand.what {
            What::StartTls => {
                self.state = State::Securing;
                self.deadline = Some(now + self.options.answer_timeout);
                out.push(Action::Secure);
                return;
            }
            What::Logout => return self.reconnect(Again::AtOnce, out),
            What::Login => self.done(now, out),
            What::Capability => self.offered.known = true,
            What::Select => {
                self.selected = true;
                self.done(now, out);
            }
            What::Append => {
                self.mailbox.appended(errand.exists, text);
                if self.measured.is_none() {
                    out.push(Action::Filled);
                }
                if self.notice.is_some_and(|notice| notice.noticed.is_none()) {
                    self.state = State::Unnoticed;
                    return;
                }
                self.done(now, out);
            }
            What::Ask(Kind::FetchHeaders | Kind::FetchBodies) if errand.fetched == 0 => {
                self.miss("FETCH was answered by OK and no message", out);
            }
            What::Ask(_) => self.done(now, out),
            What::Learn if !self.mailbox.knows() => {
                return self.fail("the server told no UIDs of its messages", out);
            }
            What::Learn | What::Watch => {}
        }
        self.settle(now, out);
    }

    fn refused(
        &mut self,
        errand: &Errand,
        status: Status,
        text: &[u8],
        now: Instant,
        out: &mut Vec<Action>,
    ) {
        let status = if status == Status::No { "NO" } else { "BAD" };
        let text = format!("{}: {status} {}", errand.what.name(), shown(text));
        let goes_on = matches!(errand.what, What::Select | What::Append | What::Ask(_));
        if goes_on && self.measured.is_some() {
            self.miss(&text, out);
            self.settle(now, out);
        } else {
            self.fail(&text, out);
        }
    }

    fn go_on(&mut self, now: Instant, out: &mut Vec<Action>) {
        match &mut self.state {
            State::Waiting(errand) if errand.what == What::Watch => {
                self.state = State::Ready;
                self.deadline = Some(now + IDLE_RENEWED);
                out.push(Action::Ready);
            }
            State::Waiting(Errand { literal, .. }) if literal.is_some() => {
                if let Some(number) = literal.take() {
                    self.hand_over(number, now, out);
                }
            }
            _ => self.fail("a + that was not awaited", out),
        }
    }

    fn untagged(&mut self, words: &[u8], now: Instant, out: &mut Vec<Action>) {
        let (first, rest) = word(words);
        if matches!(self.state, State::Greeting) {
            return match () {
                () if !first.eq_ignore_ascii_case(b"OK") => {
                    self.fail(&format!("greeted by {}", shown(words)), out);
                }
                () if self.options.starttls => {
                    self.send(What::StartTls, command::STARTTLS, now, out);
                }
                () => self.log_in(now, out),
            };
        }
        if first.eq_ignore_ascii_case(b"BYE") {
            if !matches!(&self.state, State::Waiting(errand) if errand.what == What::Logout) {
                self.fail(&shown(words), out);
            }
            return;
        }
        if first.eq_ignore_ascii_case(b"CAPABILITY") {
            return self.notice_capabilities(Some(rest));
        }
        self.mailbox.told(words);
        let what = word(rest).0;
        if number(first).is_none() {
            return;
        }
        if what.eq_ignore_ascii_case(b"FETCH")
            && let State::Waiting(errand) = &mut self.state
        {
            errand.fetched = errand.fetched.saturating_add(1);
            if errand.what == What::Learn {
                self.mailbox.learn(words);
            }
        }
        if what.eq_ignore_ascii_case(b"EXISTS") && self.role == Role::Watcher {
            out.push(Action::Exists(self.mailbox.exists));
        }
    }

    fn notice_capabilities(&mut self, words: Option<&[u8]>) {
        let Some(words) = words else { return };
        let has = |name: &[u8]| {
            words.split(|octet| *octet == b' ').any(|word| word.eq_ignore_ascii_case(name))
        };
        self.offered = Offered {
            known: true,
            literal_plus: has(b"LITERAL+"),
            literal_minus: has(b"LITERAL-"),
            idle: has(b"IDLE"),
        };
    }
}
