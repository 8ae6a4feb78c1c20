//! A client session of SMTP: octets and the time in, actions out.

use std::{mem, time::Instant};

use super::{
    SourceError,
    reply::{Line, Lines},
    transaction::{Step, Terms, Transaction},
    work::{Action, Parting, Pipelining, Security, Work},
};

/// One connection's conversation.
#[derive(Debug)]
pub struct Session {
    lines: Lines,
    state: State,
    offer: Offer,
    is_secure: bool,
    /// Messages begun on this connection.
    begun: u64,
}

/// What is waited for.
#[derive(Debug)]
enum State {
    Greeting,
    Hello,
    StartTls,
    /// The handshake after STARTTLS.
    Securing,
    Authenticating,
    /// A message to send.
    Idle,
    Transaction(Transaction),
    Resetting,
    Quitting,
    Over,
}

/// What the server says it can do (RFC 5321 §4.1.1.1).
#[derive(Clone, Copy, Debug, Default)]
struct Offer {
    pipelining: bool,
    chunking: bool,
    starttls: bool,
    plain: bool,
    eight_bit: bool,
    /// The largest message it takes; 0 where it does not say.
    size: u64,
}

impl Default for Session {
    fn default() -> Session {
        Session {
            lines: Lines::default(),
            state: State::Greeting,
            offer: Offer::default(),
            is_secure: false,
            begun: 0,
        }
    }
}

impl Session {
    /// Octets from the server, cut anywhere.
    pub fn received(&mut self, mut octets: &[u8], now: Instant, work: &mut Work) {
        let mut lines = mem::take(&mut self.lines);
        while let Some(line) = lines.next(&mut octets) {
            match line {
                Ok(line) if line.last => self.answered(line, now, work),
                Ok(line) if matches!(self.state, State::Hello) => self.offer.note(line.text),
                Ok(_) => {}
                Err(error) => self.sour(error.to_string(), work),
            }
            match self.state {
                State::Over => return,
                // What follows in clear is not from the server that TLS will vouch for.
                State::Securing if !octets.is_empty() => {
                    let text = "octets in clear after the answer to STARTTLS";
                    return self.sour(text.into(), work);
                }
                _ => {}
            }
        }
        self.lines = lines;
    }

    /// The TLS handshake is done.
    pub fn secured(&mut self, work: &mut Work) {
        self.is_secure = true;
        // With TLS from the first octet the greeting is still to come.
        if matches!(self.state, State::Securing) {
            self.hello(work);
        }
    }

    /// A message may be due: an idle session takes it.
    pub fn proceed(&mut self, now: Instant, work: &mut Work) {
        if matches!(self.state, State::Idle) {
            self.ready(now, work);
        }
    }

    /// Says QUIT if nothing is under way.
    pub fn quit(&mut self, work: &mut Work) {
        if matches!(self.state, State::Idle) {
            self.part(work);
        }
    }

    /// The connection is gone.
    pub fn lost(&mut self, work: &mut Work) {
        if let State::Transaction(transaction) = mem::replace(&mut self.state, State::Over) {
            transaction.lost(work);
        }
    }

    /// It waits for the server to say something.
    pub fn is_waiting(&self) -> bool {
        !matches!(self.state, State::Idle | State::Over)
    }

    /// Its next loss is no trouble: it has said QUIT.
    pub fn is_quitting(&self) -> bool {
        matches!(self.state, State::Quitting)
    }

    fn answered(&mut self, line: Line<'_>, now: Instant, work: &mut Work) {
        let state = mem::replace(&mut self.state, State::Over);
        if line.code == 421 && !matches!(state, State::Quitting) {
            return self.dismissed(state, line, work);
        }
        let is_taken = line.code / 100 == 2;
        match state {
            State::Transaction(transaction) => {
                let step = transaction.answered(line, now, self.terms(work), work);
                self.went(step, now, work);
            }
            State::Greeting if is_taken => {
                work.actions.push(Action::Greeted);
                self.hello(work);
            }
            State::Hello if is_taken => {
                self.offer.note(line.text);
                self.greeted(now, work);
            }
            State::StartTls if is_taken => {
                work.actions.push(Action::Secure);
                self.state = State::Securing;
            }
            State::Authenticating if is_taken => self.equipped(now, work),
            State::Authenticating if line.code / 100 == 5 => {
                let text = String::from_utf8_lossy(line.text);
                let error = SourceError::Credentials(format!("{} {text}", line.code));
                work.actions.push(Action::GiveUp(error));
            }
            State::Resetting if is_taken => self.ready(now, work),
            State::Quitting => work.actions.push(Action::Close(Parting::Agreed)),
            State::Idle => self.sour("a reply to nothing".into(), work),
            State::Over => {}
            state => {
                work.trouble(state.step(), line);
                work.actions.push(Action::Close(Parting::Soured));
            }
        }
    }

    fn hello(&mut self, work: &mut Work) {
        self.offer = Offer::default();
        self.state = State::Hello;
        let command = format!("EHLO {}", work.manner.name);
        work.command(&command);
    }

    /// EHLO is answered: TLS, the password, the first message, whatever comes next.
    fn greeted(&mut self, now: Instant, work: &mut Work) {
        if work.manner.security == Security::Starttls && !self.is_secure {
            if !self.offer.starttls {
                return give_up("STARTTLS", "--tls none", work);
            }
            self.state = State::StartTls;
            return work.command("STARTTLS");
        }
        let Some(plain) = &work.manner.plain else { return self.equipped(now, work) };
        if !self.offer.plain {
            return give_up("AUTH PLAIN", "TLS, or no --auth", work);
        }
        self.state = State::Authenticating;
        let command = format!("AUTH PLAIN {plain}");
        work.command(&command);
    }

    /// The session could send: can the server take what was asked for?
    fn equipped(&mut self, now: Instant, work: &mut Work) {
        if work.manner.pipelining != Pipelining::Off && !self.offer.pipelining {
            return give_up("PIPELINING", "--pipelining off", work);
        }
        if work.manner.bdat && !self.offer.chunking {
            return give_up("CHUNKING", "DATA, without --bdat", work);
        }
        let (offered, needed) = (self.offer.size, work.composer.size_max());
        if offered != 0 && offered < needed {
            return work.actions.push(Action::GiveUp(SourceError::Size { offered, needed }));
        }
        self.ready(now, work);
    }

    /// Takes the next message, or waits for one.
    fn ready(&mut self, now: Instant, work: &mut Work) {
        if self.begun >= work.manner.messages_per_session {
            return self.part(work);
        }
        let Some(job) = work.schedule.take(now) else {
            self.state = State::Idle;
            return work.actions.push(Action::Idle);
        };
        self.begun += 1;
        let terms = self.terms(work);
        self.state = State::Transaction(Transaction::begin(job, now, terms, work));
    }

    fn went(&mut self, step: Step, now: Instant, work: &mut Work) {
        match step {
            Step::Waits(transaction) => self.state = State::Transaction(transaction),
            Step::Over { next: Some(transaction), .. } => {
                self.begun += 1;
                self.state = State::Transaction(transaction);
            }
            Step::Over { next: None, resets: true } => {
                self.state = State::Resetting;
                work.command("RSET");
            }
            Step::Over { next: None, resets: false } => self.ready(now, work),
        }
    }

    fn terms(&self, work: &Work) -> Terms {
        Terms {
            is_eight_bit: work.composer.is_eight_bit() && self.offer.eight_bit,
            may_chain: work.manner.pipelining == Pipelining::Chain
                && self.begun < work.manner.messages_per_session,
        }
    }

    fn part(&mut self, work: &mut Work) {
        self.state = State::Quitting;
        work.command("QUIT");
    }

    fn dismissed(&mut self, state: State, line: Line<'_>, work: &mut Work) {
        work.trouble(state.step(), line);
        if let State::Transaction(transaction) = state {
            transaction.dismissed(line, work);
        }
        work.actions.push(Action::Close(Parting::Soured));
    }

    fn sour(&mut self, text: String, work: &mut Work) {
        self.lost(work);
        work.actions.push(Action::Trouble(text));
        work.actions.push(Action::Close(Parting::Soured));
    }
}

impl State {
    fn step(&self) -> &'static str {
        match self {
            State::Greeting => "greeting",
            State::Hello => "EHLO",
            State::StartTls | State::Securing => "STARTTLS",
            State::Authenticating => "AUTH",
            State::Transaction(transaction) => transaction.step(),
            State::Resetting => "RSET",
            State::Quitting => "QUIT",
            State::Idle | State::Over => "idle",
        }
    }
}

impl Offer {
    /// One line of the answer to EHLO.
    fn note(&mut self, text: &[u8]) {
        let mut words = text.split(|octet| octet.is_ascii_whitespace());
        let Some(keyword) = words.next() else { return };
        let is = |name: &str| keyword.eq_ignore_ascii_case(name.as_bytes());
        if is("PIPELINING") {
            self.pipelining = true;
        } else if is("CHUNKING") {
            self.chunking = true;
        } else if is("STARTTLS") {
            self.starttls = true;
        } else if is("8BITMIME") {
            self.eight_bit = true;
        } else if is("AUTH") {
            self.plain |= words.any(|word| word.eq_ignore_ascii_case(b"PLAIN"));
        } else if is("SIZE") {
            let size = words.next().and_then(|word| str::from_utf8(word).ok());
            self.size = size.and_then(|size| size.parse().ok()).unwrap_or(0);
        }
    }
}

fn give_up(keyword: &'static str, instead: &'static str, work: &mut Work) {
    work.actions.push(Action::GiveUp(SourceError::NotOffered { keyword, instead }));
}
