//! POP3's session over a real store: how octets are cut does not matter, one question is open at a
//! time, what is listed adds up, and nothing goes without a QUIT that says so.

use std::collections::VecDeque;

use bytes::Bytes;
use ringmail::{
    limits::{CONTENT_CHUNK, POP3_BACKLOG_MAX},
    mail::mailbox::{Act, StoreTrouble},
    pop3::{Context, Effect, Options, Session, Steps},
};

use super::{
    mailboxes::{Mailboxes, PASSWORD, USER},
    octets::{cut, seed_of},
    script::{self, Step},
};

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
    for line in whole.said.split_inclusive(|octet| *octet == b'\n') {
        assert!(line.ends_with(b"\r\n") || whole.closed, "{}", line.escape_ascii());
    }
    let promised = whole.said.windows(11).any(|text| text == b"+OK Removed");
    assert!(whole.removed || !promised, "what was not removed is said to be");
}

fn same(one: &World, other: &World) {
    if (&one.said, one.closed) != (&other.said, other.closed) {
        let said = [one, other].map(|world| world.said.escape_ascii().to_string());
        panic!("cuts matter:\n{}\n{}", said[0], said[1]);
    }
}

struct World {
    mailboxes: Mailboxes,
    options: Options,
    session: Option<Session>,
    effects: VecDeque<Effect>,
    unread: VecDeque<Vec<u8>>,
    said: Vec<u8>,
    /// Answers wait until they are asked for.
    holds: bool,
    /// The client takes nothing.
    lazy: bool,
    draining: bool,
    closed: bool,
    removed: bool,
}

fn play(state: u8, steps: &[Step], cut: &dyn Fn(&[u8]) -> Vec<Vec<u8>>) -> World {
    let hostname = "mx.example.org".to_owned();
    let mut world = World {
        mailboxes: Mailboxes::new(),
        options: Options { hostname, plaintext_login: false, domain: None },
        session: None,
        effects: VecDeque::new(),
        unread: VecDeque::new(),
        said: Vec::new(),
        holds: false,
        lazy: false,
        draining: false,
        closed: false,
        removed: false,
    };
    let client = "127.0.0.1:9".parse().expect("an address");
    world.step(|_, cx, steps| Session::new(client, cx, steps));
    if state & 1 > 0 {
        world.hear(format!("USER {USER}\r\nPASS {PASSWORD}\r\n").into());
    }
    for step in steps {
        match step {
            Step::Octets(octets) => cut(octets).into_iter().for_each(|piece| world.hear(piece)),
            Step::Event(event) => world.happen(*event),
        }
    }
    world.holds = false;
    world.lazy = false;
    world.step(|session, cx, steps| session.sent(cx, steps));
    world.go_on();
    world
}

impl World {
    fn hear(&mut self, octets: Vec<u8>) {
        self.unread.push_back(octets);
        self.go_on();
    }

    fn happen(&mut self, event: u8) {
        match event {
            b'm' => drop(self.mailboxes.deliver()),
            b'f' | b'x' => drop(self.mailboxes.other(event)),
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
            let reads = self.session.as_ref().is_some_and(|session| session.room().is_some());
            match self.unread.pop_front() {
                Some(octets) if reads && self.effects.is_empty() => {
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
        let mut session = self.session.take().unwrap_or(Session::Closed);
        let options = self.options.clone();
        let cx = Context { options: &options, draining: self.draining };
        let mut steps = Steps::default();
        session = act(session, &cx, &mut steps);
        let mut said = self.gather(steps);
        while said && !self.lazy && !self.closed {
            let mut steps = Steps::default();
            session = session.sent(&cx, &mut steps);
            said = self.gather(steps);
        }
        self.session = Some(session);
    }

    /// Whether there was anything for the client.
    fn gather(&mut self, steps: Steps) -> bool {
        let said = steps.out.len();
        assert!(said <= POP3_BACKLOG_MAX + 3 * CONTENT_CHUNK, "{said} octets at once");
        self.said.extend(steps.out.pieces().concat());
        assert!(!self.closed || steps.effects.is_empty(), "{:?} behind the end", steps.effects);
        self.effects.extend(steps.effects);
        let questions = self.effects.iter().filter(|effect| is_question(effect)).count();
        assert!(questions <= 1, "{:?}", self.effects);
        self.closed |= self.effects.iter().any(|effect| matches!(effect, Effect::Close));
        self.effects.retain(is_question);
        said > 0
    }

    fn answer(&mut self) {
        match self.effects.pop_front() {
            Some(Effect::Ask(ask)) => {
                let found = self.mailboxes.ask(&ask);
                self.step(|session, cx, steps| session.found(found, cx, steps));
            }
            Some(Effect::Act(act)) => {
                let (done, _) = self.mailboxes.act(&act);
                self.removed |= done.is_ok() && matches!(act, Act::Remove { .. });
                self.step(|session, cx, steps| session.done(done, cx, steps));
            }
            Some(Effect::Authenticate { password, account, .. }) => {
                let verdict = self.mailboxes.verdict(&password, account.as_deref());
                self.step(|session, cx, steps| session.authenticated(verdict, cx, steps));
            }
            _ => {}
        }
    }
}

fn is_question(effect: &Effect) -> bool {
    matches!(effect, Effect::Ask(_) | Effect::Act(_) | Effect::Authenticate { .. })
}
