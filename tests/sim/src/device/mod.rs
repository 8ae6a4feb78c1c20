//! A device: a client of IMAP that keeps a copy of its owner's mailboxes, changes them, goes away
//! in the midst of anything, and comes back with what it knew.
//!
//! It believes what it is told and nothing else; whenever it should know all, its copy is held
//! against what the oracle knows.

mod answers;
mod deeds;
mod mirror;
mod speech;
mod words;

use std::collections::BTreeMap;

pub use self::mirror::{Copy, View};
use self::{
    speech::Inlet,
    words::{Response, number_before},
};
use crate::{
    client::Fault,
    coverage::Coverage,
    mail::mailbox::MailboxId,
    mouth::Mouth,
    network::{Moves, Parting},
    oracle::{Checked, Oracle, broken},
    random::Random,
    time::{Duration, Instant},
};

/// The extensions that a device knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    Plain,
    Condstore,
    Qresync,
}

/// What a step may look at.
pub struct Cx<'a> {
    pub random: &'a mut Random,
    pub oracle: &'a mut Oracle,
    pub coverage: &'a mut Coverage,
    pub moves: &'a mut Moves,
    pub now: Instant,
    /// The store cannot be read now, or fails: what cannot be told is told later.
    pub excused: bool,
    /// The number of the next message.
    pub token: &'a mut u32,
}

#[derive(Debug)]
pub struct Device {
    /// Its owner, and the owner's quota.
    pub key: String,
    pub quota: Option<u64>,
    password: String,
    manner: Manner,
    /// What it knew of each folder when it was last sure.
    copies: BTreeMap<String, Copy>,
    /// It only looks once more at everything, and then has done.
    pub last: bool,
    pub finished: bool,
    mouth: Mouth,
    inlet: Inlet,
    tag: u32,
    greeted: bool,
    waiting: Option<Command>,
    asked: Instant,
    idle_since: Option<Instant>,
    /// Deeds of this session still to be done.
    left: u32,
    /// Folders that the last session has still to look at.
    unseen: Vec<&'static str>,
    view: Option<View>,
}

/// What it has asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Command {
    Login {
        right: bool,
    },
    Enable,
    Select {
        name: &'static str,
    },
    /// The UIDs and flags of what it does not know.
    Fill,
    Sync {
        tries: u32,
    },
    Append {
        token: u32,
    },
    Store {
        numbers: bool,
        uids: Vec<u32>,
        flags: Option<mirror::Change>,
    },
    Copy,
    Expunge,
    Body {
        numbers: bool,
        uid: u32,
    },
    Search,
    Idle,
    Folders,
    Logout,
}

impl Command {
    /// RFC 9051 §7.5.1: while it is under way no number may change.
    fn uses_numbers(&self) -> bool {
        match self {
            Command::Fill | Command::Body { numbers: true, .. } => true,
            Command::Store { numbers, .. } => *numbers,
            _ => false,
        }
    }
}

const NAMES: [&str; 4] = ["INBOX", "Work", "Old", "Old/deep"];

impl Device {
    pub fn new(key: &str, password: &str, quota: Option<u64>, manner: Manner) -> Device {
        Device {
            key: key.to_owned(),
            quota,
            password: password.to_owned(),
            manner,
            copies: BTreeMap::new(),
            last: false,
            finished: false,
            mouth: Mouth::default(),
            inlet: Inlet::default(),
            tag: 0,
            greeted: false,
            waiting: None,
            asked: Instant::default(),
            idle_since: None,
            left: 0,
            unseen: Vec::new(),
            view: None,
        }
    }

    /// It comes once more.
    pub fn connect(&mut self, last: bool, deeds: u32, fuse: Option<(u64, Fault)>) {
        self.last = last;
        self.left = deeds;
        self.unseen = NAMES.to_vec();
        (self.mouth, self.tag) = (Mouth::new(fuse), 0);
        (self.greeted, self.waiting, self.view) = (false, None, None);
        (self.inlet, self.idle_since) = (Inlet::default(), None);
    }

    /// Its folder and how many messages it counts there, while it waits for news; and since when.
    pub fn idling(&self) -> Option<(MailboxId, usize, Instant)> {
        let view = self.view.as_ref().filter(|_| !self.mouth.over)?;
        Some((view.mailbox?, view.messages.len(), self.idle_since?))
    }

    pub fn octets(&mut self, octets: &[u8], cx: &mut Cx<'_>) -> Checked {
        self.inlet.take(octets);
        while let Some(response) = self.inlet.next() {
            if self.mouth.over {
                return Ok(());
            }
            self.response(&response, cx)?;
        }
        Ok(())
    }

    fn response(&mut self, response: &Response, cx: &mut Cx<'_>) -> Checked {
        let line = &response.line;
        if let Some(rest) = line.strip_prefix("* ") {
            return self.untagged(rest, response, cx);
        }
        if line.starts_with('+') {
            return self.invited(cx);
        }
        let (tag, rest) = line.split_once(' ').unwrap_or((line, ""));
        let Some(command) = self.waiting.take() else {
            return broken(format!("a device was told `{line}`, and waited for nothing"));
        };
        if tag != format!("t{}", self.tag) {
            return broken(format!("a device waits for t{}, and was told `{line}`", self.tag));
        }
        self.idle_since = None;
        let (status, text) = rest.split_once(' ').unwrap_or((rest, ""));
        if status == "BAD" {
            return broken(format!("a device said {command:?}, and was told `{line}`"));
        }
        self.ended(command, status == "OK", text, cx)
    }

    fn untagged(&mut self, rest: &str, response: &Response, cx: &mut Cx<'_>) -> Checked {
        if rest.starts_with("BYE") {
            if !matches!(self.waiting, Some(Command::Logout)) {
                cx.coverage.count("device: told BYE");
                self.mouth.over = true;
                cx.moves.part(Parting::Close);
            }
            return Ok(());
        }
        if !self.greeted {
            self.greeted = true;
            self.log_in(cx);
            return Ok(());
        }
        if let Some(code) = rest.strip_prefix("OK [") {
            return self.code(code, cx);
        }
        let numbers = self.waiting.as_ref().is_some_and(Command::uses_numbers);
        let search = matches!(self.waiting, Some(Command::Search));
        let told_whole = matches!(self.waiting, Some(Command::Sync { .. } | Command::Idle));
        let Some(view) = &mut self.view else { return Ok(()) };
        if let Some(count) = number_before(rest, "EXISTS") {
            return view.exists(count);
        }
        if let Some(number) = number_before(rest, "EXPUNGE") {
            cx.coverage.count("device: told EXPUNGE");
            return match numbers {
                true => broken(format!("`* {rest}` while numbers are in use")),
                false => view.expunged(number),
            };
        }
        if let Some(set) = rest.strip_prefix("VANISHED (EARLIER) ") {
            cx.coverage.count("device: told VANISHED (EARLIER)");
            return view.vanished_earlier(set);
        }
        if let Some(set) = rest.strip_prefix("VANISHED ") {
            cx.coverage.count("device: told VANISHED");
            return match numbers {
                true => broken(format!("`* {rest}` while numbers are in use")),
                false => view.vanished(set),
            };
        }
        if let Some(number) = number_before(rest, "FETCH") {
            return self.fetched(number, rest, response, told_whole, cx);
        }
        if let (true, Some(found)) = (search, rest.strip_prefix("SEARCH")) {
            let there = view.mailbox.and_then(|mailbox| cx.oracle.boxes.sight(mailbox));
            return view.found(found, there.map(|(_, sight)| sight));
        }
        Ok(())
    }

    /// One message of a FETCH.
    fn fetched(
        &mut self,
        number: usize,
        rest: &str,
        response: &Response,
        told_whole: bool,
        cx: &mut Cx<'_>,
    ) -> Checked {
        let Some(view) = &mut self.view else { return Ok(()) };
        let uid = view.fetched(number, rest, told_whole)?;
        let (Some(octets), Some(uid), Some(mailbox)) =
            (response.literals.first(), uid, view.mailbox)
        else {
            return Ok(());
        };
        view.read = Some(uid);
        cx.coverage.count("device: reads a message");
        match cx.oracle.boxes.octets(mailbox, uid) {
            Some(sent) if sent == *octets => Ok(()),
            sent => broken(format!(
                "a device reads {} octets of {uid} in {mailbox:?}, sent were {:?}",
                octets.len(),
                sent.map(|sent| sent.len())
            )),
        }
    }

    /// Puts a command, after some thought.
    fn command(&mut self, command: Command, text: &str, cx: &mut Cx<'_>) {
        let thinks = match cx.random.below(8) {
            0 | 1 => Duration::ZERO,
            2 => Duration::from_millis(u64::from(cx.random.below(2000))),
            // Long enough for others to do something behind its back.
            3 => Duration::from_secs(u64::from(cx.random.below(120))),
            _ => Duration::from_millis(u64::from(cx.random.below(100))),
        };
        self.command_after(thinks, command, text, cx);
    }

    fn command_after(&mut self, thinks: Duration, command: Command, text: &str, cx: &mut Cx<'_>) {
        self.tag += 1;
        self.waiting = Some(command);
        self.asked = cx.now + thinks;
        let line = format!("t{} {text}\r\n", self.tag);
        self.say(thinks, line.as_bytes(), cx);
    }

    /// Says it; whether all of it is on its way.
    fn say(&mut self, after: Duration, octets: &[u8], cx: &mut Cx<'_>) -> bool {
        self.mouth.say(after, octets, cx.moves, cx.coverage)
    }
}
