//! Transcripts of sessions over a small store: whole, in pieces and pipelined they say the same.
//!
//! `C:` is what the client sends, `S:` what it must get (`…` stands for any rest of a line), `D:`
//! mail that comes in, `X:` what another session does (a mailbox, then `expunge`, `flag`, `delete`
//! or `damage` with a UID) and `Q:` the account's quota. At `drain:` and `timeout:` just that comes
//! to be; at `wait:` a client that pipelines waits for its answers.

mod store;

use std::collections::VecDeque;

use bytes::Bytes;

use self::store::{Store, name};
use super::*;
use crate::{
    mail::{
        Domain,
        mailbox::{AccountId, Act, Ask, FlagChange, Flags, How, Uid, Uids},
    },
    random::Random,
    time::{Now, Wall},
};

const TRANSCRIPTS: &[(&str, &str)] = &[
    ("append", include_str!("append.txt")),
    ("condstore", include_str!("condstore.txt")),
    ("expunge", include_str!("expunge.txt")),
    ("fetch", include_str!("fetch.txt")),
    ("folders", include_str!("folders.txt")),
    ("guesses", include_str!("guesses.txt")),
    ("header", include_str!("header.txt")),
    ("idle", include_str!("idle.txt")),
    ("login", include_str!("login.txt")),
    ("qresync", include_str!("qresync.txt")),
    ("quota", include_str!("quota.txt")),
    ("search", include_str!("search.txt")),
    ("select", include_str!("select.txt")),
    ("store", include_str!("store.txt")),
    ("stranger", include_str!("stranger.txt")),
];

struct World {
    store: Store,
    session: Option<Session>,
    out: Vec<u8>,
    options: Options,
    building: Vec<u8>,
    closed: bool,
    draining: bool,
    /// The client leaves everything where it is.
    lazy: bool,
    effects: VecDeque<Effect>,
    /// What another session does just before this one changes something next.
    before_act: Option<&'static str>,
}

fn now() -> Now {
    // 2026-11-23T12:00:00Z.
    Now { wall: Wall::from_millis(1_795_435_200_000), ..Now::default() }
}

impl World {
    fn new(client: &str) -> Self {
        let options = Options {
            hostname: "mx.example.org".to_owned(),
            message_size_max: 100_000,
            quota: 0,
            plaintext_login: false,
            domain: Domain::parse("example.org").ok(),
            login_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(1800),
        };
        let mut world = Self {
            store: Store::new(),
            session: None,
            out: Vec::new(),
            options,
            building: Vec::new(),
            closed: false,
            draining: false,
            lazy: false,
            effects: VecDeque::new(),
            before_act: None,
        };
        let client = client.parse().unwrap();
        world.step(|_, cx, steps| Session::new(client, cx, steps));
        world
    }

    /// One step and everything that it asks for.
    fn step(&mut self, act: impl FnOnce(Option<Session>, &Context, &mut Steps) -> Session) {
        self.one(act);
        self.drive();
    }

    fn drive(&mut self) {
        while let Some(effect) = self.effects.pop_front() {
            self.carry_out(effect);
        }
    }

    /// One step; its client takes at once what it gets, unless it is lazy.
    fn one(&mut self, act: impl FnOnce(Option<Session>, &Context, &mut Steps) -> Session) {
        let mut steps = Steps::default();
        let options = self.options.clone();
        let cx = Context { options: &options, now: now(), draining: self.draining };
        let mut session = act(self.session.take(), &cx, &mut steps);
        self.gather(steps);
        while !self.lazy {
            let rests = matches!(session, Session::Resting(..));
            let mut steps = Steps::default();
            session = session.sent(&cx, &mut steps);
            self.gather(steps);
            if !rests {
                break;
            }
        }
        self.session = Some(session);
    }

    fn gather(&mut self, steps: Steps) {
        for piece in steps.out.pieces() {
            self.out.extend_from_slice(&piece);
        }
        self.effects.extend(steps.effects);
        let is_question = |effect: &&Effect| match effect {
            Effect::Act(act) => !matches!(act, Act::Announce { .. } | Act::Abandon { .. }),
            Effect::Ask(_) | Effect::Authenticate { .. } | Effect::ContentEnd => true,
            _ => false,
        };
        assert!(self.effects.iter().filter(is_question).count() <= 1, "{:?}", self.effects);
    }

    fn carry_out(&mut self, effect: Effect) {
        assert!(!self.closed, "{effect:?} behind the end");
        match effect {
            Effect::Ask(ask) => {
                let found = self.store.ask(&ask);
                self.one(|session, cx, steps| session.unwrap().found(found, cx, steps));
            }
            Effect::Act(act @ (Act::Announce { .. } | Act::Abandon { .. })) => {
                self.store.act(act);
            }
            Effect::Act(act) => {
                if let Some(line) = self.before_act.take() {
                    self.other(line);
                }
                let (done, touched) = self.store.act(act);
                self.one(|session, cx, steps| session.unwrap().done(Ok(done), cx, steps));
                touched.into_iter().for_each(|mailbox| self.touched(mailbox));
            }
            Effect::Authenticate { password, account, .. } => {
                let right = account.is_some_and(|account| account.password == password);
                let verdict = if right { Verdict::Granted } else { Verdict::Refused };
                self.one(|session, cx, steps| session.unwrap().authenticated(verdict, cx, steps));
            }
            Effect::ContentBegin | Effect::ContentAbandon => self.building.clear(),
            Effect::ContentOctets(octets) => self.building.extend_from_slice(&octets),
            Effect::ContentEnd => {
                let content = self.store.content(&std::mem::take(&mut self.building));
                self.one(|session, cx, steps| session.unwrap().content(Ok(content), cx, steps));
            }
            Effect::Close => self.closed = true,
            Effect::LoggedIn { .. } | Effect::LoginFailed { .. } | Effect::Compress => {}
        }
    }

    fn touched(&mut self, mailbox: MailboxId) {
        let watching = self.session.as_ref().and_then(Session::watching);
        if watching.is_some_and(|(watched, _)| watched == mailbox) {
            self.one(|session, cx, steps| session.unwrap().changed(cx, steps));
        }
    }

    fn send(&mut self, octets: &[u8], cut: usize) {
        for piece in octets.chunks(cut) {
            let piece = Bytes::copy_from_slice(piece);
            self.step(|session, cx, steps| session.unwrap().receive(piece, cx, steps));
        }
    }

    fn deliver(&mut self, line: &str) {
        let (to, which) = line.split_once(' ').unwrap();
        let wall = now().wall - Duration::from_secs(3600);
        let mailbox = self.store.deliver(&name(to), message(which).as_bytes(), wall);
        self.touched(mailbox);
        self.drive();
    }

    /// What another session does.
    fn other(&mut self, line: &str) {
        let [to, what, uid] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let uids: Uids = [Uid(uid.parse().unwrap())].into_iter().collect();
        let id = self.store.ask(&Ask::Folder { account: AccountId(1), name: name(to) });
        let Ok(Found::Folder(Some(folder))) = id else { panic!("{line}") };
        let mailbox = folder.mailbox.unwrap();
        let flag = |flags| FlagChange {
            how: How::Add,
            flags,
            keywords: Vec::new(),
            unchanged_since: None,
        };
        match what {
            "expunge" => {
                let change = flag(Flags::DELETED);
                self.store.act(Act::Flag { mailbox, uids: uids.clone(), change });
                self.store.act(Act::Expunge { mailbox, uids });
            }
            "flag" => {
                self.store.act(Act::Flag { mailbox, uids, change: flag(Flags::FLAGGED) });
            }
            "delete" => {
                let account = AccountId(1);
                self.store.act(Act::Delete { account, name: name(to) });
            }
            "damage" => {
                let content = self.store.content_of(mailbox, uids.first().unwrap());
                self.store.damaged.push(content);
            }
            other => panic!("{other}"),
        }
        self.touched(mailbox);
        self.drive();
    }
}

fn message(which: &str) -> String {
    let head = |subject: &str| {
        format!(
            "From: Ann <ann@x.org>\r\nTo: user@example.org\r\nSubject: {subject}\r\n\
             Date: Mon, 23 Nov 2026 09:05:00 +0000\r\nMessage-ID: <{subject}@x.org>\r\n"
        )
    };
    match which {
        "mixed" => format!(
            "{}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\nintro\r\n\
             --b\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: base64\r\n\r\nR3LDvMOfZQ==\r\n\
             --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nwithin\r\n\
             --b--\r\n",
            head("mixed")
        ),
        "long" => format!("{}\r\n{}", head("long"), "a line of the long one\r\n".repeat(11_000)),
        // It has no empty line, so that all of it is header.
        "header" => format!(
            "{}X-Near: yes\r\n{}X-Far: yes\r\n",
            head("header"),
            "X-Line: one of many\r\n".repeat(13_000)
        ),
        short => format!("{}\r\nHello {short}\r\n", head(short)),
    }
}

/// The client's lines up to each other event, and what must have come out by then.
fn run(text: &str, cut: usize, pipelined: bool) -> Run {
    let client = text.lines().find_map(|line| line.strip_prefix("# from "));
    let mut world = World::new(client.unwrap_or("127.0.0.1:9"));
    let (mut want, mut sent) = (String::new(), Vec::new());
    let (mut transcript, mut told) = (String::new(), 0);
    for line in text.lines() {
        for said in String::from_utf8_lossy(&world.out[told..]).lines() {
            transcript.push_str(&format!("S: {said}\n"));
        }
        told = world.out.len();
        if !line.starts_with("S: ") {
            transcript.push_str(&format!("{line}\n"));
        }
        let Some((kind, rest)) = line.split_once(": ").or(line.strip_suffix(':').map(|k| (k, "")))
        else {
            continue;
        };
        match kind {
            "C" => {
                sent.extend_from_slice(rest.as_bytes());
                sent.extend_from_slice(b"\r\n");
                if !pipelined {
                    world.send(&std::mem::take(&mut sent), cut);
                }
                continue;
            }
            "S" => {
                want.push_str(rest);
                want.push('\n');
                continue;
            }
            _ => {}
        }
        world.send(&std::mem::take(&mut sent), cut);
        match kind {
            "D" => world.deliver(rest),
            "X" => world.other(rest),
            "Q" => world.store.quota = Some(rest.parse().unwrap()),
            "drain" => {
                world.draining = true;
                world.step(|session, cx, steps| session.unwrap().drain(cx, steps));
            }
            "timeout" => {
                world.step(|session, _, steps| session.unwrap().timed_out(steps));
            }
            _ => {}
        }
    }
    world.send(&sent, cut);
    for said in String::from_utf8_lossy(&world.out[told..]).lines() {
        transcript.push_str(&format!("S: {said}\n"));
    }
    Run { want, got: String::from_utf8_lossy(&world.out).replace("\r\n", "\n"), transcript }
}

struct Run {
    want: String,
    got: String,
    /// What was said, in the form of the file.
    transcript: String,
}

fn agrees(want: &str, got: &str) -> bool {
    let fits = |(want, got): (&str, &str)| match want.split_once('…') {
        Some((start, end)) => got.starts_with(start) && got.ends_with(end),
        None => want == got,
    };
    want.lines().count() == got.lines().count() && want.lines().zip(got.lines()).all(fits)
}

#[test]
fn transcripts() {
    let mut failed = Vec::new();
    for (called, text) in TRANSCRIPTS {
        for (cut, pipelined) in [(usize::MAX, false), (1, false), (7, false), (usize::MAX, true)] {
            let Run { want, got, transcript } = run(text, cut, pipelined);
            if !agrees(&want, &got) {
                let lines = want.lines().zip(got.lines());
                let same = lines.take_while(|(want, got)| agrees(want, got)).count();
                failed.push(format!(
                    "{called}, cut {cut}, pipelined {pipelined}: differs at line {same}:\n\
                     want {:?}\ngot  {:?}\n--- {called}.txt\n{transcript}--- end",
                    want.lines().nth(same),
                    got.lines().nth(same)
                ));
                break;
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// Commands of all transcripts in any order, whole or spoilt: nothing panics, one question is open
/// at a time, and the session ends or answers.
#[test]
fn random_commands() {
    let commands: Vec<&str> = TRANSCRIPTS
        .iter()
        .flat_map(|(_, text)| text.lines().filter_map(|line| line.strip_prefix("C: ")))
        .filter(|line| !line.contains("LOGOUT"))
        .collect();
    for seed in 0..60 {
        let mut random = Random::from_seed([seed; 32]);
        let mut world = World::new("127.0.0.1:9");
        world.send(b"a LOGIN user@example.org secret\r\nb SELECT INBOX\r\n", 9999);
        for _ in 0..80 {
            if world.closed {
                break;
            }
            match random.below(8) {
                0 => world
                    .deliver(["INBOX mixed", "INBOX long", "Trash x"][random.below(3) as usize]),
                _ => {
                    let mut line = commands[random.below(commands.len() as u32) as usize]
                        .to_owned()
                        .into_bytes();
                    if random.below(10) == 0 && !line.is_empty() {
                        let at = random.below(line.len() as u32) as usize;
                        line[at] = (random.below(95) + 32) as u8;
                    }
                    line.extend_from_slice(b"\r\n");
                    world.send(&line, 1 + random.below(100) as usize);
                }
            }
        }
    }
}

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Session>() <= 64, "{}", size_of::<Session>());
    let mut world = World::new("127.0.0.1:9");
    world.send(b"a LOGIN user@example.org secret\r\nb SELECT INBOX\r\n", 9999);
    let memory = world.session.as_ref().map_or(0, Session::memory);
    assert!(memory < 2048, "{memory}");
}

/// What a client still counts can be read, until it has been told of its end.
#[test]
fn what_was_not_told_stays_readable() {
    let mut world = World::new("127.0.0.1:9");
    ["INBOX one", "INBOX two", "INBOX three"].into_iter().for_each(|line| world.deliver(line));
    world.send(b"a LOGIN user@example.org secret\r\nb SELECT INBOX\r\n", 9999);
    let readable = |world: &World| world.session.as_ref().and_then(Session::watching).unwrap().1;
    assert_eq!(readable(&world), ModSeq(4));
    world.other("INBOX expunge 2");
    for command in [&b"c FETCH 1:* FLAGS\r\n"[..], b"d STORE 1 +FLAGS (\\Seen)\r\n"] {
        world.send(command, 9999);
        assert_eq!(readable(&world), ModSeq(4));
    }
    world.send(b"e NOOP\r\n", 9999);
    assert_eq!(readable(&world), ModSeq(7));
}

/// A NUL is in a literal8 only (RFC 9051 §9), wherever it stands in a message.
#[test]
fn only_a_literal8_holds_a_nul() {
    let mut world = World::new("127.0.0.1:9");
    world.send(b"a LOGIN user@example.org secret\r\nb SELECT INBOX\r\n", 9999);
    world.send(b"c APPEND INBOX ~{21+}\r\nSubject: a\0b\r\n\r\nc\0d\r\n\r\n", 9999);
    for (item, want) in [
        ("BODY.PEEK[]", &b"* 1 FETCH (BODY[] {21}\r\nSubject: a\x80b\r\n\r\nc\x80d\r\n)\r\n"[..]),
        ("BODY.PEEK[TEXT]<1.2>", b"* 1 FETCH (BODY[TEXT]<1> {2}\r\n\x80d)\r\n"),
        (
            "BODY.PEEK[HEADER.FIELDS (Subject)]",
            b"* 1 FETCH (BODY[HEADER.FIELDS (Subject)] {16}\r\nSubject: a\x80b\r\n\r\n)\r\n",
        ),
        ("BINARY.PEEK[1]", b"* 1 FETCH (BINARY[1] ~{5}\r\nc\0d\r\n)\r\n"),
    ] {
        world.out.clear();
        world.send(format!("d FETCH 1 {item}\r\n").as_bytes(), 9999);
        let got = world.out.strip_suffix(b"d OK That is all\r\n").unwrap_or(&world.out);
        assert_eq!(got.escape_ascii().to_string(), want.escape_ascii().to_string(), "{item}");
    }
}

/// A message bears the MODSEQ of its last change alone: where that is the session's own, what
/// another one did to it a moment before is told all the same.
#[test]
fn an_own_change_hides_nobody_elses() {
    for (command, told) in [
        ("c STORE 1 +FLAGS.SILENT (\\Answered)\r\n", "(FLAGS (\\Answered \\Flagged \\Recent))"),
        ("c FETCH 1 BODY[]\r\n", "(FLAGS (\\Seen \\Flagged \\Recent))"),
    ] {
        for other in [None, Some("INBOX flag 1")] {
            let mut world = World::new("127.0.0.1:9");
            world.deliver("INBOX one");
            world.send(b"a LOGIN user@example.org secret\r\nb SELECT INBOX\r\n", 9999);
            world.out.clear();
            world.before_act = other;
            world.send(command.as_bytes(), 9999);
            let said = String::from_utf8_lossy(&world.out).into_owned();
            assert_eq!(said.contains(told), other.is_some(), "{command} {other:?}: {said}");
        }
    }
}

/// News of several pages, with more that happens between two of them.
#[test]
fn a_page_counts_with_what_the_one_before_it_brought() {
    for happens in ["INBOX flag 1", "INBOX expunge 1"] {
        let mut world = World::new("127.0.0.1:9");
        world.send(b"a LOGIN user@example.org secret\r\nb SELECT INBOX\r\n", 9999);
        world.out.clear();
        for _ in 0..5 {
            let wall = now().wall;
            world.store.deliver(&name("INBOX"), message("one").as_bytes(), wall);
        }
        let mailbox = world.session.as_ref().and_then(Session::watching).unwrap().0;
        world.touched(mailbox);
        let noop = Bytes::from_static(b"c NOOP\r\n");
        world.one(|session, cx, steps| session.unwrap().receive(noop, cx, steps));
        let first = world.effects.pop_front().unwrap();
        world.carry_out(first);
        world.other(happens);
        world.send(b"d NOOP\r\n", 9999);
        let mut count = 0;
        let said = String::from_utf8_lossy(&world.out).into_owned();
        for line in said.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["*", number, "EXISTS"] => count = number.parse().unwrap(),
                ["*", number, "EXPUNGE" | "FETCH", ..] => {
                    assert!(number.parse::<u32>().unwrap() <= count, "{happens}: {said}");
                    count -= u32::from(words[2] == "EXPUNGE");
                }
                _ => {}
            }
        }
        assert!(count == 5 - u32::from(happens.contains("expunge")), "{said}");
    }
}

/// A client that asks for much and takes nothing costs no more than the bound and one answer.
#[test]
fn a_client_that_takes_nothing_waits() {
    const COMMANDS: &[u8] = b"c FETCH 1:* BODY.PEEK[]\r\nd FETCH 1:* (FLAGS BINARY.PEEK[1])\r\n";
    let mut outs = Vec::new();
    for lazy in [false, true] {
        let mut world = World::new("127.0.0.1:9");
        for _ in 0..8 {
            world.deliver("INBOX long");
        }
        world.send(b"a LOGIN user@example.org secret\r\nb SELECT INBOX\r\n", 9999);
        world.out.clear();
        world.lazy = lazy;
        world.send(COMMANDS, 9999);
        let mut rests = 0;
        while matches!(world.session, Some(Session::Resting(..))) {
            let most = (rests + 1) * (IMAP_UNSENT_MAX + 8 * 1024);
            assert!(world.out.len() <= most, "{} octets, {rests} rests", world.out.len());
            assert_eq!(world.session.as_ref().and_then(Session::room), None);
            rests += 1;
            world.step(|session, cx, steps| session.unwrap().sent(cx, steps));
        }
        assert_eq!(rests > 3, lazy, "{rests} rests");
        world.lazy = false;
        world.step(|session, cx, steps| session.unwrap().sent(cx, steps));
        outs.push(world.out);
    }
    assert!(outs[0].len() > 1_000_000 && outs[0] == outs[1]);
}

/// A client in IDLE that takes nothing costs no more than the bound, however much happens, and is
/// told the rest when it takes it.
#[test]
fn a_client_in_idle_that_takes_nothing_waits() {
    let mut world = World::new("127.0.0.1:9");
    world.deliver("INBOX long");
    world.send(b"a LOGIN user@example.org secret\r\nb SELECT INBOX\r\n", 9999);
    world.out.clear();
    world.lazy = true;
    world.send(b"c FETCH 1 BODY.PEEK[]<0.262000>\r\nd IDLE\r\n", 9999);
    assert!(world.out.ends_with(b"+ idling\r\n") && world.out.len() < IMAP_UNSENT_MAX);
    for _ in 0..20 {
        world.deliver("INBOX one");
    }
    let most = IMAP_UNSENT_MAX..IMAP_UNSENT_MAX + 64;
    assert!(most.contains(&world.out.len()), "{} octets", world.out.len());
    world.out.clear();
    world.other("INBOX flag 1");
    assert!(world.out.is_empty(), "{}", world.out.escape_ascii());
    world.lazy = false;
    world.step(|session, cx, steps| session.unwrap().sent(cx, steps));
    let said = String::from_utf8_lossy(&world.out).into_owned();
    assert!(said.contains("* 21 EXISTS\r\n"), "{said}");
    assert!(said.contains("* 1 FETCH (FLAGS (\\Flagged \\Recent))\r\n"), "{said}");
    world.send(b"DONE\r\n", 9999);
    assert!(world.out.ends_with(b"d OK IDLE is over\r\n"));
}

/// A client that takes nothing is not read from, inside APPEND neither.
#[test]
fn an_append_waits_for_a_client_that_takes_nothing() {
    let mut world = World::new("127.0.0.1:9");
    world.deliver("INBOX long");
    world.send(b"a LOGIN user@example.org secret\r\nb SELECT INBOX\r\n", 9999);
    world.out.clear();
    world.lazy = true;
    world.send(b"c FETCH 1 BODY.PEEK[]<0.262000>\r\n", 9999);
    // As many octets as leave no room behind the `+ OK`.
    let tag = "d".repeat(IMAP_UNSENT_MAX - world.out.len() - " OK Done\r\n".len() - 1);
    world.send(format!("{tag} NOOP\r\ne APPEND INBOX {{18}}\r\n").as_bytes(), 9999);
    assert!(world.out.ends_with(b" OK Done\r\n+ OK\r\n"));
    assert_eq!(world.session.as_ref().and_then(Session::room), None);
    world.lazy = false;
    world.step(|session, cx, steps| session.unwrap().sent(cx, steps));
    assert_eq!(world.session.as_ref().and_then(Session::room), Some(COMMAND_ROOM));
    world.send(b"Subject: x\r\n\r\nbody\r\n", 9999);
    assert!(world.out.ends_with(b"e OK [APPENDUID 1001 2] It is stored\r\n"));
}
