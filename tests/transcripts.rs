//! Replays the conversations of `tests/transcripts` against the pure session: whole, octet by
//! octet, and cut in two at every octet. What comes out must be the same each time.
//!
//! A transcript is text, a line a step, the mark in its first two columns:
//!
//! - `#` is a comment.
//! - `% key value` is a setting, before the first step: `role relay|submission`, `client IP`;
//!   the lists `networks`, `relay_domains`, `local_domains`, `accounts`, `full` (accounts without
//!   room), `aliases` (`name>target,target`), all by spaces; `postmaster`, `message_size_max`,
//!   `recipients_max`, `errors_max`, `received_headers_max`, `free`.
//! - `C: text`: the client sends the text and CRLF. Neighbouring `C` lines are sent at once.
//! - `C> text`: the same without CRLF; escapes are `\r \n \t \0 \\ \xHH`.
//! - `C* n text`: the same `n` times.
//! - `S: text`: the server's next line; `{id}` stands for any queue id.
//! - `S! closed`: the server has closed.
//! - `@ 30s`: time goes by (`ms`, `s`, `m`).
//! - `E: event`: something happens inside. `drain`; `store ok`, `store full`, `store failed` (the
//!   answer to the next commit); `spool failed`; `unreadable` (look-ups fail); `free n`;
//!   `memory short`; `abandoned` (what was spooled has been given up); `gone abandons`,
//!   `gone leaves nothing` (the client has closed).
//! - `M: field value`: a fact about the message last committed. `from`; `to` (each line the next
//!   recipient, with `notify=bits` and `orcpt=…`); `envelope`; `received` (our field); `body`
//!   (what follows it); `rows` (spooled); `message-id`.
//!
//! Where a setting is not given, `World::new` says what holds. Transcripts without `@` and `E:`
//! also play against a server on the wire.

#[path = "support/transcript.rs"]
mod transcript;

use std::{collections::HashSet, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use ringmail::{
    limits::BODY_ROW,
    mail::{Address, BodyType, Domain, QueueId, Recipient, mailbox::Resolved, message::QueueIds},
    smtp::server::{
        CommitError, Context, Effect, LookupError, Pressure, Session, Steps, Submission,
        policy::{Options, Role},
    },
    time::{Duration, Instant, Now, Wall},
};
use transcript::{Step, Transcript, matches, read_all, unescape};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/transcripts");

#[test]
fn whole() {
    let transcripts = read_all(FOLDER);
    assert!(transcripts.len() >= 10);
    for transcript in transcripts {
        play(&transcript, &[]);
    }
}

#[test]
fn octet_by_octet() {
    for transcript in read_all(FOLDER) {
        play(&transcript, &(0..transcript.octets()).collect::<Vec<_>>());
    }
}

#[test]
fn cut_at_every_octet() {
    for transcript in read_all(FOLDER) {
        // What is long is so by repetition: behind its first part it is cut at strides.
        for cut in 0..transcript.octets() {
            if cut < 1500 || cut % 4099 == 0 {
                play(&transcript, &[cut]);
            }
        }
    }
}

/// One server with one client, and a store that answers at once.
struct World {
    options: Options,
    role: Role,
    client: SocketAddr,
    pressure: Pressure,
    now: Now,
    ids: QueueIds,
    session: Option<Session>,
    waiting: Duration,
    replies: Vec<u8>,
    closed: bool,
    answer: Result<(), CommitError>,
    spooled: Vec<u8>,
    abandoned: Option<QueueId>,
    committed: Option<(Submission, Vec<u8>)>,
    recipients: std::vec::IntoIter<Recipient>,
    accounts: Vec<String>,
    full: Vec<String>,
    aliases: Vec<(String, Vec<Address>)>,
    /// Look-ups fail.
    broken: bool,
}

/// Plays a transcript, the client's octets cut before each of `cuts`.
fn play(transcript: &Transcript, cuts: &[usize]) {
    let mut world = World::new(transcript);
    let mut sent = 0;
    for (line, step) in &transcript.steps {
        let place = format!("{}:{line} cut at {cuts:?}", transcript.name);
        match step {
            Step::Send(octets) => {
                let mut rest = Bytes::copy_from_slice(octets);
                let inside = |cut: &&usize| (sent + 1..sent + octets.len()).contains(*cut);
                for cut in cuts.iter().filter(inside) {
                    let piece = rest.split_to(cut - sent - (octets.len() - rest.len()));
                    world.send(piece);
                }
                world.send(rest);
                sent += octets.len();
            }
            Step::Expect(line) => world.expect(line, &place),
            Step::ExpectClosed => assert!(world.closed, "{place}: not closed"),
            Step::Advance(time) => world.advance(*time),
            Step::Event(event) => world.event(event, &place),
            Step::Message { field, value } => world.check(field, value, &place),
        }
    }
    let left = world.replies.escape_ascii();
    assert!(world.replies.is_empty(), "{}: unexpected: {left}", transcript.name);
}

impl World {
    fn new(transcript: &Transcript) -> Self {
        let setting = |key: &str, usual: &str| -> String {
            let given = transcript.settings.iter().find(|(k, _)| k == key);
            given.map_or(usual.to_owned(), |(_, value)| value.clone())
        };
        let words = |key: &str, usual: &str| -> Vec<String> {
            setting(key, usual).split_whitespace().map(str::to_owned).collect()
        };
        let number = |key: &str, usual: &str| -> u64 { setting(key, usual).parse().unwrap() };
        let domains: HashSet<Domain> = words("local_domains", "example.org")
            .iter()
            .map(|d| Domain::parse(d).unwrap())
            .collect();
        let mut world = Self {
            options: Options {
                hostname: "mx.example.org".to_owned(),
                message_size_max: number("message_size_max", "10000000"),
                recipients_max: number("recipients_max", "100") as usize,
                command_timeout: Duration::from_secs(300),
                data_timeout: Duration::from_secs(600),
                connections_per_client_max: 100,
                errors_max: number("errors_max", "20") as u32,
                received_headers_max: number("received_headers_max", "50") as u32,
                relay_networks: words("networks", "127.0.0.0/8 ::1/128")
                    .iter()
                    .map(|n| n.parse().unwrap())
                    .collect(),
                relay_domains: words("relay_domains", "relay.example *.relay.example")
                    .iter()
                    .map(|d| d.parse().unwrap())
                    .collect(),
                local_domains: Arc::new(domains),
                postmaster: Address::parse(setting("postmaster", "admin@example.net").into()).ok(),
            },
            role: match &setting("role", "relay")[..] {
                "relay" => Role::Relay,
                "submission" => Role::Submission,
                role => panic!("no such role: {role}"),
            },
            client: SocketAddr::new(setting("client", "127.0.0.1").parse().unwrap(), 4711),
            pressure: Pressure {
                free: number("free", "1000000000"),
                memory_short: false,
                draining: false,
            },
            now: Now {
                instant: Instant::from_micros(0),
                wall: Wall::from_millis(1_795_424_700_000),
            },
            ids: QueueIds::new(0, QueueId::MIN),
            session: None,
            waiting: Duration::ZERO,
            replies: Vec::new(),
            closed: false,
            answer: Ok(()),
            spooled: Vec::new(),
            abandoned: None,
            committed: None,
            recipients: Vec::new().into_iter(),
            accounts: words("accounts", ""),
            full: words("full", ""),
            aliases: words("aliases", "").iter().map(|alias| parse_alias(alias)).collect(),
            broken: false,
        };
        let (client, role) = (world.client, world.role);
        world.step(|_, cx, steps| Session::new(client, role, cx, steps));
        world
    }

    /// Takes one step and does what it asks for.
    fn step(&mut self, act: impl FnOnce(Session, &mut Context, &mut Steps) -> Session) {
        let session = self.session.take().unwrap_or(Session::Closed);
        let mut steps = Steps::default();
        let mut cx = Context {
            options: &self.options,
            now: self.now,
            ids: &mut self.ids,
            pressure: self.pressure,
        };
        self.session = Some(act(session, &mut cx, &mut steps));
        self.replies.extend_from_slice(&steps.replies);
        for effect in steps.effects {
            assert!(!self.closed, "{effect:?} behind Close");
            match effect {
                Effect::LookUp { address, .. } => self.look_up(&address),
                Effect::Commit(submission) => self.commit(*submission),
                Effect::Spool { first_row, pieces, .. } => {
                    assert_eq!(self.spooled.len(), first_row as usize * BODY_ROW);
                    self.spooled.extend(pieces.concat());
                    assert_eq!(self.spooled.len() % BODY_ROW, 0);
                }
                Effect::Abandon { message } => {
                    self.abandoned = Some(message);
                    self.spooled.clear();
                }
                Effect::Rejected { reply, .. } => {
                    let lines = self.replies.escape_ascii().to_string();
                    assert!(lines.contains(&reply.escape_ascii().to_string()));
                }
                Effect::Close => self.closed = true,
            }
        }
    }

    /// Answers as the store would, by the transcript's `accounts`, `aliases` and `full`.
    fn look_up(&mut self, address: &Address) {
        assert!(self.session.as_ref().is_some_and(|s| s.room().is_none()), "reads in Resolving");
        let name = address.as_str().to_lowercase();
        let alias = self.aliases.iter().find(|(alias, _)| *alias == name);
        let result = match alias {
            _ if self.broken => Err(LookupError),
            Some((_, targets)) => Ok(Resolved::To(targets.clone())),
            None if self.full.contains(&name) => Ok(Resolved::Full),
            None if self.accounts.contains(&name) => Ok(Resolved::To(vec![address.clone()])),
            None => Ok(Resolved::Unknown),
        };
        self.step(|session, cx, steps| session.looked_up(result, cx, steps));
    }

    fn commit(&mut self, submission: Submission) {
        assert_eq!(self.spooled.len(), submission.spooled_rows as usize * BODY_ROW);
        let mut body = std::mem::take(&mut self.spooled);
        body.extend(submission.body.concat());
        assert_eq!(submission.size, body.len() as u64);
        assert!(self.session.as_ref().is_some_and(|s| s.room().is_none()), "reads in Committing");
        let said = self.replies.escape_ascii().to_string();
        assert!(!said.contains(&submission.id.to_string()), "250 ahead of the commit: {said}");
        self.recipients = submission.recipients.clone().into_iter();
        self.committed = Some((submission, body));
        let answer = std::mem::replace(&mut self.answer, Ok(()));
        self.step(|session, cx, steps| session.stored(answer, cx, steps));
    }

    fn send(&mut self, bytes: Bytes) {
        self.waiting = Duration::ZERO;
        self.step(|session, cx, steps| session.receive(bytes, cx, steps));
    }

    fn expect(&mut self, expected: &str, place: &str) {
        let end = self.replies.windows(2).position(|pair| pair == b"\r\n");
        let Some(end) = end else { panic!("{place}: expected {expected}, nothing came") };
        let line = String::from_utf8(self.replies.drain(..end + 2).collect()).unwrap();
        let line = line.trim_end();
        assert!(matches(expected, line), "{place}:\nexpected {expected}\n   found {line}");
    }

    fn advance(&mut self, time: Duration) {
        self.waiting += time;
        self.now = Now { instant: self.now.instant + time, wall: self.now.wall + time };
        let timeout = self.session.as_ref().map(|session| session.timeout(&self.options));
        if timeout.is_some_and(|timeout| self.waiting >= timeout) {
            self.step(Session::timed_out);
        }
    }

    fn event(&mut self, event: &str, place: &str) {
        match event {
            "drain" => {
                self.pressure.draining = true;
                self.step(Session::drain);
            }
            "store ok" => self.answer = Ok(()),
            "store full" => self.answer = Err(CommitError::Full),
            "store failed" => self.answer = Err(CommitError::Failed),
            "spool failed" => {
                assert!(!self.spooled.is_empty(), "{place}: nothing was spooled");
                self.step(Session::spool_failed);
            }
            "unreadable" => self.broken = true,
            "abandoned" => assert!(self.abandoned.take().is_some(), "{place}"),
            "memory short" => self.pressure.memory_short = true,
            "gone abandons" => {
                assert!(self.session.take().unwrap().closed().is_some(), "{place}");
            }
            "gone leaves nothing" => {
                assert_eq!(self.session.take().unwrap().closed(), None, "{place}");
            }
            event => match event.strip_prefix("free ") {
                Some(octets) => self.pressure.free = octets.parse().unwrap(),
                None => panic!("{place}: no such event"),
            },
        }
    }

    fn check(&mut self, field: &str, value: &str, place: &str) {
        let Some((submission, body)) = &self.committed else { panic!("{place}: no message") };
        let split = body.windows(8).position(|w| w == b" +0000\r\n").unwrap() + 8;
        let found = match field {
            "from" => match &submission.envelope.reverse_path {
                Some(path) => path.to_string(),
                None => String::new(),
            },
            "to" => describe(&self.recipients.next().unwrap_or_else(|| panic!("{place}: no more"))),
            "envelope" => {
                let envelope = &submission.envelope;
                let eight = envelope.body_type == BodyType::EightBitMime;
                let utf8 = envelope.smtputf8;
                format!("{:?} {:?} 8bit={eight} utf8={utf8}", envelope.ret, envelope.envid)
            }
            "rows" => submission.spooled_rows.to_string(),
            "message-id" => String::from_utf8_lossy(&submission.message_id).into_owned(),
            "received" => {
                let field = String::from_utf8_lossy(&body[..split]).into_owned();
                let expected = String::from_utf8(unescape(value)).unwrap();
                assert!(matches(&expected, &field), "{place}: {}", field.escape_debug());
                return;
            }
            "body" => {
                let (want, found) = (unescape(value), &body[split..]);
                assert_eq!(
                    found.escape_ascii().to_string(),
                    want.escape_ascii().to_string(),
                    "{place}"
                );
                return;
            }
            field => panic!("{place}: no such field: {field}"),
        };
        assert_eq!(found, value, "{place}");
    }
}

/// `name>target,target`
fn parse_alias(text: &str) -> (String, Vec<Address>) {
    let (name, targets) = text.split_once('>').unwrap();
    let address = |target: &str| Address::parse(target.to_owned().into()).unwrap();
    (name.to_owned(), targets.split(',').map(address).collect())
}

fn describe(recipient: &Recipient) -> String {
    let mut text = recipient.address.to_string();
    if recipient.notify.is_said() {
        text += &format!(" notify={}", recipient.notify.bits());
    }
    if let Some(orcpt) = &recipient.orcpt {
        text += &format!(" orcpt={}", String::from_utf8_lossy(orcpt));
    }
    text
}
