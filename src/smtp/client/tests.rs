//! Conversations of the client's session with next hops good and bad, cut at every octet.
//!
//! `S:` is said by the server and `C:` expected of the client, in order; `=` is what the caller
//! is told; `!` loses the connection and `Q` asks to quit.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::mail::{Address, BodyType, Envelope, Notify, Outcome, QueueId, Ret, Wire};

#[derive(Clone)]
struct Mail {
    transaction: Transaction,
    body: Vec<Bytes>,
}

fn address(text: &str) -> Address {
    Address::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

/// Message `id` from `s@a` with the body in these pieces.
fn mail(id: u64, wire: Wire, to: &[&str], body: &[&'static str]) -> Mail {
    let message = Message {
        id: QueueId::from_u64(id),
        arrived: Default::default(),
        envelope: Envelope { reverse_path: Some(address("s@a")), ..Envelope::default() },
        wire,
        size: body.iter().map(|piece| piece.len() as u64).sum(),
        parcels: 1,
    };
    let recipients = to.iter().map(|to| Recipient::plain(address(to))).collect();
    Mail {
        transaction: Transaction { message: Arc::new(message), recipients },
        body: body.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect(),
    }
}

fn stuffed(id: u64, to: &[&str]) -> Mail {
    mail(id, Wire::Stuffed, to, &["hi\r\n"])
}

fn plain(id: u64, to: &[&str]) -> Mail {
    mail(id, Wire::Plain, to, &["hi"])
}

fn with(mut mail: Mail, change: impl FnOnce(&mut Message)) -> Mail {
    change(Arc::get_mut(&mut mail.transaction.message).unwrap());
    mail
}

fn options() -> Options {
    Options {
        hostname: "me".into(),
        greeting_timeout: Duration::from_secs(1),
        command_timeout: Duration::from_secs(200),
        data_timeout: Duration::from_secs(3),
    }
}

/// A caller that begins as soon as it may, and has all bodies at hand.
struct Caller {
    session: Option<Session>,
    queue: VecDeque<Mail>,
    begun: VecDeque<Mail>,
    sent: Vec<u8>,
    sends: Vec<usize>,
    told: Vec<String>,
    /// One entry a recipient or unstarted transaction, to be counted.
    verdicts: usize,
}

impl Caller {
    fn new(mails: &[Mail]) -> Self {
        Self {
            session: Some(Session::new()),
            queue: mails.iter().cloned().collect(),
            begun: VecDeque::new(),
            sent: Vec::new(),
            sends: Vec::new(),
            told: Vec::new(),
            verdicts: 0,
        }
    }

    fn step(&mut self, step: impl FnOnce(Session, &mut Steps) -> Session) {
        let Some(session) = self.session.take() else { return };
        let mut steps = Steps::default();
        let mut session = step(session, &mut steps);
        loop {
            if steps.effects.is_empty() {
                if session.may_begin()
                    && let Some(mail) = self.queue.pop_front()
                {
                    session = session.begin(mail.transaction.clone(), &mut steps);
                    self.begun.push_back(mail);
                    continue;
                }
                break;
            }
            match steps.effects.remove(0) {
                Effect::Ready => self.told.push("ready".into()),
                Effect::Body => {
                    let (last, first) = self.begun[0].body.split_last().unwrap();
                    session = session.body(first.iter().cloned(), false, &mut steps);
                    session = session.body([last.clone()], true, &mut steps);
                }
                Effect::Done { transaction, verdicts, dsn_passed } => {
                    self.settled("done", transaction, verdicts, dsn_passed);
                }
                Effect::Close => {
                    self.told.push("close".into());
                    self.say(steps);
                    return self.ended(session.lost(Lost::Ended));
                }
            }
        }
        self.say(steps);
        self.session = Some(session);
    }

    fn say(&mut self, steps: Steps) {
        self.sends.push(steps.send.len());
        self.sent.extend(steps.send.concat());
    }

    fn settled(&mut self, how: &str, transaction: Transaction, said: Vec<Verdict>, dsn: bool) {
        let mail = self.begun.pop_front().expect("nothing is settled twice");
        assert_eq!(mail.transaction, transaction, "oldest first");
        assert_eq!(said.len(), transaction.recipients.len());
        self.verdicts += said.len();
        let said: Vec<_> = said.iter().map(verdict).collect();
        let dsn = if dsn { " dsn" } else { "" };
        let id = transaction.message.id.as_u64();
        self.told.push(format!("{how} {id}{dsn}: {}", said.join(" | ")));
    }

    fn ended(&mut self, end: End) {
        if let Some(host) = &end.host {
            self.told.push(format!("host: {}", verdict(host)));
        }
        for unfinished in end.unfinished {
            match unfinished {
                Unfinished::Unstarted(transaction) => {
                    let mail = self.begun.pop_front().expect("it had begun");
                    assert_eq!(mail.transaction, transaction, "oldest first");
                    self.verdicts += transaction.recipients.len();
                    self.told.push(format!("unstarted {}", transaction.message.id.as_u64()));
                }
                Unfinished::Settled { transaction, verdicts, dsn_passed } => {
                    self.settled("settled", transaction, verdicts, dsn_passed);
                }
            }
        }
        assert!(self.begun.is_empty(), "every transaction comes back");
    }

    fn hear(&mut self, bytes: &[u8]) {
        let bytes = Bytes::copy_from_slice(bytes);
        self.step(|session, steps| session.receive(bytes, &options(), steps));
    }

    fn lose(&mut self, reason: Lost) {
        if let Some(session) = self.session.take() {
            self.ended(session.lost(reason));
        }
    }
}

fn verdict(verdict: &Verdict) -> String {
    let outcome = match verdict.outcome {
        Outcome::Delivered => "ok",
        Outcome::Deferred => "later",
        Outcome::Failed => "never",
    };
    let reason = std::str::from_utf8(&verdict.reason).expect("reasons are UTF-8");
    let own = if verdict.remote_said { "" } else { "own " };
    format!("{outcome} {} {own}{reason}", verdict.status)
}

/// Plays the script, the server's octets cut by `feed`.
fn play(script: &str, mails: &[Mail], feed: &dyn Fn(&mut Caller, &[u8])) -> Caller {
    let mut caller = Caller::new(mails);
    let (mut heard, mut told) = (Vec::new(), Vec::new());
    let lines: Vec<&str> = script.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let mut at = 0;
    while at < lines.len() {
        let line = |prefix| move |line: &&str| line.strip_prefix(prefix).map(str::to_owned);
        let block: Vec<_> = lines[at..].iter().map_while(line("S: ")).collect();
        if !block.is_empty() {
            let said = caller.sent.clone();
            let (said, want) = (String::from_utf8_lossy(&said), String::from_utf8_lossy(&heard));
            assert_eq!(said, want, "before line {at}: {}", lines[at]);
            at += block.len();
            feed(&mut caller, (block.join("\r\n") + "\r\n").as_bytes());
            continue;
        }
        match lines[at].split_at(1) {
            ("C", rest) => heard.extend([&rest.as_bytes()[2..], b"\r\n"].concat()),
            ("=", rest) => told.push(rest.trim().to_owned()),
            ("Q", _) => caller.step(|session, steps| session.quit(steps)),
            ("!", " timeout") => caller.lose(Lost::TimedOut),
            ("!", _) => caller.lose(Lost::Ended),
            _ => panic!("no such line: {}", lines[at]),
        }
        at += 1;
    }
    assert_eq!(String::from_utf8_lossy(&caller.sent), String::from_utf8_lossy(&heard));
    assert_eq!(caller.told, told);
    caller
}

/// Plays the script whole, cut in two at every octet of each block, and octet by octet.
fn talk(script: &str, mails: &[Mail]) {
    play(script, mails, &|caller, bytes| caller.hear(bytes));
    play(script, mails, &|caller, bytes| bytes.chunks(1).for_each(|octet| caller.hear(octet)));
    for cut in 1..script.len() {
        play(script, mails, &|caller, bytes| {
            let (front, back) = bytes.split_at(cut.min(bytes.len()));
            caller.hear(front);
            if !back.is_empty() {
                caller.hear(back);
            }
        });
    }
}

const PIPELINED: &str = "
S: 220 mx
C: EHLO me
S: 250-mx
S: 250 PIPELINING
= ready
";

fn talk_pipelined(script: &str, mails: &[Mail]) {
    talk(&format!("{PIPELINED}{script}"), mails);
}

#[test]
fn one_by_one_without_pipelining() {
    talk(
        "S: 220-mx
         S: 220 ESMTP
         C: EHLO me
         S: 250 mx
         = ready
         C: MAIL FROM:<s@a>
         S: 250 ok
         C: RCPT TO:<r@b>
         S: 250 ok
         C: RCPT TO:<t@b>
         S: 550 5.1.1 who
         C: DATA
         S: 354 go
         C: hi
         C: .
         S: 250 2.0.0 queued
         = done 1: ok 2.0.0 250 2.0.0 queued | never 5.1.1 550 5.1.1 who
         Q
         C: QUIT
         S: 221 bye
         = close",
        &[stuffed(1, &["r@b", "t@b"])],
    );
}

#[test]
fn old_hosts_get_helo() {
    talk(
        "S: 220 mx
         C: EHLO me
         S: 500 what
         C: HELO me
         S: 250-mx
         S: 250 PIPELINING
         = ready
         C: MAIL FROM:<s@a>
         S: 451 4.7.1 grey
         = done 1: later 4.7.1 451 4.7.1 grey",
        &[stuffed(1, &["r@b"])],
    );
}

#[test]
fn two_messages_pipelined() {
    let mails = [stuffed(1, &["r@b"]), stuffed(2, &["r@b", "t@b"])];
    let script = "
         C: MAIL FROM:<s@a>
         C: RCPT TO:<r@b>
         C: DATA
         S: 250 ok
         S: 250 ok
         S: 354 go
         C: hi
         C: .
         C: MAIL FROM:<s@a>
         C: RCPT TO:<r@b>
         C: RCPT TO:<t@b>
         C: DATA
         S: 250 first
         = done 1: ok 2.0.0 250 first
         S: 250 ok
         S: 250 ok
         S: 450 4.2.1 full
         S: 354 go
         C: hi
         C: .
         S: 250 second
         = done 2: ok 2.0.0 250 second | later 4.2.1 450 4.2.1 full";
    talk_pipelined(script, &mails);
    let whole = play(&format!("{PIPELINED}{script}"), &mails, &|caller, bytes| caller.hear(bytes));
    // The body as it lies, and one piece with its end and the next transaction.
    assert!(whole.sends.contains(&2) && !whole.sends.contains(&3), "{:?}", whole.sends);
}

#[test]
fn refusals_with_pipelining() {
    let begin = "
         C: MAIL FROM:<s@a>
         C: RCPT TO:<r@b>
         C: DATA
         ";
    for replies in [
        // MAIL is refused.
        "S: 550 5.7.1 no
         S: 503 first mail
         S: 503 first rcpt
         = done 1: never 5.7.1 550 5.7.1 no",
        // RCPT is refused, DATA too, and in its own words.
        "S: 250 ok
         S: 550 5.1.1 who
         S: 554 5.5.1 nobody
         = done 1: never 5.1.1 550 5.1.1 who",
        // RCPT is refused, DATA is granted; what is said to the dot counts for nobody.
        "S: 250 ok
         S: 550 5.1.1 who
         S: 354 go
         C: .
         S: 250 queued nothing
         = done 1: never 5.1.1 550 5.1.1 who",
        // DATA is refused.
        "S: 250 ok
         S: 250 ok
         S: 451 4.3.0 disk
         = done 1: later 4.3.0 451 4.3.0 disk",
        // The body is refused.
        "S: 250 ok
         S: 250 ok
         S: 354 go
         C: hi
         C: .
         S: 554-5.7.1 spam
         S: 554 5.7.1 spam
         = done 1: never 5.7.1 554 5.7.1 spam spam",
    ] {
        talk_pipelined(&format!("{begin}{replies}"), &[stuffed(1, &["r@b"])]);
    }
}

#[test]
fn rset_goes_ahead_where_a_transaction_hangs() {
    talk_pipelined(
        "C: MAIL FROM:<s@a>
         C: RCPT TO:<r@b>
         C: DATA
         S: 250 ok
         S: 250 ok
         S: 451 disk
         = done 1: later 4.0.0 451 disk
         C: RSET
         C: MAIL FROM:<s@a>
         C: RCPT TO:<r@b>
         C: DATA
         S: 250 reset
         S: 250 ok
         S: 250 ok
         S: 354 go
         C: hi
         C: .
         S: 250 ok
         = done 2: ok 2.0.0 250 ok",
        &[stuffed(1, &["r@b"]), stuffed(2, &["r@b"])],
    );
    talk(
        "S: 220 mx
         C: EHLO me
         S: 250 mx
         = ready
         C: MAIL FROM:<s@a>
         S: 250 ok
         C: RCPT TO:<r@b>
         S: 550 who
         = done 1: never 5.0.0 550 who
         C: RSET
         S: 250 ok
         C: MAIL FROM:<s@a>
         S: 250 ok
         C: RCPT TO:<r@b>",
        &[stuffed(1, &["r@b"]), stuffed(2, &["r@b"])],
    );
}

#[test]
fn chunks() {
    talk(
        "S: 220 mx
         C: EHLO me
         S: 250-mx
         S: 250-CHUNKING
         S: 250 PIPELINING
         = ready
         C: MAIL FROM:<s@a>
         C: RCPT TO:<r@b>
         S: 250 ok
         S: 250 ok
         C: BDAT 6 LAST
         C: .
         C: x
         C: RSET
         C: MAIL FROM:<s@a>
         C: RCPT TO:<r@b>
         S: 554 no
         = done 1: never 5.0.0 554 no
         S: 250 reset
         S: 250 ok
         S: 550 who
         = done 2: never 5.0.0 550 who
         C: RSET
         C: MAIL FROM:<s@a>
         C: RCPT TO:<r@b>
         C: DATA",
        &[
            mail(1, Wire::Plain, &["r@b"], &[".\r", "\nx\r\n"]),
            plain(2, &["r@b"]),
            stuffed(3, &["r@b"]),
        ],
    );
}

#[test]
fn rset_is_not_forgotten_over_one_that_is_never_sent() {
    talk(
        "S: 220 mx
         C: EHLO me
         S: 250-mx
         S: 250-CHUNKING
         S: 250-PIPELINING
         S: 250 SIZE 4
         = ready
         C: MAIL FROM:<s@a> SIZE=4
         C: RCPT TO:<r@b>
         S: 250 ok
         S: 250 ok
         C: BDAT 4 LAST
         C: hi
         S: 451 no
         = done 1: later 4.0.0 451 no
         = done 2: never 5.3.4 own message size 5 exceeds the 4 octets that the host takes
         C: RSET
         C: MAIL FROM:<s@a> SIZE=4
         C: RCPT TO:<r@b>
         C: DATA",
        &[
            mail(1, Wire::Plain, &["r@b"], &["hi\r\n"]),
            mail(2, Wire::Plain, &["r@b"], &["hi!\r\n"]),
            stuffed(3, &["r@b"]),
        ],
    );
}

#[test]
fn plain_bodies_are_stuffed_for_data() {
    talk_pipelined(
        "C: MAIL FROM:<s@a>
         C: RCPT TO:<r@b>
         C: DATA
         S: 250 ok
         S: 250 ok
         S: 354 go
         C: ..
         C: ..x
         C: .",
        &[mail(1, Wire::Plain, &["r@b"], &[".\r", "\n", ".x"])],
    );
}

#[test]
fn parameters_travel_where_they_are_offered() {
    let mut full = with(stuffed(1, &["r@b", "ö@b"]), |message| {
        message.envelope.body_type = BodyType::EightBitMime;
        message.envelope.smtputf8 = true;
        message.envelope.ret = Some(Ret::Headers);
        message.envelope.envid = Some(Bytes::from_static(b"id+2B"));
    });
    full.transaction.recipients[0].notify = Notify::SUCCESS.union(Notify::DELAY);
    full.transaction.recipients[1].notify = Notify::NEVER;
    full.transaction.recipients[1].orcpt = Some(Bytes::from_static(b"rfc822;o@b"));
    let null = with(stuffed(2, &["r@b"]), |message| message.envelope.reverse_path = None);
    talk(
        "S: 220 mx
         C: EHLO me
         S: 250-mx
         S: 250-size 5
         S: 250-8bitmime
         S: 250-SMTPUTF8
         S: 250-DSN
         S: 250 PIPELINING
         = ready
         C: MAIL FROM:<s@a> SIZE=4 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=id+2B
         C: RCPT TO:<r@b> NOTIFY=SUCCESS,DELAY
         C: RCPT TO:<ö@b> NOTIFY=NEVER ORCPT=rfc822;o@b
         C: DATA
         S: 250 ok
         S: 250 ok
         S: 250 ok
         S: 354 go
         C: hi
         C: .
         C: MAIL FROM:<> SIZE=4
         C: RCPT TO:<r@b>
         C: DATA
         S: 250 ok
         = done 1 dsn: ok 2.0.0 250 ok | ok 2.0.0 250 ok",
        &[full, null],
    );
    let eight_bit = with(stuffed(1, &["r@b"]), |message| {
        message.envelope.body_type = BodyType::EightBitMime;
        message.envelope.ret = Some(Ret::Full);
    });
    talk_pipelined(
        "C: MAIL FROM:<s@a>
         C: RCPT TO:<r@b>
         C: DATA",
        &[eight_bit],
    );
}

#[test]
fn what_the_host_cannot_take_is_not_sent() {
    let utf8 = "never 5.6.7 own SMTPUTF8 is required, but was not offered by the host";
    talk(
        &format!(
            "S: 220 mx
             C: EHLO me
             S: 250-mx
             S: 250-PIPELINING
             S: 250 SIZE 4
             = ready
             = done 1: never 5.3.4 own message size 5 exceeds the 4 octets that the host takes
             = done 2: {utf8}
             = done 3: {utf8}
             C: MAIL FROM:<s@a> SIZE=4
             C: RCPT TO:<r@b>
             C: DATA
             S: 250 ok
             S: 250 ok
             S: 354 go
             C: hi
             C: .
             S: 250 ok
             = done 4: ok 2.0.0 250 ok
             = done 5: {utf8}"
        ),
        &[
            mail(1, Wire::Stuffed, &["r@b"], &["abc\r\n"]),
            stuffed(2, &["ö@b"]),
            with(stuffed(3, &["r@b"]), |message| message.envelope.smtputf8 = true),
            stuffed(4, &["r@b"]),
            stuffed(5, &["ö@b"]),
        ],
    );
}

#[test]
fn limits_of_the_host() {
    talk(
        "S: 220 mx
         C: EHLO me
         S: 250-mx
         S: 250-PIPELINING
         S: 250 LIMITS RCPTMAX=1 MAILMAX=1
         = ready
         C: MAIL FROM:<s@a>
         C: RCPT TO:<r@b>
         C: DATA
         S: 250 ok
         S: 250 ok
         S: 354 go
         C: hi
         C: .
         S: 250 ok
         = done 1: ok 2.0.0 250 ok | later 4.5.3 own the host takes 1 recipients in one \
             transaction",
        &[stuffed(1, &["r@b", "t@b"]), stuffed(2, &["r@b"])],
    );
}

#[test]
fn hosts_that_refuse() {
    for script in [
        "S: 554 5.7.1 go away
         = close
         = host: never 5.7.1 554 5.7.1 go away",
        "S: 421 4.3.2 busy
         = close
         = host: later 4.3.2 421 4.3.2 busy",
        "S: 220 mx
         C: EHLO me
         S: 450 later
         = close
         = host: later 4.0.0 450 later",
        "S: 220 mx
         C: EHLO me
         S: 502 what
         C: HELO me
         S: 550 no
         = close
         = host: never 5.0.0 550 no",
        "! gone
         = host: later 4.4.2 own lost connection while receiving the initial server greeting",
        "S: 220 mx
         C: EHLO me
         ! timeout
         = host: later 4.4.2 own conversation timed out while performing the EHLO handshake",
        "S: SSH-2.0-OpenSSH
         = close
         = host: later 4.5.0 own protocol error while receiving the initial server greeting: it \
             sent a line that is not an SMTP reply",
        "S: 354 go
         = close
         = host: later 4.5.0 own protocol error while receiving the initial server greeting: its \
             reply 354 fits nothing that was asked",
    ] {
        talk(script, &[stuffed(1, &["r@b"])]);
    }
}

#[test]
fn conversations_that_break() {
    let begin = "
         C: MAIL FROM:<s@a>
         C: RCPT TO:<r@b>
         C: RCPT TO:<t@b>
         C: DATA
         ";
    for rest in [
        // Before any reply: another host, or this verdict.
        "! gone
         = host: later 4.4.2 own lost connection while sending MAIL FROM
         = unstarted 1",
        "S: 421 4.3.2 bye
         = close
         = host: later 4.3.2 421 4.3.2 bye
         = unstarted 1",
        // What was refused stays refused.
        "S: 250 ok
         S: 550 5.1.1 who
         S: 421 bye
         = close
         = settled 1: never 5.1.1 550 5.1.1 who | later 4.0.0 421 bye",
        "S: 250 ok
         S: 250 ok
         ! gone
         = settled 1: later 4.4.2 own lost connection while sending RCPT TO | later 4.4.2 own \
             lost connection while sending RCPT TO",
        "S: 250 ok
         S: 250 ok
         S: 452 4.5.3 many
         S: 250 data
         = close
         = settled 1: later 4.5.0 own protocol error while sending DATA command: its reply 250 \
             fits nothing that was asked | later 4.5.3 452 4.5.3 many",
        "S: 250 ok
         S: 250 ok
         S: 552 many
         S: 354 go
         C: hi
         C: .
         ! timeout
         = settled 1: later 4.4.2 own conversation timed out while sending end of data -- \
             message may be sent more than once | later 4.5.3 552 many",
    ] {
        talk_pipelined(&format!("{begin}{rest}"), &[stuffed(1, &["r@b", "t@b"])]);
    }
}

#[test]
fn the_one_behind_goes_at_once_elsewhere() {
    for (rest, told) in [
        ("! gone", "lost"),
        ("S: 421 bye\n= close", "421"),
        ("S: 250 ok\n= done 1: ok 2.0.0 250 ok\nS: 421 bye\n= close", "done"),
    ] {
        let told = match told {
            "lost" => {
                "= settled 1: later 4.4.2 own lost connection while sending end of data \
                 -- message may be sent more than once"
            }
            "421" => "= settled 1: later 4.0.0 421 bye",
            _ => "",
        };
        talk_pipelined(
            &format!(
                "C: MAIL FROM:<s@a>
                 C: RCPT TO:<r@b>
                 C: DATA
                 S: 250 ok
                 S: 250 ok
                 S: 354 go
                 C: hi
                 C: .
                 C: MAIL FROM:<s@a>
                 C: RCPT TO:<r@b>
                 C: DATA
                 {rest}
                 {told}
                 = unstarted 2"
            ),
            &[stuffed(1, &["r@b"]), stuffed(2, &["r@b"])],
        );
    }
}

#[test]
fn idle_sessions() {
    for rest in ["S: 421 idle too long", "S: 250 for nothing", "S: garbage"] {
        talk_pipelined(&format!("{rest}\n= close"), &[]);
    }
    talk_pipelined("! gone", &[]);
    talk_pipelined("Q\nC: QUIT\n! timeout", &[]);
    talk_pipelined("Q\nC: QUIT\nS: 421 whatever\n= close", &[]);
    talk("Q\nC: QUIT\nS: 220 mx\n= close", &[]);
}

fn ready(extensions: &str) -> Session {
    let mut steps = Steps::default();
    let hello = format!("220 mx\r\n250-mx\r\n250 {extensions}\r\n");
    let session = Session::new().receive(Bytes::from(hello), &options(), &mut steps);
    assert!(session.is_idle());
    session
}

#[test]
fn a_body_in_parts_and_a_host_that_breaks_in() {
    let mail = mail(1, Wire::Stuffed, &["r@b"], &["ab", "c\r\n"]);
    let granted = |steps: &mut Steps| {
        let session = ready("PIPELINING").begin(mail.transaction.clone(), steps);
        let replies = Bytes::from_static(b"250 ok\r\n250 ok\r\n354 go\r\n");
        let session = session.receive(replies, &options(), steps);
        *steps = Steps::default();
        session.body([mail.body[0].clone()], false, steps)
    };
    let mut steps = Steps::default();
    let session = granted(&mut steps);
    assert_eq!(steps.send.concat(), b"ab");
    assert!(!session.may_begin() && !session.is_idle());
    let session = session.body([mail.body[1].clone()], true, &mut steps);
    assert_eq!(steps.send.concat(), b"abc\r\n.\r\n");
    assert!(session.may_begin());

    // The disk held less than the record says: the dot is never sent.
    let mut steps = Steps::default();
    let session = granted(&mut steps).body([], true, &mut steps);
    assert_eq!(steps.send.concat(), b"ab");
    assert_eq!(steps.effects[..], [Effect::Close]);
    let End { host: None, unfinished } = session.lost(Lost::Ended) else { panic!("host is fine") };
    let [Unfinished::Settled { verdicts, .. }] = &unfinished[..] else { panic!("{unfinished:?}") };
    assert_eq!((verdicts[0].outcome, verdicts[0].status.subject), (Outcome::Deferred, 3));

    // A refusal in the midst counts, and ends the session.
    let mut steps = Steps::default();
    let refusal = Bytes::from_static(b"552 5.3.4 enough\r\n");
    let session = granted(&mut steps).receive(refusal, &options(), &mut steps);
    let session = session.body([mail.body[1].clone()], true, &mut steps);
    assert_eq!(steps.send.concat(), b"ab");
    let unfinished = session.lost(Lost::Ended).unfinished;
    let [Unfinished::Settled { verdicts, .. }] = &unfinished[..] else { panic!("{unfinished:?}") };
    assert_eq!(verdict(&verdicts[0]), "never 5.3.4 552 5.3.4 enough");
}

#[test]
fn each_wait_has_its_time() {
    let mut steps = Steps::default();
    let options = options();
    let timeout = |session: &Session| session.timeout(&options).map(|time| time.as_secs());
    let mut session = Session::new();
    assert_eq!(timeout(&session), Some(1));
    let mail = stuffed(1, &["r@b"]);
    for (heard, want) in [
        ("220 mx", Some(200)),
        ("250-mx\r\n250 PIPELINING", None),
        ("", Some(200)),
        ("250 ok", Some(200)),
        ("250 ok", Some(120)),
        ("354 go", Some(3)),
        (".", Some(3)),
    ] {
        session = match heard {
            "" => session.begin(mail.transaction.clone(), &mut steps),
            "." => session.body(mail.body.clone(), true, &mut steps),
            _ => session.receive(Bytes::from(format!("{heard}\r\n")), &options, &mut steps),
        };
        assert_eq!(timeout(&session), want, "after {heard:?}");
        assert!(std::mem::take(&mut steps.waits_anew), "after {heard:?}");
    }
    session = session.receive(Bytes::from_static(b"250-drip\r\n25"), &options, &mut steps);
    assert!(!steps.waits_anew, "part of a reply is no progress");
    session = session.receive(Bytes::from_static(b"0 ok\r\n"), &options, &mut steps);
    assert_eq!(timeout(&session), None);
    assert_eq!(timeout(&session.quit(&mut steps)), Some(LINGER.as_secs()));
}

#[test]
fn beginning_out_of_turn_loses_nothing() {
    let mail = stuffed(1, &["r@b"]);
    let mut steps = Steps::default();
    let session = ready("PIPELINING").begin(mail.transaction.clone(), &mut steps);
    assert!(!session.may_begin());
    let end = session.begin(mail.transaction.clone(), &mut steps).lost(Lost::Ended);
    assert_eq!(
        end.unfinished,
        [Unfinished::Unstarted(mail.transaction.clone()), Unfinished::Unstarted(mail.transaction),]
    );
}

fn server_word() -> impl Strategy<Value = Vec<u8>> {
    let fit = prop::sample::select(vec![
        "250 ok\r\n",
        "250 ok\r\n",
        "250 ok\r\n",
        "250 ok\r\n",
        "354 go\r\n",
        "354 go\r\n",
        "550 5.1.1 no\r\n",
        "451 later\r\n",
        "421 bye\r\n",
        "250-more\r\n",
        "552 many\r\n",
        "503 sequence\r\n",
        "25",
        "0",
        "\r",
        "\n",
        "\0",
        "999 x\r\n",
        "221 bye\r\n",
    ]);
    prop_oneof![
        20 => fit.prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #[test]
    fn whatever_the_server_says_each_recipient_has_one_verdict(
        words in prop::collection::vec(server_word(), 0..60),
        greeted in prop::sample::select(vec![
            "", "220 mx\r\n250 mx\r\n", "220 mx\r\n250-mx\r\n250 PIPELINING\r\n",
            "220 mx\r\n250-mx\r\n250-CHUNKING\r\n250 PIPELINING\r\n",
            "220 mx\r\n250-mx\r\n250-LIMITS RCPTMAX=1 MAILMAX=3\r\n250 CHUNKING\r\n",
        ]),
        cut in 1usize..50,
    ) {
        let mails = [
            stuffed(1, &["r@b"]), plain(2, &["r@b", "t@b"]), stuffed(3, &["ö@b"]),
            stuffed(4, &["r@b", "t@b", "u@b"]), plain(5, &["r@b"]), stuffed(6, &["r@b"]),
        ];
        let mut caller = Caller::new(&mails);
        let words = [greeted.as_bytes(), &words.concat()].concat();
        words.chunks(cut).for_each(|part| caller.hear(part));
        caller.lose(Lost::Reset);
        let left: usize = caller.queue.iter().map(|mail| mail.transaction.recipients.len()).sum();
        prop_assert!(caller.begun.is_empty());
        prop_assert_eq!(caller.verdicts + left, 9);
    }
}
