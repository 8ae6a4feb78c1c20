//! Conversations with a small store in memory, and what random clients may not achieve.

use super::*;
use crate::{
    limits::{
        CONTENT_CHUNK, LISTED_MAX, LISTED_OCTETS, POP3_BACKLOG_MAX, POP3_MESSAGES_MAX,
        POP3_VAIN_MAX,
    },
    mail::{
        Domain, QueueId,
        mailbox::{
            Account, AccountId, Act, Ask, Content, Entry, Flags, Keywords, Listed, Opened,
            Standing, Uid, Uids,
        },
    },
    random::Random,
    time::Wall,
};

/// The only account, `ann@example.org`, whose hash is its password.
const PASSWORD: &str = "tanstaaf";
const INBOX: MailboxId = MailboxId(3);
const TOLD: ModSeq = ModSeq(40);

struct Message {
    uid: u32,
    octets: Vec<u8>,
    flags: Flags,
    delivered_to: &'static str,
}

/// One client, one mailbox, one who checks passwords.
struct World {
    options: Options,
    messages: Vec<Message>,
    has_inbox: bool,
    /// Fails when it is asked for this.
    trouble: Option<&'static str>,
    busy: bool,
    client: &'static str,
    said: Vec<u8>,
    /// Effects for the log and acts, as they came.
    told: Vec<String>,
    is_closed: bool,
}

impl World {
    fn new(messages: &[(u32, &str)]) -> Self {
        let message = |(uid, text): &(u32, &str)| Message {
            uid: *uid,
            octets: text.as_bytes().to_vec(),
            flags: Flags::default(),
            delivered_to: "",
        };
        Self {
            options: Options {
                hostname: "mx.example.org".into(),
                plaintext_login: false,
                domain: Domain::parse("example.org").ok(),
            },
            messages: messages.iter().map(message).collect(),
            has_inbox: true,
            trouble: None,
            busy: false,
            client: "127.0.0.1:9",
            said: Vec::new(),
            told: Vec::new(),
            is_closed: false,
        }
    }

    fn session(&mut self) -> Session {
        let client = self.client.parse().unwrap();
        self.step(|cx, steps| Session::new(client, cx, steps))
    }

    /// A step with all that follows from it: answers at once, and a client that takes all.
    fn step(&mut self, act: impl FnOnce(&Context, &mut Steps) -> Session) -> Session {
        let options = self.options.clone();
        let cx = Context { options: &options, draining: false };
        let mut steps = Steps::default();
        let mut session = act(&cx, &mut steps);
        loop {
            let Steps { out, effects } = std::mem::take(&mut steps);
            let has_put_out = !out.is_empty();
            assert!(out.len() <= POP3_BACKLOG_MAX + 3 * CONTENT_CHUNK, "{}", out.len());
            self.said.extend(out.pieces().concat());
            let questions = effects.iter().filter(|effect| is_question(effect)).count();
            assert!(questions <= 1, "{effects:?}");
            session = match effects.into_iter().find_map(|effect| self.carry_out(effect)) {
                Some(Answer::Found(found)) => session.found(found, &cx, &mut steps),
                Some(Answer::Done(done)) => session.done(done, &cx, &mut steps),
                Some(Answer::Verdict(verdict)) => session.authenticated(verdict, &cx, &mut steps),
                None if has_put_out => session.sent(&cx, &mut steps),
                None => return session,
            };
        }
    }

    fn receive(&mut self, session: Session, text: &[u8]) -> Session {
        if self.is_closed {
            return session;
        }
        assert!(session.room().is_some(), "{session:?}");
        let bytes = Bytes::copy_from_slice(text);
        self.step(|cx, steps| session.receive(bytes, cx, steps))
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Answer> {
        assert!(!self.is_closed, "{effect:?}");
        match effect {
            Effect::Ask(ask) => Some(Answer::Found(self.find(ask))),
            Effect::Act(act) => Some(Answer::Done(self.act(act))),
            Effect::Authenticate { password, account, .. } => {
                let is_right = account.is_some_and(|account| account.password == password);
                Some(Answer::Verdict(match is_right {
                    _ if self.busy => Verdict::Busy,
                    true => Verdict::Granted,
                    false => Verdict::Refused,
                }))
            }
            Effect::LoggedIn { user } => self.tell("in", &user),
            Effect::LoginFailed { user } => self.tell("failed", &user),
            Effect::Close => {
                self.is_closed = true;
                None
            }
        }
    }

    fn tell(&mut self, what: &str, user: &[u8]) -> Option<Answer> {
        self.told.push(format!("{what} {}", user.escape_ascii()));
        None
    }

    fn find(&mut self, ask: Ask) -> Result<Found, StoreTrouble> {
        let fails =
            |what| if self.trouble == Some(what) { Err(StoreTrouble::Failed) } else { Ok(()) };
        match ask {
            Ask::Account { key } => {
                fails("account")?;
                let account = Account {
                    id: AccountId(2),
                    inbox: INBOX,
                    password: PASSWORD.into(),
                    quota: None,
                };
                Ok(Found::Account((key == "ann@example.org").then(|| account.into())))
            }
            Ask::Open { account, name } => {
                assert_eq!((account, name.is_inbox()), (AccountId(2), true));
                fails("open")?;
                Ok(Found::Open(self.has_inbox.then(|| self.open().into())))
            }
            Ask::Messages { mailbox, uids, want } => {
                assert_eq!(mailbox, INBOX);
                fails(if want.content == Content::None { "sizes" } else { "message" })?;
                if self.trouble == Some("damage") && want.content != Content::None {
                    return Err(StoreTrouble::Damaged);
                }
                // A page that is shorter than what was asked for, now and then.
                let last = LISTED_MAX.min(1 + uids.count() as usize * 3 / 4);
                let mut found = uids.iter().filter_map(|uid| self.listed(uid, want.content));
                let messages: Vec<_> = found.by_ref().take(last).collect();
                let rest = found.next().map(|message| message.entry.uid);
                Ok(Found::Messages { messages, rest })
            }
            Ask::Content { content, offset, octets } => {
                fails("content")?;
                let uid = self.messages.iter().find(|m| content_of(m.uid) == content).unwrap();
                let rest = &uid.octets[offset as usize..];
                Ok(Found::Content(Bytes::copy_from_slice(&rest[..octets.min(rest.len())])))
            }
            other => panic!("{other:?}"),
        }
    }

    fn open(&self) -> Opened {
        let uids: Uids = self.messages.iter().map(|message| Uid(message.uid)).collect();
        let standing = Standing {
            mailbox: INBOX,
            uid_validity: 77,
            uid_next: Uid(1000),
            highest_modseq: TOLD,
            messages: uids.count(),
            unseen: 0,
            deleted: 0,
            size: 0,
            recent_from: Uid(1),
            keywords: Vec::new(),
        };
        Opened { standing, uids, first_unseen: None }
    }

    fn listed(&self, uid: Uid, wanted: Content) -> Option<Listed> {
        let place = self.messages.binary_search_by_key(&uid.0, |message| message.uid).ok()?;
        let message = &self.messages[place];
        let mut entry = Entry {
            uid,
            flags: message.flags,
            keywords: Keywords::default(),
            modseq: TOLD,
            received: Wall::from_millis(0),
            size: 0,
            content: content_of(message.uid),
            delivered_to: message.delivered_to.into(),
        };
        entry.size = (entry.delivered_field().len() + message.octets.len()) as u64;
        let octets = Bytes::copy_from_slice(&message.octets);
        let content = match wanted {
            Content::None => None,
            Content::Whole { at_most } => (octets.len() <= at_most).then_some(octets),
            Content::Header => {
                let end = memchr::memmem::find(&octets, b"\r\n\r\n").map(|at| at + 4);
                let end = end.unwrap_or(octets.len());
                (end <= LISTED_OCTETS).then(|| octets.slice(..end))
            }
        };
        Some(Listed { entry, summary: None, content })
    }

    fn act(&mut self, act: Act) -> Result<Done, StoreTrouble> {
        let numbers = |uids: &Uids| Vec::from_iter(uids.iter().map(|uid| uid.0));
        match act {
            Act::Flag { mailbox, uids, change } => {
                assert_eq!((mailbox, change.flags), (INBOX, Flags::SEEN));
                self.told.push(format!("seen {:?}", numbers(&uids)));
                Ok(Done::Flagged { modseq: None, refused: Uids::default() })
            }
            Act::Remove { mailbox, uids } => {
                assert_eq!(mailbox, INBOX);
                self.told.push(format!("remove {:?}", numbers(&uids)));
                if self.trouble == Some("remove") {
                    return Err(StoreTrouble::Full);
                }
                Ok(Done::Expunged { modseq: None, uids })
            }
            other => panic!("{other:?}"),
        }
    }
}

enum Answer {
    Found(Result<Found, StoreTrouble>),
    Done(Result<Done, StoreTrouble>),
    Verdict(Verdict),
}

fn is_question(effect: &Effect) -> bool {
    matches!(effect, Effect::Ask(_) | Effect::Act(_) | Effect::Authenticate { .. })
}

fn content_of(uid: u32) -> QueueId {
    QueueId::from_u64(u64::from(uid))
}

/// Plays the lines of the client, however they are cut; what the server says must be its lines.
fn play(world: impl Fn() -> World, transcript: &str, told: &[&str]) {
    let (mut client, mut server) = (String::new(), String::new());
    for line in transcript.lines().map(str::trim_start).filter(|line| !line.is_empty()) {
        let (side, text) = line.split_at(3.min(line.len()));
        let into = match side.trim_end() {
            "C:" => &mut client,
            "S:" => &mut server,
            _ => panic!("{line}"),
        };
        into.push_str(text);
        into.push_str("\r\n");
    }
    let octets = client.as_bytes();
    let cuts = (0..octets.len()).map(|cut| vec![&octets[..cut], &octets[cut..]]);
    let cuts =
        cuts.chain([octets.chunks(1).collect(), octets.split_inclusive(|b| *b == b'\n').collect()]);
    for pieces in cuts {
        let mut world = world();
        let mut session = world.session();
        for piece in &pieces {
            session = world.receive(session, piece);
        }
        let said = String::from_utf8(world.said).unwrap();
        assert_eq!(
            said,
            server,
            "in pieces of {:?}",
            Vec::from_iter(pieces.iter().map(|p| p.len()))
        );
        assert_eq!(world.told, told);
        assert_eq!(world.is_closed, matches!(session, Session::Closed));
    }
}

const LOGIN: &str = "C: USER ann@example.org
    C: PASS tanstaaf
    S: +OK mx.example.org Ringmail POP3
    S: +OK Now the password";

fn two() -> World {
    World::new(&[(4, "a: b\r\n\r\nhello\r\n.\r\n..dots\r\nend"), (9, "c: d\r\n")])
}

#[test]
fn a_visit() {
    let transcript = format!(
        "{LOGIN}
        S: +OK 2 messages (35 octets)
        C: STAT
        S: +OK 2 35
        C: LIST
        S: +OK 2 messages (35 octets)
        S: 1 29
        S: 2 6
        S: .
        C: list 2
        S: +OK 2 6
        C: UIDL
        S: +OK Unique ids follow
        S: 1 77.4
        S: 2 77.9
        S: .
        C: UIDL 1
        S: +OK 1 77.4
        C: LIST 3
        S: -ERR There is no such message
        C: RETR 1
        S: +OK 29 octets
        S: a: b
        S:
        S: hello
        S: ..
        S: ...dots
        S: end
        S: .
        C: TOP 1 1
        S: +OK The top follows
        S: a: b
        S:
        S: hello
        S: .
        C: TOP 1 0
        S: +OK The top follows
        S: a: b
        S:
        S: .
        C: RETR 2
        S: +OK 6 octets
        S: c: d
        S: .
        C: DELE 1
        S: +OK Goes at QUIT
        C: DELE 1
        S: -ERR There is no such message
        C: RETR 1
        S: -ERR There is no such message
        C: LIST
        S: +OK 1 messages (6 octets)
        S: 2 6
        S: .
        C: STAT
        S: +OK 1 6
        C: RSET
        S: +OK Nothing goes at QUIT
        C: STAT
        S: +OK 2 35
        C: DELE 2
        S: +OK Goes at QUIT
        C: NOOP
        S: +OK
        C: QUIT
        S: +OK Removed what was marked; bye
        C: STAT"
    );
    play(two, &transcript, &["in ann@example.org", "seen [4]", "remove [9]"]);
}

#[test]
fn nothing_marked_nothing_removed() {
    let seen = || {
        let mut world = two();
        world.messages[0].flags = Flags::SEEN;
        world.messages[0].delivered_to = "ann+list@example.org";
        world
    };
    let transcript = format!(
        "{LOGIN}
        S: +OK 2 messages (71 octets)
        C: TOP 1 0
        S: +OK The top follows
        S: Delivered-To: ann+list@example.org
        S: a: b
        S:
        S: .
        C: RETR 1
        S: +OK 65 octets
        S: Delivered-To: ann+list@example.org
        S: a: b
        S:
        S: hello
        S: ..
        S: ...dots
        S: end
        S: .
        C: DELE 1
        S: +OK Goes at QUIT
        C: RSET
        S: +OK Nothing goes at QUIT
        C: QUIT
        S: +OK Bye"
    );
    play(seen, &transcript, &["in ann@example.org"]);
}

#[test]
fn ways_to_log_in() {
    let plain = data_encoding::BASE64.encode(b"\0Ann@Example.ORG\0tanstaaf");
    let other = data_encoding::BASE64.encode(b"bob@example.org\0ann@example.org\0tanstaaf");
    let greeting = "S: +OK mx.example.org Ringmail POP3";
    for transcript in [
        format!("C: AUTH PLAIN {plain}"),
        format!("C: AUTH PLAIN\nS: + \nC: {plain}"),
        "C: AUTH login\nS: + VXNlcm5hbWU6\nC: QW5uQEV4YW1wbGUuT1JH\n\
            S: + UGFzc3dvcmQ6\nC: dGFuc3RhYWY="
            .to_owned(),
        "C: UTF8\nS: +OK Eight bits come as they are\nC: USER Ann@Example.ORG\n\
            S: +OK Now the password\nC: PASS tanstaaf"
            .to_owned(),
        format!(
            "C: AUTH PLAIN\nS: + \nC: *\nS: -ERR The login was cancelled\n\
            C: AUTH PLAIN {plain}"
        ),
        format!(
            "C: AUTH PLAIN {other}\nS: {}\nC: AUTH PLAIN =\nS: {}\nC: AUTH PLAIN {plain}",
            "-ERR [AUTH] Nobody may act for another user; leave out the authorization identity",
            "-ERR The response is not what the mechanism asks for (RFC 4616)",
        ),
    ] {
        let transcript = format!(
            "{greeting}\n{transcript}\nS: +OK 0 messages (0 octets)
            C: USER ann@example.org
            S: -ERR You are logged in already
            C: LIST
            S: +OK 0 messages (0 octets)
            S: .
            C: QUIT
            S: +OK Bye"
        );
        play(|| World::new(&[]), &transcript, &["in Ann@Example.ORG"]);
    }
}

#[test]
fn strangers() {
    let transcript = "S: +OK mx.example.org Ringmail POP3
        C: CAPA
        S: +OK This can be done here
        S: USER
        S: SASL PLAIN LOGIN
        S: TOP
        S: UIDL
        S: PIPELINING
        S: RESP-CODES
        S: AUTH-RESP-CODE
        S: EXPIRE NEVER
        S: UTF8 USER
        S: IMPLEMENTATION Ringmail
        S: .
        C: AUTH
        S: +OK These mechanisms are known
        S: PLAIN
        S: LOGIN
        S: .
        C: STAT
        S: -ERR Log in first
        C: PASS tanstaaf
        S: -ERR Send USER first
        C: STLS
        S: -ERR TLS is not offered here
        C: HELO
        S: -ERR Command not recognized; CAPA tells more
        C: USER eve
        S: +OK Now the password
        C: PASS tanstaaf
        S: -ERR [AUTH] The name or the password is wrong
        C: PASS tanstaaf
        S: -ERR Send USER first
        C: USER bob@example.org
        S: +OK Now the password
        C: PASS tanstaaf
        S: -ERR [AUTH] The name or the password is wrong
        C: USER ann@example.org
        S: +OK Now the password
        C: PASS tanstaaf\u{20}
        S: -ERR [AUTH] The name or the password is wrong, and this was the last try; closing
        C: USER ann@example.org";
    let told = ["failed eve", "failed bob@example.org", "failed ann@example.org"];
    play(two, transcript, &told);
    play(two, "S: +OK mx.example.org Ringmail POP3\nC: QUIT\nS: +OK Bye\nC: NOOP", &[]);
}

#[test]
fn no_password_in_clear_text_from_afar() {
    let far = || World { client: "192.0.2.1:9", ..two() };
    let transcript = "S: +OK mx.example.org Ringmail POP3
        C: CAPA
        S: +OK This can be done here
        S: TOP
        S: UIDL
        S: PIPELINING
        S: RESP-CODES
        S: AUTH-RESP-CODE
        S: EXPIRE NEVER
        S: UTF8 USER
        S: IMPLEMENTATION Ringmail
        S: .
        C: USER ann@example.org
        S: -ERR [AUTH] A password may not come in clear text from your address
        C: AUTH PLAIN
        S: -ERR [AUTH] A password may not come in clear text from your address
        C: AUTH
        S: +OK These mechanisms are known
        S: .";
    play(far, transcript, &[]);
    for client in ["[::ffff:127.0.0.1]:9", "[::1]:9", "127.9.9.9:9"] {
        let near = || World { client, ..two() };
        let transcript = format!("{LOGIN}\nS: +OK 2 messages (35 octets)");
        play(near, &transcript, &["in ann@example.org"]);
    }
    let allowed = || {
        let mut world = far();
        world.options.plaintext_login = true;
        world
    };
    play(allowed, &format!("{LOGIN}\nS: +OK 2 messages (35 octets)"), &["in ann@example.org"]);
}

#[test]
fn trouble() {
    let in_trouble = |what| move || World { trouble: Some(what), ..two() };
    let failed = "-ERR [SYS/TEMP] The store failed; try again later";
    for what in ["account", "open", "sizes"] {
        let told: &[&str] = if what == "account" { &[] } else { &["in ann@example.org"] };
        play(in_trouble(what), &format!("{LOGIN}\nS: {failed}\nC: QUIT\nS: +OK Bye"), told);
    }
    let transcript = format!(
        "{LOGIN}\nS: -ERR [SYS/PERM] This account has no INBOX; ask whoever runs the server"
    );
    play(|| World { has_inbox: false, ..two() }, &transcript, &["in ann@example.org"]);
    let transcript =
        format!("{LOGIN}\nS: -ERR [SYS/TEMP] Too many logins at this time; try again later");
    play(|| World { busy: true, ..two() }, &transcript, &[]);

    let transcript = format!(
        "{LOGIN}
        S: +OK 2 messages (35 octets)
        C: RETR 1
        S: {failed}
        C: DELE 2
        S: +OK Goes at QUIT
        C: QUIT
        S: +OK Removed what was marked; bye"
    );
    play(in_trouble("message"), &transcript, &["in ann@example.org", "remove [9]"]);
    let damaged = "-ERR [SYS/PERM] The message is damaged on disk; ask whoever runs the server";
    let transcript = format!("{LOGIN}\nS: +OK 2 messages (35 octets)\nC: RETR 1\nS: {damaged}");
    play(in_trouble("damage"), &transcript, &["in ann@example.org"]);
    let transcript = format!(
        "{LOGIN}
        S: +OK 2 messages (35 octets)
        C: DELE 1
        S: +OK Goes at QUIT
        C: QUIT
        S: -ERR [SYS/TEMP] Some of what was marked may not be removed; the next login shows it"
    );
    play(in_trouble("remove"), &transcript, &["in ann@example.org", "remove [4]"]);
}

/// Logs in; what was said until then is forgotten.
fn logged_in(world: &mut World) -> Session {
    let session = world.session();
    let session = world.receive(session, b"USER ann@example.org\r\nPASS tanstaaf\r\n");
    assert!(matches!(session, Session::Transaction(..)), "{session:?}");
    world.said.clear();
    session
}

#[test]
fn a_long_message_comes_in_parts() {
    let header = "X: y\r\n".repeat(LISTED_OCTETS / 6 + 1);
    let texts = [(1, "a: b\r\n\r\n"), (2, "c: d\r\n\r\n"), (3, &*header)];
    let mut world = World::new(&texts);
    let mut random = Random::from_seed([3; 32]);
    let mut want = Vec::new();
    let text = &mut world.messages[1].octets;
    while text.len() < 5 * CONTENT_CHUNK {
        let line = vec![b'.'; random.below(900) as usize];
        text.extend([&line[..], b"\r\n"].concat());
    }
    for line in text.split_inclusive(|octet| *octet == b'\n') {
        want.extend(line.strip_prefix(b".").map(|_| b'.'));
        want.extend(line);
    }
    let size = text.len();
    let session = logged_in(&mut world);
    let session = world.receive(session, b"RETR 2\r\n");
    let head = format!("+OK {size} octets\r\n");
    assert!(world.said == [head.as_bytes(), &want, b".\r\n"].concat());

    // TOP reads no more than it needs.
    world.said.clear();
    let session = world.receive(session, b"TOP 2 3\r\nNOOP\r\n");
    let lines = want.split_inclusive(|octet| *octet == b'\n');
    let top = lines.take(5).collect::<Vec<_>>().concat();
    assert!(world.said.escape_ascii().to_string().starts_with("+OK The top follows\\r\\nc: d"));
    assert_eq!(world.said, [b"+OK The top follows\r\n", &top[..], b".\r\n+OK\r\n"].concat());

    // A message without an empty line is all header, and is sent in parts all the same.
    world.said.clear();
    let session = world.receive(session, b"TOP 3 0\r\n");
    assert!(world.said.ends_with(b"X: y\r\n.\r\n") && world.said.len() > LISTED_OCTETS);

    // A part that cannot be read leaves the reply without its end.
    (world.trouble, world.said) = (Some("content"), Vec::new());
    let session = world.receive(session, b"RETR 2\r\nNOOP\r\n");
    assert_eq!(world.said, head.as_bytes());
    assert!(world.is_closed && matches!(session, Session::Closed));
}

#[test]
fn a_client_that_takes_nothing_gets_no_more() {
    let mut world = World::new(&[(1, "a: b\r\n\r\n")]);
    world.messages[0].octets.extend(vec![b'x'; 40 * CONTENT_CHUNK]);
    let session = logged_in(&mut world);
    let options = world.options.clone();
    let cx = Context { options: &options, draining: false };
    let mut steps = Steps::default();
    let mut session = session.receive("RETR 1\r\nNOOP\r\n".into(), &cx, &mut steps);
    let (mut owed, mut parts, mut said) = (0, 0, Vec::new());
    loop {
        let Steps { out, effects } = std::mem::take(&mut steps);
        owed += out.len();
        said.extend(out.pieces().concat());
        assert!(owed < POP3_BACKLOG_MAX + 2 * CONTENT_CHUNK, "{owed}");
        let asked = effects.into_iter().next();
        session = match asked.and_then(|effect| world.carry_out(effect)) {
            Some(Answer::Found(found)) => {
                parts += 1;
                session.found(found, &cx, &mut steps)
            }
            _ if owed > 0 => {
                assert!(session.room().is_none() || said.ends_with(b"+OK\r\n"));
                owed = 0;
                session.sent(&cx, &mut steps)
            }
            _ => break,
        };
    }
    assert_eq!(parts, 1 + 41);
    assert!(said.ends_with(b"x\r\n.\r\n+OK\r\n"));
    assert_eq!(session.room(), Some(COMMAND_ROOM));
}

/// Wherever it is the client's turn, to speak or to take, it has a time for that; where the store
/// is to answer it has none.
#[test]
fn a_client_that_takes_nothing_is_let_go() {
    let mut world = World::new(&[(1, "a: b\r\n\r\n")]);
    world.messages[0].octets.extend(vec![b'x'; 8 * CONTENT_CHUNK]);
    world.messages.extend((2..30_000).map(|uid| Message {
        uid,
        octets: b"x".into(),
        flags: Flags::SEEN,
        delivered_to: "",
    }));
    let options = world.options.clone();
    let cx = Context { options: &options, draining: false };
    // The last: so many replies to NOOP wait that no more commands are listened to.
    let noops = "NOOP\r\n".repeat(POP3_BACKLOG_MAX / 5 + 1);
    for command in ["RETR 1\r\n", "UIDL\r\n", &noops] {
        let session = logged_in(&mut world);
        let mut steps = Steps::default();
        let bytes = Bytes::copy_from_slice(command.as_bytes());
        let mut session = session.receive(bytes, &cx, &mut steps);
        while let Some(effect) = std::mem::take(&mut steps.effects).into_iter().next() {
            assert_eq!(session.timeout(), Duration::MAX, "{command:.6}");
            session = session.timed_out(&mut steps);
            let Some(Answer::Found(found)) = world.carry_out(effect) else { panic!("{command}") };
            session = session.found(found, &cx, &mut steps);
        }
        assert_eq!((session.room(), session.timeout()), (None, POP3_TIMEOUT), "{command:.6}");
        let session = session.timed_out(&mut steps);
        assert!(matches!(session, Session::Closed), "{command:.6}");
        assert!(matches!(steps.effects[..], [Effect::Close]), "{:?}", steps.effects);
    }
}

#[test]
fn a_full_maildrop_shows_its_oldest() {
    let mut world = World::new(&[]);
    // Gaps, so that the runs of the set are many.
    world.messages = (1..=POP3_MESSAGES_MAX + 5)
        .map(|n| Message {
            uid: n + n / 3,
            octets: b"x".into(),
            flags: Flags::SEEN,
            delivered_to: "",
        })
        .collect();
    let session = logged_in(&mut world);
    let session = world.receive(session, b"DELE 2\r\nSTAT\r\nLIST\r\n");
    let mut want = format!("+OK Goes at QUIT\r\n+OK {0} {0}\r\n", POP3_MESSAGES_MAX - 1);
    want += &format!("+OK {0} messages ({0} octets)\r\n", POP3_MESSAGES_MAX - 1);
    let numbers = (1..=POP3_MESSAGES_MAX).filter(|number| *number != 2);
    numbers.for_each(|number| want += &format!("{number} 1\r\n"));
    assert!(world.said == [want.as_bytes(), b".\r\n"].concat());
    world.said.clear();
    let text = format!("UIDL {0}\r\nUIDL {1}\r\n", POP3_MESSAGES_MAX, POP3_MESSAGES_MAX + 1);
    world.receive(session, text.as_bytes());
    let uid = POP3_MESSAGES_MAX + POP3_MESSAGES_MAX / 3;
    let want = format!("+OK {POP3_MESSAGES_MAX} 77.{uid}\r\n-ERR There is no such message\r\n");
    assert_eq!(String::from_utf8_lossy(&world.said), want);
}

#[test]
fn a_session_is_small() {
    assert!(size_of::<Session>() <= 64, "{}", size_of::<Session>());
    assert!(size_of::<Peer>() <= 160, "{}", size_of::<Peer>());
}

#[test]
fn patience_time_and_draining_end() {
    let mut world = two();
    let session = world.session();
    let flood = b"CAPA\r\n".repeat(POP3_VAIN_MAX as usize + 5);
    let session = world.receive(session, &flood);
    assert!(world.said.ends_with(b".\r\n-ERR Too many commands in vain; closing\r\n"));
    assert!(world.is_closed && matches!(session, Session::Closed));

    // A client that is at home may say NOOP for ever, but nothing else without end.
    let mut world = two();
    let session = logged_in(&mut world);
    let session = world.receive(session, &b"NOOP\r\n".repeat(1000));
    assert!(!world.is_closed);
    let options = world.options.clone();
    let cx = Context { options: &options, draining: false };
    assert_eq!(session.timeout(), POP3_TIMEOUT);
    assert_eq!(session.watching(), Some((INBOX, TOLD)));
    let session = world.receive(session, &b"XXXX\r\n".repeat(1000));
    assert!(world.is_closed && matches!(session, Session::Closed));

    // RFC 1939 §3: silence, and what was marked stays.
    let mut world = two();
    let session = logged_in(&mut world);
    let session = world.receive(session, b"DELE 1\r\n");
    world.said.clear();
    let session = world.step(|_, steps| session.timed_out(steps));
    assert!(world.is_closed && world.said.is_empty() && matches!(session, Session::Closed));
    assert_eq!(world.told, ["in ann@example.org"]);

    let mut world = two();
    let session = logged_in(&mut world);
    let session = world.step(|_, steps| session.drain(&cx, steps));
    assert_eq!(world.said, b"-ERR [SYS/TEMP] Shutting down; try again later\r\n");
    assert!(world.is_closed && matches!(session, Session::Closed));
    let draining = Context { draining: true, ..cx };
    let mut world = two();
    let client = world.client.parse().unwrap();
    world.step(|_, steps| Session::new(client, &draining, steps));
    assert_eq!(world.said, b"-ERR [SYS/TEMP] Shutting down; try again later\r\n");
}

/// What a client may say, well and badly.
const FRAGMENTS: [&[u8]; 24] = [
    b"USER ann@example.org\r\n",
    b"PASS tanstaaf\r\n",
    b"PASS x\r\n",
    b"AUTH PLAIN\r\n",
    b"AGFubkBleGFtcGxlLm9yZwB0YW5zdGFhZg==\r\n",
    b"*\r\n",
    b"CAPA\r\n",
    b"STAT\r\n",
    b"LIST\r\n",
    b"UIDL\n",
    b"RETR 1\r\n",
    b"RETR 2\r\n",
    b"TOP 1 1\r\n",
    b"TOP 2 0\r\n",
    b"DELE 1\r\n",
    b"DELE 2\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"QUIT\r\n",
    b"RETR ",
    b"99999999999999999999",
    b"\r",
    b"\n",
    b"\0\xff",
];

/// No panic, one question at a time, nothing behind Close, and "Removed" only behind a removal
/// that was done.
#[test]
fn only_the_store_says_removed() {
    let mut removals = 0;
    for seed in 0..200 {
        let mut random = Random::from_seed([seed; 32]);
        let mut world = two();
        world.messages[0].octets.extend(b"x\r\n.".repeat(2 * CONTENT_CHUNK / 4));
        let options = world.options.clone();
        let mut cx = Context { options: &options, draining: false };
        let mut steps = Steps::default();
        let mut session = Session::new(world.client.parse().unwrap(), &cx, &mut steps);
        let (mut open, mut answers, mut owed) = (None, 0, 0);
        for _ in 0..300 {
            let Steps { out, effects } = std::mem::take(&mut steps);
            owed += out.len();
            assert!(!world.is_closed || out.is_empty(), "seed {seed}");
            world.said.extend(out.pieces().concat());
            for effect in effects {
                let answer = world.carry_out(effect);
                assert!(answer.is_none() || open.is_none(), "seed {seed}");
                open = open.or(answer);
            }
            session = match (random.below(40), open.take()) {
                (0..20, Some(Answer::Found(found))) => session.found(found, &cx, &mut steps),
                (0..15, Some(Answer::Verdict(verdict))) => {
                    session.authenticated(verdict, &cx, &mut steps)
                }
                (0..15, Some(Answer::Done(done))) => {
                    let is_removal = world.told.last().is_some_and(|told| told.starts_with('r'));
                    answers += usize::from(is_removal && done.is_ok());
                    session.done(done, &cx, &mut steps)
                }
                (15..20, Some(Answer::Verdict(_))) => {
                    session.authenticated(Verdict::Busy, &cx, &mut steps)
                }
                (15..20, Some(Answer::Done(_))) => {
                    session.done(Err(StoreTrouble::Full), &cx, &mut steps)
                }
                (20..36, answer) if session.room().is_some() => {
                    open = answer;
                    let fragment = FRAGMENTS[random.below(FRAGMENTS.len() as u32) as usize];
                    session.receive(Bytes::from_static(fragment), &cx, &mut steps)
                }
                (36, answer) if random.below(20) == 0 => {
                    open = answer;
                    cx.draining = true;
                    session.drain(&cx, &mut steps)
                }
                (37, answer) if random.below(20) == 0 => {
                    open = answer;
                    session.timed_out(&mut steps)
                }
                (_, answer) => {
                    open = answer;
                    if std::mem::take(&mut owed) > 0 {
                        session.sent(&cx, &mut steps)
                    } else {
                        session
                    }
                }
            };
            assert_eq!(
                world.is_closed || steps.effects.iter().any(|e| matches!(e, Effect::Close)),
                matches!(session, Session::Closed),
                "seed {seed}"
            );
        }
        let said = String::from_utf8_lossy(&world.said);
        assert_eq!(said.matches("+OK Removed").count(), answers, "seed {seed}");
        removals += answers;
    }
    assert!(removals > 0);
}
