//! IMAP's session from each of its states, over a real store: how octets are cut does not matter,
//! one question is open at a time, and what is said has the form of replies.

use std::collections::VecDeque;

use bytes::Bytes;
use ringmail::{
    imap::session::{Context, Effect, Options, Session, Steps},
    limits::{IMAP_COMMAND_MAX, IMAP_UNSENT_MAX, LISTED_OCTETS},
    mail::mailbox::{Act, MailboxId, StoreTrouble},
    time::{Duration, Now, Wall},
};

use super::{
    mailboxes::{Mailboxes, PASSWORD, USER},
    octets::{cut, seed_of},
    script::{self, Step},
};

/// The way to each state behind the login; the first octet of an input chooses.
const STATES: [&str; 10] = [
    "",
    "b SELECT INBOX\r\n",
    "b EXAMINE INBOX\r\n",
    "b ENABLE IMAP4rev2 UTF8=ACCEPT\r\nc SELECT INBOX\r\n",
    "b ENABLE QRESYNC\r\nc SELECT INBOX\r\n",
    "b CREATE a/b (USE (\\Sent))\r\nc SELECT a/b\r\nd COPY 1 INBOX\r\n",
    "b SELECT INBOX\r\nc IDLE\r\n",
    "b APPEND INBOX (\\Seen k) {20}\r\n",
    "b SELECT INBOX\r\nc APPEND INBOX {4+}\r\nSub {9+}\r\nabc",
    "b SELECT INBOX (CONDSTORE)\r\nc SEARCH RETURN (SAVE) 1:2\r\n",
];

/// A longer dialogue is not cut at every octet.
const EVERY_MAX: usize = 150;

pub fn run(input: &[u8]) {
    let [state, dialogue @ ..] = input else { return };
    let steps = script::read(dialogue);
    let whole = play(*state, &steps, &|octets| vec![octets.to_vec()]);
    let seed = seed_of(input);
    let pieces = |octets: &[u8]| cut(octets, seed).into_iter().map(<[u8]>::to_vec).collect();
    let some = play(*state, &steps, &pieces);
    same(&whole, &some);
    if script::octets(&steps) <= EVERY_MAX {
        let every = play(*state, &steps, &|octets| octets.chunks(1).map(<[u8]>::to_vec).collect());
        same(&whole, &every);
    }
    well_formed(&whole.said, whole.closed);
}

fn same(one: &World, other: &World) {
    if (&one.said, one.closed) != (&other.said, other.closed) {
        let said = [one, other].map(|world| world.said.escape_ascii().to_string());
        panic!("cuts matter:\n{}\n{}", said[0], said[1]);
    }
}

/// One client, and what waits for it.
struct World {
    mailboxes: Mailboxes,
    options: Options,
    session: Option<Session>,
    effects: VecDeque<Effect>,
    /// Octets that the session did not want to read yet.
    unread: VecDeque<Vec<u8>>,
    said: Vec<u8>,
    building: Option<Vec<u8>>,
    /// Answers wait until they are asked for.
    holds: bool,
    /// The client takes nothing.
    lazy: bool,
    draining: bool,
    closed: bool,
}

fn play(state: u8, steps: &[Step], cut: &dyn Fn(&[u8]) -> Vec<Vec<u8>>) -> World {
    let mut world = World {
        mailboxes: Mailboxes::new(),
        options: Options {
            hostname: "mx.example.org".to_owned(),
            message_size_max: 20_000,
            quota: 0,
            plaintext_login: false,
            login_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(1800),
            domain: None,
        },
        session: None,
        effects: VecDeque::new(),
        unread: VecDeque::new(),
        said: Vec::new(),
        building: None,
        holds: false,
        lazy: false,
        draining: false,
        closed: false,
    };
    let client = "127.0.0.1:9".parse().expect("an address");
    world.step(|_, cx, steps| Session::new(client, cx, steps));
    if let Some(way) = STATES.get(usize::from(state)) {
        world.hear(vec![format!("a LOGIN {USER} {PASSWORD}\r\n").into()]);
        world.hear(vec![way.as_bytes().to_vec()]);
    }
    for step in steps {
        match step {
            Step::Octets(octets) => world.hear(cut(octets)),
            Step::Event(event) => world.happen(*event),
        }
    }
    world.holds = false;
    world.lazy = false;
    world.step(|session, cx, steps| session.sent(cx, steps));
    world.go_on();
    if let Some(session) = world.session.take() {
        session.closed();
    }
    world
}

impl World {
    fn hear(&mut self, pieces: Vec<Vec<u8>>) {
        self.unread.extend(pieces);
        self.go_on();
    }

    fn happen(&mut self, event: u8) {
        let touched = match event {
            b'm' => self.mailboxes.deliver(),
            b'f' | b'x' => self.mailboxes.other(event),
            b'k' => self.mailboxes.delete("a/b"),
            _ => Vec::new(),
        };
        self.touch(&touched);
        match event {
            b'F' => self.mailboxes.trouble = Some(StoreTrouble::Full),
            b'D' => self.mailboxes.trouble = Some(StoreTrouble::Damaged),
            b'b' => self.mailboxes.busy ^= true,
            b'h' => self.holds ^= true,
            b'a' => self.answer(),
            b'l' => self.lazy = true,
            b's' => {
                self.lazy = false;
                self.step(|session, cx, steps| session.sent(cx, steps));
            }
            b't' => self.step(|session, _, steps| session.timed_out(steps)),
            b'd' => {
                self.draining = true;
                self.step(|session, cx, steps| session.drain(cx, steps));
            }
            _ => {}
        }
        self.go_on();
    }

    /// Everything that need not wait for an event.
    fn go_on(&mut self) {
        loop {
            if !self.holds && !self.effects.is_empty() {
                self.answer();
                continue;
            }
            let room = self.session.as_ref().and_then(Session::room);
            match self.unread.pop_front() {
                Some(octets) if room.is_some() && self.effects.is_empty() => {
                    let octets = Bytes::from(octets);
                    self.step(|session, cx, steps| session.receive(octets, cx, steps));
                }
                Some(octets) => {
                    self.unread.push_front(octets);
                    return;
                }
                None => return,
            }
        }
    }

    fn step(&mut self, act: impl FnOnce(Session, &Context<'_>, &mut Steps) -> Session) {
        if self.closed {
            return;
        }
        let first = self.session.is_none();
        let mut session = self.session.take().unwrap_or(Session::Closed);
        assert!(first || !matches!(session, Session::Closed), "a session that was not closed");
        let options = self.options.clone();
        let wall = Wall::from_millis(1_795_435_200_000);
        let now = Now { wall, ..Now::default() };
        let cx = Context { options: &options, now, draining: self.draining };
        let mut steps = Steps::default();
        session = act(session, &cx, &mut steps);
        self.gather(steps);
        // A client that takes what it gets makes room for more.
        while !self.lazy && !self.closed {
            let rests = matches!(session, Session::Resting(..));
            let mut steps = Steps::default();
            session = session.sent(&cx, &mut steps);
            self.gather(steps);
            if !rests {
                break;
            }
        }
        let held = session.memory();
        assert!(held <= 4 * IMAP_COMMAND_MAX + 64 * 1024, "{held} octets are held");
        self.session = Some(session);
    }

    fn gather(&mut self, steps: Steps) {
        let said = steps.out.len();
        assert!(said <= 2 * IMAP_UNSENT_MAX + LISTED_OCTETS, "{said} octets at once");
        self.said.extend(steps.out.pieces().concat());
        assert!(!self.closed || steps.effects.is_empty(), "{:?} behind the end", steps.effects);
        self.effects.extend(steps.effects);
        let questions = self.effects.iter().filter(|effect| is_question(effect)).count();
        assert!(questions <= 1, "{:?}", self.effects);
        self.closed |= self.effects.iter().any(|effect| matches!(effect, Effect::Close));
        // The shell takes octets to build at once, whatever else is to be waited for.
        while !self.effects.front().is_none_or(is_question) {
            let effect = self.effects.pop_front();
            effect.into_iter().for_each(|effect| self.carry_out(effect));
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::ContentBegin => {
                assert!(self.building.replace(Vec::new()).is_none(), "two messages at once");
            }
            Effect::ContentOctets(octets) => {
                self.building.as_mut().expect("a message").extend_from_slice(&octets);
            }
            Effect::ContentAbandon => {
                self.building.take().expect("a message");
            }
            Effect::Act(act) => drop(self.mailboxes.act(&act)),
            // What follows would be deflated. The session drops what it has of it, too.
            Effect::Compress => self.unread.clear(),
            _ => {}
        }
    }

    /// Answers what is asked.
    fn answer(&mut self) {
        let Some(effect) = self.effects.pop_front() else { return };
        match effect {
            Effect::Ask(ask) => {
                let found = self.mailboxes.ask(&ask);
                self.step(|session, cx, steps| session.found(found, cx, steps));
            }
            Effect::Act(act) => {
                let (done, touched) = self.mailboxes.act(&act);
                self.step(|session, cx, steps| session.done(done, cx, steps));
                self.touch(&touched);
            }
            Effect::Authenticate { password, account, .. } => {
                let verdict = self.mailboxes.verdict(&password, account.as_deref());
                self.step(|session, cx, steps| session.authenticated(verdict, cx, steps));
            }
            Effect::ContentEnd => {
                let octets = self.building.take().expect("a message");
                let content = match self.mailboxes.trouble.take() {
                    Some(trouble) => Err(trouble),
                    None => Ok(self.mailboxes.content(&octets)),
                };
                self.step(|session, cx, steps| session.content(content, cx, steps));
            }
            other => self.carry_out(other),
        }
    }

    /// Sessions that look at a mailbox are told that it has changed.
    fn touch(&mut self, touched: &[MailboxId]) {
        let watching = self.session.as_ref().and_then(Session::watching);
        if watching.is_some_and(|(mailbox, _)| touched.contains(&mailbox)) {
            self.step(|session, cx, steps| session.changed(cx, steps));
        }
    }
}

fn is_question(effect: &Effect) -> bool {
    match effect {
        Effect::Act(act) => !matches!(act, Act::Announce { .. } | Act::Abandon { .. }),
        Effect::Ask(_) | Effect::Authenticate { .. } | Effect::ContentEnd => true,
        _ => false,
    }
}

/// Lines that end in CRLF, begin as replies do and hold no NUL; literals as long as they say.
fn well_formed(mut said: &[u8], closed: bool) {
    while !said.is_empty() {
        let first = said[0];
        assert!(first.is_ascii_graphic(), "a reply begins with {first}");
        loop {
            let Some(end) = said.iter().position(|octet| *octet == b'\n') else {
                assert!(closed, "{} has no end", said.escape_ascii());
                return;
            };
            let line = &said[..end];
            let text = line.strip_suffix(b"\r").unwrap_or_else(|| {
                panic!("{} ends without a CR", line.escape_ascii());
            });
            assert!(!text.contains(&b'\r') && !text.contains(&0), "{}", text.escape_ascii());
            said = &said[end + 1..];
            let Some((size, binary)) = literal(text) else { break };
            if said.len() < size {
                // Only what cannot be read any more is cut off, and its client with it.
                assert!(closed, "{size} octets are announced, {} are there", said.len());
                return;
            }
            let (octets, rest) = said.split_at(size);
            assert!(binary || !octets.contains(&0), "a literal has a NUL");
            said = rest;
        }
    }
}

/// The size of the literal that a line announces.
fn literal(line: &[u8]) -> Option<(usize, bool)> {
    let open = line.iter().rposition(|octet| *octet == b'{')?;
    let size = std::str::from_utf8(line[open + 1..].strip_suffix(b"}")?).ok()?.parse().ok()?;
    Some((size, open > 0 && line[open - 1] == b'~'))
}
