//! A next hop's side of one connection: an SMTP server written once more, that does at each step
//! what its host's mood and the dice say.

mod dice;
mod mood;
mod offers;

use self::dice::{Step, Turn};
pub use self::{mood::Mood, offers::Offers};
use crate::{
    coverage::Coverage,
    letters::{Mark, mark_of},
    network::{Moves, Parting},
    oracle::{Acceptance, Broken, Checked, Oracle, broken, letter_unstuffed},
    random::Random,
    time::Duration,
};

/// What a step may look at.
pub struct Cx<'a> {
    pub random: &'a mut Random,
    pub oracle: &'a mut Oracle,
    pub coverage: &'a mut Coverage,
    pub moves: &'a mut Moves,
    /// Domains that have this host.
    pub domains: &'a [String],
    pub mood: Mood,
    /// Of a step, that it goes wrong.
    pub rate: f64,
    pub link: u64,
    /// The relay at the other end still listens.
    pub live: bool,
    /// Transactions that one connection may have.
    pub transactions_max: u32,
}

#[derive(Debug)]
pub struct Peer {
    pub host: usize,
    offers: Offers,
    state: State,
    buffer: Vec<u8>,
    sender: String,
    recipients: Vec<String>,
    in_transaction: bool,
    transactions: u32,
    body: Vec<u8>,
}

#[derive(PartialEq, Eq, Debug)]
enum State {
    Commands,
    Data,
    Chunk {
        left: usize,
        last: bool,
    },
    /// Says nothing any more, whatever comes.
    Done,
}

impl Peer {
    pub fn new(host: usize, offers: Offers) -> Peer {
        Peer {
            host,
            offers,
            state: State::Commands,
            buffer: Vec::new(),
            sender: String::new(),
            recipients: Vec::new(),
            in_transaction: false,
            transactions: 0,
            body: Vec::new(),
        }
    }

    /// The connection is made.
    pub fn greet(&mut self, cx: &mut Cx<'_>) {
        match cx.mood {
            Mood::Mute => {
                cx.coverage.count("peer: mute");
                self.state = State::Done;
            }
            Mood::Busy => self.leave("421 4.3.2 too busy\r\n", "peer: 421 for a greeting", cx),
            Mood::Closed => {
                self.hopeless(cx);
                self.leave("554 5.3.2 no mail here\r\n", "peer: 554 for a greeting", cx);
            }
            _ => match self.turn(Step::Greeting, cx) {
                Turn::Normal => self.say("220 peer.sim.example ESMTP\r\n", cx),
                Turn::Temporary => self.leave("450 4.3.0 later\r\n", "peer: 4xx greeting", cx),
                Turn::Permanent => {
                    self.hopeless(cx);
                    self.leave("550 5.3.0 never\r\n", "peer: 5xx greeting", cx);
                }
                Turn::Lost { .. } => {}
            },
        }
    }

    pub fn octets(&mut self, octets: &[u8], cx: &mut Cx<'_>) -> Checked {
        self.buffer.extend_from_slice(octets);
        loop {
            match self.state {
                State::Done => {
                    self.buffer.clear();
                    return Ok(());
                }
                State::Chunk { left, last } => {
                    let taken = left.min(self.buffer.len());
                    self.body.extend(self.buffer.drain(..taken));
                    self.state = State::Chunk { left: left - taken, last };
                    if left > taken {
                        return Ok(());
                    }
                    self.state = State::Commands;
                    if !last {
                        self.say("250 2.0.0 chunk\r\n", cx);
                        continue;
                    }
                    let content = std::mem::take(&mut self.body);
                    self.end_of_body(&content, cx)?;
                }
                State::Commands | State::Data => {
                    let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") else {
                        return Ok(());
                    };
                    let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                    self.line(&line, cx)?;
                }
            }
        }
    }

    fn line(&mut self, line: &[u8], cx: &mut Cx<'_>) -> Checked {
        if self.state == State::Data {
            if line == b".\r\n" {
                self.state = State::Commands;
                let content = letter_unstuffed(&std::mem::take(&mut self.body));
                return self.end_of_body(&content, cx);
            }
            self.body.extend_from_slice(line);
            return Ok(());
        }
        let text = String::from_utf8_lossy(line).into_owned();
        let verb = text.split([' ', '\r']).next().unwrap_or_default().to_ascii_uppercase();
        self.offers.check(&verb, &text, !self.buffer.is_empty())?;
        match verb.as_str() {
            "EHLO" => self.hello(cx),
            "HELO" => {
                self.offers = Offers {
                    extended: false,
                    pipelining: false,
                    chunking: false,
                    eight_bit: false,
                    dsn: false,
                    smtputf8: false,
                    size: None,
                    announces_limits: false,
                    ..self.offers
                };
                self.announce(cx);
                self.say("250 peer.sim.example\r\n", cx);
            }
            "MAIL" => return self.mail(path(&text), cx),
            "RCPT" => return self.rcpt(path(&text), cx),
            "DATA" => self.data(cx),
            "BDAT" => return self.bdat(&text),
            "RSET" => {
                self.in_transaction = false;
                self.say("250 2.0.0 reset\r\n", cx);
            }
            "QUIT" => self.leave("221 2.0.0 bye\r\n", "peer: QUIT", cx),
            _ => {
                return Err(Broken(format!("a peer was told `{}`", text.escape_debug())));
            }
        }
        Ok(())
    }

    fn hello(&mut self, cx: &mut Cx<'_>) {
        if !self.offers.extended {
            cx.coverage.count("peer: knows no EHLO");
            return self.say("502 5.5.1 EHLO is not known here\r\n", cx);
        }
        match self.turn(Step::Hello, cx) {
            Turn::Normal => {
                self.announce(cx);
                self.say(&self.offers.lines(), cx);
            }
            Turn::Temporary => self.say("451 4.3.0 later\r\n", cx),
            // A 5xx to EHLO leads to HELO.
            Turn::Permanent => self.say("550 5.3.0 no EHLO for you\r\n", cx),
            Turn::Lost { .. } => {}
        }
    }

    fn announce(&self, cx: &mut Cx<'_>) {
        let size = self.offers.size.filter(|size| *size > 0);
        for domain in cx.domains {
            cx.oracle.announced(domain, size, self.offers.smtputf8);
        }
    }

    fn mail(&mut self, sender: String, cx: &mut Cx<'_>) -> Checked {
        if self.in_transaction {
            return broken(format!("MAIL from {sender} within a transaction"));
        }
        self.transactions += 1;
        if self.transactions > cx.transactions_max {
            let count = self.transactions;
            return broken(format!("{count} transactions on one connection"));
        }
        let permanent = !sender.is_empty();
        self.sender = sender;
        self.recipients.clear();
        match self.turn(Step::Mail, cx) {
            Turn::Permanent if permanent => {
                cx.oracle.refused(&self.sender);
                self.say("550 5.1.8 not from you\r\n", cx);
            }
            Turn::Normal => {
                self.in_transaction = true;
                self.say("250 2.1.0 go on\r\n", cx);
            }
            Turn::Temporary | Turn::Permanent => self.say("451 4.7.1 later\r\n", cx),
            Turn::Lost { .. } => {}
        }
        Ok(())
    }

    fn rcpt(&mut self, recipient: String, cx: &mut Cx<'_>) -> Checked {
        if !self.in_transaction {
            self.say("503 5.5.1 MAIL first\r\n", cx);
            return Ok(());
        }
        if cx.live {
            cx.oracle.asked(&recipient)?;
        }
        let over =
            self.offers.recipients_max.is_some_and(|max| self.recipients.len() as u32 >= max);
        if over {
            cx.coverage.count("peer: too many recipients");
            self.say("452 4.5.3 too many\r\n", cx);
            return Ok(());
        }
        let turn = match mark_of(&recipient) {
            Mark::Always => Turn::Temporary,
            Mark::Never => Turn::Permanent,
            Mark::None => self.turn(Step::Rcpt, cx),
        };
        match turn {
            Turn::Normal => {
                self.recipients.push(recipient);
                self.say("250 2.1.5 fine\r\n", cx);
            }
            Turn::Temporary => self.say("450 4.2.1 greylisted, come again\r\n", cx),
            Turn::Permanent => {
                cx.oracle.refused(&recipient);
                self.say("550-5.1.1 nobody\r\n550 5.1.1 of this name\r\n", cx);
            }
            Turn::Lost { .. } => {}
        }
        Ok(())
    }

    fn data(&mut self, cx: &mut Cx<'_>) {
        if !self.in_transaction {
            return self.say("503 5.5.1 MAIL first\r\n", cx);
        }
        if self.recipients.is_empty() {
            // RFC 2920 §3.1: some say 354 all the same, and get a lone dot.
            return match cx.random.below(3) {
                0 => {
                    cx.coverage.count("peer: 354 without a recipient");
                    self.state = State::Data;
                    self.say("354 go\r\n", cx);
                }
                _ => self.say("554 5.5.1 no recipients\r\n", cx),
            };
        }
        match self.turn(Step::Data, cx) {
            Turn::Normal => {
                self.state = State::Data;
                self.say("354 go ahead\r\n", cx);
                if cx.random.fraction() < cx.rate / 8.0 {
                    cx.coverage.count("peer: stops reading amid a body");
                    cx.moves.stop_reading();
                }
            }
            Turn::Temporary => self.say("451 4.3.0 no DATA now\r\n", cx),
            Turn::Permanent => {
                self.refuse_all(cx);
                self.say("554 5.6.0 no DATA ever\r\n", cx);
            }
            Turn::Lost { .. } => {}
        }
    }

    fn bdat(&mut self, text: &str) -> Checked {
        let mut words = text.split_whitespace().skip(1);
        let size = words.next().and_then(|size| size.parse().ok());
        let Some(left) = size.filter(|_| self.offers.chunking && self.in_transaction) else {
            return broken(format!("a peer was told `{}`", text.escape_debug()));
        };
        self.state = State::Chunk { left, last: words.next().is_some() };
        Ok(())
    }

    /// The whole message is here.
    fn end_of_body(&mut self, content: &[u8], cx: &mut Cx<'_>) -> Checked {
        self.in_transaction = false;
        if self.recipients.is_empty() {
            self.say("554 5.5.1 no recipients\r\n", cx);
            return Ok(());
        }
        match self.turn(Step::End, cx) {
            Turn::Normal => {
                let mark = cx.moves.mark_after(REPLY.len());
                self.take(content, mark, cx)?;
                self.say(REPLY, cx);
                if cx.random.fraction() < cx.rate / 8.0 {
                    let idles = Duration::from_millis(cx.random.below(9000).into());
                    cx.coverage.count("peer: 421 while idle");
                    cx.moves.send(idles, b"421 4.4.2 idle for too long\r\n");
                    cx.moves.part(Parting::Close);
                    self.state = State::Done;
                }
            }
            Turn::Temporary => self.say("451 4.3.0 not now\r\n", cx),
            Turn::Permanent => {
                self.refuse_all(cx);
                self.say("554 5.6.0 not this message\r\n", cx);
            }
            Turn::Lost { accepts: true } => {
                cx.coverage.count("peer: takes the message, and its reply is lost");
                self.take(content, u64::MAX, cx)?;
            }
            Turn::Lost { accepts: false } => {}
        }
        Ok(())
    }

    fn take(&mut self, content: &[u8], mark: u64, cx: &mut Cx<'_>) -> Checked {
        let acceptance = Acceptance {
            link: cx.link,
            mark,
            live: cx.live,
            heard: false,
            excused: false,
            reports: self.offers.dsn,
        };
        let envelope = (self.sender.as_str(), self.recipients.as_slice());
        cx.oracle.taken(content, envelope, acceptance, cx.coverage)
    }

    fn refuse_all(&mut self, cx: &mut Cx<'_>) {
        self.recipients.iter().for_each(|recipient| cx.oracle.refused(recipient));
    }

    fn hopeless(&self, cx: &mut Cx<'_>) {
        cx.domains.iter().for_each(|domain| cx.oracle.hopeless(domain));
    }

    fn say(&mut self, reply: &str, cx: &mut Cx<'_>) {
        let slow = cx.mood == Mood::Slow;
        let delay = if slow { cx.random.below(400_000) } else { 0 };
        if slow {
            cx.coverage.count("peer: slow");
        }
        cx.moves.send(Duration::from_millis(delay.into()), reply.as_bytes());
    }

    fn leave(&mut self, reply: &str, what: &'static str, cx: &mut Cx<'_>) {
        cx.coverage.count(what);
        self.say(reply, cx);
        cx.moves.part(Parting::Close);
        self.state = State::Done;
    }
}

const REPLY: &str = "250 2.0.0 taken\r\n";

/// What is in angle brackets.
fn path(text: &str) -> String {
    let start = text.find('<').map_or(0, |at| at + 1);
    let end = text[start..].find('>').map_or(text.len(), |at| start + at);
    text[start..end].to_owned()
}
