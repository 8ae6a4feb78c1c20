//! The client's session from each of its states: whatever a next hop says, each transaction comes
//! back once, and a body that was handed over is the one that is stored.

use std::{collections::VecDeque, rc::Rc, sync::Arc};

use bytes::Bytes;
use ringmail::{
    limits::REPLY_TEXT_KEPT,
    mail::{
        Address, BodyType, Envelope, Message, Notify, Outcome, QueueId, Recipient, Ret, Verdict,
        Wire,
    },
    smtp::client::{Effect, Lost, Options, Session, Steps, Transaction, Unfinished},
    time::Duration,
};

use super::script::{self, Step};

/// What a next hop says to bring the session into each state, and what happens behind it.
const STATES: [(&str, &[u8]); 15] = [
    ("", b""),
    ("220 hi\r\n", b""),
    ("220 hi\r\n500 what\r\n", b""),
    ("220 hi\r\n250-hi\r\n250-SIZE 9000\r\n250 DSN\r\n", b""),
    ("220 hi\r\n250-hi\r\n250 DSN\r\n250 ok\r\n", b""),
    ("220 hi\r\n250 hi\r\n250 ok\r\n250 ok\r\n550 no\r\n", b""),
    ("220 hi\r\n250 hi\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", b""),
    ("220 hi\r\n250-hi\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-DSN\r\n250 SMTPUTF8\r\n", b""),
    ("220 hi\r\n250-hi\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", b""),
    // From here on a message that came by BDAT is the first.
    ("220 hi\r\n250-hi\r\n250-CHUNKING\r\n250 PIPELINING\r\n", b""),
    ("220 hi\r\n250-hi\r\n250-CHUNKING\r\n250 SIZE\r\n250 ok\r\n250 ok\r\n", b""),
    // RSET goes ahead of the second transaction.
    ("220 hi\r\n250 hi\r\n250 ok\r\n550 no\r\n", b""),
    ("220 hi\r\n250-hi\r\n250 PIPELINING\r\n250 ok\r\n550 no\r\n554 no\r\n", b""),
    ("220 hi\r\n250-hi\r\n250 LIMITS RCPTMAX=1 MAILMAX=2\r\n", b""),
    ("220 hi\r\n250 hi\r\n", b"q"),
];
const PLAIN_FIRST: usize = 9;

/// Bits of the second octet.
const BEGIN_WHEN_TOLD: u8 = 1;
const BODY_WHEN_TOLD: u8 = 2;

pub fn run(input: &[u8]) {
    let [state, choices, dialogue @ ..] = input else { return };
    let steps = script::read(dialogue);
    let play = |cut: &dyn Fn(&[u8]) -> Vec<Vec<u8>>| play(*state, *choices, &steps, cut);
    // A host that answers what it was not asked yet is read differently when it is read at once.
    let lines =
        play(&|octets| octets.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect());
    let every = play(&|octets| octets.chunks(1).map(<[u8]>::to_vec).collect());
    assert_eq!(lines, every, "cuts matter");
    play(&|octets| vec![octets.to_vec()]);
}

/// What was sent, and what became of each transaction.
type Outcomes = (Vec<u8>, Vec<String>);

fn play(state: u8, choices: u8, steps: &[Step], cut: &dyn Fn(&[u8]) -> Vec<Vec<u8>>) -> Outcomes {
    let state = usize::from(state) % STATES.len();
    let mut caller = Caller::new(choices, state >= PLAIN_FIRST);
    let (said, events) = STATES[state];
    for line in said.split_inclusive('\n') {
        caller.hear(line.as_bytes());
    }
    events.iter().for_each(|event| caller.happen(*event));
    for step in steps {
        match step {
            Step::Octets(octets) => cut(octets).iter().for_each(|piece| caller.hear(piece)),
            Step::Event(event) => caller.happen(*event),
        }
    }
    caller.lose(Lost::Ended);
    (caller.sent, caller.told)
}

struct Mail {
    transaction: Transaction,
    body: Vec<Bytes>,
    /// Pieces handed over.
    given: usize,
    /// What the session made of them.
    wire: Vec<u8>,
    by_bdat: bool,
    whole: bool,
}

struct Caller {
    session: Option<Session>,
    options: Rc<Options>,
    choices: u8,
    queue: VecDeque<Mail>,
    begun: VecDeque<Mail>,
    /// A body was asked for and is not all given.
    wanted: bool,
    sent: Vec<u8>,
    told: Vec<String>,
}

impl Caller {
    fn new(choices: u8, plain_first: bool) -> Self {
        let mut queue: VecDeque<Mail> = (0..6).map(mail).collect();
        if plain_first {
            queue.rotate_left(1);
        }
        Self {
            session: Some(Session::new()),
            options: Rc::new(Options {
                hostname: "me.example".into(),
                greeting_timeout: Duration::from_secs(1),
                command_timeout: Duration::from_secs(2),
                data_timeout: Duration::from_secs(3),
            }),
            choices,
            queue,
            begun: VecDeque::new(),
            wanted: false,
            sent: Vec::new(),
            told: Vec::new(),
        }
    }

    fn hear(&mut self, octets: &[u8]) {
        let bytes = Bytes::copy_from_slice(octets);
        let options = self.options.clone();
        self.step(|session, steps| session.receive(bytes, &options, steps));
    }

    fn happen(&mut self, event: u8) {
        match event {
            b'q' => self.step(Session::quit),
            b'l' => self.lose(Lost::Ended),
            b'r' => self.lose(Lost::Reset),
            b't' => self.lose(Lost::TimedOut),
            b'b' => self.begin(),
            // The next piece, all that is left, or an end before its time.
            b'p' => self.give(|left| left.min(1), false),
            b'e' => self.give(|left| left, false),
            b'k' => self.give(|left| left.min(1), true),
            _ => {}
        }
    }

    fn step(&mut self, step: impl FnOnce(Session, &mut Steps) -> Session) {
        let Some(session) = self.session.take() else { return };
        let mut steps = Steps::default();
        let mut session = step(session, &mut steps);
        loop {
            let may_begin = session.may_begin() && self.choices & BEGIN_WHEN_TOLD == 0;
            if !steps.effects.is_empty() {
                match steps.effects.remove(0) {
                    Effect::Ready => self.told.push("ready".into()),
                    // It was asked for, and then the same read ended the session.
                    Effect::Body if steps.effects.contains(&Effect::Close) => {}
                    Effect::Body => {
                        self.wanted = true;
                        if self.choices & BODY_WHEN_TOLD == 0 {
                            session = self.body(session, usize::MAX, false, &mut steps);
                        }
                    }
                    Effect::Done { transaction, verdicts, .. } => {
                        self.settled("done", &transaction, &verdicts);
                    }
                    Effect::Close => {
                        self.sent.extend(steps.send.concat());
                        self.told.push("close".into());
                        return self.ended(session, Lost::Ended);
                    }
                }
            } else if let Some(mail) = may_begin.then(|| self.queue.pop_front()).flatten() {
                session = session.begin(mail.transaction.clone(), &mut steps);
                self.begun.push_back(mail);
            } else {
                break;
            }
        }
        self.sent.extend(steps.send.concat());
        assert!(!session.is_idle() || self.begun.is_empty(), "idle, and one is under way");
        self.session = Some(session);
    }

    fn begin(&mut self) {
        let Some(mail) = self.queue.pop_front() else { return };
        if self.session.is_none() {
            return;
        }
        let transaction = mail.transaction.clone();
        self.begun.push_back(mail);
        self.step(|session, steps| session.begin(transaction, steps));
    }

    fn give(&mut self, pieces: fn(usize) -> usize, torn: bool) {
        let Some(session) = self.session.take() else { return };
        let mut steps = Steps::default();
        let left = self.begun.front().map_or(0, |mail| mail.body.len() - mail.given);
        let session = match self.wanted {
            true => self.body(session, pieces(left), torn, &mut steps),
            false => session,
        };
        self.session = Some(session);
        self.step(|session, earlier| {
            *earlier = steps;
            session
        });
    }

    /// Hands over some pieces of the body, and notes what the session makes of them.
    fn body(&mut self, session: Session, pieces: usize, torn: bool, steps: &mut Steps) -> Session {
        let Some(mail) = self.begun.front_mut() else { panic!("a body of no transaction") };
        let before = steps.send.len();
        if mail.given == 0 {
            let commands = [&self.sent[..], &steps.send.concat()].concat();
            let bdat = format!("BDAT {} LAST\r\n", mail.transaction.message.size);
            mail.by_bdat = commands.ends_with(bdat.as_bytes());
            assert!(mail.by_bdat || asks_for_data(&commands), "a body that nobody announced");
        }
        let to = mail.body.len().min(mail.given.saturating_add(pieces));
        let last = torn || to == mail.body.len();
        let part = mail.body[mail.given..to].to_vec();
        mail.given = to;
        let session = session.body(part, last, steps);
        mail.wire.extend(steps.send[before..].concat());
        mail.whole = last && to == mail.body.len();
        self.wanted = !last;
        mail.check(torn && !mail.whole);
        session
    }

    fn settled(&mut self, how: &str, transaction: &Transaction, verdicts: &[Verdict]) {
        let mail = self.begun.pop_front().expect("nothing comes back twice");
        assert_eq!(&mail.transaction, transaction, "oldest first");
        assert_eq!(verdicts.len(), transaction.recipients.len(), "one a recipient");
        let mut line = format!("{how} {}:", transaction.message.id);
        for verdict in verdicts {
            let reason = std::str::from_utf8(&verdict.reason).expect("UTF-8");
            assert!(!reason.contains(['\r', '\n']) && reason.len() <= REPLY_TEXT_KEPT);
            let delivered = verdict.outcome == Outcome::Delivered;
            assert!(mail.whole || !delivered, "delivered without a body");
            assert!(!delivered || verdict.status.class == 2, "delivered with {}", verdict.status);
            line.push_str(&format!(" {:?} {} {reason}", verdict.outcome, verdict.status));
        }
        self.wanted &= how != "done";
        self.told.push(line);
    }

    fn lose(&mut self, reason: Lost) {
        if let Some(session) = self.session.take() {
            self.ended(session, reason);
        }
    }

    fn ended(&mut self, session: Session, reason: Lost) {
        let end = session.lost(reason);
        if let Some(host) = &end.host {
            self.told.push(format!("host: {:?} {}", host.outcome, host.status));
        }
        for unfinished in end.unfinished {
            match unfinished {
                Unfinished::Unstarted(transaction) => {
                    let mail = self.begun.pop_front().expect("nothing comes back twice");
                    assert_eq!(mail.transaction, transaction, "oldest first");
                    assert!(mail.wire.is_empty(), "it had begun");
                    self.told.push(format!("unstarted {}", transaction.message.id));
                }
                Unfinished::Settled { transaction, verdicts, .. } => {
                    self.settled("settled", &transaction, &verdicts);
                }
            }
        }
        assert!(self.begun.is_empty(), "a transaction is lost");
    }
}

impl Mail {
    /// By a reader of its own: what the next hop unstuffs is what is stored.
    fn check(&self, torn: bool) {
        let stored: Vec<u8> = self.body.concat();
        if self.by_bdat {
            assert!(stored.starts_with(&self.wire) && (!self.whole || stored == self.wire));
            return;
        }
        let read = unstuffed(&self.wire);
        if !self.whole {
            assert_eq!(read, None, "an end within the body, torn: {torn}");
            return;
        }
        let stored = match self.transaction.message.wire {
            Wire::Stuffed => unstuffed(&[&stored[..], b".\r\n"].concat()).expect("its end").0,
            // RFC 5321 §4.1.1.4: the last line gets its CRLF.
            Wire::Plain if stored.is_empty() || stored.ends_with(b"\r\n") => stored,
            Wire::Plain => [&stored[..], b"\r\n"].concat(),
        };
        let Some((body, rest)) = read else { panic!("no end: {}", self.wire.escape_ascii()) };
        assert_eq!(body, stored, "another body");
        assert_eq!(rest, b"", "octets behind the end");
    }
}

/// The body and what follows its final dot (RFC 5321 §4.5.2).
fn unstuffed(wire: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let (mut body, mut rest) = (Vec::new(), wire);
    while !rest.starts_with(b".\r\n") {
        let end = rest.windows(2).position(|two| two == b"\r\n")? + 2;
        body.extend_from_slice(rest[..end].strip_prefix(b".").unwrap_or(&rest[..end]));
        rest = &rest[end..];
    }
    Some((body, &rest[3..]))
}

fn asks_for_data(commands: &[u8]) -> bool {
    commands.ends_with(b"DATA\r\n")
}

/// A handful of messages of every kind.
fn mail(number: u64) -> Mail {
    let (wire, body): (_, &[&[u8]]) = match number {
        0 => (Wire::Stuffed, &[b"Subject: x\r\n\r\n", b"..\r\nhi\r\n"]),
        1 => (Wire::Plain, &[b"Subject: x\r\n\r\n.", b"\r\n.\r\n..\r\nQUIT\r", b"\n.hi"]),
        2 => (Wire::Stuffed, &[b"Subject: x\r\n\r\n", b"8 bits: \xff\r\n"]),
        3 => (Wire::Plain, &[b".\r\n"]),
        4 => (Wire::Plain, &[b"x\r\n", b".", b".", b"\r\n"]),
        _ => (Wire::Stuffed, &[b"x\r\n"]),
    };
    let address = |text: &str| Address::parse(text.to_owned().into()).expect("an address");
    let recipient = |text: &str| Recipient::plain(address(text));
    let mut recipients = vec![recipient("a@x.example")];
    let mut envelope = Envelope::default();
    if number.is_multiple_of(2) {
        let orcpt = Some(Bytes::from_static(b"rfc822;c@d"));
        let notify = Notify::SUCCESS.union(Notify::FAILURE);
        recipients.push(Recipient { notify, orcpt, ..recipient("b@x.example") });
        envelope.reverse_path = Some(address("s@y.example"));
        envelope.ret = Some(Ret::Headers);
        envelope.envid = Some(Bytes::from_static(b"QQ"));
    }
    if number == 2 {
        envelope.smtputf8 = true;
        envelope.body_type = BodyType::EightBitMime;
        recipients.push(recipient("jörg@x.example"));
    }
    let message = Message {
        id: QueueId::from_u64(number),
        arrived: Default::default(),
        envelope,
        wire,
        size: body.iter().map(|piece| piece.len() as u64).sum(),
        parcels: 1,
    };
    Mail {
        transaction: Transaction { message: Arc::new(message), recipients },
        body: body.iter().map(|piece| Bytes::from_static(piece)).collect(),
        given: 0,
        wire: Vec::new(),
        by_bdat: false,
        whole: false,
    }
}
